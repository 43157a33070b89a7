# SPDX-License-Identifier: Apache-2.0
"""Running a bench in a built simulator, and judging the files that it leaves."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from hwact.formats import Codes, Format
from hwact.interfaces import INTERFACES
from hwact.tools import Simulator, tail
from hwact.verify.claims import AnyUnit
from hwact.verify.plan import Phase, Plan, from_bits, to_bits
from hwact.verify.process import run_job
from hwact.verify.report import PhaseRecord

BENCHES = {"stream": "stream", "axis": "stream", "bare": "bare"}  # modules of sim/
SIDEBANDS = {"axis": ("tlast", "tuser")}
SECONDS_PER_CODE = 0.004  # hundreds of times what a code takes; a limit for a simulator that hangs
SECONDS_AT_LEAST = 120.0


@dataclass(frozen=True)
class Outcome:
    """What a run of the bench left: a record for each phase, and the codes that came in order."""

    phases: tuple[PhaseRecord, ...]
    in_order: Codes


@dataclass(frozen=True)
class Bench:
    """A plan, the codes that the golden model expects, and where to run.

    Parameters
    ----------
    unit : Unit or RequantisingUnit
    plan : Plan
    work : Path
        A folder from `hwact.verify.process.work_folder`.
    """

    unit: AnyUnit
    plan: Plan
    work: Path

    def run(self, simulator: Simulator, build: Path, top: str, waves: Path | None) -> Outcome:
        """Simulate every phase and judge it."""
        codes = self.plan.all_codes
        expected = self.unit.evaluate(codes)
        bits = to_bits(codes, self.unit.input_format), to_bits(expected, self.unit.output_format)
        np.save(self.work / "numbers.npy", np.stack(bits))
        limit = SECONDS_AT_LEAST + SECONDS_PER_CODE * len(codes)
        status = self._simulate(simulator, build, top, waves, limit)
        phases = [self._judge(phase, bits[1]) for phase in self.plan.phases]
        if problem := self._contradiction(status, phases, limit):
            phases.append(PhaseRecord(name="simulation", failures=(problem,)))
        received = from_bits(self._received(self.plan.phases[0]), self.unit.output_format)
        return Outcome(tuple(phases), received)

    def _simulate(
        self, simulator: Simulator, build: Path, top: str, waves: Path | None, limit: float
    ) -> int | None:
        settings = self.work / "settings.json"
        settings.write_text(json.dumps(self._settings()), encoding="utf-8")
        arguments = {
            "test_module": f"sim.{BENCHES[self.unit.interface]}",
            "hdl_toplevel": top,
            "hdl_toplevel_lang": "verilog",
            "build_dir": str(build),
            "test_dir": str(self.work),
            "results_xml": str(self.work / "results.xml"),
            "log_file": str(self.work / "simulator.log"),
            "seed": self.plan.seed,
            "waves": waves is not None,
            **_options(simulator, self.plan.seed, waves),
        }
        return run_job(simulator, self.work, "test", arguments, limit, {"HWACT_BENCH": str(settings)})

    def _settings(self) -> dict[str, Any]:
        return {
            "interface": self.unit.interface,
            "sideband": SIDEBANDS.get(self.unit.interface, ()),
            "latency": self.unit.latency,
            "lanes": self.plan.lanes,
            "input": _number(self.unit.input_format, self.unit.interface),
            "output": _number(self.unit.output_format, self.unit.interface),
            "phases": [asdict(phase) for phase in self.plan.phases],
            "numbers": str(self.work / "numbers.npy"),
            "results": str(self.work / "results"),
            "seed": self.plan.seed,
        }

    def _received(self, phase: Phase) -> npt.NDArray[np.uint64]:
        try:
            return np.load(self.work / "results" / f"{phase.name}.npy", allow_pickle=False)
        except (OSError, ValueError, EOFError):  # the simulator was stopped before it, or within it
            return np.zeros(0, dtype=np.uint64)

    def _judge(self, phase: Phase, expected: npt.NDArray[np.uint64]) -> PhaseRecord:
        """The bench's record of a phase, and the codes themselves compared once more."""
        path = self.work / "results" / f"{phase.name}.json"
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = "none" if isinstance(error, OSError) else f"a damaged one ({error})"
            return PhaseRecord(name=phase.name, failures=(f"the phase must leave a record, not {reason}",))
        failures = list(said["failures"])
        if said["failure_count"] > len(failures):
            failures.append(f"and {said['failure_count'] - len(failures)} more failures")
        due, came = expected[phase.start : phase.stop], self._received(phase)
        if not failures and not np.array_equal(came, due):
            failures.append(
                f"the {len(due)} codes that came must be the golden model's; the bench passed others"
            )
        return PhaseRecord(
            name=phase.name,
            codes_checked=min(len(came), len(due)),
            cycles=said["cycles"],
            latency=self._latency(phase, said["latencies"]),
            seconds=said["seconds"],
            failures=tuple(failures),
        )

    def _latency(self, phase: Phase, seen: list[int]) -> int | None:
        """The latency that was seen, the claimed one if several fit; under stalls it means nothing."""
        if phase.stalls != "none":
            return None
        return self.unit.latency if self.unit.latency in seen else min(seen, default=None)

    def _contradiction(self, status: int | None, phases: list[PhaseRecord], limit: float) -> str | None:
        """Why cocotb's own account differs from the phases' records, if it does."""
        bad = sum(not phase.passed for phase in phases)
        tests, failed = _results(self.work / "results.xml")
        if status is None:
            reason = f"the simulation must end within {limit:.0f} s, not run on (a combinational loop?)"
        elif (tests, failed) != (len(phases), bad):
            reason = (
                f"cocotb must report {len(phases)} tests with {bad} failures, as the phases' records do, "
                f"not {tests} with {failed}"
            )
        elif status != 0:
            reason = f"the simulator must exit with status 0, not {status}"
        else:
            return None
        log = tail(self.work / "simulator.log", self.work / "test.out")
        return f"{reason}; the log ends:\n{log}"


def _number(number_format: Format, interface: str) -> dict[str, Any]:
    return {
        "width": number_format.width,
        "signed": number_format.signed,
        "ulp": float(number_format.ulp),
        "zero_point": number_format.zero_point,
        "lane_bits": INTERFACES[interface].lane_bits(number_format),
    }


def _options(simulator: Simulator, seed: int, waves: Path | None) -> dict[str, list[str]]:
    if simulator.name == "icarus":
        return {"plusargs": [f"+dumpfile_path={waves}"]} if waves else {}
    trace = ["--trace-file", str(waves)] if waves else []
    random = ["+verilator+rand+reset+2", f"+verilator+seed+{seed % (1 << 31 - 1) + 1}"]
    return {"test_args": [*trace, *random]}


def _results(path: Path) -> tuple[int, int]:
    """Tests and failures in cocotb's results file."""
    try:
        cases = list(ElementTree.parse(path).getroot().iter("testcase"))
    except (OSError, ElementTree.ParseError):
        return 0, 0
    bad = [
        case for case in cases if any(case.find(tag) is not None for tag in ("failure", "error", "skipped"))
    ]
    return len(cases), len(bad)
