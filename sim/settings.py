# SPDX-License-Identifier: Apache-2.0
"""What one run of a bench shall do, read from the JSON file that ``HWACT_BENCH`` names."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

VARIABLE = "HWACT_BENCH"
RESET_CHUNK = 16  # words sent after each reset


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number on a port: how its bits read as a code and as a value, ``(code - zero_point) * ulp``.

    It is in the low bits of the `lane_bits` that it takes on the port of the name `port`.
    """

    port: str
    width: int
    signed: bool
    ulp: float
    zero_point: int
    lane_bits: int

    def code(self, bits: int) -> int:
        """What the low bits of a lane mean."""
        low = bits & (1 << self.width) - 1
        return low - (1 << self.width) if self.signed and low >> (self.width - 1) else low

    def text(self, bits: int) -> str:
        """The bits of one lane as hexadecimal, code and value, for a failure line."""
        code, digits = self.code(bits), (self.lane_bits + 3) // 4
        return f"0x{bits:0{digits}x} (code {code}, value {(code - self.zero_point) * self.ulp!r})"


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One check: its name, its kind, when words come and go, and its slice of the words."""

    name: str
    kind: str
    gaps: str
    stalls: str
    start: int
    stop: int


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One run of a bench.

    Members
    -------
    interface : str
    sideband : tuple of str
        Names of the one-bit ports that go with a word; in a word, their bits come above the data.
    lanes : int
        Numbers side by side in a word, lane 0 in the least significant bits.
    inputs, outputs : mapping of str to Number
        By name. In a word, all lanes of one come above all lanes of those before it.
    numbers : str
        A ``.npy`` file of uint64, shape ``(inputs + outputs, numbers)``: the bits to send, the bits to
        expect. A phase has a multiple of `lanes` of them.
    results : str
        A folder that receives ``<phase>.json`` and ``<phase>.npy`` for each phase: the bits received, shape
        ``(outputs, numbers)``.
    """

    interface: str
    sideband: tuple[str, ...]
    latency: int
    lanes: int
    inputs: dict[str, Number]
    outputs: dict[str, Number]
    phases: tuple[Phase, ...]
    numbers: str
    results: str
    seed: int

    @classmethod
    def load(cls) -> Settings:
        """Read the file that the environment names."""
        fields = json.loads(Path(os.environ[VARIABLE]).read_text(encoding="utf-8"))
        for side in ("inputs", "outputs"):
            fields[side] = {name: Number(**number) for name, number in fields[side].items()}
        fields["sideband"] = tuple(fields["sideband"])
        fields["phases"] = tuple(Phase(**phase) for phase in fields["phases"])
        return cls(**fields)

    @property
    def input_width(self) -> int:
        """Width of all inputs, side by side."""
        return sum(number.lane_bits for number in self.inputs.values()) * self.lanes

    @property
    def output_width(self) -> int:
        """Width of all outputs, side by side."""
        return sum(number.lane_bits for number in self.outputs.values()) * self.lanes

    @property
    def input_ports(self) -> dict[str, int]:
        """The data ports of the inputs and their widths, in the order of a word's parts."""
        return self._ports(self.inputs)

    @property
    def output_ports(self) -> dict[str, int]:
        """The data ports of the outputs and their widths, in the order of a word's parts."""
        return self._ports(self.outputs)

    def _ports(self, numbers: dict[str, Number]) -> dict[str, int]:
        widths: dict[str, int] = {}
        for number in numbers.values():
            widths[number.port] = widths.get(number.port, 0) + number.lane_bits * self.lanes
        return widths

    def parts(self, word: int, numbers: dict[str, Number]) -> dict[str, list[int]]:
        """The lanes of each input, or of each output, in a word."""
        parts = {}
        for name, number in numbers.items():
            parts[name] = unpack([word], number, self.lanes)
            word >>= number.lane_bits * self.lanes
        return parts

    def output_text(self, word: int) -> str:
        """A word of the outputs for a failure line."""
        data, beside = word & (1 << self.output_width) - 1, word >> self.output_width
        texts = [f"{data:#x}"]
        if self.lanes == 1:
            texts = [self._one(name, lanes[0]) for name, lanes in self.parts(data, self.outputs).items()]
        return ", ".join([*texts, *(f"{name} {beside >> i & 1}" for i, name in enumerate(self.sideband))])

    def _one(self, name: str, bits: int) -> str:
        return self.title(name) + self.outputs[name].text(bits)

    def title(self, name: str) -> str:
        """What tells an output from the first one, in a failure line."""
        return "" if name == next(iter(self.outputs)) else f"{name} "

    def words(self, phase: Phase) -> tuple[list[int], list[int]]:
        """The words that a phase sends, and those it expects.

        What pads an input is random, and so are the bits beside the data; those come out as they went in.
        """
        rows = np.load(self.numbers, mmap_mode="r", allow_pickle=False)[:, phase.start : phase.stop].tolist()
        random = Random(f"{self.seed} {phase.name} words")
        given, made = rows[: len(self.inputs)], rows[len(self.inputs) :]
        sent = self._words(given, self.inputs, lambda bits, number: padded(bits, number, random))
        expected = self._words(made, self.outputs, extended)
        if not self.sideband:
            return sent, expected
        beside = [random.getrandbits(len(self.sideband)) for _ in sent]
        return _beside(sent, beside, self.input_width), _beside(expected, beside, self.output_width)

    def _words(
        self, rows: list[list[int]], numbers: dict[str, Number], lane: Callable[[int, Number], int]
    ) -> list[int]:
        """The words that rows of bits make, each number in a lane of its own."""
        words, place = [0] * (len(rows[0]) // self.lanes), 0
        for row, number in zip(rows, numbers.values(), strict=True):
            packed = pack([lane(bits, number) for bits in row], number, self.lanes)
            words = [word | part << place for word, part in zip(words, packed, strict=True)]
            place += number.lane_bits * self.lanes
        return words


def _beside(words: list[int], bits: list[int], width: int) -> list[int]:
    return [word | more << width for word, more in zip(words, bits, strict=True)]


def padded(bits: int, number: Number, random: Random) -> int:
    """A number's lane on an input: anything above its bits."""
    missing = number.lane_bits - number.width
    return bits | random.getrandbits(missing) << number.width if missing else bits


def extended(bits: int, number: Number) -> int:
    """A number's lane on an output: its sign, or zeros, above its bits."""
    return number.code(bits) & (1 << number.lane_bits) - 1 if number.lane_bits > number.width else bits


def pack(numbers: list[int], number: Number, lanes: int) -> list[int]:
    """Words made of so many lanes each."""
    words = numbers[::lanes]
    for lane in range(1, lanes):
        shift = lane * number.lane_bits
        words = [word | bits << shift for word, bits in zip(words, numbers[lane::lanes], strict=True)]
    return words


def unpack(words: list[int], number: Number, lanes: int) -> list[int]:
    """The lanes of each word, lane 0 first."""
    mask = (1 << number.lane_bits) - 1
    return [word >> lane * number.lane_bits & mask for word in words for lane in range(lanes)]
