# SPDX-License-Identifier: Apache-2.0
"""Multiplier blocks: which products synthesis puts into them, and into how many."""

from __future__ import annotations

from dataclasses import dataclass

from hwact.datapath import graph as g


@dataclass(frozen=True, kw_only=True)
class Block:
    """A device's multiplier block, as synthesis uses it for a multiplication.

    Parameters
    ----------
    name : str
    widths : tuple of int
        Bits of its operands, signs included, the wider one first.
    least : int
        Bits of the narrowest product that synthesis puts into one.
    unsigned_bits : int
        Bits that an operand without a sign takes more.
    area : float
        Estimated look-up tables that every block but the first must save.
    delay : int
        From its operands to its product, with routing; ps.
    adds : bool
        Whether it takes in the addition behind it.
    """

    name: str
    widths: tuple[int, int]
    least: int
    unsigned_bits: int
    area: float
    delay: int
    adds: bool = False

    def count(self, node: g.Multiply | g.Square) -> int:
        """The blocks of one multiplication: 0 for what stays in look-up tables."""
        a, b = node.operands if isinstance(node, g.Multiply) else (node.a, node.a)
        if node.width < self.least or min(a.width, b.width) < 2:
            return 0
        extra = 0 if a.signed or b.signed else self.unsigned_bits
        wide, narrow = sorted((_magnitude(a, b) + extra, _magnitude(b, a) + extra), reverse=True)
        return _pieces(wide, self.widths[0]) * _pieces(narrow, self.widths[1])


def _magnitude(node: g.Node, beside: g.Node) -> int:
    """Bits of an operand; beside a signed one it has a sign too."""
    return node.width + (beside.signed and not node.signed)


def _pieces(width: int, most: int) -> int:
    """Parts of an operand, all but the highest without a sign."""
    return 1 + max(0, -((most - width) // (most - 1)))
