# SPDX-License-Identifier: Apache-2.0
"""Products as rows of radix-4 signed digits, each row truncated by itself.

A row is ``(|d| * a) >> shift``, inverted where the digit d is negative: the one's complement instead of
the negation saves a carry, and dropping bits row by row leaves nothing to add up that is not kept. What
such a sum is, bit by bit, is known here once for arrays and once for nodes; who fits coefficients
against these very rows loses nothing by the truncation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hwact.datapath import Node
from hwact.datapath.graph import as_node
from hwact.formats import Codes

# Booth's digits by three neighbouring bits, highest first, as (negative, two, one).
_RECODED = (0b000, 0b001, 0b001, 0b010, 0b110, 0b101, 0b101, 0b000)


def truncated(digit: Codes, a: Codes, shift: int) -> Codes:
    """One row; arrays broadcast."""
    product = np.abs(digit) * a
    product = product >> shift if shift >= 0 else product << -shift
    return np.where(digit < 0, ~product, product)


def minimal_digits(numbers: Codes) -> list[Codes]:
    """Digits -1, 0, 1, 2 of all numbers, lowest first, as many as the largest number needs."""
    digits: list[Codes] = []
    while numbers.any() or not digits:
        low = numbers & 3
        digit = np.where(low == 3, -1, low)
        digits.append(digit)
        numbers = (numbers - digit) >> 2
    return digits


def booth_digits(numbers: Codes, width: int) -> list[Codes]:
    """Digits -2 ... 2 of signed numbers of ``width`` bits, lowest first; an odd width is doubled first."""
    numbers = numbers << (width & 1)
    digits, below = [], np.zeros_like(numbers)
    for i in range(0, width + (width & 1), 2):
        low, high = numbers >> i & 1, numbers >> (i + 1) & 1
        digits.append(low + below - 2 * high)
        below = high
    return digits


def _sum(rows: list[Codes]) -> Codes:
    total: Codes = np.sum(rows, axis=0)
    return total


def sum_by_number(numbers: Codes, a: Codes, shift: int) -> Codes:
    """The sum of the rows in which digits of the numbers select a."""
    digits = minimal_digits(numbers)
    return _sum([truncated(d, a, shift - 2 * i) for i, d in enumerate(digits)])


def sum_by_booth(numbers: Codes, a: Codes, width: int, shift: int) -> Codes:
    """The sum of the rows in which Booth's digits of the numbers, ``width`` bits each, select a."""
    shift += width & 1
    digits = booth_digits(numbers, width)
    return _sum([truncated(d, a, shift - 2 * i) for i, d in enumerate(digits)])


def rows_by_number(lookup: Callable[[Codes], Node], numbers: Codes, a: Node, shift: int) -> list[Node]:
    """The rows of :func:`sum_by_number`.

    Parameters
    ----------
    lookup : callable
        Makes a table of two's complement words into the node of its word.
    numbers : int64 array
        Of these the digits are tabulated.
    a : Node
        What the digits select.
    shift : int
        Bits that the product drops.
    """
    rows = []
    for i, digit in enumerate(minimal_digits(numbers)):
        if digit.any():
            rows.append(_selected(lookup(digit & 3), a, shift - 2 * i))
    return rows


def _selected(word: Node, a: Node, shift: int) -> Node:
    """The row of the digit whose two low bits are given."""
    if word.low == word.high:
        return _multiple(a, (0, 1, 2, -1)[word.low], shift)
    if word.high < 2:
        return word.select(_multiple(a, 1, shift), 0)
    high, low = word.bits(1, 1), word.bits(0, 1)
    if word.low >= 2:
        return low.select(_multiple(a, -1, shift), _multiple(a, 2, shift))
    doubled = low.select(_multiple(a, -1, shift), _multiple(a, 2, shift))
    return high.select(doubled, low.select(_multiple(a, 1, shift), 0))


def _multiple(a: Node, digit: int, shift: int) -> Node:
    """The row of one fixed digit."""
    if digit == 0:
        return as_node(0)
    shift -= abs(digit) - 1
    row = a >> shift if shift > 0 else a << -shift if shift else a
    return ~row if digit < 0 else row


def rows_by_booth(number: Node, width: int, a: Node, shift: int) -> list[Node]:
    """The rows of :func:`sum_by_booth`; ``number`` is signed and fits ``width`` bits."""
    odd = width & 1
    shift += odd
    padded = number << 1 if odd else number
    rows = []
    for i in range(0, width + odd, 2):
        bits = padded.bits(i - 1, 3) if i else padded.bits(0, 2).concat(as_node(0), 1)
        rows.append(_recoded(bits, a, shift - i))
    return rows


def _recoded(bits: Node, a: Node, shift: int) -> Node:
    """The row of the Booth digit of three neighbouring bits."""
    digit = bits.lookup(_RECODED).named("digit")
    one, two, negative = (digit.bits(i, 1) for i in range(3))
    size = two.select(_multiple(a, 2, shift), one.select(_multiple(a, 1, shift), 0))
    return negative.select(~size, size)
