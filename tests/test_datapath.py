# SPDX-License-Identifier: Apache-2.0
"""The datapath graph: ranges, and its readings held against each other on random graphs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwact.datapath import graph as g
from hwact.datapath.cost import TARGETS, amounts, area
from hwact.datapath.evaluate import evaluate
from hwact.datapath.rtl import Pipeline, resized, signal_names
from hwact.datapath.schedule import schedule
from hwact.datapath.verilog import convert
from hwact.errors import ArgumentError, CheckError
from hwact.formats import Codes, Format, Rounding, round_fraction
from hwact.interfaces import BareUnit

FORMATS = ("SQ5.0", "UQ5.0", "SQ1.0", "UQ1.0", "SQ3.0")
XC7 = TARGETS["xc7"]
GRAPHS = 120


def oracle(node: g.Node, x: int) -> int:
    """The value of a node for one code, by Python integers and the definition of each operation."""
    v = [oracle(operand, x) for operand in node.operands]
    match node:
        case g.Input():
            return x
        case g.Constant():
            return node.low
        case g.Add():
            return v[0] + v[1]
        case g.Subtract():
            return v[0] - v[1]
        case g.Multiply():
            return v[0] * v[1]
        case g.Square():
            return v[0] ** 2
        case g.Invert():
            return -1 - v[0]
        case g.Negate():
            return -v[0] if v[1] else v[0]
        case g.Known():
            return v[0]
        case g.ShiftLeft():
            return v[0] * 2**node.amount
        case g.ShiftRight():
            return v[0] // 2**node.amount
        case g.RoundShift():
            return round_fraction(Fraction(v[0], 2**node.amount), node.rounding)
        case g.Bits():
            field = v[0] // 2**node.offset % 2**node.count
            return field - 2**node.count if node.signed and field >= 2 ** (node.count - 1) else field
        case g.Compare():
            return int({"<": v[0] < v[1], ">=": v[0] >= v[1], "==": v[0] == v[1]}[node.relation])
        case g.Select():
            return v[1] if v[0] else v[2]
        case g.Concat():
            return v[0] * 2**node.lower_width + v[1]
        case g.Lookup():
            return node.table[v[0]]
        case g.Saturate():
            return min(max(v[0], node.minimum), node.maximum)
    raise AssertionError(type(node).__name__)


Grow = Callable[[st.DrawFn, list[g.Node]], g.Node]


class Large(list[g.Node]):
    """Nodes of a graph whose numbers may be four times as wide."""


def pick(draw: st.DrawFn, nodes: list[g.Node], width: int = 40) -> g.Node:
    limit = 4 * width if isinstance(nodes, Large) else width
    return draw(st.sampled_from([node for node in nodes if node.width <= limit]))


def condition(draw: st.DrawFn, nodes: list[g.Node]) -> g.Node:
    a, b = pick(draw, nodes), draw(st.one_of(st.just(None), st.integers(-40, 40)))
    other = pick(draw, nodes) if b is None else b
    return draw(st.sampled_from([a.less_than, a.at_least, a.equal_to]))(other)


def lookup(draw: st.DrawFn, nodes: list[g.Node]) -> g.Node:
    address = pick(draw, nodes).bits(0, draw(st.integers(1, 4)))
    words = st.lists(st.integers(-100, 100), min_size=address.high + 1, max_size=address.high + 1)
    return address.lookup(tuple(draw(words)), lut_inputs=draw(st.sampled_from((0, 3, 4))))


def saturate(draw: st.DrawFn, nodes: list[g.Node]) -> g.Node:
    low, high = sorted((draw(st.integers(-60, 60)), draw(st.integers(-60, 60))))
    return pick(draw, nodes).saturate(low, high)


def concat(draw: st.DrawFn, nodes: list[g.Node]) -> g.Node:
    width = draw(st.integers(1, 5))
    return pick(draw, nodes, 10).concat(pick(draw, nodes).bits(0, width), width)


def bits(draw: st.DrawFn, nodes: list[g.Node]) -> g.Node:
    offset, width = draw(st.integers(0, 6)), draw(st.integers(1, 8))
    return pick(draw, nodes).bits(offset, width, signed=draw(st.booleans()))


GROW: dict[str, Grow] = {
    "add": lambda draw, nodes: (
        pick(draw, nodes) + draw(st.one_of(st.just(pick(draw, nodes)), st.integers(-99, 99)))
    ),
    "subtract": lambda draw, nodes: pick(draw, nodes) - pick(draw, nodes),
    "from constant": lambda draw, nodes: draw(st.integers(-99, 99)) - pick(draw, nodes),
    "multiply": lambda draw, nodes: pick(draw, nodes, 14) * pick(draw, nodes, 14),
    "square": lambda draw, nodes: pick(draw, nodes, 14).square(),
    "invert": lambda draw, nodes: ~pick(draw, nodes),
    "shift left": lambda draw, nodes: pick(draw, nodes, 20) << draw(st.integers(0, 5)),
    "shift right": lambda draw, nodes: pick(draw, nodes) >> draw(st.integers(0, 12)),
    "round": lambda draw, nodes: pick(draw, nodes).round_shift(
        draw(st.integers(0, 9)), draw(st.sampled_from(Rounding))
    ),
    "bits": bits,
    "compare": condition,
    "select": lambda draw, nodes: condition(draw, nodes).select(pick(draw, nodes), pick(draw, nodes)),
    "negate": lambda draw, nodes: pick(draw, nodes).negated_where(
        condition(draw, nodes), draw(st.sampled_from(g.Negation))
    ),
    "concat": concat,
    "lookup": lookup,
    "saturate": saturate,
}


@st.composite
def datapaths(draw: st.DrawFn) -> g.Datapath:
    x = g.Input.of(Format.parse(draw(st.sampled_from(FORMATS))))
    nodes: list[g.Node] = [x]
    for _ in range(draw(st.integers(1, 9))):
        nodes.append(GROW[draw(st.sampled_from(sorted(GROW)))](draw, nodes))
    return g.Datapath(x, nodes[-1])


def codes_of(datapath: g.Datapath) -> Codes:
    return np.arange(datapath.x.low, datapath.x.high + 1, dtype=np.int64)


checked = {"numpy": 0, "amaranth": 0}


@settings(max_examples=GRAPHS, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(datapaths())
def check_numpy(datapath: g.Datapath) -> None:
    codes = codes_of(datapath)
    due = [oracle(datapath.y, int(x)) for x in codes]
    assert evaluate(datapath, codes).tolist() == due
    for node in datapath.nodes:
        values = [oracle(node, int(x)) for x in codes]
        assert node.low <= min(values) <= max(values) <= node.high, node
        assert -(2 ** (node.width - node.signed)) <= min(values) <= max(values) < 2**node.width
    checked["numpy"] += codes.size


def test_evaluation_and_ranges_follow_the_definitions() -> None:
    checked["numpy"] = 0
    check_numpy()
    assert checked["numpy"] >= GRAPHS * 2


def simulated(datapath: g.Datapath, latency: int) -> list[int]:
    """Output codes by Amaranth's simulator, one code a clock edge."""
    m, x = Module(), Signal(datapath.x.width)
    y = Signal(datapath.y.width)
    pipeline = Pipeline(m, schedule(datapath, XC7, latency), {"x": x}, Signal(init=1))
    m.d.comb += y.eq(resized(pipeline.outputs[0], datapath.y.signed, len(y)))
    keep = Signal()
    m.d.sync += keep.eq(~keep)
    results: list[int] = []

    async def bench(ctx):  # type: ignore[no-untyped-def]
        codes = codes_of(datapath).tolist()
        for code in [*codes, *[codes[-1]] * latency]:
            ctx.set(x, code & ((1 << len(x)) - 1))
            if latency == 0:
                await ctx.delay(1e-9)
                results.append(ctx.get(y))
            else:
                await ctx.tick()
                results.append(ctx.get(y))

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    words = (
        results[latency - 1 :][: codes_of(datapath).size] if latency else results[: codes_of(datapath).size]
    )
    half = 1 << (datapath.y.width - 1)
    return [(word ^ half) - half if datapath.y.signed else word for word in words]


