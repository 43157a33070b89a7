# SPDX-License-Identifier: Apache-2.0
"""Wide inputs: designs that are not fitted code by code, and proofs that stand for all codes.

What holds at any width is tried at widths where every code can be looked at.
"""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hwact
from hwact import proof
from hwact.accuracy import hostile_codes, proven_report, spread_codes
from hwact.architectures import horner, quadratic
from hwact.architectures.problem import UnitSpec
from hwact.datapath import Datapath
from hwact.datapath.enclose import Enclosure, Reading, SplitError
from hwact.datapath.evaluate import evaluate
from hwact.datapath.graph import Input, Node, as_node
from hwact.design import choose
from hwact.errors import ArgumentError, CheckError, UnreachableError
from hwact.formats import Format, Rounding
from hwact.unit import specification
from hwact.verify.run import verify

GUARD = 2.0**-24  # the resolution of exhaustive bounds
PAIRS = [(name, gradient) for name in hwact.functions.names() for gradient in (False, True)]
CURVED = [
    (name, gradient)
    for name, gradient in PAIRS
    if not specification(name, width=8, gradient=gradient).quadratic
]
QUADRATIC = [pair for pair in PAIRS if pair not in CURVED]


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Narrow inputs take the ways of wide ones."""
    monkeypatch.setattr(horner, "MIN_INPUT_WIDTH", 7)
    monkeypatch.setattr(quadratic, "MAX_FITTED_WIDTH", 6)


def spec_of(name: str, width: int, **arguments: Any) -> UnitSpec:
    return specification(name, width=width, **{"accuracy": "faithful", **arguments})


def test_both_kinds_of_function_are_here() -> None:
    assert (len(CURVED), len(QUADRATIC)) == (30, 18)


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(("name", "gradient"), CURVED)
def test_bounds_hold_and_are_tight(name: str, gradient: bool) -> None:
    """Against all codes: what is proven is never below the largest error, nor far above."""
    design = choose(spec_of(name, 9, gradient=gradient), "horner")
    report = design.accuracy
    assert (report.codes_checked, report.proof) == (512, "exhaustive")
    assert report.max_error_ulp < 1
    assert report.max_error_ulp - GUARD <= design.proof.max_error_ulp < report.max_error_ulp + 0.3
    assert design.proof.starts[0] == -256


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(("name", "gradient"), QUADRATIC)
@pytest.mark.parametrize("accuracy", ["faithful", "correct", "max_ulp=1.5"])
def test_quadratics_need_no_list_of_codes(name: str, gradient: bool, accuracy: str) -> None:
    design = choose(spec_of(name, 9, gradient=gradient, accuracy=accuracy), "quadratic")
    bound = {"faithful": 1, "correct": 0.5, "max_ulp=1.5": 1.5}[accuracy]
    assert design.accuracy.codes_checked == 512
    assert design.accuracy.max_error_ulp <= bound
    assert design.accuracy.max_error_ulp - GUARD <= design.proof.max_error_ulp <= bound


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize(
    ("formats", "beta"), [(("SQ3.6", "SQ3.6"), "1"), (("SQ2.7", "SQ3.5"), "0.3"), (("UQ3.6", "UQ3.4"), "2")]
)
def test_rounding_is_decided_exactly(
    formats: tuple[str, str], beta: str, rounding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof of correct rounding, with the very graph of a wide input, in every mode."""
    monkeypatch.setattr(quadratic, "MAX_LISTED_WIDTH", 6)
    spec = specification(
        "smelu", input_format=formats[0], output_format=formats[1], rounding=rounding, beta=beta
    )
    try:
        design = choose(spec, "quadratic")
    except UnreachableError:
        assert beta == "0.3"
        assert rounding not in ("half_up", "floor")
        return
    assert np.array_equal(design.codes, spec.exact.rounded(spec.rounding))
    assert design.proof.correct
    assert design.proof.max_error_ulp >= design.accuracy.max_error_ulp - GUARD


