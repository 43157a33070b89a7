# SPDX-License-Identifier: Apache-2.0
"""Pipelines: the shortest stages that a latency permits, the fewest cycles for a clock, the same function."""

from __future__ import annotations

import itertools
import random
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hwact
from hwact import synth
from hwact.datapath import graph as g
from hwact.datapath.cost import TARGETS
from hwact.datapath.evaluate import evaluate
from hwact.datapath.forms import with_split_tables, with_trees
from hwact.datapath.schedule import (
    MAX_LATENCY,
    Schedule,
    _forms,
    cycles,
    highest_clock,
    longest_operation,
    register_bits,
    schedule,
    shortest_period,
    stage_delay,
)
from hwact.datapath.timing import arrival
from hwact.datapath.verilog import convert
from hwact.errors import ArgumentError, UnreachableError
from hwact.formats import Format
from hwact.interfaces import BareUnit
from hwact.synth import Options

XC7, ECP5 = TARGETS["xc7"], TARGETS["ecp5"]
FOUR_INPUTS = replace(ECP5, level_inputs=4)
GRAPHS = 12
CODES = np.arange(-128, 128)
HIGH_MHZ, MOST_CYCLES = 250, 5


def some_graph(seed: int, operations: int = 4) -> g.Datapath:
    """A few additions, selections, negations and tables, with wiring in between."""
    chance = random.Random(seed)
    x = g.Input.of(Format.parse("SQ8.0"))
    nodes: list[g.Node] = [x]
    negation = list(g.Negation)[seed % len(g.Negation)]
    for _ in range(operations):
        a, b = chance.choice(nodes), chance.choice(nodes)
        words = tuple(chance.randrange(-9, 9) for _ in range(1 << chance.choice((3, 6, 7))))
        nodes.append(
            chance.choice(
                (
                    lambda a=a, b=b: (a + b).named("sum").keep(),
                    lambda a=a, b=b: (a - ~(b >> 1)).named("sum").keep(),
                    lambda a=a, b=b: a.bits(1, 1).select(b, a),
                    lambda a=a, b=b: a.negated_where(b.bits(1, 1), negation),
                    lambda a=a, w=words: a.bits(0, len(w).bit_length() - 1).lookup(w),
                    lambda a=a, w=words: a.bits(0, 6).lookup((w * 8)[:64], lut_inputs=4),
                )
            )()
        )
    return g.Datapath(x, nodes[-1])


def four_rows() -> g.Datapath:
    """A chain that is shorter as a tree."""
    x = g.Input.of(Format.parse("SQ8.0"))
    total: g.Node = x
    for i in range(3):
        total = (total + x.bits(i, 4)).keep()
    return g.Datapath(x, total)


def some_chain(seed: int) -> g.Datapath:
    """Many rows of one input in one sum, with ones for carry inputs, and a table of 9 address bits.

    Some more of its rows are a network, and a negation.
    """
    chance = random.Random(seed)
    x = g.Input.of(Format.parse("SQ8.0"))
    words = tuple(chance.randrange(-8, 8) for _ in range(512))
    total = x.concat(x.bits(0, 1), 1).bits(0, 9).lookup(words)
    for i in range(chance.randrange(2, 12)):
        row = x.bits(i % 8, 1).select(x >> chance.randrange(5), 0)
        total = ((total - ~row) if chance.random() < 0.3 else (total - row if i == 5 else total + row)).keep()
    total = (total + x.bits(1, 7).lookup(words[:128], lut_inputs=4)).keep()
    total = (total + (x >> 1).negated_where(x.bits(0, 1), list(g.Negation)[seed % 3])).keep()
    return g.Datapath(x, (total >> 2).saturate(-40, 40))


def table_bits(datapath: g.Datapath) -> list[int]:
    """Address bits of its tables."""
    return [node.address.width for node in datapath.nodes if isinstance(node, g.Lookup)]


def schedules(datapath: g.Datapath, latency: int) -> Iterator[dict[g.Node, int]]:
    """Every way to put operations into stages."""
    operations = [node for node in datapath.nodes if not isinstance(node, g.WIRING)]
    for chosen in itertools.product(range(latency), repeat=len(operations)):
        stages: dict[g.Node, int] = dict(zip(operations, chosen, strict=True))
        for node in datapath.nodes:
            ready = max((stages[operand] for operand in node.operands), default=0)
            if stages.setdefault(node, ready) < ready:
                break
        else:
            yield stages


