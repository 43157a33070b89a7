# SPDX-License-Identifier: Apache-2.0
"""Which codes a bench sends, in which order, under which gaps and stalls."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

import numpy as np
import numpy.typing as npt

from hwact.formats import Codes, Format

ALL_CODES_BITS = 16  # up to this input width every code is simulated
ALL_PAIRINGS_BITS = 12  # up to this input width every pairing of gaps and stalls gets every code
EDGES = 256
RESET_CHUNK = 16  # as in the bench
PATTERNS = ("none", "random", "alternating")
GAPPED = PATTERNS[1:]
STALLED = [pair for pair in product(PATTERNS, PATTERNS) if pair != ("none", "none")]


@dataclass(frozen=True)
class Phase:
    """One check of the bench and its slice of the plan's codes."""

    name: str
    kind: str
    gaps: str
    stalls: str
    start: int
    stop: int


@dataclass
class Plan:
    """Phases, and the input codes of all of them in one row.

    Parameters
    ----------
    number_format : Format
        The input format.
    latency, lanes, seed, samples : int
        `samples` is how many codes stand for all of them where the input is wider than 16 bits.
    thorough : bool
        Every pairing of gaps and stalls gets every code, whatever the width.
    recorded, judged : int64 array, optional
        Codes to be sent as well: a user's, and among the samples those at which the unit is judged.
    """

    number_format: Format
    interface: str
    latency: int
    lanes: int
    seed: int
    samples: int
    thorough: bool
    recorded: Codes | None
    judged: Codes | None = None
    phases: list[Phase] = field(default_factory=list)
    _parts: list[Codes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)
        self.codes = self._codes()
        self._add("in_order", self.codes)
        if self.lanes > 1:
            turned = [np.roll(self.codes, -lane) for lane in range(self.lanes)]
            self._add("in_every_lane", np.stack(turned, axis=1).reshape(-1))
        if self.recorded is not None:
            self._add("recorded", self.recorded)
        if self.interface == "bare":
            self._add_bare()
        else:
            self._add_stream()

    @property
    def all_codes(self) -> Codes:
        """The input codes of all phases, one after the other."""
        return np.concatenate(self._parts)

    @property
    def exhaustive(self) -> bool:
        """Whether every input code is sent."""
        return self.number_format.width <= ALL_CODES_BITS

    @property
    def shares(self) -> bool:
        """Whether the pairings of gaps and stalls share the codes among them."""
        return not self.thorough and self.number_format.width > ALL_PAIRINGS_BITS

    @property
    def coverage(self) -> str:
        """What is sent, in plain words."""
        count = len(self.codes)
        which = f"all {count} input codes" if self.exhaustive else self._sampled(count)
        which += " in order" if self.lanes == 1 else " in order, through every lane,"
        if self.interface == "bare":
            return f"coverage: {which} and {self._bare_coverage()}"
        if not self.shares:
            return f"coverage: {which} and shuffled under each of the 9 pairings of gaps and stalls"
        return (
            f"coverage: {which} and once more, shuffled and shared among the 8 pairings that have "
            f"gaps or stalls ({count // len(STALLED)} codes each); --thorough sends every code through each"
        )

    def _bare_coverage(self) -> str:
        if self.latency == 0:
            return "shuffled"
        if not self.shares:
            return "shuffled, each without, with random and with alternating gaps of the clock enable"
        return (
            "once more, shuffled, half of them with random and half with alternating gaps of the clock "
            "enable; --thorough sends every code through each"
        )

    def _sampled(self, count: int) -> str:
        bits = self.number_format.width
        judged = "" if self.judged is None else f"the {len(self.judged)} at which the unit is judged, "
        which = f"{judged}seeded random, and the codes around the edges and zero"
        return f"NOT all codes: {count} of 2**{bits} ({which})"

    def _codes(self) -> Codes:
        if self.exhaustive:
            return self.number_format.codes()
        low, high = self.number_format.min_code, min(self.number_format.max_code, (1 << 63) - 1)
        middle = 0 if low < 0 else (low + high) // 2
        near = np.arange(EDGES, dtype=np.int64)
        powers = np.array([1 << bit for bit in range(self.number_format.width - 1)], dtype=np.int64)
        special = [low + near, high - near, middle + near, middle - near, powers, powers - 1]
        special += [-powers, 1 - powers] if low < 0 else []
        special += [] if self.judged is None else [self.judged]
        drawn = self._random.integers(low, high, size=max(self.samples, 1), endpoint=True, dtype=np.int64)
        return np.unique(np.concatenate([*special, drawn]))

    def _add_stream(self) -> None:
        shuffled = self._shuffled(self.codes)
        self._add_pairing("none", "none", shuffled[: len(shuffled) // 8] if self.shares else shuffled)
        shares = np.array_split(shuffled, len(STALLED))
        for (gaps, stalls), share in zip(STALLED, shares, strict=True):
            self._add_pairing(gaps, stalls, share if self.shares else self._shuffled(self.codes))
        if self.latency:
            words = 2 * (self.latency + 2) * RESET_CHUNK
            self._add("reset", np.resize(shuffled, words * self.lanes), kind="reset")

    def _add_pairing(self, gaps: str, stalls: str, codes: Codes) -> None:
        self._add(f"shuffled_{gaps}_gaps_{stalls}_stalls", codes, gaps=gaps, stalls=stalls)

    def _add_bare(self) -> None:
        shuffled = self._shuffled(self.codes)
        shared = self.shares and self.latency > 0
        self._add("shuffled", shuffled[: len(shuffled) // 8] if shared else shuffled)
        shares = np.array_split(shuffled, len(GAPPED)) if self.latency else []
        for gaps, share in zip(GAPPED, shares, strict=False):
            self._add(f"shuffled_{gaps}_ce", share if shared else self._shuffled(self.codes), gaps=gaps)

    def _add(
        self, name: str, codes: Codes, kind: str = "words", gaps: str = "none", stalls: str = "none"
    ) -> None:
        start = sum(map(len, self._parts))
        whole = np.resize(codes, -(-len(codes) // self.lanes) * self.lanes)  # fill the last word's lanes
        self._parts.append(whole)
        self.phases.append(Phase(name, kind, gaps, stalls, start, start + len(whole)))

    def _shuffled(self, codes: Codes) -> Codes:
        return self._random.permutation(codes)


def to_bits(codes: Codes, number_format: Format) -> npt.NDArray[np.uint64]:
    """Codes as the unsigned bits on a port, also where they have 64 of them."""
    mask = np.uint64((1 << number_format.width) - 1)
    return np.asarray(codes, dtype=np.int64).view(np.uint64) & mask


def from_bits(bits: npt.NDArray[np.uint64], number_format: Format) -> Codes:
    """The codes that the bits on a port mean."""
    shift = np.uint64(64 - number_format.width)
    high = np.left_shift(bits, shift)  # the sign bit of the code becomes the sign bit of the register
    if number_format.signed:
        return np.right_shift(high.view(np.int64), np.int64(shift))
    return np.right_shift(high, shift).view(np.int64)
