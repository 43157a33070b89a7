# SPDX-License-Identifier: Apache-2.0
"""What one run of a bench shall do, read from the JSON file that ``HWACT_BENCH`` names."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

VARIABLE = "HWACT_BENCH"
RESET_CHUNK = 16  # words sent after each reset


@dataclass(frozen=True, kw_only=True)
class Number:
    """A fixed-point number on a port: how its bits read as a code and as a value."""

    width: int
    signed: bool
    frac_bits: int

    def text(self, bits: int) -> str:
        """The bits of one number as hexadecimal, code and value, for a failure line."""
        code = bits - (1 << self.width) if self.signed and bits >> (self.width - 1) else bits
        digits = (self.width + 3) // 4
        return f"0x{bits:0{digits}x} (code {code}, value {code * 2.0**-self.frac_bits!r})"


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
    lanes : int
        Numbers side by side in a word, lane 0 in the least significant bits.
    numbers : str
        A ``.npy`` file of uint64, shape ``(2, numbers)``: the bits to send, the bits to expect. A phase
        has a multiple of `lanes` of them.
    results : str
        A folder that receives ``<phase>.json`` and ``<phase>.npy`` (the bits received) for each phase.
    """

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
        fields["phases"] = tuple(Phase(**phase) for phase in fields["phases"])
        return cls(**fields)

    @property
    def input_width(self) -> int:
        """Width of the input port."""
        return self.input.width * self.lanes

    @property
    def output_width(self) -> int:
        """Width of the output port."""
        return self.output.width * self.lanes

    def output_text(self, word: int) -> str:
        """A word of the output for a failure line."""
        return self.output.text(word) if self.lanes == 1 else f"{word:#x}"

    def words(self, phase: Phase) -> tuple[list[int], list[int]]:
        """The words that a phase sends, and those it expects."""
        numbers = np.load(self.numbers, mmap_mode="r", allow_pickle=False)[:, phase.start : phase.stop]
        sent, expected = (row.reshape(-1, self.lanes).T.tolist() for row in numbers)
        return pack(sent, self.input.width), pack(expected, self.output.width)


def pack(lanes: list[list[int]], width: int) -> list[int]:
    """Words made of each lane's numbers."""
    words = lanes[0]
    for lane, numbers in enumerate(lanes[1:], start=1):
        words = [word | number << lane * width for word, number in zip(words, numbers, strict=True)]
    return words


def unpack(words: list[int], width: int, lanes: int) -> list[int]:
    """The numbers of each word, lane 0 first."""
    if lanes == 1:
        return words
    mask = (1 << width) - 1
    return [word >> lane * width & mask for word in words for lane in range(lanes)]
