# SPDX-License-Identifier: Apache-2.0
"""A scoreboard for cocotb: the streams of any design under test against a unit's golden model."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple, NoReturn, TypeAlias

import cocotb
from cocotb.handle import LogicArrayObject, LogicObject, PackedObject
from cocotb.triggers import RisingEdge

from hwact.errors import ArgumentError
from hwact.evaluation import evaluate_numbers
from hwact.formats import Format
from hwact.requantise import RequantisingUnit
from hwact.unit import Unit

Signal: TypeAlias = LogicObject | LogicArrayObject | PackedObject[Any]


class Stream(NamedTuple):
    """Handles of a stream: a word moves at a clock edge where valid and ready are both high.

    Members
    -------
    data : handle
        Lanes side by side, lane 0 in the least significant bits.
    valid, ready : handle, optional
        One that is not there is always high.
    last, user : handle, optional
        What goes with a word. Where source and sink both have one, of the same width, it must come out with
        the word that it went in with.
    """

    data: Signal
    valid: Signal | None = None
    ready: Signal | None = None
    last: Signal | None = None
    user: Signal | None = None

    @classmethod
    def of(cls, parent: Any, prefix: str) -> Stream:
        """The signals ``<prefix>data``, ``<prefix>valid`` and ``<prefix>ready`` of a module.

        Also ``<prefix>last`` and ``<prefix>user`` where it has them. The prefixes of hwact's units are
        ``i_`` and ``o_``, or ``s_axis_t`` and ``m_axis_t``.
        """
        wires = (getattr(parent, f"{prefix}{wire}") for wire in ("data", "valid", "ready"))
        return cls(*wires, *(getattr(parent, f"{prefix}{wire}", None) for wire in ("last", "user")))

    @property
    def beside(self) -> tuple[str | None, str | None]:
        """The bits of `last` and `user` as they are."""
        return _bits(self.last), _bits(self.user)


def _bits(handle: Signal | None) -> str | None:
    return None if handle is None else str(handle.value)


class _Word(NamedTuple):
    """A word that must come out: its number, its input codes, its lanes as bits, and what goes with it."""

    number: int
    codes: tuple[int, ...]
    lanes: tuple[str, ...]
    beside: tuple[str | None, str | None]


class ActivationScoreboard:
    """Watches the streams into and out of an activation stage, and raises at the first fault.

    Checked at every rising edge: each output word is the golden model's for the next input word, TLAST and
    TUSER come with their words, no word comes without an input, no bit that counts is X or Z, and while a
    stream is stalled it holds its word. An `AssertionError` ends the test with a line that says what was
    expected, what came, where and when. What is still missing at the end, only :meth:`finish` can tell.

    Parameters
    ----------
    unit : Unit or RequantisingUnit
    clock : handle
        Signals are read as they are just before its rising edge. It must be driven by cocotb.
    sink : Stream
        What the stage puts out. Without `valid`, it follows the input after `latency` edges at which the
        source is valid, and holds at the others.
    source : Stream, optional
        What goes in. Without it, the test announces the input codes by :meth:`expect`.
    reset : handle, optional
        While it is active, or X, nothing is checked, words under way are forgotten, and counting starts anew.
    reset_level : int
        The level at which it is active.
    lanes : int, optional
        The unit's, unless given. A lane takes its share of the data's bits; its code is in the low ones, and
        an output's are extended by its sign, or by zeros.
    latency : int
        Of a sink without `valid`.

    Attributes
    ----------
    cycle : int
        Rising edges so far.
    codes_checked : int
        Output codes that were compared, and right.
    """

    def __init__(
        self,
        unit: Unit | RequantisingUnit,
        clock: LogicObject,
        sink: Stream,
        source: Stream | None = None,
        *,
        reset: LogicObject | None = None,
        reset_level: int = 1,
        lanes: int | None = None,
        latency: int = 0,
    ) -> None:
        self.unit, self.lanes, self.latency = unit, unit.lanes if lanes is None else lanes, latency
        self.cycle = self.codes_checked = 0
        self._clock, self._reset, self._idle = clock, reset, str(1 - reset_level)
        self._source = None if source is None else _Side(self, source, unit.input_format, padded=True)
        self._sink = _Side(self, sink, unit.output_format, padded=False)
        if sink.valid is None and source is None:
            raise ArgumentError(
                "a sink without valid must have a source, whose valid edges are counted, not None; name it"
            )
        self._pending: deque[_Word] = deque()
        self._announced = 0
        self._task = cocotb.start_soon(self._watch())

    @classmethod
    def attach(cls, unit: Unit | RequantisingUnit, dut: Any) -> ActivationScoreboard:
        """Watch one of hwact's own units, by the ports of its interface; it must have a clock."""
        if unit.latency == 0:
            raise ArgumentError(
                "a unit must have a clock to be attached to, not latency 0; name clock and streams yourself"
            )
        if unit.interface == "bare":
            source, sink = Stream(dut.x, valid=dut.ce), Stream(dut.y)
            return cls(unit, dut.clk, sink, source, latency=unit.latency)
        if unit.interface == "axis":
            source, sink = Stream.of(dut, "s_axis_t"), Stream.of(dut, "m_axis_t")
            return cls(unit, dut.aclk, sink, source, reset=dut.aresetn, reset_level=0)
        return cls(unit, dut.clk, Stream.of(dut, "o_"), Stream.of(dut, "i_"), reset=dut.rst)

    def expect(self, codes: Iterable[int]) -> None:
        """Announce input codes, lane 0 first; what the unit makes of them must come next."""
        given = [int(code) for code in codes]
        if len(given) % self.lanes:
            raise ArgumentError(
                f"codes must fill words of {self.lanes} lanes, not be {len(given)}; add the missing ones"
            )
        for first in range(0, len(given), self.lanes):
            self._announce(tuple(given[first : first + self.lanes]))

    def finish(self) -> None:
        """Stop watching; raises unless all words came out, and at least one."""
        self._task.cancel()
        if self._pending and self._sink.stream.valid is not None:
            word = self._pending[0]
            self.fail(
                f"all {self._announced} words must come out, not {self._announced - len(self._pending)}; "
                f"the next is word {word.number}, input {self._input_text(word.codes[0])}"
            )
        if not self.codes_checked:
            self.fail("at least one word must come out, not none")

    def fail(self, text: str) -> NoReturn:
        """Raise with the place and time of a fault."""
        raise AssertionError(f"{self._sink.path}: cycle {self.cycle}: {text}")

    async def _watch(self) -> None:
        edge = RisingEdge(self._clock)
        while True:
            await edge
            self._sample()

    def _sample(self) -> None:
        """What happens at one edge."""
        self.cycle += 1
        if self._reset is None or str(self._reset.value) == self._idle:
            self._step()
            return
        self._pending.clear()
        self._announced = 0
        for side in filter(None, (self._source, self._sink)):
            side.forget()

    def _step(self) -> None:
        """Look at the streams before one edge."""
        sent = self._source.moved() if self._source is not None else None
        if sent is not None:
            assert self._source is not None
            codes = tuple(self._code(lane, self.unit.input_format) for lane in sent)
            self._announce(codes, self._source.stream.beside)
        if self._sink.stream.valid is None:
            if sent is None:
                if len(self._pending) >= self.latency > 0:
                    self._sink.hold()
                return
            self._sink.forget()
            if len(self._pending) <= self.latency:
                return
        came = self._sink.moved()
        if came is None:
            return
        if not self._pending:
            self.fail(
                f"no word must come out after all {self._announced} that went in, not {self._joined(came)}"
            )
        self._compare(self._pending.popleft(), came)

    def _announce(self, codes: tuple[int, ...], beside: tuple[str | None, str | None] = (None, None)) -> None:
        width = self._sink.lane_bits
        outputs = self.unit.evaluate(codes).tolist()
        lanes = tuple(f"{code & (1 << width) - 1:0{width}b}" for code in outputs)
        self._pending.append(_Word(self._announced, codes, lanes, beside))
        self._announced += 1

    def _compare(self, word: _Word, came: tuple[str, ...]) -> None:
        for lane, (due, got) in enumerate(zip(word.lanes, came, strict=True)):
            if got != due:
                self.fail(self._mismatch(word, lane, got))
            self.codes_checked += 1
        stream = self._sink.stream
        for handle, bits, now in zip((stream.last, stream.user), word.beside, stream.beside, strict=True):
            if handle is not None and bits is not None and len(bits) == len(handle) and bits != now:
                self.fail(
                    f"word {word.number}, input {self._input_text(word.codes[0])}: "
                    f"{handle._name} must be {bits}, as at the input, not {now}"
                )

    def _mismatch(self, word: _Word, lane: int, got: str) -> str:
        code, sink = word.codes[lane], self.unit.output_format
        where = f"word {word.number}" + (f", lane {lane}" if self.lanes > 1 else "")
        due = self._text(self._code(word.lanes[lane], sink), sink)
        return (
            f"{where}, input {self._input_text(code)}: expected {due}, "
            f"got {self._lane_text(got)}; exact value {self._exact(code):.7g}"
        )

    def _exact(self, code: int) -> float:
        if isinstance(self.unit, RequantisingUnit):
            return self.unit.exact_value(code)
        bits = self.unit.input_format.to_bits(code)
        return evaluate_numbers(self.unit, [f"0x{bits:x}"])[0].exact

    def _input_text(self, code: int) -> str:
        if isinstance(self.unit, RequantisingUnit):
            return self.unit.input_text(code)
        return self._text(code, self.unit.input_format)

    def _joined(self, lanes: tuple[str, ...]) -> str:
        return ", ".join(self._lane_text(bits) for bits in lanes)

    def _lane_text(self, bits: str) -> str:
        """A lane of the output; as it is where it holds no code extended as it must be."""
        sink = self.unit.output_format
        code = self._code(bits, sink)
        whole = f"{code & (1 << len(bits)) - 1:0{len(bits)}b}"
        return self._text(code, sink) if bits == whole else f"0b{bits}"

    @staticmethod
    def _code(bits: str, number_format: Format) -> int:
        code = int(bits[-number_format.width :], 2)
        return code - (number_format.signed and code > number_format.max_code) * (1 << number_format.width)

    @staticmethod
    def _text(code: int, number_format: Format) -> str:
        digits = (number_format.width + 3) // 4
        bits = number_format.to_bits(code)
        return f"0x{bits:0{digits}x} (code {code}, value {float(number_format.value(code))!r})"


