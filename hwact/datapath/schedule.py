# SPDX-License-Identifier: Apache-2.0
"""Placing pipeline registers: which operation works in which stage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hwact.datapath import graph as g
from hwact.datapath.cost import Target, area
from hwact.datapath.forms import with_split_tables, with_trees
from hwact.datapath.timing import Arrival, arrival
from hwact.errors import ArgumentError, UnreachableError

MAX_LATENCY = 64
Stages = Mapping[g.Node, int]


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
        ``latency - 1``. Wiring is repeated in every later stage that reads it: registers hold what it
        is made of.
    """

    datapath: g.Datapath
    latency: int
    stages: Stages


def schedule(datapath: g.Datapath, hardware: Target, latency: int) -> Schedule:
    """Spread a datapath over pipeline stages.

    The longest stage is made as short as the per-operation delays permit, with chains of additions as they
    are or as trees. Among equal schedules, operations move to where the fewest register bits are needed.

    Parameters
    ----------
    latency : int
        Cycles.
    """
    if isinstance(latency, bool) or not isinstance(latency, int) or not 0 <= latency <= MAX_LATENCY:
        raise ArgumentError(
            f"latency must be an integer from 0 to {MAX_LATENCY}, not {latency!r}; 0 is combinational"
        )
    if latency == 0:
        return Schedule(datapath, 0, dict.fromkeys(datapath.nodes, 0))
    periods = {form: shortest_period(form, hardware, latency) for form in _forms(datapath, hardware)}
    best = min(periods.values())
    plans = [
        Schedule(form, latency, _Registers(form, hardware, latency).fewest(period))
        for form, period in periods.items()
        if period == best
    ]
    return min(plans, key=lambda plan: pipelined_area(plan, hardware))


def check_clock(clock: float | None, latency: int | None = None) -> None:
    """Refuse what is no clock, and one beside a latency."""
    if clock is None:
        return
    if isinstance(clock, bool) or not isinstance(clock, (int, float)) or not 0 < clock < math.inf:
        raise ArgumentError(f"the clock must be a number of MHz above 0, not {clock!r}; say 250, for example")
    if latency is not None:
        raise ArgumentError(
            f"one of a latency and a clock must be given, not {latency!r} and {clock!r}; leave one out"
        )


def cycles(datapath: g.Datapath, hardware: Target, clock: float | None = None) -> int:
    """Fewest cycles, at least 1, for a clock in MHz; for the target's usual stages where none is given.

    An operation that takes longer than these stands alone.

    Raises
    ------
    UnreachableError
        A single operation takes longer than the clock.
    """
    period = hardware.stage_delay
    if clock is not None:
        highest = highest_clock(datapath, hardware)
        if clock > highest:
            raise UnreachableError(
                f"the clock must be at most {highest} MHz on {hardware.name}, not {clock:g}; "
                "ask for a lower one"
            )
        period = int(1e6 / clock) - hardware.register_delay
    forms = _forms(datapath, hardware)
    reaching = [form for form in forms if longest_operation(form, hardware) <= period]
    return min(stages_needed(form, hardware, period) for form in reaching or forms)


def check_cycles(datapath: g.Datapath, hardware: Target, latency: int, clock: float | None) -> None:
    """Refuse a latency that is not a clock's, where one is named."""
    check_clock(clock)
    needed = latency if clock is None else cycles(datapath, hardware, clock)
    if latency != needed:
        raise ArgumentError(f"latency must be {needed!r}, the cycles for {clock:g} MHz, not {latency!r}")


def highest_clock(datapath: g.Datapath, hardware: Target) -> int:
    """Estimated clock at which the longest single operation is a stage of its own; MHz."""
    longest = min(longest_operation(form, hardware) for form in _forms(datapath, hardware))
    return 1_000_000 // (longest + hardware.register_delay)


def pipelined_area(plan: Schedule, hardware: Target) -> float:
    """Estimated look-up tables, registers counted at what they take of one."""
    bits = register_bits(plan.datapath, plan.stages, plan.latency)
    return area(plan.datapath, hardware) + hardware.register * bits


def _forms(datapath: g.Datapath, hardware: Target) -> Sequence[g.Datapath]:
    """As it is, with trees, and with trees and divided tables."""
    tree = with_trees(datapath)
    return tuple(dict.fromkeys((datapath, tree, with_split_tables(tree, hardware))))


def stages_needed(datapath: g.Datapath, hardware: Target, period: int) -> int:
    """Fewest stages of at most a delay; a single operation that takes longer has a stage of its own."""
    return 1 + max(_earliest(datapath, hardware, period).values())


def shortest_period(datapath: g.Datapath, hardware: Target, latency: int) -> int:
    """Smallest delay of the longest stage that a latency permits; ps, by bisection."""
    low = longest_operation(datapath, hardware)
    high = stage_delay(datapath, dict.fromkeys(datapath.nodes, 0), hardware)
    while low < high:
        middle = (low + high) // 2
        if stages_needed(datapath, hardware, middle) <= latency:
            high = middle
        else:
            low = middle + 1
    return low


def longest_operation(datapath: g.Datapath, hardware: Target) -> int:
    """Delay of the longest single operation, below which no stage gets; ps."""
    return stage_delay(datapath, _earliest(datapath, hardware, 0), hardware)


def stage_delay(datapath: g.Datapath, stages: Stages, hardware: Target) -> int:
    """Estimated delay of the longest stage; ps."""
    timing = _Timing(hardware, stages)
    return max(timing.at(node, stages[node]).last for node in datapath.nodes)


