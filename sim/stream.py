# SPDX-License-Identifier: Apache-2.0
"""cocotb bench of the interfaces with a handshake, ``stream`` and ``axis``.

``stream``: clk rst i_data i_valid i_ready o_data o_valid o_ready, and i_log2_beta or o_gradient.
``axis``: aclk aresetn, and tdata tvalid tready tlast tuser behind s_axis_ and m_axis_. A unit of latency 0 is
combinational: clock and reset are then neither needed nor driven.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from random import Random

import cocotb
from cocotb.handle import HierarchyObject

from sim.patterns import pattern
from sim.ports import LEVELS, Clock, Word, port, read
from sim.record import Broken, Record, conduct
from sim.settings import RESET_CHUNK, Settings

SETTINGS = Settings.load()
QUIET = SETTINGS.latency + 8  # cycles after which nothing can still be on its way
PATIENCE = 100 + 4 * SETTINGS.latency  # cycles without any word moving: stuck


@dataclass(frozen=True)
class Wires:
    """Names of the ports: clock, reset and its active level, and what comes before data, valid and ready."""

    clock: str
    reset: str
    resetting: bool
    source: str
    sink: str


WIRES = {
    "stream": Wires("clk", "rst", True, "i_", "o_"),
    "axis": Wires("aclk", "aresetn", False, "s_axis_t", "m_axis_t"),
}[SETTINGS.interface]
I_READY, O_VALID = f"{WIRES.source}ready", f"{WIRES.sink}valid"


def word_of(dut: HierarchyObject, prefix: str, widths: dict[str, int]) -> Word:
    """The data ports with the ports beside them."""
    data = (port(dut, name, width) for name, width in widths.items())
    return Word(*data, *(port(dut, f"{prefix}{name[1:]}") for name in SETTINGS.sideband))


class Source:
    """Offers words; one that is offered stays until the unit takes it. In gaps the data is garbage."""

    def __init__(self, dut: HierarchyObject, record: Record, garbage: Random) -> None:
        self.data = word_of(dut, WIRES.source, SETTINGS.input_ports)
        self.valid = port(dut, f"{WIRES.source}valid")
        self.ready = port(dut, I_READY)
        self._record = record
        self._garbage = garbage
        self.start([], repeat(False))

    def start(self, words: list[int], go: Iterator[bool]) -> None:
        """Send these words from now on, whenever `go` says so."""
        self.words = words
        self.taken_at: list[int] = []
        self._go = go
        self._offering = False

    def drive(self) -> None:
        """Set the inputs of the coming edge."""
        if self._offering:
            return
        self._offering = len(self.taken_at) < len(self.words) and next(self._go)
        if self._offering:
            self.data.drive(self.words[len(self.taken_at)])
        else:
            self.data.drive(self._garbage.getrandbits(self.data.width))
        self.valid.value = LEVELS[self._offering]

    def sample(self) -> None:
        """See whether the coming edge moves the word that is offered."""
        if read(self.ready) and self._offering:
            self.taken_at.append(self._record.cycle)
            self._offering = False


class Sink:
    """Takes words, compares them, and watches that a stalled word holds still."""

    def __init__(self, dut: HierarchyObject, record: Record, source: Source) -> None:
        self.data = word_of(dut, WIRES.sink, SETTINGS.output_ports)
        self.valid = port(dut, O_VALID)
        self.ready = port(dut, f"{WIRES.sink}ready")
        self._record = record
        self._source = source
        self.start(repeat(True), steady=False)

    def start(self, go: Iterator[bool], *, steady: bool) -> None:
        """Take the source's words, whenever `go` says so; `steady`: it always does."""
        self.taken = 0
        self._go = go
        self._steady = steady
        self._taking = False
        self._held: int | None = None

    def take_all(self) -> None:
        """Never stall from now on."""
        self._go = repeat(True)

    def drive(self) -> None:
        """Set the input of the coming edge."""
        self._taking = next(self._go)
        self.ready.value = LEVELS[self._taking]

    def sample(self) -> None:
        """Look at the outputs before the coming edge."""
        word = self.data.read() if read(self.valid) else None
        if self._held is not None and word != self._held:
            now = f"{O_VALID} = 0" if word is None else SETTINGS.output_text(word)
            self._record.fail(f"a stalled output must hold {SETTINGS.output_text(self._held)}, not {now}")
        self._held = None if self._taking else word
        if word is not None and self._taking:
            self._take(word)

    def _take(self, word: int) -> None:
        if self.taken >= len(self._source.taken_at):
            raise Broken(
                f"{O_VALID} must be 0 after all {self.taken} words that went in came out, "
                f"not 1 with {SETTINGS.output_text(word)}"
            )
        self._time(self._record.cycle - self._source.taken_at[self.taken])
        self.taken += 1
        self._record.receive(word)

    def _time(self, latency: int) -> None:
        self._record.latencies.add(latency)
        if latency < SETTINGS.latency or (self._steady and latency != SETTINGS.latency):
            self._record.fail(f"word {self.taken}: latency must be {SETTINGS.latency} cycles, not {latency}")