class _Side:
    """One stream of a scoreboard, and the word that it must hold; above a `padded` code anything may be."""

    def __init__(
        self, board: ActivationScoreboard, stream: Stream, number_format: Format, *, padded: bool
    ) -> None:
        width = len(stream.data)
        self.stream, self.lane_bits = stream, width // board.lanes
        self.path: str = stream.data._path  # noqa: SLF001 - how cocotb spells it
        if width % board.lanes or self.lane_bits < number_format.width:
            raise ArgumentError(
                f"{stream.data._name} must have {board.lanes} lanes of at least {number_format.width} bits, "
                f"not {width!r} bits in all; name another signal, or the lanes"
            )
        self._board = board
        self._relevant = number_format.width if padded else self.lane_bits
        self._held: str | None = None
        self._held_beside: tuple[str | None, str | None] = (None, None)

    def forget(self) -> None:
        """No word is held."""
        self._held = None

    def hold(self) -> None:
        """The word must be that of the edge before, if that was one at which it must hold, too."""
        now = str(self.stream.data.value)
        if self._held is not None and now != self._held:
            self._changed(now)
        self._held = now

    def moved(self) -> tuple[str, ...] | None:
        """The lanes of the word that moves at this edge, each as bits; none where none does."""
        data, valid, ready, *_ = self.stream
        if valid is None or self._level(valid):
            word = str(data.value)
        elif self._held is not None and valid is not None:
            self._changed(f"{valid._name} = 0")
        else:
            return None
        if valid is not None and self._held not in (None, word):
            self._changed(word)
        if valid is not None and self._held is not None and self._held_beside != self.stream.beside:
            self._board.fail(
                f"tlast and tuser beside a stalled {data._name} must hold {self._held_beside}, "
                f"not change to {self.stream.beside}"
            )
        moves = ready is None or self._level(ready)
        if valid is not None:
            self._held = None if moves else word
            self._held_beside = self.stream.beside
        return self._lanes(word) if moves else None

    def _changed(self, now: str) -> NoReturn:
        self._board.fail(f"a stalled {self.stream.data._name} must hold 0b{self._held}, not change to {now}")

    def _level(self, handle: Signal) -> bool:
        bit = str(handle.value)
        if bit not in ("0", "1"):
            self._board.fail(f"{handle._name} must be 0 or 1, not {bit}")
        return bit == "1"

    def _lanes(self, word: str) -> tuple[str, ...]:
        bits = self.lane_bits
        lanes = tuple(
            word[len(word) - first - bits : len(word) - first] for first in range(0, len(word), bits)
        )
        if any(set(lane[-self._relevant :]) - {"0", "1"} for lane in lanes):
            self._board.fail(f"{self.stream.data._name} must have no X or Z bits, not 0b{word}")
        return lanes
