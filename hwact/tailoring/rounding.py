# SPDX-License-Identifier: Apache-2.0
"""Constants that hardware gets cheaply: sums of few powers of two with signs."""

from __future__ import annotations

import math
from fractions import Fraction

from hwact.errors import ArgumentError


def signed_digits(value: Fraction, digits: int) -> Fraction:
    """The number to its first so many canonical signed digits."""
    return sum(terms(value, digits), Fraction(0))


def terms(value: Fraction, digits: int) -> list[Fraction]:
    """The digits by their value, the largest first; fewer where the number is met exactly.

    What a digit leaves is at most a third of it, so no two neighbouring powers of two are used.
    """
    if isinstance(digits, bool) or not isinstance(digits, int) or not 1 <= digits <= 40:
        raise ArgumentError(f"digits must be an integer from 1 to 40, not {digits!r}")
    found: list[Fraction] = []
    while value and len(found) < digits:
        size = Fraction(2) ** (math.frexp(float(abs(value)))[1] - 1)
        size *= 2 if abs(value) > Fraction(4, 3) * size else 1
        found.append(size if value > 0 else -size)
        value -= found[-1]
    return found
