# SPDX-License-Identifier: Apache-2.0
"""How large a study is, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hwact.errors import ArgumentError

MAX_SEEDS = 256
MIN_WIDTH, MAX_WIDTH = 5, 24  # SQ4.1; the widest that a table of codes holds

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many are done, and of how many."""

Results = dict[str, Any]
"""Ready for JSON: ``study``, ``plan``, ``rows`` and ``claims``, and what else a study has."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What every study's plan holds.

    Parameters
    ----------
    seeds : int
        How often everything is drawn anew, 2 to 256: an interval needs two.
    widths : tuple of int
        Bits of the units, 5 to 24, beside float.
    """

    seeds: int
    widths: tuple[int, ...]

    def __post_init__(self) -> None:
        if (
            isinstance(self.seeds, bool)
            or not isinstance(self.seeds, int)
            or not 2 <= self.seeds <= MAX_SEEDS
        ):
            raise ArgumentError(f"seeds must be an integer from 2 to {MAX_SEEDS}, not {self.seeds!r}")
        if not all(isinstance(width, int) and MIN_WIDTH <= width <= MAX_WIDTH for width in self.widths):
            raise ArgumentError(
                f"widths must be integers from {MIN_WIDTH} to {MAX_WIDTH}, not {list(self.widths)!r}"
            )

    @property
    def precisions(self) -> tuple[int | None, ...]:
        """None, for float, and the widths, each once."""
        return None, *dict.fromkeys(self.widths)


def named(width: int | None) -> str:
    """A precision in words."""
    return "float" if width is None else f"{width} bits"
