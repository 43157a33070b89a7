# SPDX-License-Identifier: Apache-2.0
"""Estimated area and delay of datapath operations: what steers selection and pipelining.

These are estimates, never results: what a design really costs is measured by synthesis.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from hwact.datapath import graph as g
from hwact.datapath.block import Block
from hwact.datapath.minterms import minterm_luts
from hwact.errors import ArgumentError
from hwact.formats import Rounding


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Look-up tables that operations take, for each bit unless it says otherwise.

    ``benchmarks/calibrate.py`` fits them to what synthesis makes of designs of the whole catalogue.

    Parameters
    ----------
    addition, kept_addition : float
        Of the sum.
    selection, gate, added_selection : float
        Of the result; a gate selects between a value and 0. Added: of either, where an adder reads it.
    product, square : float
        For each bit of one operand times each of the other.
    chained_negation, chosen_negation, gated_negation : float
        Of the operand but one.
    comparison, constant_comparison : float
        Of the wider operand; with another value or a constant.
    rounding, saturation : float
        Of the operand.
    table, computed_table : float
        For each look-up table of a case table's leaves and multiplexers; of one behind logic.
    network : float
        For each look-up table of a network.
    """

    addition: float
    kept_addition: float
    selection: float
    gate: float
    added_selection: float
    product: float
    square: float
    chained_negation: float
    chosen_negation: float
    gated_negation: float
    comparison: float
    constant_comparison: float
    rounding: float
    saturation: float
    table: float
    computed_table: float
    network: float


@dataclass(frozen=True, kw_only=True)
class Target:
    """A hardware target as the estimates see it.

    Parameters
    ----------
    name : str
        Name on the command line.
    lut_inputs : int
        Inputs of one look-up table.
    level_inputs : int
        Inputs of a function that takes one level of logic, multiplexers behind look-up tables included.
    lut_delay, adder_delay, carry_delay : int
        Delay of one level of logic, of an addition of one bit, each with its routing, and of one more bit
        of carry chain; ps.
    register_delay : int
        What registers take of a clock's period; ps.
    stage_delay : int
        Logic between two registers when no latency is asked for; ps.
    prices : Prices
    maps_paths : bool
        Whether synthesis makes whole paths short, carry chains included, at the price of area.
    register : float
        One bit of a register; beside a look-up table that logic uses, most are free.
    block : Block, optional
        The multiplier block that products are made in; else they are made of look-up tables.
    """

    name: str
    lut_inputs: int
    level_inputs: int
    lut_delay: int
    adder_delay: int
    carry_delay: int
    register_delay: int
    stage_delay: int
    prices: Prices
    maps_paths: bool = False
    register: float = 0.5
    block: Block | None = None

    @property
    def largest_table(self) -> int:
        """Bits of the largest table whose address reaches all its look-up tables within a level's delay."""
        return 72 << self.level_inputs

    @property
    def multipliers(self) -> str:
        """Where products are made, one of ``MULTIPLIERS``: in look-up tables, or in blocks."""
        return "dsp" if self.block else "luts"

    def blocks(self, node: g.Node) -> int:
        """Multiplier blocks that an operation takes."""
        return self.block.count(node) if self.block and isinstance(node, g.Multiply | g.Square) else 0

    def priced(self, blocks: int) -> float:
        """Look-up tables that blocks must save; few for the first, since who allows blocks wants one."""
        return FIRST_BLOCK + self.block.area * (blocks - 1) if self.block and blocks else 0.0

    def in_block(self, node: g.Node) -> bool:
        """Whether blocks make an operation: a product, or a sum behind one where they add."""
        if self.block and self.block.adds and isinstance(node, g.Add | g.Subtract):
            return any(map(self.blocks, node.operands))
        return self.blocks(node) > 0


MULTIPLIERS = ("luts", "dsp")
FIRST_BLOCK = 20  # look-up tables that it must save