@pytest.mark.parametrize("change", [1, -1])
def test_a_wrong_constant_is_seen(change: int) -> None:
    """The proof of correct rounding turns red where any code changes."""
    spec = specification("smelu", width=9)
    x, design = spec.input(), choose(spec, "quadratic")
    assert proof.prove(spec, design.datapath).correct
    wrong = x.equal_to(-37).select(change, 0) + reread(design.datapath.y, design.datapath.x, x)
    assert not proof.prove(spec, spec.fitted(x, wrong)).correct


def reread(node: Node, old: Input, new: Input) -> Node:
    """The same graph with another input node."""
    if node is old:
        return new
    fields = {f.name: getattr(node, f.name) for f in dataclasses.fields(node)}
    operands: dict[str, Any] = {
        key: reread(value, old, new) for key, value in fields.items() if isinstance(value, Node)
    }
    return dataclasses.replace(node, **operands)


@pytest.mark.usefixtures("narrow")
def test_an_error_at_one_code_is_seen() -> None:
    """The bound rises to what one wrong table entry, and one wrong code, do."""
    spec = spec_of("gelu", 10)
    design = choose(spec, "horner")
    x = spec.input()
    for off in (2, -3):
        y = reread(design.datapath.y, design.datapath.x, x) + x.equal_to(101).select(off, 0)
        worse = spec.fitted(x, y)
        true = spec.exact.error_bounds(evaluate(worse, spec.input_format.codes())).max()
        assert true > 1
        assert proof.prove(spec, worse).max_error_ulp >= true - GUARD


def test_every_operation_is_enclosed() -> None:
    """All operations of a graph, over blocks of all sizes and single codes, against their values."""
    x = Input.of(Format.parse("SQ4.3"))
    v = x.bits(0, 4).named("v")
    top = (x >> 3).named("top")
    y = (x.less_than(-3).select(~x, x * 3) + x.square().round_shift(4, Rounding.HALF_UP)).named("first")
    y = y - x.at_least(5).select(v << 1, 7) + x.equal_to(9).select(4, 0) + top.concat(x.bits(0, 3), 3)
    y = y + (x.square() - 9).round_shift(2, Rounding.TOWARD_ZERO) + x.saturate(-20, 31) + (x * v >> 2)
    y = (
        y
        + v.negated_where(x.less_than(2))
        + top.bits(0, 2, signed=True)
        + x.bits(4, 2).lookup((3, 1, 4, 1))
        + as_node(2)
    )
    datapath = Datapath(x, y.known(-5000, 5000))
    codes = np.arange(-64, 64)
    values = evaluate(datapath, codes)
    blocks = 0
    for size in (1, 2, 3, 5, 8):
        for first in range(-64, 65 - size):
            found = enclosed(datapath, first, size)
            if isinstance(found, int):
                assert 0 < found < size
                continue
            blocks += 1
            taus = [2 * t - (size - 1) for t in range(size)]
            for tau, value in zip(taus, values[first + 64 :][:size].tolist(), strict=True):
                rest = (value << found.scale) - sum(c * tau**i for i, c in enumerate(found.coefficients))
                assert found.low <= rest <= found.high, (first, size, tau)
            if size == 1:
                assert found.range() == (values[first + 64],) * 2
    assert blocks == 386


def enclosed(datapath: Datapath, first: int, size: int) -> Enclosure | int:
    """The enclosure, or where the block must be split."""
    try:
        return Reading(datapath).over(first, size)
    except SplitError as split:
        return int(split.args[0])


def test_only_the_last_saturation_is_left_out() -> None:
    x = Input.of(Format.parse("SQ4.3"))
    datapath = Datapath(x, (x * 4).saturate(-100, 90))
    assert Reading(datapath).over(40, 8).range() == (90, 90)
    assert Reading(datapath, (-100, 91)).over(40, 8).range() == (90, 90)
    assert Reading(datapath, (-100, 90)).over(40, 8).range() == (160, 188)


def test_a_false_range_is_seen() -> None:
    x = Input.of(Format.parse("SQ4.3"))
    datapath = Datapath(x, (x * x).known(0, 4000))
    Reading(datapath).over(-63, 1)
    with pytest.raises(CheckError, match=r"must stay in 0\.\.4000, not 4096\.\.4096"):
        Reading(datapath).over(-64, 1)


