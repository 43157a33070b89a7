# SPDX-License-Identifier: Apache-2.0
"""When a source offers words and when a sink takes them: endless yes/no sequences."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, repeat
from random import Random

LONG_STALL = 1 / 16


def pattern(name: str, random: Random, longest: int) -> Iterator[bool]:
    """``none`` (always go), ``alternating``, or ``random`` runs of go and wait.

    Parameters
    ----------
    longest : int
        Length of the occasional long wait: more than the unit can hold, so that every
        stage fills and an overflow shows.
    """
    match name:
        case "none":
            return repeat(True)
        case "alternating":
            return cycle((True, False))
        case "random":
            return _runs(random, longest)
    raise ValueError(f"a pattern must be none, alternating or random, not {name!r}")


def _runs(random: Random, longest: int) -> Iterator[bool]:
    while True:
        yield from repeat(True, random.randint(1, 4))
        yield from repeat(False, longest if random.random() < LONG_STALL else random.randint(1, 3))