class Bench:
    """The unit, a source, a sink and a clock."""

    def __init__(self, dut: HierarchyObject, record: Record) -> None:
        self.record = record
        self.random = Random(f"{SETTINGS.seed} {record.phase.name}")
        clocked = SETTINGS.latency > 0
        self.clock = Clock(port(dut, WIRES.clock) if clocked else None, record)
        self.reset_port = port(dut, WIRES.reset) if clocked else None
        self.source = Source(dut, record, self.random)
        self.sink = Sink(dut, record, self.source)

    async def reset(self, edges: int, *, taking: bool = True) -> None:
        """Reset for some edges; the source is silent. A unit without a clock has nothing to reset."""
        if self.reset_port is None:
            return
        self.reset_port.value = LEVELS[WIRES.resetting]
        self.source.valid.value = LEVELS[False]
        self.sink.ready.value = LEVELS[taking]
        for _ in range(edges):
            await self.clock.settle()
            await self.clock.edge()
        self.reset_port.value = LEVELS[not WIRES.resetting]

    async def cycle(self) -> None:
        """One cycle in which words may move."""
        self.source.drive()
        self.sink.drive()
        await self.clock.settle()
        self.source.sample()
        self.sink.sample()
        await self.clock.edge()

    async def send(self, words: list[int], gaps: str, stalls: str) -> None:
        """Send words, wait until all came out, and see that nothing more comes."""
        self.source.start(words, pattern(gaps, self.random, QUIET))
        self.sink.start(pattern(stalls, self.random, QUIET), steady=stalls == "none")
        moved, since = 0, self.record.cycle
        while self.sink.taken < len(words):
            await self.cycle()
            if (now := self.sink.taken + len(self.source.taken_at)) != moved:
                moved, since = now, self.record.cycle
            elif self.record.cycle - since > PATIENCE:
                raise Broken(self._stuck())
        await self.quiet()

    async def quiet(self) -> None:
        """Nothing is on its way, so nothing may come out."""
        self.sink.take_all()
        for _ in range(QUIET):
            await self.cycle()

    async def fill(self, words: list[int], *, stalled: bool) -> None:
        """Offer one word a cycle, whether or not the unit takes it."""
        self.source.valid.value = LEVELS[True]
        self.sink.ready.value = LEVELS[not stalled]
        for word in words:
            self.source.data.drive(word)
            await self.clock.settle()
            await self.clock.edge()

    def _stuck(self) -> str:
        sent, total = len(self.source.taken_at), len(self.source.words)
        why = f"{I_READY} stays 0 after {sent}" if sent < total else f"{O_VALID} stays 0 with all of them in"
        return f"all {total} words must pass, not {self.sink.taken}: {why}, for {PATIENCE} cycles"


async def run_words(bench: Bench) -> None:
    """All words of the phase, at its patterns of gaps and stalls."""
    phase = bench.record.phase
    await bench.reset(2)
    await bench.send(bench.record.sent, phase.gaps, phase.stalls)
    taken_at = bench.source.taken_at
    needed = taken_at[-1] - taken_at[0] + 1
    if phase.gaps == phase.stalls == "none" and needed != len(taken_at):
        bench.record.fail(f"{len(taken_at)} words must go in within as many cycles, not {needed}")


async def run_reset(bench: Bench) -> None:
    """Reset with every number of words on their way, flowing and stalled; then it must work as new."""
    sent = bench.record.sent
    await bench.reset(2)
    for turn, start in enumerate(range(0, len(sent), RESET_CHUNK)):
        words = 1 + turn // 2 % (SETTINGS.latency + 2)
        await fill_and_reset(bench, sent[:words], stalled=bool(turn % 2))
        await bench.send(sent[start : start + RESET_CHUNK], "none", "none")


async def fill_and_reset(bench: Bench, words: list[int], *, stalled: bool) -> None:
    """Put words on their way and reset for one edge; none may come out after it."""
    await bench.fill(words, stalled=stalled)
    await bench.reset(1, taking=not stalled)
    await bench.clock.settle()
    if read(bench.sink.valid):
        raise Broken(f"{O_VALID} must be 0 after a reset with {len(words)} words on their way, not 1")
    bench.source.start([], repeat(False))
    bench.sink.start(repeat(True), steady=True)
    await bench.quiet()


RUNS = {"words": run_words, "reset": run_reset}


async def run(dut: HierarchyObject, record: Record) -> None:
    """One phase of either kind."""
    await RUNS[record.phase.kind](Bench(dut, record))


@cocotb.test()
@cocotb.parametrize(index=range(len(SETTINGS.phases)))
async def phase(dut: HierarchyObject, index: int) -> None:
    """One phase of the settings."""
    await conduct(dut, SETTINGS, index, run)
