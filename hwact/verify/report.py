# SPDX-License-Identifier: Apache-2.0
"""What a verification found: records, text, and JUnit XML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.etree import ElementTree

MAX_FAILURES_SHOWN = 8

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd]")


@dataclass(frozen=True, kw_only=True)
class PhaseRecord:
    """One check.

    Parameters
    ----------
    name : str
    codes_checked : int
        Output codes that were compared with the golden model's.
    cycles : int
        Clock cycles simulated; 0 for checks without a simulation.
    latency : int, optional
        Cycles from input to output that were seen; none where the check cannot tell.
    seconds : float
    failures : tuple of str
        The first few; each names what was required, what came, and where.
    """

    name: str
    codes_checked: int = 0
    cycles: int = 0
    latency: int | None = None
    seconds: float = 0.0
    failures: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing was wrong."""
        return not self.failures


@dataclass(frozen=True, kw_only=True)
class VerifyReport:
    """All checks of one run.

    Parameters
    ----------
    name, interface : str
        The unit's.
    verilog : Path
        The file that was under test.
    simulator, simulator_version : str
    seed : int
    phases : tuple of PhaseRecord
    coverage : str
        Which codes were checked, under which gaps and stalls; in plain words.
    notes : tuple of str
        Anything else that a reader should know, such as the third witness's error.
    build_reused : bool
        The simulator came from the cache.
    junit, log : Path
        The JUnit XML and the simulator's log.
    waves : Path, optional
    seconds : float
    """

    name: str
    interface: str
    verilog: Path
    simulator: str
    simulator_version: str
    seed: int
    phases: tuple[PhaseRecord, ...]
    coverage: str
    notes: tuple[str, ...]
    build_reused: bool
    junit: Path
    log: Path
    waves: Path | None
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every phase passed; a run without phases has proved nothing."""
        return bool(self.phases) and all(phase.passed for phase in self.phases)

    @property
    def failures(self) -> tuple[str, ...]:
        """Every phase's failures, each with the phase's name."""
        return tuple(f"{phase.name}: {line}" for phase in self.phases for line in phase.failures)

    @property
    def codes_checked(self) -> int:
        """Output codes compared, over all phases."""
        return sum(phase.codes_checked for phase in self.phases)

    @property
    def cycles(self) -> int:
        """Clock cycles simulated, over all phases."""
        return sum(phase.cycles for phase in self.phases)

    @property
    def latency(self) -> int | None:
        """The latency that the phases saw, when they agree on one."""
        seen = {phase.latency for phase in self.phases} - {None}
        return seen.pop() if len(seen) == 1 else None

    def as_dict(self) -> dict[str, object]:
        """The report as JSON-ready data."""
        data = asdict(self) | {"phases": [asdict(phase) | {"passed": phase.passed} for phase in self.phases]}
        paths = {key: str(value) for key, value in data.items() if isinstance(value, Path)}
        totals = {
            "passed": self.passed,
            "codes_checked": self.codes_checked,
            "cycles": self.cycles,
            "latency": self.latency,
        }
        return data | paths | totals

    def text(self) -> str:
        """The report for a terminal."""
        lines = [f"{self.name}: {self.simulator} {self.simulator_version}, seed {self.seed}, {self.verilog}"]
        lines += [_row(phase) for phase in self.phases]
        lines += [f"  {line}" for line in self.failures]
        lines += [self.coverage, *self.notes]
        lines += [f"JUnit XML: {self.junit}", f"log: {self.log}"]
        lines += [f"waves: {self.waves}"] if self.waves else []
        lines.append(
            f"{'passed' if self.passed else 'FAILED'}: {self.codes_checked} codes, {self.cycles} cycles, "
            f"latency {self.latency}, {self.seconds:.1f} s (simulator {self._build()})"
        )
        return "\n".join(lines)

    def _build(self) -> str:
        return "build reused" if self.build_reused else "built"


def _row(phase: PhaseRecord) -> str:
    seen = "" if phase.latency is None else f"latency {phase.latency}"
    state = "ok" if phase.passed else "FAIL"
    return (
        f"  {state:4} {phase.name:42} {phase.codes_checked:8} codes {phase.cycles:9} cycles "
        f"{phase.seconds:6.2f} s  {seen}"
    ).rstrip()


def junit_xml(report: VerifyReport) -> bytes:
    """The report as JUnit XML: one testcase a phase, its counts as properties."""
    totals = {
        "tests": str(len(report.phases)),
        "failures": str(sum(not phase.passed for phase in report.phases)),
        "errors": "0",
        "skipped": "0",
        "time": f"{report.seconds:.3f}",
    }
    root = ElementTree.Element("testsuites", totals)
    suite = ElementTree.SubElement(root, "testsuite", {"name": f"hwact.verify.{report.name}", **totals})
    facts = {
        "simulator": f"{report.simulator} {report.simulator_version}",
        "seed": report.seed,
        "coverage": report.coverage,
    }
    _properties(suite, facts | {f"note_{i}": note for i, note in enumerate(report.notes)})
    for phase in report.phases:
        _testcase(suite, f"{report.name}.{report.simulator}", phase)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def _testcase(suite: ElementTree.Element, classname: str, phase: PhaseRecord) -> None:
    fields = {"classname": classname, "name": phase.name, "time": f"{phase.seconds:.3f}"}
    case = ElementTree.SubElement(suite, "testcase", fields)
    facts = {"codes_checked": phase.codes_checked, "cycles": phase.cycles, "latency": phase.latency}
    _properties(case, facts)
    if phase.failures:
        first = _NOT_XML.sub("?", phase.failures[0])
        failure = ElementTree.SubElement(case, "failure", {"message": first.partition("\n")[0]})
        failure.text = _NOT_XML.sub("?", "\n".join(phase.failures))


def _properties(parent: ElementTree.Element, facts: Mapping[str, object]) -> None:
    properties = ElementTree.SubElement(parent, "properties")
    for name, value in facts.items():
        if value is not None:
            text = _NOT_XML.sub("?", str(value))
            ElementTree.SubElement(properties, "property", {"name": name, "value": text})