# The vendors' slowest speed grades, routing included, as nextpnr places units on ECP5 and iCE40; for standard
# cells, what a few gates and a ripple carry take in 130 nm.
TARGETS = {
    target.name: target
    for target in (
        Target(
            name="xc7",
            lut_inputs=6,
            level_inputs=7,
            lut_delay=650,
            adder_delay=1000,
            carry_delay=30,
            register_delay=600,
            stage_delay=4000,
            prices=Prices(
                addition=1.1,
                kept_addition=0.95,
                selection=0.1,
                gate=0.02,
                added_selection=0.07,
                product=1.8,
                square=2.3,
                chained_negation=1.05,
                chosen_negation=1.6,
                gated_negation=0.7,
                comparison=0.5,
                constant_comparison=0.09,
                rounding=1,
                saturation=1.45,
                table=0.8,
                computed_table=0.87,
                network=1.1,
            ),
        ),
        Target(
            name="ecp5",
            lut_inputs=4,
            level_inputs=5,
            lut_delay=1250,
            adder_delay=1950,
            carry_delay=35,
            register_delay=650,
            stage_delay=5000,
            maps_paths=True,
            prices=Prices(
                addition=1.3,
                kept_addition=0.8,
                selection=0.55,
                gate=0.65,
                added_selection=0.75,
                product=2.5,
                square=4.2,
                chained_negation=1.55,
                chosen_negation=1.2,
                gated_negation=2.5,
                comparison=0.5,
                constant_comparison=0.54,
                rounding=1,
                saturation=1.4,
                table=0.77,
                computed_table=0.9,
                network=1.1,
            ),
        ),
        Target(
            name="ice40",
            lut_inputs=4,
            level_inputs=4,
            lut_delay=1200,
            adder_delay=1700,
            carry_delay=130,
            register_delay=600,
            stage_delay=8000,
            prices=Prices(
                addition=0.52,
                kept_addition=0.95,
                selection=0.21,
                gate=0.2,
                added_selection=0.79,
                product=2.6,
                square=2.75,
                chained_negation=1.7,
                chosen_negation=1,
                gated_negation=1.6,
                comparison=0.5,
                constant_comparison=0.18,
                rounding=1,
                saturation=1.6,
                table=0.96,
                computed_table=0.72,
                network=1.1,
            ),
        ),
        Target(
            name="asic",
            lut_inputs=4,
            level_inputs=4,
            lut_delay=300,
            adder_delay=300,
            carry_delay=80,
            register_delay=400,
            stage_delay=5000,
            prices=Prices(
                addition=2,
                kept_addition=2,
                selection=0.5,
                gate=0.1,
                added_selection=0.5,
                product=2.5,
                square=1.9,
                chained_negation=1,
                chosen_negation=1,
                gated_negation=1.4,
                comparison=0.5,
                constant_comparison=0.33,
                rounding=1,
                saturation=1,
                table=0.7,
                computed_table=0.7,
                network=1.1,
            ),
            register=4,
        ),
    )
}


# MULT18X18D reaches 144 MHz between registers, SB_MAC16 67 MHz, which only the slow UP5K has; the delay of
# DSP48E1 is assumed.
BLOCKS = {
    "xc7": Block(name="DSP48E1", widths=(25, 18), least=9, unsigned_bits=1, area=40, delay=4500, adds=True),
    "ecp5": Block(name="MULT18X18D", widths=(18, 18), least=2, unsigned_bits=0, area=100, delay=6300),
    "ice40": Block(name="SB_MAC16", widths=(16, 16), least=11, unsigned_bits=0, area=20, delay=14000),
}


def target(name: str, multipliers: str = "luts") -> Target:
    """The target of a name with its multipliers in look-up tables or blocks, or a clear error."""
    if name not in TARGETS:
        raise ArgumentError(f"target must be one of {', '.join(TARGETS)}, not {name!r}")
    if multipliers not in MULTIPLIERS:
        raise ArgumentError(f"multipliers must be one of {', '.join(MULTIPLIERS)}, not {multipliers!r}")
    if multipliers == "luts":
        return TARGETS[name]
    if name not in BLOCKS:
        raise ArgumentError(
            f"the target must have DSP blocks for multipliers=dsp, as {', '.join(BLOCKS)}, not be {name!r}; "
            "leave multipliers out"
        )
    return replace(TARGETS[name], block=BLOCKS[name])


def area(datapath: g.Datapath, hardware: Target) -> float:
    """Estimated look-up tables of the whole graph, without pipeline registers; blocks by their price."""
    counts = amounts(datapath, hardware)
    luts = sum(getattr(hardware.prices, what) * count for what, count in counts.items())
    return luts + hardware.priced(sum(map(hardware.blocks, datapath.nodes)))


def amounts(datapath: g.Datapath, hardware: Target) -> dict[str, float]:
    """What a graph has of all that is in `Prices`, outside multiplier blocks."""
    nodes = datapath.nodes
    shared = {id(part) for node in nodes for part in _shared(node)}
    adders = (node for node in nodes if not hardware.in_block(node))
    addends = {id(part) for adder in adders for part in _addends(adder)}
    counts: dict[str, float] = defaultdict(float)
    for node in nodes:
        free = id(node) in shared or isinstance(node, g.WIRING) or g.is_sign(node)
        if not (free or hardware.in_block(node)):
            what, count = _AMOUNTS[type(node)](node, hardware)
            added = isinstance(node, g.Select) and id(node) in addends
            counts["added_selection" if added else what] += count
    return counts


