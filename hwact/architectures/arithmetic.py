# SPDX-License-Identifier: Apache-2.0
"""Datapath fragments that several architectures share."""

from __future__ import annotations

from hwact.datapath import Node
from hwact.datapath.graph import as_node


def times(a: Node, constant: int) -> Node:
    """``a * constant`` as additions and subtractions of shifts (canonical signed digits)."""
    if constant == 0:
        return as_node(0)
    total: Node | None = None
    for shift, digit in reversed(signed_digits(constant)):
        term = a << shift if shift else a
        if total is None:
            total = term if digit > 0 else 0 - term
        else:
            total = total + term if digit > 0 else total - term
    assert total is not None
    return total


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


def square(a: Node) -> Node:
    """``a * a`` by folded partial products: half the rows' bits of a multiplier.

    For an unsigned a of bits ``a_i``, ``a**2 = sum of a_i * (4**i + 2**(2i+2) * (a >> (i+1)))``; every row
    is one gated copy of bits of a.
    """
    if a.signed or a.width < 4:
        return a.square()
    rows = []
    for i in range(a.width):
        bit = a.bits(i, 1)
        above = a.width - 1 - i
        row = bit if not above else a.bits(i + 1, above).concat(bit, 2)
        rows.append(bit.select(row, 0) << (2 * i) if above else row << (2 * i))
    return balanced_sum(rows).known(a.low**2, a.high**2).named("square")


def balanced_sum(rows: list[Node]) -> Node:
    """The sum of all rows as a tree of neighbours."""
    while len(rows) > 1:
        pairs = [rows[i] + rows[i + 1] for i in range(0, len(rows) - 1, 2)]
        rows = pairs + rows[len(rows) & ~1 :]
    return rows[0]
