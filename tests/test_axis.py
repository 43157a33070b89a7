# SPDX-License-Identifier: Apache-2.0
"""The ``axis`` interface between cocotbext-axi's sources and sinks: all codes in all lanes, under pauses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import hwact
from hwact.interfaces import AxisUnit
from hwact.tools import find_simulator
from hwact.unit import Unit
from hwact.verify.process import run_job, work_folder
from tests.verifying import flip_table_bit

PAUSES = ("none", "random", "alternating")
TESTS = Path(__file__).parent

UNITS: dict[str, dict[str, Any]] = {
    "one_lane": {"width": 8, "latency": 3},
    "three_odd_lanes": {"input_format": "SQ3.2", "output_format": "SQ3.7", "lanes": 3, "latency": 1},
    "two_unsigned_lanes": {"input_format": "UQ3.6", "output_format": "UQ3.2", "lanes": 2, "latency": 2},
}


def settings(unit: Unit) -> dict[str, Any]:
    """What the bench must know; the outputs as the bits of whole bytes."""
    sink = unit.output_format
    mask = (1 << AxisUnit.lane_bits(sink)) - 1
    codes = unit.input_format.codes()
    outputs = {
        int(unit.input_format.to_bits(code)): int(unit.evaluate([code])[0]) & mask for code in codes.tolist()
    }
    return {
        "lanes": unit.lanes,
        "input_width": unit.input_format.width,
        "input_bytes": AxisUnit.lane_bits(unit.input_format) // 8,
        "output_bytes": AxisUnit.lane_bits(sink) // 8,
        "outputs": [outputs[bits] for bits in range(len(outputs))],
    }


def simulate(unit: Unit, verilog: Path, tmp_path: Path) -> tuple[dict[tuple[str, str], int], int]:
    """Words checked in each pairing of pauses, and how many of cocotb's tests failed."""
    simulator = find_simulator("icarus")
    path = tmp_path / "axis.json"
    path.write_text(json.dumps(settings(unit)), encoding="utf-8")
    (tmp_path / "checked.txt").write_text("")
    with work_folder() as work:
        common = {"hdl_toplevel": unit.name, "build_dir": str(work / "build")}
        sources = {"sources": [str(verilog)], "timescale": ["1ns", "1ps"]}
        assert run_job(simulator, work, "build", common | sources, 60) == 0, (work / "build.out").read_text()
        results = work / "results.xml"
        places = {
            "test_module": "axis_bench",
            "hdl_toplevel_lang": "verilog",
            "test_dir": str(work),
            "results_xml": str(results),
        }
        search = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
        variables = {"HWACT_AXIS": str(path), "PYTHONPATH": search}
        run_job(simulator, work, "test", common | places, 120, variables)
        assert results.is_file(), (work / "test.out").read_text(encoding="utf-8")[-3000:]
        cases = list(ElementTree.parse(results).getroot().iter("testcase"))
        assert len(cases) == 9, (work / "test.out").read_text()[-3000:]
        failed = sum(case.find("failure") is not None or case.find("error") is not None for case in cases)
    lines = [line.split() for line in (tmp_path / "checked.txt").read_text().splitlines()]
    return {(gaps, stalls): int(count) for gaps, stalls, count in lines}, failed


@pytest.mark.parametrize("name", UNITS)
def test_every_code_in_every_lane_under_all_pauses(name: str, tmp_path: Path) -> None:
    unit = hwact.build("gelu", interface="axis", name=name, **UNITS[name])
    checked, failed = simulate(unit, unit.write(tmp_path) / f"{name}.v", tmp_path)
    assert failed == 0
    assert checked == dict.fromkeys(product(PAUSES, PAUSES), 1 << unit.input_format.width)


FAULTS: dict[str, Callable[[str], str]] = {
    "word": lambda text: flip_table_bit(text, 9),
    "tlast": lambda text: text.replace("m_axis_tlast <= last_s1", "m_axis_tlast <= s_axis_tlast"),
    "tuser": lambda text: text.replace("m_axis_tuser <= user_s1", "m_axis_tuser <= 1'h0"),
    "sign": lambda text: text.replace("4'h0", "4'h1", 1),
    "reset": lambda text: text.replace("if (!aresetn) valid_s1", "if (aresetn) valid_s1"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_seen(fault: str, tmp_path: Path) -> None:
    formats: dict[str, Any] = {"input_format": "SQ3.2", "output_format": "UQ2.2"}
    unit = hwact.build("gelu", interface="axis", latency=2, architecture="table", name="broken", **formats)
    path = unit.write(tmp_path) / "broken.v"
    good = path.read_text(encoding="utf-8")
    bad = FAULTS[fault](good)
    assert bad != good
    path.write_text(bad, encoding="utf-8")
    _, failed = simulate(unit, path, tmp_path)
    assert failed > 0
