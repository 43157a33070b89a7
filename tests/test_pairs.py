# SPDX-License-Identifier: Apache-2.0
"""Units of a function with its gradient: shared nodes, formats, both outputs proven in every reading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hwact
from hwact import functions, naming, synth
from hwact.accuracy import spread_codes
from hwact.datapath.cost import TARGETS, area
from hwact.datapath.evaluate import evaluate
from hwact.datapath.graph import Datapath, Input
from hwact.datapath.rewrite import merged
from hwact.errors import ArgumentError, BundleError, UnreachableError
from hwact.pairs import gradient_format_of
from hwact.synth import Options
from hwact.verify.claims import golden_sha256
from tests.compiled import answers
from tests.test_component import simulate
from tests.verifying import failing, flip_table_bit, prove

XC7 = TARGETS["xc7"]


def all_codes(output: Any) -> list[int]:
    """An output's codes over all input codes."""
    return [int(code) for code in output.evaluate(output.input_format.codes())]


def test_equal_operations_are_merged_and_others_are_not() -> None:
    def half(offset: int, table: tuple[int, ...]) -> Datapath:
        x = Input(low=-8, high=7, name="x")
        magnitude = x.less_than(0).select(0 - x, x).known(0, 8)
        return Datapath(x, magnitude.lookup(table) + offset)

    table = tuple(range(3, 12))
    one, other = half(1, table), half(2, table)
    both, fewest = merged(one, other), len(merged(one).nodes)
    assert fewest == len(one.nodes) - 1  # the constant 0 is there twice
    assert len(both.nodes) == fewest + 2  # another constant and another sum
    assert len(merged(one, half(1, table)).nodes) == fewest
    assert len(merged(one, half(1, table[::-1])).nodes) == fewest + 2
    codes = np.arange(-8, 8)
    for i, alone in enumerate((one, other)):
        assert (evaluate(both.alone(i), codes) == evaluate(alone, codes)).all()
    assert area(both, XC7) < area(one, XC7) + area(other, XC7)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.data())
def check_merging(data: st.DataObject) -> None:
    def draw() -> Datapath:
        x = Input(low=-16, high=15, name="x")
        nodes: list[Any] = [x]
        for _ in range(data.draw(st.integers(1, 6))):
            a, b = data.draw(st.sampled_from(nodes)), data.draw(st.sampled_from(nodes))
            nodes.append(data.draw(st.sampled_from([a + b, a - b, ~a, a >> 1, a.less_than(b), a * 3])))
        return Datapath(x, nodes[-1])

    datapaths, codes = [draw(), draw()], np.arange(-16, 16)
    both = merged(*datapaths)
    for i, alone in enumerate(datapaths):
        assert (evaluate(both.alone(i), codes) == evaluate(alone, codes)).all()
    counted["merged"] += 1


counted = {"merged": 0}


def test_merging_changes_no_output() -> None:
    check_merging()
    assert counted["merged"] >= 60


@pytest.mark.parametrize("name", functions.names())
def test_every_gradient_comes_beside_its_function(name: str) -> None:
    """Both are what the units of one output promise, by the reference."""
    unit = hwact.build(name, input_format="SQ3.3", with_gradient=True)
    assert unit.gradient is not None
    for gradient, output in enumerate((unit, unit.gradient)):
        exact = hwact.reference.codes(name, "SQ3.3", output.output_format, gradient=bool(gradient))
        assert (output.evaluate(unit.input_format.codes()) == exact).all()
        assert output.accuracy.class_ == "correct"
        assert output.accuracy.codes_checked == 64
    shared = [node for output in unit.outputs.values() for node in output.design.datapath.nodes]
    assert set(shared) <= set(unit.schedule.stages)


FORMATS = {
    "the function's": ("gelu", "SQ4.12", "SQ4.12", "SQ4.12"),
    "one more integer bit for tanh'(0) = 1": ("tanh", "SQ4.12", "SQ1.15", "SQ2.14"),
    "a sign for a gradient below 0": ("gelu", "SQ4.4", "UQ3.5", "SQ2.6"),
    "fixed point where the function is affine": ("gelu", "SQ4.4", "int8:0.05:-3", "SQ2.6"),
    "one that 1 does not fit": ("relu", "SQ1.7", "UQ0.8", "SQ2.6"),
    "unsigned": ("softplus", "SQ3.5", "UQ3.5", "UQ3.5"),
    "wide": ("exp", "SQ4.4", "SQ4.4", "SQ13.-5"),
}


@pytest.mark.parametrize("case", FORMATS)
def test_the_gradients_format_holds_it(case: str) -> None:
    name, source, sink, due = FORMATS[case]
    given, made = hwact.formats.Format.parse(source), hwact.formats.Format.parse(sink)
    assert str(gradient_format_of(functions.get(name, gradient=True), given, made)) == due