@pytest.mark.parametrize("name", ["gelu", "smelu", "selu", "softsign"])
def test_values_at_some_codes_are_those_of_all(name: str) -> None:
    spec = spec_of(name, 10, gradient=name == "selu")
    codes = np.unique(np.concatenate((np.arange(-512, -500), [-100, -3, -1, 0, 1, 77], np.arange(490, 512))))
    some = spec.exact_at(codes)
    assert np.array_equal(some.floor, spec.exact.floor[codes + 512])
    assert np.array_equal(some.inexact, spec.exact.inexact[codes + 512])


def test_hostile_and_spread_codes() -> None:
    given = Format.parse("SQ4.28")
    hostile = hostile_codes(given, np.array([-(1 << 31), 5 << 20, 123_456_789]))
    assert {given.min_code, given.max_code, 0, -1, 1, 123_456_788, 1 << 30, -(1 << 30)} <= set(
        hostile.tolist()
    )
    assert (np.diff(hostile) > 0).all()
    assert hostile[0] == given.min_code
    spread = spread_codes(given, 1 << 16)
    assert np.unique(spread).size == 1 << 16
    assert spread[1] == 0x9E3779B1 - (1 << 32)
    assert np.diff(np.sort(spread)).max() < 1 << 18  # no gap of more than a few times the mean
    assert np.unique(spread & 0xFFFF).size == 1 << 16


def test_a_contradicted_proof_is_seen() -> None:
    spec = spec_of("gelu", 10)
    inputs = np.array([-5, 0, 7])
    codes = spec.exact_at(inputs).rounded(spec.rounding)
    claimed = proof.Proof(0.5, False, inputs)
    assert proven_report(spec, claimed, inputs, codes).class_ == "faithful"
    with pytest.raises(CheckError, match=r"at most 0\.5 ulp as proven, not 1"):
        proven_report(spec, claimed, inputs, codes + np.array([0, 1, 0]))


SMELU: dict[str, Any] = {"function": "smelu", "width": 32, "interface": "bare"}


