# SPDX-License-Identifier: Apache-2.0
"""Generated units pass on every simulator; the report is true, and its files lie where it says."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import hwact
from hwact.errors import ArgumentError
from hwact.verify import VerifyReport, verify
from hwact.verify.builds import Store
from tests.verifying import SIMULATORS, TABLE_ROW, by_hand, failing, flip_table_bit, prove, tiny

PATTERNS = ("none", "random", "alternating")
PAIRINGS = [f"shuffled_{gaps}_gaps_{stalls}_stalls" for gaps in PATTERNS for stalls in PATTERNS]
ENABLES = ["shuffled", "shuffled_random_ce", "shuffled_alternating_ce"]
FIRST = ["manifest", "build", "in_order"]

# What to build, the phases after the first, and how many codes each of these compares.
GOOD: dict[str, tuple[dict[str, Any], list[str], int]] = {
    "stream": ({"function": "gelu", "width": 8}, PAIRINGS, 256),
    "stream_combinational_three_lanes": (
        {"function": "tanh", "input_format": "SQ2.3", "output_format": "SQ1.5", "latency": 0, "lanes": 3},
        PAIRINGS,
        33,  # 32 codes, and one more to fill the last word
    ),
    "axis_three_lanes": (
        {
            "function": "gelu",
            "input_format": "SQ3.2",
            "output_format": "SQ3.7",
            "interface": "axis",
            "latency": 2,
            "lanes": 3,
        },
        PAIRINGS,
        33,
    ),
    "axis_combinational_unsigned": (
        {
            "function": "sigmoid",
            "input_format": "UQ2.8",
            "output_format": "UQ0.6",
            "interface": "axis",
            "latency": 0,
        },
        PAIRINGS,
        1024,
    ),
    "bare_unsigned_two_lanes": (
        {
            "function": "sigmoid",
            "input_format": "UQ2.4",
            "output_format": "UQ0.6",
            "interface": "bare",
            "latency": 2,
            "lanes": 2,
        },
        ENABLES,
        64,
    ),
    "bare_combinational_four_bits": (
        {"function": "smelu", "input_format": "SQ2.2", "interface": "bare", "latency": 0},
        ENABLES[:1],
        16,
    ),
}


def text_of(junit: Path) -> dict[str, dict[str, str]]:
    """The properties of each test case in a JUnit file."""
    root = ElementTree.parse(junit).getroot()
    return {
        case.attrib["name"]: {item.attrib["name"]: item.attrib["value"] for item in case.iter("property")}
        for case in root.iter("testcase")
    }


def test_there_is_a_simulator() -> None:
    assert SIMULATORS
    if "CI" in os.environ:
        assert SIMULATORS == ["verilator", "icarus"], "in CI both must be installed"


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("kind", GOOD)
def test_a_generated_unit_passes(kind: str, simulator: str, tmp_path: Path) -> None:
    arguments, shuffled, count = GOOD[kind]
    unit = hwact.build(**arguments)
    report = prove(unit.write(tmp_path), simulator)
    assert report.passed, report.failures
    assert report.latency == unit.latency
    reset = ["reset"] if unit.interface != "bare" and unit.latency else []
    every_lane = ["in_every_lane"] if unit.lanes > 1 else []
    assert [phase.name for phase in report.phases] == [*FIRST, *every_lane, *shuffled, *reset]
    checked = {phase.name: phase.codes_checked for phase in report.phases}
    assert [checked[name] for name in every_lane] == [unit.lanes * 2**unit.input_format.width] * len(
        every_lane
    )
    assert [checked[name] for name in ["in_order", *shuffled]] == [count] * (1 + len(shuffled))
    # each number of words from 1 to latency + 2 under way, flowing and stalled, and 16 words after each
    assert sum(checked[name] for name in reset) == len(reset) * 2 * (unit.latency + 2) * 16 * unit.lanes
    assert all(phase.cycles >= phase.codes_checked // unit.lanes for phase in report.phases)
    codes = len(unit.input_format.codes())
    assert report.coverage.startswith(f"coverage: all {codes} input codes in order")
    assert ("through every lane" in report.coverage) == (unit.lanes > 1)


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_the_junit_file_tells_what_the_report_does(simulator: str, tmp_path: Path) -> None:
    report = prove(tiny("stream", tmp_path), simulator, seed=7)
    assert report.junit == tmp_path / "tiny_stream" / "verify" / f"{simulator}.xml"
    root = ElementTree.parse(report.junit).getroot()
    assert {root.attrib[key] for key in ("failures", "errors", "skipped")} == {"0"}
    assert int(root.attrib["tests"]) == len(report.phases) == len(text_of(report.junit)) == 13
    facts = {item.attrib["name"]: item.attrib["value"] for item in next(root.iter("testsuite"))[0]}
    assert facts["seed"] == "7"
    assert facts["coverage"] == report.coverage
    for phase in report.phases:
        told = text_of(report.junit)[phase.name]
        assert told["codes_checked"] == str(phase.codes_checked)
        assert told["cycles"] == str(phase.cycles)
        assert told.get("latency") == (None if phase.latency is None else "3")


def test_the_report_reads_well_and_goes_into_json(tmp_path: Path) -> None:
    report = prove(tiny("bare", tmp_path))
    text = report.text()
    assert f"JUnit XML: {report.junit}" in text
    assert f"log: {report.log}" in text
    assert f"passed: 128 codes, {report.cycles} cycles, latency 2, " in text
    data = json.loads(json.dumps(report.as_dict()))
    assert (data["passed"], data["codes_checked"], data["latency"]) == (True, 128, 2)
    assert data["junit"] == str(report.junit)
    assert [phase["name"] for phase in data["phases"]] == [*FIRST, *ENABLES]


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_build_is_reused(simulator: str, tmp_path: Path) -> None:
    bundle = tiny("stream", tmp_path)
    first, second = prove(bundle, simulator), prove(bundle, simulator, seed=1)
    assert second.passed, second.failures
    assert second.build_reused
    assert "(simulator build reused)" in second.text()
    for report in (first, second):
        said = "simulator build reused" if report.build_reused else "simulator built"
        assert f"({said})" in report.text()


def test_a_build_is_made_again_when_it_is_damaged_or_something_changed(tmp_path: Path) -> None:
    bundle, builds = tiny("combinational", tmp_path), tmp_path / "builds"

    def reused(verilog: Path | None = None) -> bool:
        report = prove(bundle, verilog=verilog, build_folder=builds)
        assert report.passed, report.failures
        return report.build_reused

    assert [reused(), reused()] == [False, True]
    (entry,) = builds.glob("*/sim.vvp")
    entry.write_bytes(entry.read_bytes()[:-1])
    assert not reused()
    assert not reused(by_hand("combinational", tmp_path))
    assert len(list(builds.iterdir())) == 2


def into_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
    "other": lambda path: path.write_bytes(b"{}"),
    "list": lambda path: path.write_bytes(b"[1]"),
    "no text": lambda path: path.write_bytes(b"\xff"),
    "folder": into_folder,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["build", "digests.json"])
def test_a_damaged_entry_of_the_store_counts_as_absent(name: str, damage: str, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert store.find("key") is None
    (tmp_path / "build").write_text("a build", encoding="utf-8")
    entry = store.keep("key", [tmp_path / "build"])
    assert store.find("key") == entry
    DAMAGES[damage](entry / name)
    assert store.find("key") is None
    assert store.keep("key", [tmp_path / "build"]) == entry
    assert (entry / "build").read_text(encoding="utf-8") == "a build"
    assert store.find("key") == entry
    assert [path.name for path in store.folder.iterdir()] == ["key"]


@pytest.mark.parametrize(("simulator", "start"), [("verilator", b"$version"), ("icarus", b"\0")])
def test_waves_are_kept_where_the_report_says(simulator: str, start: bytes, tmp_path: Path) -> None:
    if simulator not in SIMULATORS:
        assert "CI" not in os.environ
        return
    report = prove(tiny("bare", tmp_path), simulator, waves=True, report_folder=tmp_path / "there")
    assert report.passed, report.failures
    assert report.waves is not None
    assert report.waves.parent == tmp_path / "there"
    assert report.waves.read_bytes().startswith(start)
    assert report.waves.stat().st_size > 500
    assert f"waves: {report.waves}" in report.text()


@pytest.mark.parametrize("interface", ["stream", "axis", "bare"])
def test_one_wrong_row_in_one_lane_is_seen(interface: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"architecture": "table", "interface": interface, "lanes": 4, "target": "ecp5"}
    bundle = hwact.build("gelu", width=7, name="laned", **options).write(tmp_path)
    text = (bundle / "laned.v").read_text(encoding="utf-8")
    rows = len(TABLE_ROW.findall(text)) // 4
    for lane in (1, 3):
        broken = tmp_path / f"lane{lane}.v"
        broken.write_text(flip_table_bit(text, lane * rows + 17), encoding="utf-8")
        report = prove(bundle, verilog=broken)
        assert "in_every_lane" in failing(report)
        line = next(line for line in report.failures if line.startswith("in_every_lane"))
        assert f", lane {lane}, input 0x" in line


def test_nothing_is_written_into_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, here = tiny("stream", tmp_path / "out"), tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    relative = Path("..") / "out" / bundle.name
    reports = [prove(relative, simulator, waves=simulator == "icarus") for simulator in SIMULATORS]
    assert all(report.passed for report in reports)
    assert all(report.junit.is_absolute() for report in reports)
    assert list(here.iterdir()) == []
    files = json.loads((bundle / "tiny_stream.json").read_text(encoding="utf-8"))["files"]
    assert sorted(path.name for path in bundle.iterdir()) == sorted([*files, "verify"])


def test_another_files_report_leaves_the_bundles_own_alone(tmp_path: Path) -> None:
    bundle = tiny("bare", tmp_path)
    own = prove(bundle)
    other = prove(bundle, verilog=by_hand("bare", tmp_path, "X_DATA"))
    assert other.junit.name.startswith("icarus-bare_X_DATA-")
    assert other.verilog == tmp_path / "bare_X_DATA.v"
    assert other.junit != own.junit
    assert ElementTree.parse(own.junit).getroot().attrib["failures"] == "0"


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> VerifyReport:
    unit = hwact.build("relu", width=17, interface="bare", latency=1)
    return prove(unit.write(tmp_path_factory.mktemp("wide")), samples=500)


def test_a_wide_input_is_sampled_and_the_report_says_so(wide: VerifyReport) -> None:
    assert wide.passed, wide.failures
    count = next(phase.codes_checked for phase in wide.phases if phase.name == "in_order")
    assert 500 < count < 3000
    text = (
        f"coverage: NOT all codes: {count} of 2**17 (seeded random, and the codes around the edges and zero)"
    )
    assert wide.coverage.startswith(text)
    assert text in wide.text()


def test_recorded_inputs_are_sent_too(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([[0.3, -2, 99.0]], dtype=np.float32))
    report = prove(tiny("stream", tmp_path), inputs=tmp_path / "x.npy")
    assert report.passed, report.failures
    recorded = next(phase for phase in report.phases if phase.name == "recorded")
    assert recorded.codes_checked == 3


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"simulator": "ghdl"}, "simulator must be auto, verilator or icarus, not 'ghdl'"),
        ({"against": "numpy"}, "against must be torch, not 'numpy'"),
        ({"seed": -1}, "seed must be an integer of at least 0, not -1"),
        ({"seed": True}, "seed must be an integer of at least 0, not True"),
        ({"samples": 0}, "samples must be an integer of at least 1, not 0"),
        ({"verilog": "no/such.v"}, r"verilog must be a readable file, not 'no/such.v' \(No such file"),
        ({"report_folder": __file__}, "the report's folder must be writable, not '.*test_verify.py'"),
        (
            {"build_folder": __file__},
            "the folder of simulator builds must be writable, not '.*test_verify.py'",
        ),
    ],
)
def test_an_unusable_argument_is_refused(options: dict[str, Any], text: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=text):
        verify(tiny("bare", tmp_path), **options)