def test_formats_accuracies_and_names() -> None:
    unit = hwact.build("gelu", width=8, with_gradient=True, gradient_format="SQ2.9", accuracy="faithful")
    assert unit.gradient is not None
    assert (unit.name, str(unit.gradient.output_format)) == ("gelu_with_grad_sq4_4_sq4_4_sq2_9", "SQ2.9")
    assert {str(output.spec.accuracy) for output in unit.outputs.values()} == {"faithful"}
    assert naming.default(unit.function, unit.input_format, unit.output_format) == "gelu_sq4_4"
    defaults = hwact.build("tanh", input_format="SQ4.5", output_format="SQ1.11", with_gradient=True)
    assert defaults.name == "tanh_with_grad_sq4_5_sq1_11_sq2_10"
    assert [str(output.spec.accuracy) for output in defaults.outputs.values()] == ["faithful"] * 2


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a format alone": (
        {"gradient_format": "SQ2.6"},
        "gradient format must come with a gradient .* not 'SQ2.6' alone",
    ),
    "of a gradient": ({"gradient": True, "with_gradient": True}, "must not be a gradient already"),
    "no truth": ({"with_gradient": 1}, "with_gradient must be True or False, not 1"),
    "parameters of one": (
        {"with_gradient": True, "architecture": "table", "architecture_parameters": {"folding": "plain"}},
        "architecture_parameters must be of one output",
    ),
    "no format": ({"with_gradient": True, "gradient_format": "SQ"}, "not 'SQ'"),
    "a format to be found for a wide input": (
        {"with_gradient": True, "width": 25},
        "a gradient format must be given for an input of more than 24 bits, not left out with SQ4.21",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_pair_is_refused(case: str) -> None:
    options, message = REFUSED[case]
    with pytest.raises(ArgumentError, match=message):
        hwact.build("gelu", **{"width": 6} | options)


def test_what_the_function_keeps_its_gradient_need_not(tmp_path: Path) -> None:
    """tanh rises everywhere, its derivative does not."""
    asked: dict[str, Any] = {"accuracy": "mse=1e-2", "constraints": ["monotonic"], "architecture": "table"}
    unit = hwact.build("tanh", width=6, with_gradient=True, **asked)
    assert unit.gradient is not None
    specs = [output.spec for output in unit.outputs.values()]
    assert [str(spec.accuracy) for spec in specs] == ["mse=0.01", "correct"]
    assert [list(spec.constraints) for spec in specs] == [["monotonic"], []]
    assert unit.accuracy.mean_squared_error <= 1e-2
    assert (unit.accuracy.monotonic, unit.gradient.accuracy.monotonic) == (True, False)
    assert hwact.from_manifest(unit.manifest()).manifest() == unit.manifest()
    readme = (unit.write(tmp_path) / "README.md").read_text(encoding="utf-8")
    kept = [line for line in readme.splitlines() if line.startswith("| kept exactly |")]
    assert kept == ["| kept exactly | monotonic |", "| kept exactly | nothing asked for |"]


def test_a_pair_of_25_bits() -> None:
    """Both are proven without a look at every code, and digested over codes that are spread over all."""
    options: dict[str, Any] = {"gradient_format": "SQ2.14", "interface": "bare", "latency": 0}
    unit = hwact.build("smelu", width=25, with_gradient=True, **options)
    for output in unit.outputs.values():
        assert (output.accuracy.class_, output.accuracy.proof) == ("correct", "exact")
        assert output.golden_sha256 == golden_sha256(output)
    again = hwact.from_manifest(unit.manifest())
    assert again.gradient is not None
    codes = spread_codes(unit.input_format, 1000)
    beta = 1 << 21
    due = np.clip((codes + beta + (beta >> 14)) >> 8, 0, 1 << 14)  # (x + beta) / (2 beta), half up
    assert (again.gradient.evaluate(codes) == due).all()


@pytest.mark.slow
def test_the_bench_proves_a_pair_of_32_bits(tmp_path: Path) -> None:
    unit = hwact.build("smelu", width=32, with_gradient=True, gradient_format="SQ2.14", name="pair")
    assert unit.gradient is not None
    report = prove(unit.write(tmp_path), samples=2000, against="torch")
    assert report.passed, report.failures
    judged = [output.design.checked_codes for output in unit.outputs.values()]
    assert f"the {np.union1d(*judged).size} at which the unit is judged" in report.coverage


@pytest.fixture(scope="module")
def pair() -> hwact.Unit:
    return hwact.build("gelu", width=6, with_gradient=True, gradient_format="UQ1.6", name="pair", latency=2)


def test_a_manifest_gives_both_back(pair: hwact.Unit) -> None:
    manifest = pair.manifest()
    again = hwact.from_manifest(manifest)
    assert again.gradient is not None
    assert [all_codes(output) for output in again.outputs.values()] == [
        all_codes(o) for o in pair.outputs.values()
    ]
    assert (again.verilog, again.manifest()) == (pair.verilog, manifest)
    said = manifest["gradient_output"]
    assert said["accuracy"]["codes_checked"] == 64
    assert said["golden_sha256"] != manifest["golden_sha256"]
    damaged = manifest | {"gradient_output": said | {"golden_sha256": manifest["golden_sha256"]}}
    with pytest.raises(BundleError, match=f"golden_sha256 must be '{said['golden_sha256']}'"):
        hwact.from_manifest(damaged)
    del said["architecture"]
    with pytest.raises(BundleError, match="without the key 'architecture'"):
        hwact.from_manifest(manifest)


@pytest.mark.parametrize("interface", ["stream", "axis", "bare"])
def test_both_outputs_lie_on_the_ports(interface: str, pair: hwact.Unit) -> None:
    unit = hwact.from_manifest(pair.manifest() | {"interface": interface, "lanes": 2})
    widths = {port["name"]: port["width"] for port in unit.manifest()["ports"]}
    due = {
        "stream": {"i_data": 12, "o_data": 12, "o_gradient": 14},
        "axis": {"s_axis_tdata": 16, "m_axis_tdata": 32},
        "bare": {"x": 12, "y": 12, "gradient": 14},
    }[interface]
    assert {name: width for name, width in widths.items() if width > 1} == due


def test_the_component_puts_out_both() -> None:
    """All codes through an Amaranth stream of two lanes: each word's gradient comes with it."""
    unit = hwact.build("smelu", width=6, with_gradient=True, gradient_format="UQ1.9", lanes=2, latency=2)
    assert unit.gradient is not None
    dut, codes, came = unit.component(), unit.input_format.codes().reshape(-1, 2), []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.o.ready, 1)
        for cycle in range(len(codes) + unit.latency):
            word = codes[min(cycle, len(codes) - 1)]
            ctx.set(dut.i.payload, int(word[0]) & 63 | (int(word[1]) & 63) << 6)
            ctx.set(dut.i.valid, cycle < len(codes))
            if ctx.get(dut.o.valid):
                came.append((ctx.get(dut.o.payload), ctx.get(dut.o_gradient)))
            await ctx.tick()

    simulate(dut, bench)
    assert len(came) == 32
    for (value, slope), word in zip(came, codes, strict=True):
        due = unit.evaluate(word) & 63, unit.gradient.evaluate(word) & 1023
        assert ([value & 63, value >> 6], [slope & 1023, slope >> 10]) == tuple(d.tolist() for d in due)