def test_stages_are_as_short_as_any_schedule_permits() -> None:
    tried = moved = formed = 0
    for datapath in (four_rows(), *map(some_graph, range(GRAPHS))):
        for hardware, latency in itertools.product((XC7, ECP5), (1, 2, 3)):
            plan = schedule(datapath, hardware, latency)
            forms = _forms(datapath, hardware)
            shortest = min(stage_delay(form, s, hardware) for form in forms for s in schedules(form, latency))
            assert stage_delay(plan.datapath, plan.stages, hardware) == shortest
            bits = register_bits(plan.datapath, plan.stages, latency)
            same = [
                s
                for s in schedules(plan.datapath, latency)
                if stage_delay(plan.datapath, s, hardware) == shortest
            ]
            fewest = min(register_bits(plan.datapath, s, latency) for s in same)
            assert bits >= fewest
            moved += bits == fewest
            formed += plan.datapath is not datapath
            tried += 1
    assert tried == (GRAPHS + 1) * 6
    assert formed
    assert moved > 0.8 * tried  # the search for registers goes one operation at a time


def test_other_forms_compute_the_same() -> None:
    shorter = 0
    for seed in range(GRAPHS):
        datapath = some_chain(seed)
        due = evaluate(datapath, CODES)
        tree, split = with_trees(datapath), with_split_tables(datapath, FOUR_INPUTS)
        for form in (tree, split, with_split_tables(tree, ECP5)):
            assert form is not datapath
            assert np.array_equal(evaluate(form, CODES), due)
            evaluate(g.Datapath(form.x, form.y.known(int(due.min()), int(due.max()))), CODES)
        shorter += shortest_period(tree, ECP5, 1) < shortest_period(datapath, ECP5, 1)
        assert sorted(table_bits(datapath)) == [7, 9]
        assert sorted(table_bits(split)) == [*[6] * 8, 7]  # the network stays
    assert shorter > GRAPHS / 2
    plain = some_graph(1, 1)
    assert with_trees(plain) is plain is with_split_tables(plain, XC7)


def test_rows_are_inverted_before_they_are_added() -> None:
    x = g.Input.of(Format.parse("SQ8.0"))
    rows = [
        x.bits(0, 3).lookup((5, -3, 7, 1, 0, 2, 6, 4)),
        *(x.bits(i, 1).select(x >> i, 0) for i in range(8)),
    ]
    total: g.Node = x
    for row in rows:
        total = (total - ~row).keep()
    datapath = g.Datapath(x, total)
    tree = with_trees(datapath)
    assert np.array_equal(evaluate(tree, CODES), evaluate(datapath, CODES))
    assert sum(isinstance(node, g.Add | g.Subtract) for node in tree.nodes) == len(rows)
    inverted = [node.a for node in tree.nodes if isinstance(node, g.Invert)]
    assert inverted
    assert all(isinstance(node, g.WIRING) for node in inverted)  # else a look-up table behind a register


@pytest.mark.parametrize(
    ("width", "levels", "parts", "after"), [(18, 2, [7], 2), (19, 3, [6, 6], 2), (37, 3, [5, 5, 5, 5], 1)]
)
def test_a_large_table_takes_a_level_more_or_is_divided(
    width: int, levels: int, parts: list[int], after: int
) -> None:
    x = g.Input.of(Format.parse("UQ7.0"))
    datapath = g.Datapath(x, x.lookup((*range(127), (1 << width) - 1)))
    split = with_split_tables(datapath, ECP5)
    assert table_bits(split) == parts
    assert longest_operation(datapath, ECP5) == levels * ECP5.lut_delay
    assert longest_operation(split, ECP5) == after * ECP5.lut_delay
    assert np.array_equal(evaluate(split, np.arange(128)), evaluate(datapath, np.arange(128)))


BENCH = """
module bench;
  reg clk; reg [7:0] x; wire [{last}:0] y; integer i;
  dut dut(.clk(clk), .ce(1'b1), .x(x), .y(y));
  initial for (i = 0; i < 256 + {latency}; i = i + 1) begin
    if (i >= {latency}) $display("%b", y);
    x = i; clk = 0; #1 clk = 1; #1 ;
  end
endmodule
"""


def by_icarus(plan: Schedule, folder: Path) -> list[int]:
    """Output codes of the emitted Verilog for all input codes, in their order."""
    y = plan.datapath.y
    formats = {"x": Format.parse("SQ8.0")}, {"y": Format(y.signed, y.width, 0)}
    component = BareUnit(plan, *formats)
    text = convert(component, "dut", component.ports(plan.latency, *formats))
    (folder / "t.v").write_text(text + BENCH.format(last=y.width - 1, latency=plan.latency))
    subprocess.run(["iverilog", "-g2001", "-o", folder / "t.vvp", folder / "t.v"], check=True)
    run = subprocess.run(["vvp", "-n", folder / "t.vvp"], check=True, capture_output=True, text=True)
    words = [int(line, 2) for line in run.stdout.split()]
    codes = [word - (word >> (y.width - 1) << y.width) if y.signed else word for word in words]
    return codes[128:] + codes[:128]


