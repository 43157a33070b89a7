# SPDX-License-Identifier: Apache-2.0
"""The cocotb scoreboard: every kind of fault is seen, in a simulator and edge by edge without one."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

import hwact
from hwact.cocotb import ActivationScoreboard, Stream
from hwact.errors import ArgumentError
from hwact.tools import find_simulator
from hwact.unit import Unit
from hwact.verify.process import run_job, work_folder
from tests.verifying import by_hand, tiny

TESTS = Path(__file__).parent


class Handle:
    """A signal without a simulator: its bits as text."""

    def __init__(self, name: str, bits: int) -> None:
        self._name, self._path, self._bits = name, f"dut.{name}", bits
        self.value = "0" * bits

    def __len__(self) -> int:
        return self._bits


class Wires:
    """The streams of a stage whose outputs the test makes up; `edge` sets them and lets a board look."""

    def __init__(self, unit: Unit, bits: tuple[int, int] | None = None, **options: Any) -> None:
        widths = bits or (unit.input_format.width * unit.lanes, unit.output_format.width * unit.lanes)
        names = {"i_data": widths[0], "o_data": widths[1]}
        names |= dict.fromkeys(("i_valid", "i_ready", "o_valid", "o_ready", "rst", "clk"), 1)
        names |= dict.fromkeys(("i_last", "o_last"), 1) | {"i_user": 2, "o_user": 2}
        self.handles = {name: Handle(name, width) for name, width in names.items()}
        dut: Any = SimpleNamespace(**self.handles)
        options = {"source": Stream.of(dut, "i_"), "sink": Stream.of(dut, "o_"), "reset": dut.rst} | options
        self.board = ActivationScoreboard(unit, dut.clk, **options)

    def edge(self, i: int | str | None = None, o: int | str | None = None, **others: str) -> None:
        """A word goes in, a word comes out, or neither; others as given."""
        for side, word in (("i", i), ("o", o)):
            data = self.handles[f"{side}_data"]
            data.value = (
                f"{(word or 0) % (1 << len(data)):0{len(data)}b}" if not isinstance(word, str) else word
            )
            self.handles[f"{side}_valid"].value = "01"[word is not None]
            self.handles[f"{side}_ready"].value = "1"
        self.handles["rst"].value = "0"
        for name, value in others.items():
            self.handles[name].value = value
        self.board._sample()


@pytest.fixture(autouse=True)
def no_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    def start_soon(task: Coroutine[Any, Any, None]) -> SimpleNamespace:
        task.close()
        return SimpleNamespace(cancel=lambda: None)

    monkeypatch.setattr("cocotb.start_soon", start_soon)


@pytest.fixture(scope="module")
def gelu() -> Unit:
    return hwact.build("gelu", width=8)


def test_every_code_is_compared(gelu: Unit) -> None:
    wires = Wires(gelu)
    for code in range(-128, 128):
        wires.edge(i=code)
        wires.edge(o=int(gelu.evaluate(code)))
    wires.board.finish()
    assert wires.board.codes_checked == 256
    assert wires.board.cycle == 512


def test_every_wrong_code_is_seen(gelu: Unit) -> None:
    seen = 0
    for code in range(-128, 128):
        for flipped in range(8):
            wires = Wires(gelu)
            wires.edge(i=code)
            with pytest.raises(AssertionError, match=rf"cycle 2: word 0, input 0x\w\w \(code {code}, value "):
                wires.edge(o=int(gelu.evaluate(code)) ^ (1 << flipped))
            seen += 1
    assert seen == 2048


def test_the_line_says_what_where_when_and_the_exact_value(gelu: Unit) -> None:
    wires = Wires(gelu)
    wires.edge(i=16)
    wires.edge()
    line = (
        r"dut\.o_data: cycle 3: word 0, input 0x10 \(code 16, value 1\.0\): expected 0x0d \(code 13, value "
        r"0\.8125\), got 0x0c \(code 12, value 0\.75\); exact value 0\.8413447$"
    )
    with pytest.raises(AssertionError, match=line):
        wires.edge(o=12)


def faulty(gelu: Unit, fault: str) -> None:
    """Words 64, 80, 96 go in and come out one cycle later, but for the fault; each is its own output."""
    wires = Wires(gelu)
    wires.edge(i=64)
    match fault:
        case "lost":
            wires.edge(i=80, o=64)
            wires.edge(i=96)
            wires.edge(o=96)
        case "lost at the end":
            wires.edge(i=80, o=64)
        case "repeated":
            wires.edge(i=80, o=64)
            wires.edge(o=64)
        case "repeated at the end":
            wires.edge(o=64)
            wires.edge(o=64)
        case "reordered":
            wires.edge(i=80)
            wires.edge(o=80)
        case "nothing pending":
            wires.edge(o=64, rst="1")
            wires.edge(o=64)
        case "changed while stalled":
            wires.edge(o=64, o_ready="0")
            wires.edge(o=65, o_ready="0")
        case "withdrawn while stalled":
            wires.edge(o=64, o_ready="0")
            wires.edge()
        case "input changed while stalled":
            wires.edge(i=80, i_ready="0")
            wires.edge(i=81)
        case "x":
            wires.edge(o="0100000X")
        case "z":
            wires.edge(i="ZZZZZZZZ")
        case "x valid":
            wires.edge(o_valid="X")
        case "x ready":
            wires.edge(o=64, o_ready="X")
    wires.board.finish()


FAULTS = {
    "lost": r"cycle 4: word 1, input 0x50 .* expected 0x50 .*, got 0x60 .*; exact value 4\.999999$",
    "lost at the end": r"all 2 words must come out, not 1; the next is word 1, input 0x50 \(code 80, value 5",
    "repeated": r"cycle 3: word 1, input 0x50 .* got 0x40 ",
    "repeated at the end": r"cycle 3: no word must come out after all 1 that went in, not 0x40 \(code 64",
    "reordered": r"cycle 3: word 0, input 0x40 .* got 0x50 ",
    "nothing pending": r"cycle 3: no word must come out after all 0 that went in, not 0x40 ",
    "changed while stalled": r"cycle 3: a stalled o_data must hold 0b01000000, not change to 01000001",
    "withdrawn while stalled": r"cycle 3: a stalled o_data must hold 0b01000000, not change to o_valid = 0",
    "input changed while stalled": r"a stalled i_data must hold 0b01010000, not change to 01010001",
    "x": r"cycle 2: o_data must have no X or Z bits, not 0b0100000X",
    "z": r"cycle 2: i_data must have no X or Z bits, not 0bZZZZZZZZ",
    "x valid": r"cycle 2: o_valid must be 0 or 1, not X",
    "x ready": r"cycle 2: o_ready must be 0 or 1, not X",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_seen(gelu: Unit, fault: str) -> None:
    with pytest.raises(AssertionError, match=FAULTS[fault]):
        faulty(gelu, fault)


def test_a_run_without_words_does_not_pass(gelu: Unit) -> None:
    wires = Wires(gelu)
    wires.edge()
    with pytest.raises(AssertionError, match="at least one word must come out, not none"):
        wires.board.finish()


@pytest.mark.parametrize("level", ["1", "X", "Z"])
def test_a_reset_forgets_the_words_under_way(gelu: Unit, level: str) -> None:
    wires = Wires(gelu)
    wires.edge(i=64)
    wires.edge(o=64, o_ready="0")
    wires.edge(i="XXXXXXXX", o="XXXXXXXX", rst=level)
    wires.edge(i=80)
    wires.edge(o=80)
    wires.board.finish()
    assert wires.board.codes_checked == 1


def test_a_word_may_come_out_at_once(gelu: Unit) -> None:
    wires = Wires(gelu)
    wires.edge(i=64, o=64)
    wires.board.finish()


def test_announced_codes_are_expected(gelu: Unit) -> None:
    wires = Wires(gelu, source=None)
    wires.board.expect([64, 80])
    wires.edge(o=64)
    with pytest.raises(AssertionError, match=r"word 1, input 0x50 .* got 0x51"):
        wires.edge(o=81)


def test_lanes_and_what_pads_them() -> None:
    unit = hwact.build("relu", input_format="SQ2.3", output_format="SQ2.4", lanes=2)
    wires = Wires(unit, bits=(16, 16))
    wires.edge(i="XXX11111" + "0ZX00001")  # lane 1: -1, lane 0: 1
    wires.edge(o=2)
    wires.edge(i=0x0101)
    line = (
        r"word 1, lane 1, input 0x01 \(code 1, .*: expected 0x02 \(.*\), got 0b01000010; exact value 0\.125"
    )
    with pytest.raises(AssertionError, match=line):
        wires.edge(o=0x4202)
    with pytest.raises(ArgumentError, match="codes must fill words of 2 lanes, not be 3; add"):
        wires.board.expect([1, 2, 3])


def test_last_and_user_come_with_their_words(gelu: Unit) -> None:
    wires = Wires(gelu)
    beside = [("1", "00"), ("0", "01"), ("0", "10"), ("1", "11")]
    for last, user in beside:
        wires.edge(i=0, i_last=last, i_user=user)
    for last, user in beside:
        wires.edge(o=0, o_last=last, o_user=user)
    wires.board.finish()
    assert wires.board.codes_checked == 4
    for fault, message in (
        ({"o_last": "0"}, r"cycle 2: word 0, input 0x00 .*: o_last must be 1, as at the input, not 0"),
        ({"o_user": "11"}, r"cycle 2: word 0, input 0x00 .*: o_user must be 01, as at the input, not 11"),
        ({"o_last": "X"}, "o_last must be 1, as at the input, not X"),
    ):
        wires = Wires(gelu)
        wires.edge(i=0, i_last="1", i_user="01")
        with pytest.raises(AssertionError, match=message):
            wires.edge(o=0, **{"o_last": "1", "o_user": "01", **fault})


def test_last_and_user_hold_with_a_stalled_word(gelu: Unit) -> None:
    wires = Wires(gelu)
    wires.edge(i=0, i_last="1")
    wires.edge(o=0, o_last="1", o_ready="0")
    with pytest.raises(AssertionError, match="tlast and tuser beside a stalled o_data must hold"):
        wires.edge(o=0, o_last="0")


def test_last_and_user_on_one_side_alone_are_not_looked_at(gelu: Unit) -> None:
    wires = Wires(gelu)
    dut: Any = SimpleNamespace(**{k: v for k, v in wires.handles.items() if k not in ("i_last", "i_user")})
    board = ActivationScoreboard(gelu, dut.clk, source=Stream.of(dut, "i_"), sink=Stream.of(dut, "o_"))
    wires.board = board
    wires.edge(i=0)
    wires.edge(o=0, o_last="1", o_user="10")
    assert board.codes_checked == 1


def pipeline(*words: tuple[int | None, int]) -> ActivationScoreboard:
    """Words in, and words on the output, at the edges of a pipeline of two stages without handshake."""
    unit = hwact.build("relu", width=8, interface="bare", latency=2)
    data, ce, out = Handle("x", 8), Handle("ce", 1), Handle("y", 8)
    dut: Any = SimpleNamespace(x=data, ce=ce, y=out, clk=Handle("clk", 1))
    board = ActivationScoreboard.attach(unit, dut)
    for i, o in words:
        data.value, ce.value, out.value = f"{i or 0:08b}", "01"[i is not None], f"{o:08b}"
        board._sample()
    board.finish()
    return board


def test_a_pipeline_without_handshake() -> None:
    taken = ((1, 0), (2, 0), (3, 1))
    assert pipeline(*taken, (None, 2), (None, 2), (4, 2), (5, 3)).codes_checked == 3
    with pytest.raises(AssertionError, match=r"cycle 4: word 1, input 0x02 .* got 0x03"):
        pipeline(*taken, (4, 3))
    with pytest.raises(AssertionError, match=r"cycle 5: a stalled y must hold 0b00000010, not .* 00000011"):
        pipeline(*taken, (None, 2), (None, 3))


def test_streams_that_do_not_fit_are_refused(gelu: Unit) -> None:
    with pytest.raises(
        ArgumentError, match=r"i_data must have 1 lanes of at least 8 bits, not 7 bits in all"
    ):
        Wires(gelu, bits=(7, 8))
    with pytest.raises(ArgumentError, match=r"o_data must have 3 lanes of at least 8 bits, not 32 bits"):
        Wires(gelu, bits=(24, 32), lanes=3)
    with pytest.raises(ArgumentError, match="a sink without valid must have a source"):
        Wires(gelu, source=None, sink=Stream(Handle("o_data", 8)))  # type: ignore[arg-type]
    combinational = hwact.build("relu", width=8, latency=0)
    with pytest.raises(ArgumentError, match="must have a clock to be attached to, not latency 0"):
        ActivationScoreboard.attach(combinational, None)


def simulate(manifest: dict[str, Any], verilog: Path, folder: Path, simulator: str) -> tuple[str, str]:
    """Codes checked and sent, and what cocotb says of the test's failure."""
    tool = find_simulator(simulator)
    path = folder / "board.json"
    path.write_text(json.dumps(manifest), encoding="utf-8")
    checked = path.with_suffix(".checked")
    checked.unlink(missing_ok=True)
    with work_folder() as work:
        common = {"hdl_toplevel": manifest["name"], "build_dir": str(work / "build")}
        flags = ["-Wno-fatal"] if simulator == "verilator" else []
        sources = {"sources": [str(verilog)], "timescale": ["1ns", "1ps"], "build_args": flags}
        assert run_job(tool, work, "build", common | sources, 300) == 0, (work / "build.out").read_text()
        places = {
            "test_module": "tests.scoreboard_bench",
            "hdl_toplevel_lang": "verilog",
            "test_dir": str(work),
            "results_xml": str(work / "results.xml"),
        }
        search = os.pathsep.join([str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
        run_job(
            tool, work, "test", common | places, 120, {"HWACT_SCOREBOARD": str(path), "PYTHONPATH": search}
        )
        assert (work / "results.xml").is_file(), (work / "test.out").read_text()[-3000:]
        (case,) = ElementTree.parse(work / "results.xml").getroot().iter("testcase")
    failure = case.find("failure")
    said = "" if failure is None else failure.get("message", "")
    return checked.read_text(encoding="utf-8") if checked.is_file() else "", said


SIMULATED = {
    "WRONG_CODE": r"tiny_stream\.o_data: cycle \d+: word \d+, input 0x05 \(code 5, value 0\.625\): expected "
    r"0x05 \(code 5, value 0\.625\), got 0x07 \(code 7, value 0\.875\); exact value 0\.625",
    "LOST": "expected .* got .*; exact value|words must come out",
    "REPEATED": "expected .* got .*; exact value|no word must come out",
    "REORDERED": "expected .* got .*; exact value",
    "UNSTABLE": "a stalled o_data must hold 0b[01]+, not change to [01]+",
    "DROPS_VALID": "a stalled o_data must hold 0b[01]+, not change to o_valid = 0",
    "X_DATA": "o_data must have no X or Z bits, not 0b0X111",
    "X_READY": "i_ready must be 0 or 1, not X",
    "IGNORES_VALID": "expected .* got .*; exact value|no word must come out",
    "STALE": "expected .* got .*; exact value|no word must come out",
}
QUICK = ("WRONG_CODE",)


@pytest.mark.parametrize(
    "fault", [pytest.param(fault, marks=[] if fault in QUICK else pytest.mark.slow) for fault in SIMULATED]
)
def test_a_simulated_fault_is_seen(fault: str, tmp_path: Path) -> None:
    bundle = tiny("stream", tmp_path)
    manifest = json.loads((bundle / "tiny_stream.json").read_text(encoding="utf-8"))
    checked, said = simulate(manifest, by_hand("stream", tmp_path, fault), tmp_path, "icarus")
    assert checked == ""
    assert re.search(SIMULATED[fault], said), said


SIDEBANDS = {
    "dropped": ("m_axis_tlast <= 1'h0", r"m_axis_tlast must be 1, as at the input, not 0"),
    "early": (
        "m_axis_tlast <= s_axis_tlast",
        r"m_axis_tlast must be [01], as at the input, not [01]",
    ),
}


@pytest.mark.parametrize("fault", ["early", pytest.param("dropped", marks=pytest.mark.slow)])
def test_a_stage_that_loses_or_shifts_tlast_is_seen(fault: str, tmp_path: Path) -> None:
    unit = hwact.build("relu", width=4, interface="axis", latency=2, name="unit")
    bundle = unit.write(tmp_path)
    text = (bundle / "unit.v").read_text(encoding="utf-8")
    wrong, message = SIDEBANDS[fault]
    broken, count = re.subn(r"m_axis_tlast <= \w+", wrong, text)
    assert count == 1
    path = tmp_path / "broken.v"
    path.write_text(broken, encoding="utf-8")
    checked, said = simulate(unit.manifest(), path, tmp_path, "icarus")
    assert checked == ""
    assert re.search(rf"unit\.m_axis_tdata: cycle \d+: word \d+, input .*: {message}", said), said


UNITS: dict[str, dict[str, Any]] = {
    "stream": {"latency": 3},
    "axis": {"interface": "axis", "latency": 2, "lanes": 3},
    "bare": {"interface": "bare", "latency": 2, "lanes": 2},
}


@pytest.mark.parametrize(
    ("kind", "simulator"),
    [
        ("stream", "icarus"),
        pytest.param("axis", "icarus", marks=pytest.mark.slow),
        pytest.param("bare", "icarus", marks=pytest.mark.slow),
        pytest.param("stream", "verilator", marks=pytest.mark.slow),
    ],
)
def test_units_of_hwact_pass_in_a_simulator(kind: str, simulator: str, tmp_path: Path) -> None:
    unit = hwact.build("gelu", input_format="SQ3.3", output_format="SQ3.4", name="unit", **UNITS[kind])
    bundle = unit.write(tmp_path)
    checked, said = simulate(unit.manifest(), bundle / "unit.v", tmp_path, simulator)
    assert said == ""
    found, sent = map(int, checked.split())
    assert sent == 4 * 64 * unit.lanes
    assert found >= sent - 2 * (unit.latency + 1) * unit.lanes