def _addends(node: g.Node) -> Iterator[g.Node]:
    """What an adder reads, behind wiring."""
    if isinstance(node, g.Add | g.Subtract):
        stack = list(node.operands)
        while stack:
            operand = stack.pop()
            if isinstance(operand, g.WIRING):
                stack += operand.operands
            else:
                yield operand


def _trailing_zeros(node: g.Node) -> int:
    """Low bits that are known to be 0."""
    match node:
        case g.Constant():
            return (node.low & -node.low).bit_length() - 1 if node.low else node.width
        case g.ShiftLeft():
            return node.amount + _trailing_zeros(node.a)
        case g.Add() | g.Subtract():
            return min(map(_trailing_zeros, node.operands))
        case g.Select():
            return min(_trailing_zeros(node.if_one), _trailing_zeros(node.if_zero))
    return 0


def _added(node: g.Add | g.Subtract, _: Target) -> tuple[str, float]:
    """All bits but the low ones that pass through."""
    through = (
        _trailing_zeros(node.b) if isinstance(node, g.Subtract) else max(map(_trailing_zeros, node.operands))
    )
    return "kept_addition" if node.kept else "addition", node.width - through


def _selected(node: g.Select, _: Target) -> tuple[str, float]:
    gates = any(isinstance(end, g.Constant) and end.low == 0 for end in (node.if_one, node.if_zero))
    return "gate" if gates else "selection", node.width


def _variable(node: g.Node) -> list[g.Node]:
    return [operand for operand in node.operands if not isinstance(operand, g.Constant)]


def _multiplied(node: g.Multiply, _: Target) -> tuple[str, float]:
    variable = _variable(node)
    if len(variable) < 2:
        constant = node.a if isinstance(node.a, g.Constant) else node.b
        return "addition", (_signed_digits(abs(constant.low)) - (constant.low > 0)) * node.width
    return "product", variable[0].width * variable[1].width


def _signed_digits(constant: int) -> int:
    """Non-zero digits of a number in canonical signed digits."""
    return ((3 * constant) ^ constant).bit_count()


def _compared(node: g.Compare, _: Target) -> tuple[str, float]:
    variable = _variable(node)
    what = "comparison" if len(variable) == 2 else "constant_comparison"
    return what, max(operand.width for operand in variable)


def _tabulated(node: g.Lookup, hardware: Target) -> tuple[str, float]:
    if node.lut_inputs > RESHAPED and node.network is not None:
        return "network", len(node.network.cells)
    luts = minterm_luts(node.table, hardware.lut_inputs) + (node.lut_inputs > 0)
    return "computed_table" if _computed(node.address) else "table", luts


RESHAPED = 4  # inputs of look-up tables whose networks synthesis takes apart, often for the worse


def _computed(node: g.Node) -> bool:
    """Whether logic lies before a node: synthesis then spreads a table over the inputs of that logic.

    Through the carry chain of a sum it does not look.
    """
    while isinstance(node, g.WIRING) and node.operands:
        node = node.operands[0]
    return not (isinstance(node, g.Input | g.Add | g.Subtract) or _shared(node))


def _shared(node: g.Node) -> tuple[g.Node, ...]:
    """What is free of a selection between two sums of one value with constants: itself, and one of the sums.

    Synthesis makes one adder of them, where nothing else reads them.
    """
    match node:
        case g.Select(
            if_one=g.Subtract(a=g.Constant(), b=one), if_zero=g.Add(a=zero, b=g.Constant()) as plus
        ) if one is zero:
            return node, plus
    return ()


def _rounded(node: g.RoundShift, _: Target) -> tuple[str, float]:
    if node.rounding is Rounding.FLOOR:
        return "rounding", 0
    return "rounding", node.width + (node.rounding is not Rounding.HALF_UP) * 2


_NEGATIONS = {
    g.Negation.CHAIN: "chained_negation",
    g.Negation.CHOICE: "chosen_negation",
    g.Negation.GATES: "gated_negation",
}

_AMOUNTS: dict[type[g.Node], Callable[..., tuple[str, float]]] = {
    g.Add: _added,
    g.Subtract: _added,
    g.Multiply: _multiplied,
    g.Square: lambda node, _: ("square", node.a.width**2),
    g.Negate: lambda node, _: (_NEGATIONS[node.form], node.width - 1),
    g.RoundShift: _rounded,
    g.Compare: _compared,
    g.Select: _selected,
    g.Lookup: _tabulated,
    g.Saturate: lambda node, _: ("saturation", node.width),
}
