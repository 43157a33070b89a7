# SPDX-License-Identifier: Apache-2.0
"""Place and route by nextpnr: the clock that a module really reaches."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hwact.errors import ArgumentError, ToolError
from hwact.synth import area
from hwact.synth.harness import TOP, convert
from hwact.synth.source import Source
from hwact.synth.targets import Device, SynthTarget
from hwact.tools import run_group, tail

LIMIT_S = 900.0
# Far above what any unit reaches: nextpnr then works for speed everywhere, and not only up to a goal.
GOAL_MHZ = 1000
FULL = 0.7  # share of a device's look-up tables beyond which routing decides, not the unit


def versions(target: SynthTarget) -> dict[str, str]:
    """Of what decides about the clock.

    Raises
    ------
    ToolError
        It is not installed.
    """
    package = f"yowasp-{target.place}"
    try:
        return {target.place: importlib.metadata.version(package)}
    except importlib.metadata.PackageNotFoundError:
        raise ToolError(
            f"{target.place} must be installed for {target.title}, not missing; "
            f"run python -m pip install {package}"
        ) from None


@contextmanager
def netlist(source: Source, target: SynthTarget, *, dsp: bool, ram: bool) -> Iterator[Path]:
    """A folder with ``netlist.json``: the module between registers, synthesised."""
    with tempfile.TemporaryDirectory(prefix="hwact-place-") as name:
        work = Path(name)
        (work / "unit.v").write_text(source.verilog, encoding="utf-8")
        (work / "harness.il").write_text(convert(source), encoding="utf-8")
        steps = ["read_verilog unit.v", "read_rtlil harness.il", target.command(TOP, dsp=dsp, ram=ram)]
        area.run_yosys(work, [*steps, "write_json netlist.json"], source.name)
        yield work


def device(target: SynthTarget, luts: float) -> Device:
    """The smallest device that is not crowded by so many look-up tables."""
    for candidate in target.devices:
        if luts <= FULL * candidate.luts:
            return candidate
    raise ArgumentError(
        f"a unit on {target.title} must have at most {FULL * target.devices[-1].luts:.0f} look-up tables, "
        f"not {luts:.0f}; choose another target, fewer lanes or a narrower format"
    )


def f_max(work: Path, target: SynthTarget, chosen: Device, seed: int) -> float:
    """The clock of a placed and routed netlist; MHz.

    Raises
    ------
    ToolError
        nextpnr fails.
    """
    report, log = work / f"report{seed}.json", work / f"nextpnr{seed}.log"
    arguments = ["--json", "netlist.json", "--report", report.name, "--seed", str(seed), "--quiet"]
    arguments += ["--freq", str(GOAL_MHZ), "--timing-allow-fail", *chosen.arguments, *_open_pins(target)]
    status = run_group(
        [*_command(target), *arguments], cwd=work, output=log, limit_s=LIMIT_S, environment=os.environ
    )
    if status or not report.is_file():
        ending = f"run past {LIMIT_S:.0f} s" if status is None else f"end with status {status}"
        raise ToolError(f"{target.place} must place the unit, not {ending}:\n{tail(log, mark='ERROR')}")
    clocks = json.loads(report.read_text(encoding="utf-8"))["fmax"]
    return round(min(float(clock["achieved"]) for clock in clocks.values()), 3)


def _command(target: SynthTarget) -> Sequence[str]:
    module, function = f"yowasp-{target.place}".replace("-", "_"), f"run_{target.place}".replace("-", "_")
    return [
        sys.executable,
        "-c",
        f"import sys; from {module} import {function} as f; sys.exit(f(sys.argv[1:]))",
    ]


def _open_pins(target: SynthTarget) -> Sequence[str]:
    """Let nextpnr choose the pins."""
    return ["--pcf-allow-unconstrained" if target.place.endswith("ice40") else "--lpf-allow-unconstrained"]
