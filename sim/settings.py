# SPDX-License-Identifier: Apache-2.0
"""What one run of a bench shall do, read from the JSON file that ``HWACT_BENCH`` names."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

VARIABLE = "HWACT_BENCH"
RESET_CHUNK = 16  # words sent after each reset


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number on a port: how its bits read as a code and as a value, ``(code - zero_point) * ulp``.

    It is in the low bits of the `lane_bits` that it takes on the port.
    """

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
    numbers : str
        A ``.npy`` file of uint64, shape ``(2, numbers)``: the bits to send, the bits to expect. A phase
        has a multiple of `lanes` of them.
    results : str
        A folder that receives ``<phase>.json`` and ``<phase>.npy`` (the bits received) for each phase.
    """

    interface: str
    sideband: tuple[str, ...]
    latency: int
    lanes: int
    input: Number
    output: Number
    phases: tuple[Phase, ...]
    numbers: str
    results: str
    seed: int

    @classmethod
    def load(cls) -> Settings:
        """Read the file that the environment names."""
        fields = json.loads(Path(os.environ[VARIABLE]).read_text(encoding="utf-8"))
        fields["input"] = Number(**fields["input"])
        fields["output"] = Number(**fields["output"])
        fields["sideband"] = tuple(fields["sideband"])
        fields["phases"] = tuple(Phase(**phase) for phase in fields["phases"])
        return cls(**fields)

    @property
    def input_width(self) -> int:
        """Width of the input port."""
        return self.input.lane_bits * self.lanes

    @property
    def output_width(self) -> int:
        """Width of the output port."""
        return self.output.lane_bits * self.lanes

    def output_text(self, word: int) -> str:
        """A word of the output for a failure line."""
        data, beside = word & (1 << self.output_width) - 1, word >> self.output_width
        text = self.output.text(data) if self.lanes == 1 else f"{data:#x}"
        return ", ".join([text, *(f"{name} {beside >> i & 1}" for i, name in enumerate(self.sideband))])

    def words(self, phase: Phase) -> tuple[list[int], list[int]]:
        """The words that a phase sends, and those it expects.

        What pads an input is random, and so are the bits beside the data; those come out as they went in.
        """
        rows = np.load(self.numbers, mmap_mode="r", allow_pickle=False)[:, phase.start : phase.stop].tolist()
        random = Random(f"{self.seed} {phase.name} words")
        sent = pack([padded(bits, self.input, random) for bits in rows[0]], self.input, self.lanes)
        expected = pack([extended(bits, self.output) for bits in rows[1]], self.output, self.lanes)
        if not self.sideband:
            return sent, expected
        beside = [random.getrandbits(len(self.sideband)) for _ in sent]
        return _beside(sent, beside, self.input_width), _beside(expected, beside, self.output_width)


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