def register_bits(datapath: g.Datapath, stages: Stages, latency: int) -> int:
    """Bits of data registers that a schedule needs."""
    return _Lifetimes(datapath).register_bits(stages, latency)


class _Timing:
    """When nodes are there in the stages that read them."""

    def __init__(self, hardware: Target, stages: Stages) -> None:
        self._hardware, self._stages = hardware, stages
        self._known: dict[tuple[g.Node, int], Arrival] = {}

    def at(self, node: g.Node, stage: int) -> Arrival:
        """In a stage: computed there, or from registers."""
        found = self._known.get((node, stage))
        if found is None:
            computed = self._stages[node] == stage or isinstance(node, g.WIRING)
            operands = [self.at(operand, stage) for operand in node.operands] if computed else []
            found = arrival(node, operands, self._hardware) if computed else Arrival.of(node)
            self._known[node, stage] = found
        return found


def _earliest(datapath: g.Datapath, hardware: Target, period: int) -> dict[g.Node, int]:
    """Stage of every node when each starts as soon as its operands are there.

    No node can be there earlier, by stage and within it: so these are the fewest stages.
    """
    stages: dict[g.Node, int] = {}
    timing = _Timing(hardware, stages)
    for node in datapath.nodes:
        stage = stages[node] = max((stages[operand] for operand in node.operands), default=0)
        late = timing.at(node, stage).last > period and not isinstance(node, g.WIRING)
        if late and any(timing.at(operand, stage).last for operand in node.operands):
            stages[node] = stage + 1
    return stages


class _Lifetimes:
    """Which bits of which operations every operation reads, through wiring.

    Wiring needs no registers of its own: only these bits do.
    """

    def __init__(self, datapath: g.Datapath) -> None:
        self._reads: dict[g.Node, dict[g.Node, int]] = {}
        for node in datapath.nodes:
            if not isinstance(node, g.WIRING):
                self._reads[node] = _merged(*map(_all_bits, node.operands))
        self._outputs = _merged(*map(_all_bits, datapath.outputs))

    def register_bits(self, stages: Stages, latency: int) -> int:
        """Bits of data registers."""
        needed: dict[g.Node, dict[int, int]] = {}  # by source and stage
        for reads, stage in [*((r, stages[n]) for n, r in self._reads.items()), (self._outputs, latency)]:
            for source, mask in reads.items():
                at = needed.setdefault(source, {})
                at[stage] = at.get(stage, 0) | mask
        return sum(_held(at, stages[source]) for source, at in needed.items())


def _held(needed: Mapping[int, int], made: int) -> int:
    """Bits times ranks for which a node is held, from the bits that each stage needs."""
    mask = bits = 0
    for stage in range(max(needed), made, -1):
        mask |= needed.get(stage, 0)
        bits += mask.bit_count()
    return bits


def _merged(*masks: Mapping[g.Node, int]) -> dict[g.Node, int]:
    merged: dict[g.Node, int] = {}
    for each in masks:
        for node, mask in each.items():
            merged[node] = merged.get(node, 0) | mask
    return merged


def _all_bits(node: g.Node) -> dict[g.Node, int]:
    return _sources(node, (1 << node.width) - 1)


def _sources(node: g.Node, mask: int) -> dict[g.Node, int]:
    """The bits that operations make of those that are read of a node; above its width lies its sign."""
    own = mask & ((1 << node.width) - 1)
    if own != mask and node.signed:
        own |= 1 << (node.width - 1)
    match node:
        case g.Constant():
            return {}
        case g.Bits():
            return _sources(node.a, own << node.offset)
        case g.ShiftRight():
            return _sources(node.a, own << node.amount)
        case g.ShiftLeft():
            return _sources(node.a, own >> node.amount)
        case g.Concat():
            lower = own & ((1 << node.lower_width) - 1)
            return _merged(_sources(node.lower, lower), _sources(node.upper, own >> node.lower_width))
        case g.Invert() | g.Known():
            return _sources(node.a, own)
    return {node: own} if own else {}


class _Registers:
    """Searches the schedule of a period that needs the fewest register bits."""

    def __init__(self, datapath: g.Datapath, hardware: Target, latency: int) -> None:
        self._datapath, self._hardware, self._latency = datapath, hardware, latency
        self._lifetimes = _Lifetimes(datapath)
        self._users: dict[g.Node, list[g.Node]] = {node: [] for node in datapath.nodes}
        for node in datapath.nodes:
            for operand in node.operands:
                self._users[operand].append(node)

    def fewest(self, period: int) -> dict[g.Node, int]:
        """From the earliest stages on, move operations later while that saves registers."""
        stages = _earliest(self._datapath, self._hardware, period)
        best = self._lifetimes.register_bits(stages, self._latency)
        moved = True
        while moved:
            moved = False
            for node in reversed(self._datapath.nodes):
                trial = self._later(node, stages)
                if trial is None:
                    continue
                bits = self._lifetimes.register_bits(trial, self._latency)
                if bits < best and stage_delay(self._datapath, trial, self._hardware) <= period:
                    stages, best, moved = trial, bits, True
        return stages

    def _later(self, node: g.Node, stages: Stages) -> dict[g.Node, int] | None:
        """With an operation one stage later, and the wiring behind it."""
        if isinstance(node, g.WIRING):
            return None
        trial = {**stages, node: stages[node] + 1}
        wires = [node]
        while wires:
            wire = wires.pop()
            for user in self._users[wire]:
                if isinstance(user, g.WIRING):
                    trial[user] = max(trial[wire], trial[user])
                    wires.append(user)
                elif trial[user] < trial[wire]:
                    return None
        return trial if max(trial.values()) < self._latency else None