@settings(max_examples=GRAPHS // 2, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(datapaths(), st.integers(0, 4))
def check_rtl(datapath: g.Datapath, latency: int) -> None:
    due = evaluate(datapath, codes_of(datapath)).tolist()
    assert simulated(datapath, latency) == due
    checked["amaranth"] += len(due)


def test_amaranth_computes_what_numpy_computes() -> None:
    checked["amaranth"] = 0
    check_rtl()
    assert checked["amaranth"] >= GRAPHS


def verilog_of(datapath: g.Datapath, latency: int, name: str) -> str:
    inside = Format(datapath.x.signed, datapath.x.width, 0)
    outside = Format(datapath.y.signed, datapath.y.width, 0)
    formats = {"x": inside}, {"y": outside}
    component = BareUnit(schedule(datapath, XC7, latency), *formats)
    return convert(component, name, component.ports(latency, *formats))


BENCH = """
module bench;
  reg [{wx}:0] x; wire [{wy}:0] y; integer i;
  dut dut(.x(x), .y(y));
  initial for (i = 0; i < {count}; i = i + 1) begin x = i; #1 $display("%b", y); end
endmodule
"""


def by_icarus(datapath: g.Datapath, folder: Path) -> list[int]:
    """Output codes of the emitted Verilog, for input bits 0, 1, 2, ..."""
    count = datapath.x.high - datapath.x.low + 1
    text = verilog_of(datapath, 0, "dut")
    text += BENCH.format(wx=datapath.x.width - 1, wy=datapath.y.width - 1, count=count)
    (folder / "t.v").write_text(text)
    subprocess.run(["iverilog", "-g2001", "-o", folder / "t.vvp", folder / "t.v"], check=True)
    run = subprocess.run(["vvp", "-n", folder / "t.vvp"], check=True, capture_output=True, text=True)
    words = [int(line, 2) for line in run.stdout.split()]
    half = 1 << (datapath.y.width - 1)
    return [(word ^ half) - half if datapath.y.signed else word for word in words]


def test_emitted_verilog_computes_what_numpy_computes(tmp_path: Path) -> None:
    assert shutil.which("iverilog"), "Icarus Verilog must be installed (system package iverilog)"
    total = 0

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(datapaths())
    def check(datapath: g.Datapath) -> None:
        nonlocal total
        codes = codes_of(datapath)
        order = codes & (codes.size - 1)
        due = np.empty(codes.size, dtype=object)
        due[order] = evaluate(datapath, codes)
        assert by_icarus(datapath, tmp_path) == due.tolist()
        total += codes.size

    check()
    assert total >= 80


def chain(length: int) -> g.Datapath:
    x = g.Input.of(Format.parse("SQ8.0"))
    y: g.Node = x
    for _ in range(length):
        y = (y + x).named("sum")
    return g.Datapath(x, y)


@pytest.mark.parametrize("form", g.Negation)
def test_negation_in_verilog(form: g.Negation, tmp_path: Path) -> None:
    """The magnitude, and a negation under a condition of its own, on every code."""
    x = g.Input.of(Format.parse("SQ6.0"))
    magnitude = x.negated_where(x.less_than(0), form).known(0, 32)
    other = (x >> 1).negated_where(x.bits(0, 1), form)
    datapath = g.Datapath(x, (magnitude << 6) + other)
    expected = [(abs(code) << 6) + (-(code >> 1) if code & 1 else code >> 1) for code in range(-32, 32)]
    assert evaluate(datapath, np.arange(-32, 32)).tolist() == expected
    codes = by_icarus(datapath, tmp_path)
    assert [*codes[32:], *codes[:32]] == expected
    assert len(codes) == 64


def test_wide_graphs_are_exact_beyond_64_bits() -> None:
    x = g.Input.of(Format.parse("SQ20.0"))
    y = (x.square().square() * x.square()) >> 100
    codes = np.array([-(2**19), -1, 0, 1, 2**19 - 1])
    assert evaluate(g.Datapath(x, y), codes).tolist() == [c**6 >> 100 for c in codes.tolist()]


def test_known_ranges_are_checked() -> None:
    x = g.Input.of(Format.parse("SQ4.0"))
    lie = x.known(0, 7).named("lie")
    with pytest.raises(CheckError, match=r"lie must stay in 0\.\.7, not .*-8"):
        evaluate(g.Datapath(x, lie), np.arange(-8, 8))
    with pytest.raises(ArgumentError, match=r"codes must be in -8\.\.7"):
        evaluate(g.Datapath(x, x), np.array([8]))


def test_misuse_is_refused() -> None:
    x = g.Input.of(Format.parse("SQ4.0"))
    with pytest.raises(ArgumentError, match=r"condition must have the range 0\.\.1"):
        x.select(0, 1)
    with pytest.raises(ArgumentError, match=r"table address must be in 0\.\.3"):
        x.lookup((1, 2, 3, 4))
    with pytest.raises(ArgumentError, match="lower part"):
        x.concat(x, 3)
    with pytest.raises(ArgumentError, match="at least 0, not -1"):
        g.ShiftLeft(a=x, amount=-1, low=0, high=0)


def test_names_are_unique_and_readable() -> None:
    names = list(signal_names(chain(3)).values())
    assert sorted(names) == ["sum_1", "sum_2", "sum_3", "x"]


def test_estimates_grow_with_the_work() -> None:
    areas = [area(chain(n), XC7) for n in (1, 2, 4, 8)]
    assert areas == sorted(set(areas))


@pytest.mark.parametrize(("constant", "additions"), [(0, 0), (1, 0), (64, 0), (-64, 1), (3, 1), (-3, 2)])
def test_a_product_with_a_constant_takes_its_additions_and_a_negation(constant: int, additions: int) -> None:
    x = g.Input.of(Format(True, 8, 0))
    product = g.Multiply(a=x, b=g.as_node(constant), low=-512, high=511)
    counted = amounts(g.Datapath(x, product), XC7).get("addition", 0)
    assert counted == additions * product.width
