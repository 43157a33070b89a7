# SPDX-License-Identifier: Apache-2.0
"""What may be synthesised: names, ports and clocks that are not as stated are refused, never measured."""

from __future__ import annotations

from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

import pytest

import hwact
from hwact.errors import ArgumentError
from hwact.synth import TARGETS, Options, Record, Source, measure, place
from hwact.synth.cache import Cache
from hwact.synth.harness import registers
from hwact.synth.liberty import Liberty
from hwact.synth.source import Port
from tests.synthesis import GATES, TINY_LIBRARY, no_process, source

AREA_ONLY = Options(place=False)
TINY = Liberty.read(TINY_LIBRARY)
UNIT = """module sums(input clk, input [7:0] x, input [8:1] w, output reg [7:0] y, output reg [15:0] z);
  always @(posedge clk) begin y <= x + w; z <= x * w; end
endmodule
"""
PORTS = {"clk": 1, "x": 8, "w": 8, "y": -8, "z": -16}


@pytest.fixture
def kept(tmp_path: Path) -> Cache:
    """An empty cache."""
    return Cache(tmp_path / "kept")


@pytest.mark.parametrize(
    "name", ["t; exec -- touch mark", "t\nexec -- touch mark", "a b", "", "1t", "t\u00e9"]
)
def test_a_name_that_is_none_reaches_no_tool(name: str) -> None:
    with pytest.raises(ArgumentError, match=r"a module's name must be .*, not '.*'; rename it"):
        Source(name=name, verilog=UNIT, ports=(), latency=0)


@pytest.mark.parametrize(
    ("name", "direction", "width"),
    [("x y", "input", 1), ("x\nend", "input", 1), ("", "input", 1), ("x", "inout", 1), ("x", "output", 0)],
)
def test_a_port_that_is_none_is_refused(name: str, direction: str, width: int) -> None:
    with pytest.raises(ArgumentError, match=r"a port must have .*, not .*; correct the list of ports"):
        Port(name=name, direction=direction, width=width)


def test_a_cell_whose_name_ends_a_command_is_none() -> None:
    text = TINY_LIBRARY.read_text().replace("cell (XOR2)", 'cell ("XOR2;exec")')
    assert text.count("XOR2;exec") == 1
    assert Liberty("tiny", text).kept_out == ["ISO_AND2"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"z": None}, "port z of module sums must be as stated, missing, not output of 16 bits; correct the"),
        ({"w": 4}, "port w of module sums must be as stated, input of 4 bits, not input of 8 bits; correct"),
        ({"y": 8}, "port y of module sums must be as stated, input of 8 bits, not output of 8 bits; correct"),
        ({"q": 1}, "with the ports stated, not:\n.*does not have a port named 'q'"),
    ],
    ids=["missing", "width", "direction", "unknown"],
)
def test_ports_that_are_not_as_stated_are_refused(changed: dict[str, int | None], message: str) -> None:
    ports = {name: width for name, width in {**PORTS, **changed}.items() if width is not None}
    unit = source(UNIT, ports=ports)
    with (
        pytest.raises(ArgumentError, match=message),
        place.netlist(unit, TARGETS["ice40"], dsp=False, ram=False),
    ):
        pytest.fail("there must be no netlist")


def test_a_second_clock_is_refused(kept: Cache) -> None:
    verilog = UNIT.replace("clk", "own")
    ports = {"own": 1, "x": 8, "w": 8, "y": -8, "z": -16}
    with pytest.raises(
        ArgumentError, match=r"must run on the port clk, not on \[.*, .*\] as well; rename its"
    ):
        measure(source(verilog, ports=ports), "ice40", Options(seeds=(1,)), kept)
    assert len(list(kept.folder.glob("*.json"))) == 1, "the area alone is kept"


def test_a_unit_is_slower_with_all_its_ports(kept: Cache) -> None:
    clock = measure(source(UNIT, ports=PORTS), "ice40", Options(seeds=(1,)), kept).f_max
    assert clock
    assert clock < 200, "the multiplier must be among what is placed"