def test_other_forms_compute_the_same_in_hardware(tmp_path: Path) -> None:
    checked = {True: 0, False: 0}  # by whether the table is divided
    for seed, latency in ((1, 2), (1, 3), (2, 1), (2, 6)):
        datapath = some_chain(seed)
        plan = schedule(datapath, ECP5, latency)
        assert plan.datapath is not datapath
        assert by_icarus(plan, tmp_path) == evaluate(datapath, CODES).tolist()
        checked[max(table_bits(plan.datapath)) < 9] += CODES.size
    assert sum(checked.values()) == 4 * CODES.size
    assert all(checked.values())


def test_a_higher_clock_takes_no_fewer_cycles() -> None:
    clocked = 0
    for seed, hardware in itertools.product(range(2), (XC7, ECP5)):
        datapath = some_chain(seed)
        top = highest_clock(datapath, hardware)
        last = 1
        for clock in np.linspace(top / 8, top, 5):
            period = int(1e6 / clock) - hardware.register_delay
            needed = cycles(datapath, hardware, clock)
            assert needed >= last
            last = needed
            if clock < top:
                plan = schedule(datapath, hardware, needed)
                assert stage_delay(plan.datapath, plan.stages, hardware) <= period
                if needed > 1:
                    fewer = schedule(datapath, hardware, needed - 1)
                    assert stage_delay(fewer.datapath, fewer.stages, hardware) > period
                clocked += 1
    assert clocked == 2 * 2 * 4


def test_every_operand_is_ready_before_its_user() -> None:
    datapath = some_chain(3)
    for latency in range(1, 15):
        plan = schedule(datapath, XC7, latency)
        nodes = plan.datapath.nodes
        assert all(plan.stages[o] <= plan.stages[n] < latency for n in nodes for o in n.operands)


def test_registers_are_the_bits_that_later_stages_read() -> None:
    x = g.Input.of(Format.parse("SQ8.0"))
    first = x.bits(0, 4) + x.bits(2, 4)  # 6 bits of x
    y = first + (x >> 6)
    stages = dict.fromkeys(g.Datapath(x, y).nodes, 0) | {y: 1}
    assert register_bits(g.Datapath(x, y), stages, 2) == first.width + 2 + y.width
    late = stages | {first: 1}
    assert register_bits(g.Datapath(x, y), late, 2) == 8 + y.width
    assert register_bits(g.Datapath(x, y), dict.fromkeys(stages, 0), 2) == 2 * y.width


def test_carries_of_chained_additions_ripple_side_by_side() -> None:
    x = g.Input.of(Format.parse("SQ16.0"))
    one = x + x
    two = one + x
    at = arrival(x, [], ECP5)
    once = arrival(one, [at, at], ECP5)
    twice = arrival(two, [once, at], ECP5)
    assert once.last == ECP5.adder_delay + ECP5.carry_delay * 17
    assert twice.last == 2 * ECP5.adder_delay + ECP5.carry_delay * 18


def test_functions_of_few_bits_are_one_level() -> None:
    x = g.Input.of(Format.parse("SQ8.0"))
    select = x.bits(0, 1).select(x, ~x >> 1)
    outer = x.bits(1, 1).select(select, 0)
    at = arrival(x, [], ECP5)
    moved = arrival(~x >> 1, [arrival(~x, [at], ECP5)], ECP5)
    bits = [arrival(x.bits(i, 1), [at], ECP5) for i in (0, 1)]
    inner = arrival(select, [bits[0], at, moved], ECP5)
    both = arrival(outer, [bits[1], inner, arrival(g.as_node(0), [], ECP5)], ECP5)
    assert (inner.last, len(inner.inputs)) == (ECP5.lut_delay, 3)
    assert (both.last, len(both.inputs)) == (ECP5.lut_delay, 4)
    assert arrival(x.less_than(0), [at, at], ECP5).last == 0