def test_both_golden_models_in_c(pair: hwact.Unit, tmp_path: Path) -> None:
    folder = pair.write(tmp_path)
    assert set(pair.manifest()["files"]) == {path.name for path in folder.iterdir()}
    for name, output in zip(("pair", "pair_gradient"), pair.outputs.values(), strict=True):
        got = answers(folder, output.input_format, output.output_format, name=name)
        assert got.shape == (64, 4)
        assert (got == output.evaluate(output.input_format.codes())[:, None]).all()


PROVEN: dict[str, tuple[dict[str, Any], int]] = {
    "stream": ({"latency": 2}, 64),
    "bare": ({"interface": "bare", "lanes": 2, "latency": 1}, 64),
    "axis": ({"interface": "axis", "lanes": 3, "latency": 0}, 66),
}


@pytest.mark.parametrize(
    "interface", ["stream", *(pytest.param(i, marks=pytest.mark.slow) for i in ("bare", "axis"))]
)
def test_the_bench_proves_both(interface: str, tmp_path: Path) -> None:
    options, codes = PROVEN[interface]
    unit = hwact.build("gelu", width=6, with_gradient=True, gradient_format="UQ1.6", name="pair", **options)
    report = prove(unit.write(tmp_path), against="torch" if interface == "stream" else None)
    assert report.passed, report.failures
    checked = {phase.name: phase.codes_checked for phase in report.phases}
    assert checked["in_order"] == 2 * codes
    if interface == "stream":
        assert checked["gradient_against_torch"] == checked["against_torch"] == 64


def test_a_wrong_gradient_is_seen(tmp_path: Path) -> None:
    unit = hwact.build("gelu", width=6, with_gradient=True, architecture="table", name="pair", latency=1)
    folder = unit.write(tmp_path)
    verilog = (folder / "pair.v").read_text(encoding="utf-8")
    tables = verilog.count("endcase")
    assert tables == 2
    path = tmp_path / "broken.v"
    seen = []
    for row in (0, -2):
        path.write_text(flip_table_bit(verilog, row), encoding="utf-8")
        report = prove(folder, verilog=path)
        assert failing(report) >= {"in_order"}
        seen.append("expected gradient " in report.failures[0])
    assert sorted(seen) == [False, True]