def test_registers_around_a_unit_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {"area": 100.0, "flip_flops": 5_000, "dsps": 0, "block_rams": 0}
    assert place.device(TARGETS["ice40"], figures, 300).arguments[0] == "--hx8k"
    for target, around in (("ice40", 400), ("ecp5", 60_000)):
        with pytest.raises(ArgumentError, match=rf"not take 100 look-up .* 5000 flip-flops with {around} "):
            place.device(TARGETS[target], figures, around)
    assert place.device(TARGETS["ecp5"], figures, 20_000).arguments[0] == "--45k"
    wide = source("module wide(input [2047:0] x, output [2047:0] y); assign y = x; endmodule")
    ports = (Port(name="x", direction="input", width=2048), Port(name="y", direction="output", width=2048))
    stated = Source(name="wide", verilog=wide.verilog, ports=ports, latency=0)
    assert registers(stated) == 3 * 2048
    monkeypatch.setattr(place, "run_group", no_process)
    with pytest.raises(
        ArgumentError, match=r"with 6144 around it, .*; choose another target, fewer lanes or"
    ):
        place.device(TARGETS["ice40"], {"area": 0.0, "dsps": 0, "block_rams": 0}, registers(stated))


def test_a_unit_itself_can_be_measured(kept: Cache) -> None:
    unit = hwact.build("relu", width=8, interface="bare", latency=0)
    assert measure(unit, "ice40", AREA_ONLY, kept) == measure(Source.of(unit), "ice40", AREA_ONLY, kept)


def test_a_record_says_how_it_was_measured(kept: Cache) -> None:
    record = measure(source(GATES), "asic", Options(dsp=True, liberty=TINY), kept)
    assert (record.dsp_allowed, record.ram_allowed, record.liberty_sha256) == (True, False, TINY.sha256)
    assert record.area == 20.0
    assert record.gate_equivalents == pytest.approx(20.0 / 3.0, abs=1e-3)
    assert Record.from_dict(record.as_dict()) == record
    plain = measure(source(GATES), "asic", AREA_ONLY, kept)
    assert (plain.area_unit, plain.gate_equivalents) == ("GE", plain.area)
    device = measure(source(GATES), "ice40", Options(place=False, ram=True, liberty=TINY), kept)
    assert (device.gate_equivalents, device.ram_allowed, device.liberty_sha256) == (None, True, None)


NAND2 = ["!(A & B)", "(!A) | (!B)", "!(A*B)", "(A B)'", "((!A)+(!B))", "!(A1 & A2)", "A'+B'", "(!(A&B))"]
OTHERS = ["A & B", "!(A | B)", "!(A & A)", "!A | B", "!(A & B & C)", "!A", "(A B)", "A' + A'"]


def library(*functions: str, extra: str = "") -> Liberty:
    cells = "".join(
        f'cell (C{i}) {{ area : {9 - i}.5; {extra} pin (Y) {{ function : "{function}"; }} }}\n'
        for i, function in enumerate(functions)
    )
    return Liberty("own", f"library (own) {{\n{cells}}}\n")


@pytest.mark.parametrize("function", NAND2)
def test_every_spelling_of_a_nand2_is_one(function: str) -> None:
    assert library(function).nand2_area == 9.5
    assert library("!A", function, "A & B").nand2_area == 8.5
    assert library(function, function).nand2_area == 8.5, "the smallest must be taken"
    assert library(function, extra="dont_use : true;").nand2_area is None


@pytest.mark.parametrize("function", OTHERS)
def test_no_other_function_is_a_nand2(function: str) -> None:
    assert library(function).nand2_area is None


def test_a_library_without_a_nand2_has_no_gate_equivalents(kept: Cache) -> None:
    text = TINY_LIBRARY.read_text()
    start = text.index("  cell (NAND2)")
    cells = Liberty("tiny", text[:start] + text[text.index("\n  }\n", start) + 5 :])
    record = measure(source(GATES), "asic", Options(liberty=cells), kept)
    assert "NOR2" in record.cells
    assert "NAND2" not in record.cells
    assert record.gate_equivalents is None


def test_nextpnr_is_compiled_under_one_lock_wherever_records_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    held: list[bool] = []

    def locked(*_: object) -> None:
        with (tmp_path / "hwact" / "synth" / "nextpnr-ice40.lock").open() as stream:
            try:
                flock(stream, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                held.append(True)

    monkeypatch.setattr(place, "_nextpnr", locked)
    place.prepare(TARGETS["ice40"])
    assert held == [True]
