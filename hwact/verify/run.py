# SPDX-License-Identifier: Apache-2.0
"""`verify`: a bundle's Verilog against its golden model, from the files alone."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwact import recordings
from hwact.errors import ArgumentError
from hwact.formats import Codes
from hwact.interfaces import port_records
from hwact.requantise import RequantisingUnit
from hwact.tools import Simulator, find_simulator, require_module
from hwact.unit import Unit
from hwact.verify.bench import BENCHES, Bench, Outcome
from hwact.verify.builds import NetlistError, Source, Store, build
from hwact.verify.claims import AnyUnit, Bundle, false_claims, golden_claim, read_bundle, rebuild
from hwact.verify.plan import Plan
from hwact.verify.process import work_folder
from hwact.verify.report import PhaseRecord, VerifyReport, junit_xml
from hwact.verify.witness import require_torch, torch_witness

WAVE_SUFFIX = {"verilator": ".vcd", "icarus": ".fst"}


def verify(
    folder: str | Path,
    *,
    simulator: str = "auto",
    verilog: str | Path | None = None,
    inputs: str | Path | None = None,
    against: str | None = None,
    waves: bool = False,
    thorough: bool = False,
    seed: int = 0,
    samples: int = 65_536,
    build_folder: str | Path | None = None,
    report_folder: str | Path | None = None,
) -> VerifyReport:
    """Prove a bundle's Verilog, and every claim of its manifest, by simulation.

    The unit is built once more from the manifest; its golden model says what every code must become, and
    every key of its manifest must be the file's. The cocotb benches then send all codes in order, and
    shuffled under gaps and stalls, and reset the unit with words on their way.

    Parameters
    ----------
    folder : path
        A generated bundle.
    simulator : str
        ``auto`` (Verilator, or else Icarus), ``verilator`` or ``icarus``.
    verilog : path, optional
        Another file with the same module name and ports, to be tested in place of the bundle's.
    inputs : path, optional
        A ``.npy`` file of codes (integers) or values (floats) to be sent as well.
    against : str, optional
        ``torch`` compares what the Verilog put out with PyTorch's float64 function too.
    waves : bool
        Keep a VCD (Verilator) or FST (Icarus) beside the report.
    thorough : bool
        Send every code through each pairing of gaps and stalls, also above 12 bits.
    seed : int
        For shuffling, patterns and samples; at least 0.
    samples : int
        How many random codes stand for all of them where the input is wider than 16 bits.
    build_folder : path, optional
        Where simulator builds are kept; ``$XDG_CACHE_HOME/hwact/sim`` by default.
    report_folder : path, optional
        Where JUnit XML, log and waves go; ``<folder>/verify`` by default.

    Returns
    -------
    VerifyReport
        Whatever failed is in the report and raises nothing; so is Verilog that does not compile.

    Raises
    ------
    BundleError
        The folder is no bundle, or its Verilog was edited.
    ArgumentError
        An argument is not usable.
    ToolError
        A simulator, a compiler or PyTorch is missing or too old.
    """
    started = time.perf_counter()
    _check_arguments(against, seed, samples)
    bundle = read_bundle(folder, check_digest=verilog is None)
    tool = _find_tools(simulator, against)
    unit = rebuild(bundle)
    if against is not None and not isinstance(unit, Unit):
        raise ArgumentError(
            f"against must be left out for a requantising unit, whose inputs are words, not {against!r}"
        )
    plan = _plan(unit, inputs, thorough, seed, samples)
    source = _source(bundle, unit, verilog, waves)
    store = Store(Path(build_folder) if build_folder is not None else None)
    path = bundle.verilog_path if verilog is None else Path(verilog)
    files = _Files(
        Path(report_folder or bundle.folder / "verify"), _run_name(tool, source, verilog), tool, waves
    )
    phases = [_claims_phase(bundle, unit)]
    notes: list[str] = []
    with work_folder() as work, files.kept(work):
        outcome, reused = _simulate(tool, source, store, Bench(unit, plan, work), files)
    phases += outcome.phases
    if against is not None and isinstance(unit, Unit):
        record, note = torch_witness(unit, bundle.manifest, plan.codes, outcome.in_order)
        phases.append(record)
        notes.append(note)
    report = VerifyReport(
        name=bundle.name,
        interface=unit.interface,
        verilog=path,
        simulator=tool.name,
        simulator_version=tool.version,
        seed=seed,
        phases=tuple(phases),
        coverage=plan.coverage,
        notes=tuple(notes),
        build_reused=reused,
        junit=files.junit,
        log=files.log,
        waves=files.waves if files.waves and files.waves.is_file() else None,
        seconds=time.perf_counter() - started,
    )
    files.write_junit(report)
    return report


def _check_arguments(against: str | None, seed: int, samples: int) -> None:
    if against not in (None, "torch"):
        raise ArgumentError(f"against must be torch, not {against!r}")
    for name, value, least in (("seed", seed, 0), ("samples", samples, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ArgumentError(f"{name} must be an integer of at least {least}, not {value!r}")


def _find_tools(simulator: str, against: str | None) -> Simulator:
    require_module("cocotb", "to simulate", "python -m pip install cocotb brings it")
    if against is not None:
        require_torch()
    return find_simulator(simulator)


def _plan(unit: AnyUnit, inputs: str | Path | None, thorough: bool, seed: int, samples: int) -> Plan:
    if unit.interface not in BENCHES:
        raise ArgumentError(
            f"interface must be {' or '.join(BENCHES)} to be verified, not {unit.interface!r}"
        )
    return Plan(
        number_format=unit.input_format,
        interface=unit.interface,
        latency=unit.latency,
        lanes=unit.lanes,
        seed=seed,
        samples=samples,
        thorough=thorough,
        recorded=None if inputs is None else _recorded(inputs, unit),
        judged=_judged(unit),
    )


def _judged(unit: AnyUnit) -> Codes | None:
    """The input codes that stand for all of them in the unit's accuracy."""
    if isinstance(unit, RequantisingUnit):
        return unit.steps()
    return None if unit.spec.listed else unit.design.checked_codes


