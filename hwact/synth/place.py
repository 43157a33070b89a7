# SPDX-License-Identifier: Apache-2.0
"""Place and route by nextpnr: the clock that a module really reaches."""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hwact.errors import ArgumentError, ToolError
from hwact.synth import area
from hwact.synth.cache import Cache
from hwact.synth.harness import convert, top
from hwact.synth.source import CLOCK, Source
from hwact.synth.targets import Device, SynthTarget
from hwact.tools import cache_folder, run_group, tail

LIMIT_S = 900.0
# Far above what any unit reaches. Clocks were the same at every goal from 20 MHz on.
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
    """A folder with ``netlist.json``: the module between registers, synthesised.

    Raises
    ------
    ArgumentError
        Yosys does not accept the Verilog, or its ports are not those stated: logic behind a port that is left
        open would be optimised away, and the clock be that of the rest.
    """
    with tempfile.TemporaryDirectory(prefix="hwact-place-") as name:
        work = Path(name)
        (work / "unit.v").write_text(source.verilog, encoding="utf-8")
        (work / "harness.il").write_text(convert(source), encoding="utf-8")
        ports = f"tee -q -o ports.txt portlist {source.name}"
        steps = [*area.READ, ports, "read_rtlil harness.il", target.command(top(source), dsp=dsp, ram=ram)]
        requirement = f"module {source.name} must be Verilog that Yosys accepts, with the ports stated"
        area.run_yosys(work, [*steps, "write_json netlist.json"], requirement)
        _check_ports(source, (work / "ports.txt").read_text(encoding="utf-8"))
        yield work


_LISTED = r"^(input|output|inout) \[(-?\d+):(-?\d+)\] (\S+)$"


def _check_ports(source: Source, listed: str) -> None:
    found = {
        name: (direction, abs(int(first) - int(last)) + 1)
        for direction, first, last, name in re.findall(_LISTED, listed, re.MULTILINE)
    }
    stated = {port.name: (port.direction, port.width) for port in source.ports}
    for name in [*stated, *found]:
        if found.get(name) != stated.get(name):
            raise ArgumentError(
                f"port {name} of module {source.name} must be as stated, {_spelled(stated.get(name))}, "
                f"not {_spelled(found.get(name))}; correct the list of ports or the Verilog"
            )


def _spelled(port: tuple[str, int] | None) -> str:
    return "missing" if port is None else f"{port[0]} of {port[1]} bits"


def device(target: SynthTarget, figures: Mapping[str, Any], registers: int = 0) -> Device:
    """The first device that a unit of such figures, between so many registers, does not crowd."""
    flip_flops = figures.get("flip_flops", 0)
    for candidate in target.devices:
        limits = {"dsps": candidate.dsps, "block_rams": candidate.block_rams}
        sites = max(figures["area"], flip_flops) + registers  # a look-up table shares its site with one
        if sites <= FULL * candidate.luts and all(figures[key] <= limit for key, limit in limits.items()):
            return candidate
    taken = (
        f"{figures['area']:.0f} look-up tables, {flip_flops} flip-flops with {registers} around it, "
        f"{figures['dsps']} DSP and {figures['block_rams']} memory"
    )
    most = max(candidate.luts for candidate in target.devices)
    raise ArgumentError(
        f"a unit must fit a device of {target.title}, with at most {FULL * most:.0f} pairs of a look-up "
        f"table and a flip-flop, not take {taken} blocks; choose another target, fewer lanes or a narrower "
        "format"
    )


def prepare(target: SynthTarget) -> None:
    """Have nextpnr compiled; it comes as WebAssembly.

    By one process at a time: YoWASP writes what it compiled in place, where others may be reading it. The
    lock lies below the same folder, wherever results are kept.
    """
    alone = Cache(cache_folder("synth")).lock(target.place)
    with alone, tempfile.TemporaryDirectory(prefix="hwact-place-") as work:
        _nextpnr(target, Path(work), ["--version"], Path(work) / "nextpnr.log")


def f_max(work: Path, target: SynthTarget, chosen: Device, seed: int) -> float:
    """The clock of a placed and routed netlist; MHz.

    Raises
    ------
    ArgumentError
        The unit has a clock of its own beside the one between its registers.
    ToolError
        nextpnr fails.
    """
    report = work / f"report{seed}.json"
    arguments = ["--json", "netlist.json", "--report", report.name, "--seed", str(seed), "--quiet"]
    arguments += ["--freq", str(GOAL_MHZ), "--timing-allow-fail", *chosen.arguments, *_open_pins(target)]
    _nextpnr(target, work, arguments, work / f"nextpnr{seed}.log")
    return _clock(json.loads(report.read_text(encoding="utf-8")))


def _clock(facts: Mapping[str, Any]) -> float:
    """The only clock of nextpnr's report; MHz."""
    ends = {path[end].split()[-1] for path in facts["critical_paths"] for end in ("from", "to")}
    if len(ends - {"<async>"}) != 1:  # paths between two clocks count for neither's frequency
        raise ArgumentError(
            f"every register of the unit must run on the port {CLOCK}, not on {sorted(ends - {'<async>'})!r} "
            "as well; rename its clock or give it a single one"
        )
    (clock,) = facts["fmax"].values()
    return round(float(clock["achieved"]), 3)


def _nextpnr(target: SynthTarget, work: Path, arguments: Sequence[str], log: Path) -> None:
    status = run_group(
        [*_command(target), *arguments],
        cwd=work,
        output=log,
        limit_s=LIMIT_S,
        environment=area.environment(work),
    )
    if status != 0:
        ending = f"run past {LIMIT_S:.0f} s" if status is None else f"end with status {status}"
        raise ToolError(f"{target.place} must place the unit, not {ending}:\n{tail(log, mark='ERROR')}")


def _command(target: SynthTarget) -> Sequence[str]:
    module, function = f"yowasp-{target.place}".replace("-", "_"), f"run_{target.place}".replace("-", "_")
    program = f"import sys; from {module} import {function} as f; sys.exit(f(sys.argv[1:]))"
    return [sys.executable, "-P", "-c", program]


def _open_pins(target: SynthTarget) -> Sequence[str]:
    """Let nextpnr choose the pins."""
    return ["--pcf-allow-unconstrained" if target.place.endswith("ice40") else "--lpf-allow-unconstrained"]