def test_a_network_is_as_many_levels_as_it_is_deep() -> None:
    x = g.Input.of(Format.parse("UQ8.0"))
    chance = random.Random(1)
    words = tuple(chance.randrange(16) for _ in range(256))
    table = x.lookup(words, lut_inputs=6)
    assert isinstance(table, g.Lookup)
    assert table.network is not None

    def depth(signal: int) -> int:
        cells = table.network.cells if table.network else ()
        return 1 + max(map(depth, cells[signal - 8].operands)) if signal >= 8 else 0

    levels = max(map(depth, table.network.outputs))
    assert levels >= 2
    at = arrival(x, [], XC7)
    assert arrival(table, [at], XC7).last == levels * XC7.lut_delay
    reshaped, left = (arrival(x.lookup(words, lut_inputs=n), [at], ECP5) for n in (4, 0))
    assert reshaped[:2] == left[:2]  # what synthesis takes apart is as any table


def test_a_negation_is_a_chain_of_carries_or_a_prefix() -> None:
    x = g.Input.of(Format.parse("SQ16.0"))
    at = arrival(x, [], ECP5)
    chained, chosen, prefix = (x.negated_where(x.bits(15, 1), form) for form in g.Negation)
    bit = arrival(x.bits(15, 1), [at], ECP5)
    by_carries = arrival(chained, [at, bit], ECP5)
    assert by_carries[:2] == (ECP5.adder_delay, ECP5.adder_delay + ECP5.carry_delay * chained.width)
    by_choice = arrival(chosen, [at, bit], ECP5)
    assert by_choice[:2] == tuple(end + ECP5.lut_delay for end in by_carries[:2])
    # 16 bits below the highest: 4 ORs, 1 of them, and the look-up table that inverts.
    by_gates = arrival(prefix, [at, bit], ECP5)
    assert by_gates[:2] == (ECP5.lut_delay, 3 * ECP5.lut_delay)
    late = arrival(prefix, [at, by_carries], ECP5)
    assert late.last == max(3 * ECP5.lut_delay, by_carries.last + ECP5.lut_delay)


def test_latency_must_be_legal() -> None:
    for bad in (-1, MAX_LATENCY + 1, 1.5, True):
        with pytest.raises(ArgumentError, match=rf"from 0 to {MAX_LATENCY}, not {bad!r}; 0 is combinational"):
            schedule(some_graph(0), XC7, bad)  # type: ignore[arg-type]


# The clock of a unit


def test_a_clock_chooses_the_latency() -> None:
    units = [hwact.build("gelu", width=8, target="ice40", clock=clock) for clock in (20, 100, 133.3)]
    assert [unit.manifest()["requested_clock_mhz"] for unit in units] == [20, 100, 133.3]
    latencies = [unit.latency for unit in units]
    assert latencies == sorted(latencies)
    assert latencies[0] == 1 < latencies[-1]
    again = hwact.from_manifest(units[-1].manifest())
    assert again.verilog == units[-1].verilog
    assert again.manifest() == units[-1].manifest()
    assert hwact.build("gelu", width=8).manifest()["requested_clock_mhz"] is None


def test_a_clock_that_no_design_reaches_is_refused_with_the_highest() -> None:
    options = {"width": 8, "target": "ecp5"}
    with pytest.raises(UnreachableError, match=r"at most \d+ MHz on ecp5, not 900; ask for a lower") as no:
        hwact.build("gelu", **options, clock=900)  # type: ignore[arg-type]
    found = re.search(r"at most (\d+) MHz", str(no.value))
    assert found
    highest = int(found[1])
    assert hwact.build("gelu", **options, clock=highest).latency > 1  # type: ignore[arg-type]
    with pytest.raises(UnreachableError, match=f"at most {highest} MHz"):
        hwact.build("gelu", **options, clock=highest + 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [0, -5, float("inf"), float("nan"), True, "250"])
def test_a_clock_must_be_a_number(bad: object) -> None:
    with pytest.raises(ArgumentError, match=r"the clock must be a number of MHz above 0, not .*; say 250"):
        hwact.build("gelu", width=4, clock=bad)


def test_latency_and_clock_exclude_each_other() -> None:
    with pytest.raises(ArgumentError, match="one of a latency and a clock must be given, not 3 and 100"):
        hwact.build("gelu", width=4, latency=3, clock=100)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gelu", "smelu", "swish"])
def test_ecp5_reaches_250_mhz_in_five_cycles(name: str) -> None:
    unit = hwact.build(name, width=16, target="ecp5", interface="bare", clock=HIGH_MHZ)
    assert unit.latency <= MOST_CYCLES
    record = synth.measure(unit, "ecp5", Options(seeds=(1, 2, 3)))
    assert len(record.f_max_by_seed) == 3
    assert min(record.f_max_by_seed.values()) >= HIGH_MHZ
