# SPDX-License-Identifier: Apache-2.0
"""The clock by nextpnr behind registers, and the synthesised netlist against the golden model."""

from __future__ import annotations

import importlib.metadata
import json
import re
from pathlib import Path
from statistics import median

import pyosys
import pytest

import hwact
from hwact.errors import ArgumentError, ToolError
from hwact.synth import TARGETS, Options, Source, area, measure, place
from hwact.synth.cache import Cache
from hwact.synth.harness import convert, registers, top
from hwact.synth.record import Record
from hwact.unit import Unit
from tests.synthesis import BLOCKS, no_process, source
from tests.verifying import failing, prove

pytestmark = pytest.mark.slow

AREA_ONLY = Options(place=False)
PLACED = ("ecp5", "ice40")
KINDS = {
    "stream": {"latency": 2},
    "bare": {"interface": "bare", "latency": 1},
    "combinational": {"interface": "bare", "latency": 0},
    "lanes": {"interface": "bare", "latency": 0, "lanes": 2},
}


def unit_of(kind: str, **options: object) -> Unit:
    """A GELU of six bits: no output bit is constant or equal to another."""
    return hwact.build("gelu", input_format="SQ3.3", **KINDS[kind], **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def kept(cache: Path) -> Cache:
    """A cache that this module's tests share."""
    return Cache(cache / "places")


def cells(netlist: Path, module: str) -> list[str]:
    """Types of all cells of the netlist that is placed."""
    found = json.loads(netlist.read_text())["modules"][module]["cells"]
    return [cell["type"] for cell in found.values()]


@pytest.mark.parametrize(("kind", "target"), [*((kind, "ice40") for kind in KINDS), ("stream", "ecp5")])
def test_harness_keeps_every_register_and_port(kind: str, target: str, kept: Cache) -> None:
    unit = Source.of(unit_of(kind))
    bits = {"input": 0, "output": 0}
    for port in unit.ports:
        assert f"connect \\{port.name} " in convert(unit)
        bits[port.direction] += port.width * (port.name != "clk")
    assert registers(unit) == bits["input"] + 2 * bits["output"] > 17
    record = measure(unit, target, AREA_ONLY, kept)
    with place.netlist(unit, TARGETS[target], dsp=False, ram=False) as work:
        placed = cells(work / "netlist.json", top(unit))
    pattern = TARGETS[target].cells["flip_flops"]
    assert sum(map(bool, map(pattern.fullmatch, placed))) == record.flip_flops + registers(unit)


def measured(latency: int, kept: Cache) -> Record:
    unit = hwact.build("gelu", width=12, target="ecp5", latency=latency)
    return measure(Source.of(unit), "ecp5", Options(seeds=(1,)), kept)


def test_deeper_pipelines_are_faster(kept: Cache) -> None:
    shallow, deep = measured(1, kept), measured(3, kept)
    assert shallow.f_max
    assert deep.f_max
    assert deep.latency_ns
    assert deep.f_max > 1.3 * shallow.f_max
    assert shallow.flip_flops < deep.flip_flops
    assert deep.latency_ns == pytest.approx(3000 / deep.f_max)


@pytest.mark.parametrize("target", PLACED)
def test_clock_is_the_median_of_three_seeds_every_time(target: str, kept: Cache, tmp_path: Path) -> None:
    unit = Source.of(unit_of("bare"))
    record = measure(unit, target, Options(), kept)
    clocks = record.f_max_by_seed
    assert list(clocks) == [1, 2, 3]
    assert target == "ice40" or len(set(clocks.values())) == 3, "every seed must be tried"
    assert 50 < min(clocks.values()) <= max(clocks.values()) < 900
    assert record.f_max == median(clocks.values()) == sorted(clocks.values())[1]
    assert list(record.tools) == ["yosys", f"nextpnr-{target}"]
    again = measure(unit, target, Options(seeds=(2,)), Cache(tmp_path))
    assert again.f_max_by_seed == {2: clocks[2]}


def test_a_further_seed_is_all_that_is_placed(kept: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    unit, placed = Source.of(unit_of("bare")), list[object]()
    measure(unit, "ice40", Options(), kept)

    def f_max(*facts: object) -> float:
        placed.append(facts[-1])
        return 123.0

    monkeypatch.setattr(place, "f_max", f_max)
    assert measure(unit, "ice40", Options(seeds=(1, 2, 3, 4)), kept).f_max_by_seed[4] == 123.0
    assert placed == [4]
    monkeypatch.setattr(area, "run_group", no_process)
    monkeypatch.setattr(place, "run_group", no_process)
    assert len(measure(unit, "ice40", Options(seeds=(1, 4)), kept).f_max_by_seed) == 2


def test_a_unit_called_harness_is_placed_too() -> None:
    unit = Source.of(unit_of("combinational", name="harness"))
    with place.netlist(unit, TARGETS["ice40"], dsp=False, ram=False) as work:
        assert "SB_LUT4" in cells(work / "netlist.json", "harness_harness")


def test_blocks_choose_a_device_that_has_them(kept: Cache) -> None:
    ports = {"clk": 1, "a": 9, "b": 9, "x": 10, "y": -18, "word": -16}
    record = measure(source(BLOCKS, ports=ports), "ice40", Options(dsp=True, ram=True, seeds=(1,)), kept)
    assert (record.dsps, record.block_rams) == (1, 4)
    assert record.f_max
    none = {"area": 10, "dsps": 0, "block_rams": 0}
    chosen = [place.device(TARGETS["ice40"], none | {"dsps": dsps}).arguments[0] for dsps in (0, 8)]
    assert chosen == ["--hx8k", "--up5k"]
    sizes = [
        place.device(TARGETS["ecp5"], none | {"area": luts}).arguments[0] for luts in (9_000, 30_000, 58_000)
    ]
    assert sizes == ["--25k", "--45k", "--85k"]


@pytest.mark.parametrize("target", PLACED)
def test_a_unit_too_large_is_refused(target: str, kept: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = source("module large(input x, output y); assign y = x; endmodule", ports={"x": 1, "y": -1})
    figures = {"area": 60_000.0, "area_unit": "LUT4", "dsps": 0, "block_rams": 0}
    monkeypatch.setattr(area, "synthesise", lambda *_, **__: figures)
    monkeypatch.setattr(place, "run_group", no_process)
    message = (
        "a unit must fit a device of .*, with at most .*, not take 60000 look-up .*; choose another target"
    )
    with pytest.raises(ArgumentError, match=message):
        measure(unit, target, Options(), Cache(kept.folder / target))


@pytest.mark.parametrize("target", PLACED)
def test_a_missing_nextpnr_is_named(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def version(package: str) -> str:
        if package.startswith("yowasp"):
            raise importlib.metadata.PackageNotFoundError(package)
        return real(package)

    monkeypatch.setattr(importlib.metadata, "version", version)
    unit, kept = Source.of(unit_of("combinational")), Cache(tmp_path)
    with pytest.raises(
        ToolError, match=rf"not missing; run python -m pip install yowasp-nextpnr-{target}"
    ) as e:
        measure(unit, target, Options(), kept)
    assert e.value.exit_code == 3
    assert measure(unit, target, AREA_ONLY, kept).luts > 0


def test_a_failing_nextpnr_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "netlist.json").write_text("{}")
    target = TARGETS["ice40"]
    with pytest.raises(
        ToolError, match=r"nextpnr-ice40 must place the unit, not end with status .*:\n.*ERROR"
    ):
        place.f_max(tmp_path, target, target.devices[0], 1)
    assert not list(tmp_path.glob("yowasp*"))


MODELS = {
    "xc7": ("xilinx/cells_sim.v",),
    "ecp5": ("lattice/common_sim.vh", "lattice/ccu2c_sim.vh"),
    "ice40": ("ice40/cells_sim.v",),
}
# What their models use; Icarus knows no default values of ports.
ICE40_MACROS = """`define SB_DFF_INIT initial Q = 0;
`define ICE40_DEFAULT_ASSIGNMENT_V(v)
`define ICE40_DEFAULT_ASSIGNMENT_0
`define ICE40_DEFAULT_ASSIGNMENT_1
"""
INIT = re.compile(r"\.(?:LUT_)?INIT(?:VAL)?\(\d+'h(?P<word>[0-9a-f]+)\)")
MODULE = re.compile(r"^module (\w+)\b.*?^endmodule", re.MULTILINE | re.DOTALL)


def with_models(netlist: str, target: str) -> str:
    """A netlist and Yosys' simulation models of its cells."""
    share = Path(pyosys.__file__).parent / "share"
    text = "\n".join((share / name).read_text() for name in MODELS[target])
    known = {found[1]: found[0] for found in MODULE.finditer(text)}
    taken = netlist
    while used := [name for name in known if re.search(rf"\b{name}\b", taken)]:
        taken += "".join(f"\n{known.pop(name)}\n" for name in used)
    return ICE40_MACROS + taken


def flipped(netlist: str) -> str:
    """The same netlist with the lowest bit of its first look-up table flipped."""
    found = INIT.search(netlist)
    assert found
    word = f"{int(found['word'], 16) ^ 1:0{len(found['word'])}x}"
    return netlist[: found.start("word")] + word + netlist[found.end("word") :]


@pytest.mark.parametrize("target", MODELS)
def test_netlist_of_kept_sums_is_the_golden_model(target: str, tmp_path: Path) -> None:
    # Yosys has been seen to build wrong netlists around other signals that carry `keep`.
    unit = hwact.build(
        "tanh",
        width=10,
        output_format="SQ1.9",
        accuracy="faithful",
        target=target,
        interface="bare",
        latency=0,
    )
    assert unit.design.architecture == "rows"
    assert "(* keep *)" in unit.verilog
    netlist = tmp_path / "netlist.v"
    netlist.write_text(with_models(area.netlist(Source.of(unit), TARGETS[target]), target))
    report = prove(unit.write(tmp_path), verilog=netlist)
    assert report.passed, report.failures
    assert {p.codes_checked for p in report.phases if p.name == "in_order"} == {1024}


@pytest.mark.parametrize("target", MODELS)
def test_netlist_is_the_golden_model_on_all_codes(target: str, tmp_path: Path) -> None:
    unit = unit_of("bare")
    bundle = unit.write(tmp_path)
    netlist = area.netlist(Source.of(unit), TARGETS[target])
    assert "LUT" in netlist
    for name, text in (("whole", netlist), ("flipped", flipped(netlist))):
        (tmp_path / f"{name}.v").write_text(with_models(text, target))
    report = prove(bundle, verilog=tmp_path / "whole.v")
    assert report.passed, report.failures
    assert min(p.codes_checked for p in report.phases if p.name not in ("manifest", "build", "reset")) == 64
    assert failing(prove(bundle, verilog=tmp_path / "flipped.v")) & {"in_order", "shuffled_random_ce"}
