# SPDX-License-Identifier: Apache-2.0
"""Every check of the benches is seen to catch a unit that is broken in the one way that it is for."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
import pytest

import hwact
from hwact.tools import Simulator
from hwact.verify.process import run_job
from tests.verifying import SIMULATORS, SOURCES, broken_table, by_hand, failing, prove, table, tiny

ANY = r"in_order|shuffled.*|reset"
WRONG = r"cycle \d+: word \d+, input 0x\w\w .*: expected 0x\w\w .*, got 0x\w\w .*"


STALLED = r"shuffled.*_(random|alternating)_stalls"
GATED = r"shuffled_(random|alternating)_ce"


class Fault(NamedTuple):
    """A define of tests/verilog/, the phases that may fail, and one that must, with which lines."""

    unit: str
    may: str
    must: str
    lines: tuple[str, ...]


FAULTS = [
    Fault(
        "stream-WRONG_CODE",
        ANY,
        "in_order",
        (r"cycle 26: word 21, input 0x05 \(code 5, value 0.625\): expected 0x05 .*, got 0x07 \(code 7, .*",),
    ),
    Fault(
        "stream-MOST_NEGATIVE",
        ANY,
        "in_order",
        (r"cycle 5: word 0, input 0x10 \(code -16, value -2.0\): expected 0x1c .*, got 0x1d \(code -3, .*",),
    ),
    Fault(
        "stream-SWAPPED",
        ANY,
        "in_order",
        (r".* expected 0x08 \(code 8, value 1.0\), got 0x10 \(code -16, value -2.0\)",),
    ),
    Fault(
        "stream-LOST",
        ANY,
        "in_order",
        (
            r".*: all 32 words must pass, not 31: o_valid stays 0 with all of them in, for 112 cycles",
            r".*: 32 words must come out, not 31",
        ),
    ),
    Fault(
        "stream-REPEATED",
        ANY,
        "shuffled_none_gaps_none_stalls",
        (
            rf"{WRONG}",
            r".*: o_valid must be 0 after all 32 words that went in came out, not 1 with 0x\w\w .*",
        ),
    ),
    Fault("stream-REORDERED", r"shuffled.*|reset", "shuffled_none_gaps_none_stalls", (WRONG,)),
    Fault(
        "stream-UNSTABLE",
        STALLED,
        "shuffled_none_gaps_random_stalls",
        (r"cycle 12: a stalled output must hold 0x1e \(code -2, value -0.25\), not 0x1f .*",),
    ),
    Fault(
        "stream-DROPS_VALID",
        STALLED,
        "shuffled_none_gaps_random_stalls",
        (r"cycle 12: a stalled output must hold 0x1e \(code -2, value -0.25\), not o_valid = 0",),
    ),
    Fault(
        "stream-SHORT_LATENCY",
        ANY,
        "in_order",
        (r"cycle 4: word 0: latency must be 3 cycles, not 2", r"and 24 more failures"),
    ),
    Fault(
        "stream-BUBBLE",
        r"in_order|shuffled_.*_none_stalls|reset",
        "in_order",
        (
            r"cycle 20: word 14: latency must be 3 cycles, not 4",
            r".*: 32 words must go in within as many cycles, not 33",
        ),
    ),
    Fault(
        "stream-STALE",
        "reset",
        "reset",
        (r"cycle 5: o_valid must be 0 after all 0 words that went in came out, not 1 with .*",),
    ),
    Fault(
        "stream-RESET_NEEDS_ENABLE",
        "reset",
        "reset",
        (r".*: o_valid must be 0 after a reset with 3 words on their way, not 1",),
    ),
    Fault("stream-X_DATA", ANY, "in_order", (r"cycle 28: o_data must have no X or Z bits, not 0X111",)),
    Fault("stream-X_READY", ANY, "in_order", (r"cycle 22: i_ready must have no X or Z bits, not X",)),
    Fault(
        "stream-NEVER_READY",
        ANY,
        "in_order",
        (r".*: all 32 words must pass, not 20: i_ready stays 0 after 20, for 112 cycles",),
    ),
    Fault(
        "stream-NEVER_VALID",
        ANY,
        "in_order",
        (r".*: all 32 words must pass, not 0: o_valid stays 0 with all of them in, for 112 cycles",),
    ),
    Fault(
        "stream-IGNORES_VALID",
        ANY,
        "in_order",
        (r".*: o_valid must be 0 after all 32 words that went in came out, not 1 with .*",),
    ),
    Fault("stream-NARROW_PORT", ANY, "in_order", (r"cycle 0: port i_data must have 5 bits, not 4",)),
    Fault("stream-MISSING_PORT", "build", "build", (r"the module must have an output o_valid, not none",)),
    Fault(
        "stream-NO_SYNTAX",
        "build",
        "build",
        (r"module tiny_stream must compile .*\ntiny_stream.v:\d+: syntax error(.|\n)*",),
    ),
    Fault("bare-CE_IGNORED", GATED, "shuffled_random_ce", (r".*: y must hold .* while ce = 0, not .*",)),
    Fault("bare-CE_HALF", GATED, "shuffled_alternating_ce", (WRONG,)),
    Fault("bare-UNSTABLE", GATED, "shuffled_random_ce", (r".*: y must hold .* while ce = 0, not .*",)),
    Fault("bare-SHORT_LATENCY", ANY, "in_order", (r".*: latency must be 2 enabled edges, not 1",)),
    Fault(
        "bare-MOST_NEGATIVE",
        ANY,
        "in_order",
        (r"cycle 2: word 0, input 0x10 \(code -16, .*: expected 0x1c .*, got 0x1b .*",),
    ),
    Fault("bare-X_DATA", ANY, "in_order", (r"cycle 21: y must have no X or Z bits, not 0001X",)),
    Fault(
        "combinational-WRONG_CODE",
        ANY,
        "in_order",
        (r"cycle 15: word 15, input 0x1f \(code -1, .*: expected 0x1f .*, got 0x00 .*",),
    ),
    Fault(
        "wires-IGNORES_VALID",
        ANY,
        "in_order",
        (r".*: o_valid must be 0 after all 32 words that went in came out, not 1 with .*",),
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.unit)
def test_the_benches_catch(fault: Fault, tmp_path: Path) -> None:
    kind, _, define = fault.unit.partition("-")
    report = prove(tiny(kind, tmp_path), verilog=by_hand(kind, tmp_path, define))
    assert not report.passed
    assert fault.must in failing(report)
    assert all(re.fullmatch(fault.may, name) for name in failing(report)), failing(report)
    failures = next(phase for phase in report.phases if phase.name == fault.must).failures
    for line in fault.lines:
        assert any(re.fullmatch(line, failure) for failure in failures), failures
    root = ElementTree.parse(report.junit).getroot()
    assert int(root.attrib["failures"]) == len(failing(report)) == len(list(root.iter("failure")))


def test_every_way_to_break_a_unit_is_tried() -> None:
    written = {
        f"{path.stem}-{define}"
        for path in SOURCES.glob("*.v")
        for define in re.findall(r"`(?:ifdef|elsif|ifndef) (\w+)", path.read_text(encoding="utf-8"))
    }
    assert written == {fault.unit for fault in FAULTS} | {"stream-HANGS"}


@pytest.mark.parametrize("kind", ["stream", "bare", "combinational", "wires"])
def test_the_same_units_unbroken_pass(kind: str, tmp_path: Path) -> None:
    report = prove(tiny(kind, tmp_path), verilog=by_hand(kind, tmp_path))
    assert report.passed, report.failures


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_one_flipped_bit_of_a_table_is_found(simulator: str, tmp_path: Path) -> None:
    bundle = table(tmp_path)
    report = prove(bundle, simulator, verilog=broken_table(bundle, tmp_path))
    assert failing(report) >= {
        "in_order",
        "shuffled_none_gaps_none_stalls",
        "shuffled_random_gaps_random_stalls",
    }
    in_order = next(phase for phase in report.phases if phase.name == "in_order")
    assert in_order.codes_checked == 256
    unit = hwact.from_manifest(json.loads((bundle / f"{bundle.name}.json").read_text(encoding="utf-8")))
    pattern = (
        r"cycle (\d+): word (\d+), .*\(code (\S+), .*: expected .*\(code (\S+), .*, got .*\(code (\S+), .*"
    )
    for line in in_order.failures:
        match = re.fullmatch(pattern, line)
        assert match is not None, line
        cycle, word, code, expected, got = map(int, match.groups())
        assert (word, cycle) == (code + 128, 2 + word + unit.latency)  # two cycles of reset come first
        assert expected == unit.evaluate(code)
        assert abs(got - expected) == 1


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_verilog_that_cannot_be_built_is_a_failure_and_no_error(simulator: str, tmp_path: Path) -> None:
    bundle = tiny("stream", tmp_path)
    missing = prove(bundle, simulator, verilog=by_hand("stream", tmp_path, "MISSING_PORT"))
    assert missing.failures == ("build: the module must have an output o_valid, not none",)
    syntax = prove(bundle, simulator, verilog=by_hand("stream", tmp_path, "NO_SYNTAX"))
    assert failing(syntax) == {"build"}
    assert re.search(r"^(%Error: )?tiny_stream.v:\d+(:\d+)?: syntax error", syntax.failures[0], re.MULTILINE)
    assert str(tmp_path) not in syntax.failures[0]
    assert syntax.codes_checked == 0


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_port_of_the_wrong_direction_is_found(simulator: str, tmp_path: Path) -> None:
    text = by_hand("combinational", tmp_path).read_text(encoding="utf-8")
    path = tmp_path / "reversed.v"
    path.write_text(text.replace("input ", "inout "), encoding="utf-8")
    report = prove(tiny("combinational", tmp_path), simulator, verilog=path)
    assert report.failures == ("build: the module must have an input x, not an inout",)


def test_a_simulation_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwact.verify.bench.SECONDS_AT_LEAST", 0.5)
    started = time.perf_counter()
    report = prove(tiny("stream", tmp_path), verilog=by_hand("stream", tmp_path, "HANGS"))
    assert time.perf_counter() - started < 60
    assert failing(report) >= {"in_order", "reset", "simulation"}
    assert "simulation: the simulation must end within 2 s, not run on" in "\n".join(report.failures)


def forge_record(results: Path) -> None:
    """A phase that reports no failures, with codes that are wrong."""
    codes = np.load(results / "in_order.npy")
    np.save(results / "in_order.npy", codes ^ np.uint64(1))


def lose_code(results: Path) -> None:
    np.save(results / "in_order.npy", np.load(results / "in_order.npy")[:, :-1])


def lose_record(results: Path) -> None:
    (results / "in_order.json").unlink()


def cut_record(results: Path) -> None:
    (results / "in_order.json").write_text('{"cycles": 3', encoding="utf-8")


def cut_codes(results: Path) -> None:
    whole = (results / "in_order.npy").read_bytes()
    (results / "in_order.npy").write_bytes(whole[:-5])


def lose_results(results: Path) -> None:
    (results.parent / "results.xml").unlink()


def fail_in_results(results: Path) -> None:
    path = results.parent / "results.xml"
    tree = ElementTree.parse(path)
    ElementTree.SubElement(next(tree.iter("testcase")), "failure")
    tree.write(path)


def skip_in_results(results: Path) -> None:
    path = results.parent / "results.xml"
    tree = ElementTree.parse(path)
    ElementTree.SubElement(next(tree.iter("testcase")), "skipped")
    tree.write(path)


OTHERS = "in_order: the 32 codes that came must be the golden model's; the bench passed others"
COUNTS = "simulation: cocotb must report 4 tests with 0 failures, as the phases' records do, not {}"
FORGERIES: list[tuple[Callable[[Path], None], str]] = [
    (forge_record, OTHERS),
    (lose_code, OTHERS),
    (cut_codes, OTHERS),
    (lose_record, "in_order: the phase must leave a record, not none"),
    (cut_record, "in_order: the phase must leave a record, not a damaged one"),
    (lose_results, COUNTS.format("0 with 0")),
    (fail_in_results, COUNTS.format("4 with 1")),
    (skip_in_results, COUNTS.format("4 with 1")),
]


@pytest.mark.parametrize(("forge", "text"), FORGERIES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_result_that_contradicts_itself_is_no_proof(
    forge: Callable[[Path], None], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forged(simulator: Simulator, work: Path, *arguments: Any) -> int | None:
        status = run_job(simulator, work, *arguments)
        forge(work / "results")
        return status

    monkeypatch.setattr("hwact.verify.bench.run_job", forged)
    report = prove(tiny("bare", tmp_path))
    assert any(line.startswith(text) for line in report.failures), report.failures


def test_a_simulator_that_ends_badly_is_no_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwact.verify.bench.run_job", lambda *arguments: (run_job(*arguments), 3)[1])
    report = prove(tiny("bare", tmp_path))
    assert failing(report) == {"simulation"}
    assert "the simulator must exit with status 0, not 3; the log ends:\n" in report.failures[0]