def test_a_unit_of_32_bits(tmp_path: Path) -> None:
    """Everything a unit offers, without a list of its 2**32 codes."""
    unit = hwact.build(**SMELU)
    accuracy = unit.accuracy
    assert (accuracy.class_, accuracy.proof, accuracy.max_error_ulp) == ("correct", "exact", 0.5)
    assert accuracy.correctly_rounded_fraction == 1
    assert accuracy.monotonic is None
    assert 4000 < accuracy.codes_checked < 1 << 16
    codes = spread_codes(unit.input_format, 2000)
    x, b = codes.astype(object), 1 << 28
    due = np.where(x <= -b, 0, np.where(x >= b, x, ((x + b) ** 2 + 2 * b) // (4 * b)))
    assert np.array_equal(unit.evaluate(codes), due.astype(np.int64))
    with pytest.raises(ArgumentError, match="at most 24 bits where all codes are listed, not 32"):
        _ = unit.design.codes
    folder = unit.write(tmp_path)
    manifest = json.loads((folder / f"{unit.name}.json").read_text())
    assert hwact.from_manifest(manifest).golden_sha256 == manifest["golden_sha256"] == unit.golden_sha256
    assert "proven over all 4294967296 input codes" in (folder / "README.md").read_text()
    assert "1 << 16;" in (folder / f"{unit.name}_tb.sv").read_text()


def test_c_of_32_bits(tmp_path: Path) -> None:
    unit = hwact.build(**SMELU)
    folder = unit.write(tmp_path)
    codes = np.union1d(spread_codes(unit.input_format, 1000), unit.design.checked_codes)
    main = f"""#include <stdio.h>
#include "{unit.name}_golden.h"
int main(void) {{ int c; while (scanf("%d", &c) == 1) printf("%d\\n", {unit.name}_golden(c)); return 0; }}
"""
    (folder / "main.c").write_text(main)
    command = [
        "gcc",
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-O1",
        "-o",
        "main",
        "main.c",
        f"{unit.name}_golden.c",
    ]
    subprocess.run(command, cwd=folder, check=True)
    text = "\n".join(map(str, codes.tolist()))
    output = subprocess.run([folder / "main"], input=text, capture_output=True, text=True, check=True).stdout
    assert np.array_equal(np.array(output.split(), dtype=np.int64), unit.evaluate(codes))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"function": "gelu", "width": 33}, "at most 32 bits, not 33"),
        ({"function": "gelu", "input_format": "UQ4.28"}, "at most 31 bits, not 32"),
        ({"function": "gelu", "width": 25, "overflow": "wrap"}, "overflow must be saturate"),
        ({"function": "tanh", "width": 26, "accuracy": "correct"}, "or an input of fewer bits"),
        ({"expression": "relu(x - 1/3)*tanh(x)", "name": "kinked", "width": 26}, "or an input of fewer bits"),
    ],
)
def test_refusals(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        hwact.build(**arguments)


@pytest.mark.slow
def test_the_page_is_true() -> None:
    """The table of docs/wide.md."""
    page = (Path(__file__).parents[1] / "docs" / "wide.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `(\w+)` \| (\d+) \| `(\w+)` \| (.*)\| ([\d.]+) \| `(\w+)` \| (\d+) \|$", page, re.M
    )
    assert len(rows) == 6
    for name, width, architecture, shape, error, kind, codes in rows:
        unit = hwact.build(name, width=int(width))
        assert (unit.design.architecture, unit.accuracy.proof) == (architecture, kind)
        assert (f"{unit.accuracy.max_error_ulp:.4f}", str(unit.accuracy.codes_checked)) == (error, codes)
        if shape:
            parameters = unit.design.parameters
            folded = parameters["folding"] == "magnitude"
            segments = 1 << (int(width) - folded - int(parameters["segment_bits"]))
            assert shape == f"degree {parameters['degree']}, {segments} segments "


@pytest.mark.slow
@pytest.mark.parametrize("width", [18, 20, 22, 24])
@pytest.mark.parametrize(
    ("name", "gradient"), [("gelu", False), ("tanh", True), ("exp", False), ("selu", True), ("smelu", False)]
)
def test_wide_units_are_judged_on_all_codes(name: str, gradient: bool, width: int) -> None:
    unit = hwact.build(name, width=width, gradient=gradient, accuracy="faithful", interface="bare")
    assert unit.accuracy.codes_checked == 1 << width
    assert unit.accuracy.proof == "exhaustive"
    assert unit.accuracy.class_ in ("faithful", "correct")
    assert unit.accuracy.max_error_ulp <= 1  # upper bounds by steps of GUARD


def test_a_constant_is_decided_without_a_look_at_every_code() -> None:
    unit = hwact.build("leaky_relu", width=32, gradient=True, interface="bare")
    assert (unit.accuracy.class_, unit.accuracy.proof) == ("correct", "exact")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "gradient"), PAIRS)
def test_the_catalogue_at_32_bits(name: str, gradient: bool) -> None:
    """Proven, and the codes that were compared with the exact function do not contradict it."""
    unit = hwact.build(name, width=32, gradient=gradient, accuracy="faithful", interface="bare")
    assert unit.accuracy.max_error_ulp < 1
    assert unit.accuracy.proof in ("interval", "exact")
    assert unit.accuracy.codes_checked > 4096


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        {"function": "smelu", "width": 32, "interface": "bare"},
        {"function": "gelu", "width": 32, "latency": 4},
        {"function": "tanh", "input_format": "SQ4.24", "output_format": "SQ1.27", "interface": "axis"},
    ],
)
def test_verilog_of_wide_units(arguments: dict[str, Any], tmp_path: Path) -> None:
    unit = hwact.build(**arguments)
    report = verify(unit.write(tmp_path), samples=4096)
    assert report.passed, report
    sent = next(phase.codes_checked for phase in report.phases if phase.name == "in_order")
    assert sent >= unit.accuracy.codes_checked
    assert f"NOT all codes: {sent} of 2**{unit.input_format.width}" in report.coverage
