# SPDX-License-Identifier: Apache-2.0
"""Datapath fragments that several architectures share."""

from __future__ import annotations

from functools import lru_cache

from hwact.datapath import Node
from hwact.datapath.graph import as_node


def times(a: Node, constant: int) -> Node:
    """``a * constant`` with few additions: through a factor 2**k - 1 or 2**k + 1, or digit by digit."""
    if constant < 0:
        return 0 - times(a, -constant)
    zeros = (constant & -constant).bit_length() - 1 if constant else 0
    if zeros:
        return times(a, constant >> zeros) << zeros
    if constant < 2:
        return a if constant else as_node(0)
    plan = _factor(constant)
    if plan is None:
        return _by_digits(a, signed_digits(constant))
    inner, shift, sign = plan
    product = times(a, inner)
    total = (product << shift) + product if sign > 0 else (product << shift) - product
    return total.keep()


@lru_cache(maxsize=4096)
def additions(constant: int) -> int:
    """Additions that :func:`times` spends on an odd positive constant."""
    plan = _factor(constant)
    return len(signed_digits(constant)) - 1 if plan is None else additions(plan[0]) + 1


@lru_cache(maxsize=4096)
def _factor(constant: int) -> tuple[int, int, int] | None:
    """``(c, k, sign)`` with ``constant = c * (2**k + sign)`` that beats the digits, the best; else none."""
    best, plan = len(signed_digits(constant)) - 1, None
    for shift in range(1, constant.bit_length()):
        for sign in (1, -1):
            inner, rest = divmod(constant, (1 << shift) + sign)
            if rest == 0 and 1 <= inner < constant and additions(inner) + 1 < best:
                best, plan = additions(inner) + 1, (inner, shift, sign)
    return plan


def _by_digits(a: Node, digits: list[tuple[int, int]]) -> Node:
    """The sum of the digits' shifts of a, as a tree; the highest digit is positive."""
    if len(digits) == 1:
        return a << digits[0][0] if digits[0][0] else a
    lower, upper = digits[: len(digits) // 2], digits[len(digits) // 2 :]
    total = _by_digits(a, upper)
    if lower[-1][1] > 0:
        return (total + _by_digits(a, lower)).keep()
    return (total - _by_digits(a, [(power, -digit) for power, digit in lower])).keep()


def signed_digits(constant: int) -> list[tuple[int, int]]:
    """The non-zero canonical signed digits of an integer: (power of two, 1 or -1), lowest first."""
    digits, power = [], 0
    while constant:
        if constant & 1:
            digit = 2 - (constant & 3)
            digits.append((power, digit))
            constant -= digit
        constant, power = constant >> 1, power + 1
    return digits


SQUARES = ("folded", "halves")


def square(a: Node, kind: str, addend: int = 0) -> Node:
    """``a * a + addend`` without a multiplier.

    Parameters
    ----------
    kind : str
        ``folded``: folded partial products, half the bits of a multiplier's rows. ``halves``: the halves' own
        squares as tables side by side, and rows of their product: half as many rows.
    """
    if a.width < 4:
        return a.square() + addend if addend else a.square()
    if a.signed:
        a = a.negated_where(a.less_than(0)).known(0, max(a.high, -a.low)).named("magnitude")
    rows = _folded_rows(a) if kind == "folded" else _rows_of_halves(a)
    rows += [as_node(addend)] if addend else []
    return balanced_sum(rows).known(a.low**2 + addend, a.high**2 + addend).named("square")


def _folded_rows(a: Node) -> list[Node]:
    """For bits ``a_i``: ``a**2 = sum of a_i * (4**i + 2**(2i+2) * (a >> (i+1)))``."""
    rows = []
    for i in range(a.width):
        bit = a.bits(i, 1)
        above = a.width - 1 - i
        row = bit if not above else a.bits(i + 1, above).concat(bit, 2)
        gated = bit.select(row, 0).named("square_row") if above else row
        rows.append(gated << (2 * i))
    return rows


def _rows_of_halves(a: Node) -> list[Node]:
    """For ``a = high * 2**k + low``: ``a**2 = high**2 * 4**k + low**2 + high * low * 2**(k+1)``."""
    k = a.width // 2
    low, high = a.bits(0, k), a.bits(k, a.width - k)
    squares = [
        half.lookup(tuple(i * i for i in range(half.high + 1))).named("square") for half in (high, low)
    ]
    rows = [low.bits(i, 1).select(high, 0).named("square_row") << (k + 1 + i) for i in range(k)]
    return [squares[0].concat(squares[1], 2 * k), *rows]


def balanced_sum(rows: list[Node]) -> Node:
    """The sum of all rows as a tree of neighbours."""
    while len(rows) > 1:
        pairs = [(rows[i] + rows[i + 1]).named("partial_sum").keep() for i in range(0, len(rows) - 1, 2)]
        rows = pairs + rows[len(rows) & ~1 :]
    return rows[0]
