# SPDX-License-Identifier: Apache-2.0
"""The NumPy reading of a datapath: the golden model."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import numpy.typing as npt

from hwact.datapath import graph as g
from hwact.errors import ArgumentError, CheckError
from hwact.formats import Codes, round_shift

BLOCK = 1 << 12  # few enough for the caches: with 2**16 codes it takes five times as long
_INT64 = range(-(2**62), 2**62)  # one bit to spare for the constant that rounding adds

Integers = npt.NDArray[Any]

_COMPARE = {
    g.Relation.LESS: operator.lt,
    g.Relation.AT_LEAST: operator.ge,
    g.Relation.EQUAL: operator.eq,
}


def evaluate(datapath: g.Datapath, codes: Codes) -> Codes:
    """Run codes through a datapath, exactly.

    Parameters
    ----------
    codes : int64 array, any shape
        Each in the range of the input node.

    Returns
    -------
    int64 array of the same shape
        Every intermediate value is an int64 where all ranges of the graph fit 64 bits, else a Python int.
    """
    (result,) = evaluate_nodes(datapath.x, (datapath.y,), codes)
    return result


def evaluate_nodes(x: g.Input, wanted: tuple[g.Node, ...], codes: Codes) -> list[Codes]:
    """Like :func:`evaluate`, for several nodes of a graph at once."""
    flat = codes.reshape(-1)
    if flat.size and not (x.low <= flat.min() and flat.max() <= x.high):
        raise ArgumentError(f"codes must be in {x.low}..{x.high}, not {flat.min()!r}..{flat.max()!r}")
    nodes = g.ordered((x, *wanted))
    exact = np.int64 if all(n.low in _INT64 and n.high in _INT64 for n in nodes) else object
    tables = {id(n): np.array(n.table, dtype=exact) for n in nodes if isinstance(n, g.Lookup)}
    results = [np.empty(flat.shape, dtype=np.int64) for _ in wanted]
    for start in range(0, flat.size, BLOCK):
        block = flat[start : start + BLOCK].astype(exact)
        values = _evaluate_block(x, nodes, tables, block)
        for result, node in zip(results, wanted, strict=True):
            result[start : start + BLOCK] = values[id(node)]
    return [result.reshape(codes.shape) for result in results]


def _evaluate_block(
    x: g.Input, nodes: tuple[g.Node, ...], tables: dict[int, Integers], codes: Integers
) -> dict[int, Integers]:
    values: dict[int, Integers] = {id(x): codes}
    for node in nodes:
        if node is not x:
            operands = [values[id(operand)] for operand in node.operands]
            values[id(node)] = _apply(node, operands, tables, codes)
    return values


def _apply(node: g.Node, v: list[Integers], tables: dict[int, Integers], codes: Integers) -> Integers:
    """The values of one node from its operands' values ``v``."""
    match node:
        case g.Constant():
            return np.full(codes.shape, node.low, dtype=codes.dtype)
        case g.Add() | g.Concat():
            return (v[0] << node.lower_width if isinstance(node, g.Concat) else v[0]) + v[1]
        case g.Subtract():
            return v[0] - v[1]
        case g.Multiply():
            return v[0] * v[1]
        case g.Square():
            return v[0] * v[0]
        case g.Invert():
            return ~v[0]
        case g.Negate():
            return np.where(v[1].astype(bool), -v[0], v[0])
        case g.ShiftLeft():
            return v[0] << node.amount
        case g.ShiftRight():
            return v[0] >> node.amount
        case g.RoundShift():
            return _round_shift(node, v[0])
        case g.Bits():
            return _bits(node, v[0])
        case g.Compare():
            return _COMPARE[node.relation](v[0], v[1]).astype(codes.dtype)
        case g.Select():
            return np.where(v[0].astype(bool), v[1], v[2])
        case g.Lookup():
            return tables[id(node)][v[0].astype(np.int64)]
        case g.Saturate():
            return np.clip(v[0], node.minimum, node.maximum)
        case g.Known():
            return _checked(node, v[0])
    raise AssertionError(f"no evaluation for {type(node).__name__}")


def _round_shift(node: g.RoundShift, a: Integers) -> Integers:
    if a.dtype == object:
        return np.array([round_shift(int(code), node.amount, node.rounding) for code in a], dtype=object)
    return round_shift(a, node.amount, node.rounding)


def _bits(node: g.Bits, a: Integers) -> Integers:
    field = (a >> node.offset) & ((1 << node.count) - 1)
    if not node.signed:
        return field
    half = 1 << (node.count - 1)
    return (field ^ half) - half


def _checked(node: g.Known, a: Integers) -> Integers:
    if a.size and not (node.low <= a.min() and a.max() <= node.high):
        raise CheckError(
            f"{node.name or 'a node'} must stay in {node.low}..{node.high}, not {a.min()!r}..{a.max()!r}; "
            "the architecture stated a range that does not hold"
        )
    return a