def _source(bundle: Bundle, unit: AnyUnit, verilog: str | Path | None, waves: bool) -> Source:
    text, suffix = bundle.verilog, ".v"
    if verilog is not None:
        try:
            text, suffix = Path(verilog).read_bytes(), Path(verilog).suffix
        except OSError as error:
            raise ArgumentError(
                f"verilog must be a readable file, not {str(verilog)!r} ({error.strerror})"
            ) from None
    ports = port_records(unit.interface, unit.latency, unit.input_format, unit.output_format, unit.lanes)
    return Source(
        verilog=text,
        suffix=suffix if suffix == ".sv" else ".v",
        top=bundle.name,
        ports={str(port["name"]): str(port["direction"]) for port in ports},
        waves=waves,
    )


def _run_name(tool: Simulator, source: Source, verilog: str | Path | None) -> str:
    """The report's file name; another file's run does not replace the bundle's own."""
    if verilog is None:
        return tool.name
    return f"{tool.name}-{Path(verilog).stem}-{hashlib.sha256(source.verilog).hexdigest()[:8]}"


def _claims_phase(bundle: Bundle, unit: AnyUnit) -> PhaseRecord:
    started = time.perf_counter()
    failures = (*false_claims(bundle.manifest, unit), *golden_claim(bundle.manifest, unit))
    return PhaseRecord(name="manifest", seconds=time.perf_counter() - started, failures=failures)


def _simulate(
    tool: Simulator, source: Source, store: Store, bench: Bench, files: _Files
) -> tuple[Outcome, bool]:
    started = time.perf_counter()
    try:
        folder, reused = build(tool, source, store, bench.work)
    except NetlistError as error:
        record = PhaseRecord(name="build", seconds=time.perf_counter() - started, failures=(str(error),))
        return Outcome((record,), bench.plan.codes[:0]), False
    record = PhaseRecord(name="build", seconds=time.perf_counter() - started)
    outcome = bench.run(tool, folder, source.top, files.waves)
    return Outcome((record, *outcome.phases), outcome.in_order), reused


@dataclass(frozen=True)
class _Files:
    """The files that a run leaves: ``<name>.xml``, ``<name>.log``, and ``<name>.vcd`` or ``.fst``."""

    folder: Path
    name: str
    tool: Simulator
    with_waves: bool

    def __post_init__(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            writable = os.access(self.folder, os.W_OK)
        except OSError:
            writable = False
        if not writable:
            raise ArgumentError(
                f"the report's folder must be writable, not {str(self.folder)!r}; name another report folder"
            )

    @property
    def junit(self) -> Path:
        return (self.folder / f"{self.name}.xml").absolute()

    @property
    def log(self) -> Path:
        return self.junit.with_suffix(".log")

    @property
    def waves(self) -> Path | None:
        return self.junit.with_suffix(WAVE_SUFFIX[self.tool.name]) if self.with_waves else None

    @contextmanager
    def kept(self, work: Path) -> Iterator[None]:
        """Keep the tools' logs of this run, however it ends."""
        try:
            yield
        finally:
            logs = [work / name for name in ("build.log", "build.out", "simulator.log", "test.out")]
            with self.log.open("wb") as log:
                for path in filter(Path.is_file, logs):
                    log.write(f"== {path.name}\n".encode())
                    with path.open("rb") as part:
                        shutil.copyfileobj(part, log)

    def write_junit(self, report: VerifyReport) -> None:
        fresh = self.junit.with_suffix(".xml.new")
        fresh.write_bytes(junit_xml(report))
        fresh.replace(self.junit)


def _recorded(path: str | Path, unit: AnyUnit) -> Codes:
    """Recorded inputs as codes, in a row."""
    data = recordings.read(path)
    if data.size == 0:
        raise ArgumentError(
            f"inputs must hold at least one number, not shape {data.shape!r} in {str(path)!r}"
        )
    if isinstance(unit, RequantisingUnit):
        unit.check_range(data)
        return data.ravel().astype(np.int64)
    return recordings.codes_of(data, unit, path).ravel().astype(np.int64)
