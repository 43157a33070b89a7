# SPDX-License-Identifier: Apache-2.0
"""Multipliers in DSP blocks: one block for a product, few look-up tables, the same codes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import hwact
from hwact import effort
from hwact.compare import Question
from hwact.datapath import graph as g
from hwact.datapath.cost import FIRST_BLOCK, area, target
from hwact.datapath.schedule import longest_operation
from hwact.entries import Job
from hwact.errors import ArgumentError
from hwact.formats import Format
from hwact.synth import Options, measure
from hwact.synth.cache import Cache
from hwact.verify.claims import false_claims, read_bundle, rebuild
from tests.commands import Run
from tests.test_verify_claims import claim
from tests.verifying import edit, prove

BARE: dict[str, Any] = {"interface": "bare", "latency": 0, "multipliers": "dsp"}
WITH_DSP = Options(dsp=True, place=False)


def product(a: str, b: str) -> g.Datapath:
    """Of two numbers of some formats, the lower bits of the input."""
    first, second = Format.parse(a), Format.parse(b)
    x = g.Input.of(Format(False, first.width + second.width, 0))
    left = x.bits(0, first.width, signed=first.signed)
    right = x.bits(first.width, second.width, signed=second.signed)
    return g.Datapath(x, left * right)


@pytest.mark.parametrize(
    ("name", "a", "b", "blocks"),
    [
        ("xc7", "SQ25.0", "SQ18.0", 1),
        ("xc7", "UQ24.0", "UQ17.0", 1),
        ("xc7", "UQ18.0", "SQ18.0", 1),
        ("xc7", "SQ26.0", "SQ18.0", 2),
        ("xc7", "SQ19.0", "SQ19.0", 2),
        ("xc7", "UQ18.0", "UQ18.0", 2),
        ("xc7", "SQ4.0", "SQ4.0", 0),
        ("ecp5", "UQ18.0", "UQ18.0", 1),
        ("ecp5", "SQ19.0", "SQ18.0", 2),
        ("ecp5", "SQ2.0", "SQ2.0", 1),
        ("ice40", "SQ16.0", "SQ16.0", 1),
        ("ice40", "UQ17.0", "UQ17.0", 4),
        ("ice40", "SQ5.0", "SQ5.0", 0),
    ],
)
def test_products_are_counted_in_blocks(name: str, a: str, b: str, blocks: int) -> None:
    node = product(a, b).y
    assert isinstance(node, g.Multiply)
    assert target(name, "dsp").blocks(node) == blocks
    assert target(name).blocks(node) == 0


def test_a_product_in_a_block_costs_and_takes_what_the_block_does() -> None:
    datapath, in_blocks = product("SQ16.0", "SQ16.0"), target("ecp5", "dsp")
    block = in_blocks.block
    assert block is not None
    assert area(datapath, in_blocks) == FIRST_BLOCK < area(datapath, target("ecp5"))
    wide = product("SQ24.0", "SQ16.0")
    assert in_blocks.blocks(wide.y) == 2
    assert area(wide, in_blocks) == FIRST_BLOCK + block.area < area(wide, target("ecp5"))
    assert longest_operation(datapath, in_blocks) == block.delay < longest_operation(datapath, target("ecp5"))


@pytest.mark.parametrize(
    ("architecture", "name", "latency"),
    [
        ("linear", "xc7", 0),
        ("linear", "ecp5", 3),
        ("linear", "ice40", 3),
        pytest.param("linear", "xc7", 3, marks=pytest.mark.slow),
        pytest.param("linear", "ecp5", 0, marks=pytest.mark.slow),
        pytest.param("piecewise", "xc7", 3, marks=pytest.mark.slow),
        pytest.param("piecewise", "ecp5", 0, marks=pytest.mark.slow),
    ],
)
def test_synthesis_takes_one_block_for_a_product(
    architecture: str, name: str, latency: int, tmp_path: Path
) -> None:
    options = {**BARE, "target": name, "latency": latency, "architecture": architecture}
    unit = hwact.build("gelu", width=12, **options)
    products = [n for n in unit.schedule.datapath.nodes if isinstance(n, g.Multiply | g.Square)]
    counted = sum(unit.spec.target.blocks(node) for node in products)
    assert counted == len(products) > 0
    assert measure(unit, name, WITH_DSP, Cache(tmp_path)).dsps == counted


@pytest.mark.parametrize(
    ("name", "luts"),
    [
        ("ecp5", 140),
        pytest.param("xc7", 60, marks=pytest.mark.slow),
    ],
)
def test_gelu_takes_one_block_and_few_look_up_tables(name: str, luts: int, tmp_path: Path) -> None:
    record = measure(hwact.build("gelu", width=16, target=name, **BARE), name, WITH_DSP, Cache(tmp_path))
    assert record.dsps == 1
    assert record.luts <= luts


@pytest.mark.parametrize(
    ("function", "formats", "folding"),
    [
        ("gelu", ("SQ4.8", "SQ4.8"), "complement"),
        ("tanh", ("SQ4.8", "SQ1.11"), "complement"),
        ("sigmoid", ("SQ4.8", "UQ0.12"), "complement"),
        ("elu", ("SQ4.8", "SQ4.8"), "plain"),
        ("sigmoid", ("UQ4.6", "UQ0.10"), "plain"),
    ],
)
def test_lines_are_faithful_on_every_code(function: str, formats: tuple[str, str], folding: str) -> None:
    options = {**BARE, "architecture": "linear", "accuracy": "faithful"}
    unit = hwact.build(function, input_format=formats[0], output_format=formats[1], **options)
    low, high = hwact.reference.allowed(function, *formats)
    codes = unit.evaluate(unit.input_format.codes())
    assert codes.size == 1 << unit.input_format.width
    assert ((low <= codes) & (codes <= high)).all()
    assert unit.design.parameters["folding"] == folding


@pytest.mark.parametrize(
    ("width", "name", "codes"),
    [
        (8, "ecp5", 256),
        pytest.param(16, "xc7", 65_536, marks=pytest.mark.slow),
    ],
)
def test_the_verilog_equals_the_golden_model(width: int, name: str, codes: int, tmp_path: Path) -> None:
    options = {"architecture": "linear", "multipliers": "dsp", "target": name, "interface": "stream"}
    report = prove(hwact.build("gelu", width=width, **options).write(tmp_path))
    assert not report.failures
    assert report.codes_checked >= codes


def test_the_manifest_keeps_the_choice(tmp_path: Path) -> None:
    unit = hwact.build("gelu", width=8, architecture="linear", **BARE)
    manifest = json.loads(json.dumps(unit.manifest()))
    assert manifest["multipliers"] == "dsp"
    assert hwact.from_manifest(manifest).spec == unit.spec
    assert hwact.build("gelu", width=8).manifest()["multipliers"] == "luts"
    for made in ("luts", "dsp"):
        bundle = hwact.build("smelu", width=5, multipliers=made).write(tmp_path / made)
        read = read_bundle(bundle)
        assert not list(false_claims(read.manifest, rebuild(read)))
        other = {"luts": "dsp", "dsp": "luts"}[made]
        edit(bundle, claim("multipliers", other))
        read = read_bundle(bundle)
        assert "verilog_sha256" in "\n".join(false_claims(read.manifest, rebuild(read)))


def test_what_is_measured_may_use_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    unit = {"function": "gelu", "width": 8}
    for made, allowed in (("luts", False), ("dsp", True)):
        assert Job(unit={**unit, "multipliers": made}, target="xc7", options=Options()).options.dsp is allowed
        question = Question(functions=("gelu",), widths=(8,), targets=("xc7",), multipliers=made)
        assert [job.options.dsp for job in question.jobs()] == [allowed]
    assert Job(unit=unit, target="xc7", options=Options(dsp=True)).options.dsp
    seen: list[tuple[int, bool]] = []

    def measured(unit: hwact.Unit, options: Options, **_: object) -> SimpleNamespace:
        dsps = sum(isinstance(node, g.Multiply) for node in unit.design.datapath.nodes)
        seen.append((dsps, options.dsp))
        return SimpleNamespace(area=0, dsps=dsps)

    monkeypatch.setattr(effort, "measure", measured)
    chosen = hwact.build("gelu", width=8, effort="high", **BARE)
    assert {dsps > 0 for dsps, _ in seen} == {True, False}
    assert {allowed for _, allowed in seen} == {True}
    assert not any(isinstance(node, g.Multiply) for node in chosen.design.datapath.nodes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--target", "asic", "--multipliers", "dsp"),
            "as xc7, ecp5, ice40, not be 'asic'; leave multipliers",
        ),
        (("--multipliers", "many"), "multipliers must be one of luts, dsp, not 'many'"),
    ],
)
def test_what_has_no_blocks_is_refused(options: tuple[str, ...], message: str, run: Run) -> None:
    done = run("generate", "gelu", "--width", "8", *options)
    assert done.code == 2
    assert message in done.err


def test_targets_without_blocks_are_not_compared() -> None:
    with pytest.raises(ArgumentError, match="leave multipliers out"):
        Question(functions=("gelu",), targets=("asic",), multipliers="dsp")