def test_a_false_digest_of_the_gradient_is_seen(pair: hwact.Unit, tmp_path: Path) -> None:
    folder = pair.write(tmp_path)
    path = folder / "pair.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["gradient_output"]["golden_sha256"] = "0" * 64
    path.write_text(json.dumps(manifest), encoding="utf-8")
    report = prove(folder)
    assert failing(report) == {"manifest"}
    assert len(report.failures) == 2


def test_what_is_the_same_is_there_once() -> None:
    """exp is its own derivative: the pair is the unit."""
    options: dict[str, Any] = {"input_format": "SQ2.4", "output_format": "UQ3.4", "accuracy": "faithful"}
    alone, both = (hwact.build("exp", with_gradient=pair, **options) for pair in (False, True))
    assert len(both.schedule.datapath.nodes) == len(alone.schedule.datapath.nodes)


JOINT = {"folding", "saturate", "segment_bits", "guard_bits", "gradient_guard_bits", "bend_bits"}
JOINT |= {"curve_bits", "square_address", "square_bits", "other_format", "other_accuracy"}


@pytest.mark.parametrize(
    ("function", "folding", "options"),
    [
        ("gelu", "plain", {"width": 12}),
        (
            "gelu",
            "magnitude",
            {"width": 12, "target": "ice40", "rounding": "half_even", "accuracy": "max_ulp=2"},
        ),
        ("tanh", "magnitude", {"width": 11, "accuracy": "correct"}),
        ("sigmoid", "plain", {"input_format": "UQ4.7", "output_format": "SQ2.11", "rounding": "floor"}),
        ("softplus", "plain", {"width": 11, "accuracy": "max_ulp=0.9"}),  # saturates
    ],
)
def test_both_come_from_the_same_segments(function: str, folding: str, options: dict[str, Any]) -> None:
    """Built from one spec and the parameters alone each is the same again, and all codes are right."""
    unit = hwact.build(function, with_gradient=True, architecture="joint", **options)
    assert unit.gradient is not None
    for output in unit.outputs.values():
        assert (output.design.architecture, set(output.design.parameters)) == ("joint", JOINT)
        assert output.design.parameters["folding"] == folding
        low, high = output.spec.allowed
        codes = output.evaluate(unit.input_format.codes())
        assert codes.size == 1 << unit.input_format.width
        assert ((low <= codes) & (codes <= high)).all()
    own, its = (set(output.design.datapath.nodes) for output in unit.outputs.values())
    names = {node.name for node in own & its}
    assert names >= {"v", "segment", "c1", "bend"}
    assert {node.name for node in own - its} >= {"c0", "digit"}
    again = hwact.from_manifest(unit.manifest())
    assert again.manifest() == unit.manifest()


NOT_JOINT: dict[str, dict[str, Any]] = {
    "too few bits": {"width": 10},
    "affine": {"input_format": "SQ4.8", "output_format": "int8:0.05:-3"},
    "constraints": {"width": 12, "constraints": ["monotonic"]},
    "a mean squared error": {"width": 12, "accuracy": "mse=1e-6"},
    "no guard bits suffice": {"width": 12, "accuracy": "correct"},
    "alone": {"width": 12, "with_gradient": False},
}


@pytest.mark.parametrize("case", NOT_JOINT)
def test_what_has_no_joint_segments_is_refused(case: str) -> None:
    options: dict[str, Any] = {"with_gradient": True, "architecture": "joint"} | NOT_JOINT[case]
    with pytest.raises(UnreachableError, match="must be one that joint architectures reach"):
        hwact.build("tanh", **options)


def test_joint_segments_make_the_pair_smaller() -> None:
    """By the estimate: 16 bits on iCE40 against the other architectures' pair."""
    areas = []
    for architecture in ("joint", "rows"):
        unit = hwact.build("swish", width=16, with_gradient=True, architecture=architecture, target="ice40")
        areas.append(area(unit.schedule.datapath, unit.spec.target))
    assert areas[0] < 0.9 * areas[1]


CHEAPER = [
    ("gelu", 8, "xc7"),
    ("gelu", 8, "ice40"),
    ("swish", 8, "ecp5"),
    ("gelu", 16, "ecp5"),
    ("tanh", 16, "ecp5"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("function", "width", "target"), CHEAPER)
def test_a_pair_costs_less_than_two_units(function: str, width: int, target: str) -> None:
    def luts(**options: Any) -> int:
        unit = hwact.build(function, width=width, target=target, interface="bare", latency=0, **options)
        return synth.measure(unit, target, Options(place=False)).luts

    areas = {"pair": luts(with_gradient=True), "slope": luts(gradient=True), "unit": luts()}
    assert 0 < areas["pair"] < areas["unit"] + areas["slope"], areas
