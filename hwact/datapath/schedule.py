# SPDX-License-Identifier: Apache-2.0
"""Placing pipeline registers: which operation works in which stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwact.datapath import graph as g
from hwact.datapath.cost import Target, node_delay
from hwact.errors import ArgumentError

MAX_LATENCY = 64


@dataclass(frozen=True, eq=False)
class Schedule:
    """A pipelined datapath.

    Parameters
    ----------
    datapath : Datapath
    latency : int
        Ranks of registers between input and output; cycles. The last rank holds the output, 0 is
        combinational logic.
    stages : mapping of node to int
        Stage that computes a node, by its number of register ranks after the input: 0 to
        ``latency - 1``.
    """

    datapath: g.Datapath
    latency: int
    stages: Mapping[g.Node, int]


def schedule(datapath: g.Datapath, hardware: Target, latency: int | None = None) -> Schedule:
    """Spread a datapath over pipeline stages.

    The longest stage is made as short as the per-operation delays permit; among equal schedules,
    operations move to where the fewest register bits are needed.

    Parameters
    ----------
    latency : int, optional
        Cycles; chosen from the target's stage delay, and at least 1, when not given.
    """
    if latency is None:
        latency = max(1, _stages_needed(datapath, hardware, hardware.stage_delay))
    if isinstance(latency, bool) or not isinstance(latency, int) or not 0 <= latency <= MAX_LATENCY:
        raise ArgumentError(
            f"latency must be an integer from 0 to {MAX_LATENCY}, not {latency!r}; 0 is combinational"
        )
    if latency == 0:
        return Schedule(datapath, 0, dict.fromkeys(datapath.nodes, 0))
    period = _shortest_period(datapath, hardware, latency)
    earliest = _earliest(datapath, hardware, period)
    return Schedule(datapath, latency, _with_fewest_registers(datapath, hardware, period, latency, earliest))


def register_bits(datapath: g.Datapath, stages: Mapping[g.Node, int], latency: int) -> int:
    """Bits of data registers that a schedule needs."""
    last = _last_uses(datapath, stages, latency)
    return sum(node.width * (last[node] - stages[node]) for node in last)


def _stages_needed(datapath: g.Datapath, hardware: Target, period: int) -> int:
    return 1 + max(_earliest(datapath, hardware, period).values())


def _shortest_period(datapath: g.Datapath, hardware: Target, latency: int) -> int:
    """Smallest stage delay with which the graph fits the latency; bisection over picoseconds."""
    low, high = 0, sum(node_delay(node, hardware) for node in datapath.nodes)
    while low < high:
        middle = (low + high) // 2
        if _stages_needed(datapath, hardware, middle) <= latency:
            high = middle
        else:
            low = middle + 1
    return low


def _earliest(datapath: g.Datapath, hardware: Target, period: int) -> dict[g.Node, int]:
    """Stage of every node when each starts as soon as its operands are there."""
    ready: dict[g.Node, tuple[int, int]] = {}
    for node in datapath.nodes:
        stage, start = max((ready[operand] for operand in node.operands), default=(0, 0))
        delay = node_delay(node, hardware)
        if start and start + delay > period:
            stage, start = stage + 1, 0
        ready[node] = (stage, start + delay)
    return {node: stage for node, (stage, _) in ready.items()}


def _fits(
    datapath: g.Datapath, hardware: Target, period: int, stages: Mapping[g.Node, int], longest: int
) -> bool:
    """Whether no chain within a stage is longer than the period (or than its longest single node)."""
    arrival: dict[g.Node, int] = {}
    for node in datapath.nodes:
        inside = (arrival[operand] for operand in node.operands if stages[operand] == stages[node])
        arrival[node] = max(inside, default=0) + node_delay(node, hardware)
        if arrival[node] > max(period, longest):
            return False
    return True


def _with_fewest_registers(
    datapath: g.Datapath, hardware: Target, period: int, latency: int, earliest: dict[g.Node, int]
) -> dict[g.Node, int]:
    """Move nodes one stage later while that saves register bits."""
    stages = dict(earliest)
    users: dict[g.Node, list[g.Node]] = {node: [] for node in datapath.nodes}
    for node in datapath.nodes:
        for operand in node.operands:
            users[operand].append(node)
    longest = max(node_delay(node, hardware) for node in datapath.nodes)
    best = register_bits(datapath, stages, latency)
    improved = True
    while improved:
        improved = False
        for node in reversed(datapath.nodes):
            limit = min((stages[user] for user in users[node]), default=latency - 1)
            if isinstance(node, (g.Input, g.Constant)) or stages[node] >= limit:
                continue
            trial = {**stages, node: stages[node] + 1}
            bits = register_bits(datapath, trial, latency)
            if bits < best and _fits(datapath, hardware, period, trial, longest):
                stages, best, improved = trial, bits, True
    return stages


def _last_uses(datapath: g.Datapath, stages: Mapping[g.Node, int], latency: int) -> dict[g.Node, int]:
    """Last stage in which each node's value is read; constants need no registers."""
    last = {node: stages[node] for node in datapath.nodes if not isinstance(node, g.Constant)}
    for node in datapath.nodes:
        for operand in node.operands:
            if operand in last:
                last[operand] = max(last[operand], stages[node])
    return last | dict.fromkeys(datapath.outputs, latency)
