# SPDX-License-Identifier: Apache-2.0
"""Synthesis by Yosys: cells, area and depth."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hwact.errors import ArgumentError, ToolError
from hwact.synth.liberty import Liberty
from hwact.synth.source import Source
from hwact.synth.targets import SynthTarget
from hwact.tools import run_group, tail

LIMIT_S = 900.0
TRANSISTORS_PER_GATE = 4  # a NAND2 in CMOS

# ABC's default script for a Liberty file, and its timing report at the end.
_ABC_SCRIPT = "strash; &get -n; &fraig -x; &put; scorr; dc2; strash; &get -n; &dch -f; &nf; &put; stime -p\n"
_FLIP_FLOP = "$_DFF_P_"
_KINDS = ("NOT", "NAND", "NOR", "XOR", "XNOR", "MUX", "NMUX", "AOI3", "OAI3", "AOI4", "OAI4")
_GATES = {_FLIP_FLOP, *(f"$_{kind}_" for kind in _KINDS)}


def versions() -> dict[str, str]:
    """Of what decides about area."""
    return {"yosys": version("pyosys")}


def synthesise(
    source: Source, target: SynthTarget, *, dsp: bool, ram: bool, liberty: Liberty | None
) -> dict[str, Any]:
    """Area, cells and depth of a module, under the names of :class:`hwact.synth.Record`.

    Raises
    ------
    ArgumentError
        Yosys does not accept the Verilog, something in it is no part of the target, or the library does not
        suffice for it.
    """
    with _work_folder(source) as work:
        if target.flow:
            steps = [target.command(source.name, dsp=dsp, ram=ram), _STAT]
            # Paths end at registers and memories; ltp knows only Yosys' own.
            steps += [f"delete {' '.join(f't:{kind}' for kind in target.clocked)}", "tee -q -o depth.txt ltp"]
            run_yosys(work, [*READ, *steps], _accepted(source))
            return _on_device(work, target)
        synth = f"synth -flatten -top {source.name}"
        if liberty is None:
            run_yosys(work, [*READ, synth, *_TO_GATES], _accepted(source))
            return _in_gates(work)
        run_yosys(work, [*READ, synth, "write_rtlil gates.il"], _accepted(source))
        (work / "cells.lib").write_text(liberty.text, encoding="utf-8")
        requirement = (
            f"the library {liberty.name} must be one to which Yosys can map module {source.name}, with "
            "a flip-flop, an inverter, a buffer and gates, all with timing tables"
        )
        run_yosys(work, ["read_rtlil gates.il", *_mapping(work, liberty)], requirement)
        return _in_cells(work, liberty)


def netlist(source: Source, target: SynthTarget, *, dsp: bool = False, ram: bool = False) -> str:
    """A module as Verilog of a device's own cells, as they are counted; their models are Yosys'.

    Raises
    ------
    ArgumentError
        Yosys does not accept the Verilog, or the target is no device.
    """
    if not target.flow:
        raise ArgumentError(f"a netlist must be for a device, not {target.name!r}; choose another target")
    with _work_folder(source) as work:
        steps = [target.command(source.name, dsp=dsp, ram=ram), "write_verilog -noattr netlist.v"]
        run_yosys(work, [*READ, *steps], _accepted(source))
        return (work / "netlist.v").read_text(encoding="utf-8")


# Hierarchy that somebody else's Verilog keeps would be counted as cells, and not be optimised across.
READ = ("read_verilog unit.v", "setattr -mod -unset keep_hierarchy", "setattr -unset keep_hierarchy")
_STAT = "tee -q -o stat.json stat -json"
# Yosys knows the transistors of the plain flip-flop alone; enable and reset become gates in front of it, and
# no cell has a value at power-up.
_TO_GATES = (f"dfflegalize -cell {_FLIP_FLOP} 01", "abc -g cmos", "opt_clean -purge", _STAT + " -tech cmos")


@contextmanager
def _work_folder(source: Source) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hwact-synth-") as name:
        work = Path(name)
        (work / "unit.v").write_text(source.verilog, encoding="utf-8")
        yield work


def _accepted(source: Source) -> str:
    return f"module {source.name} must be Verilog that Yosys accepts"


def _mapping(work: Path, liberty: Liberty) -> Sequence[str]:
    """Steps from gates to a library's cells."""
    (work / "abc.script").write_text(_ABC_SCRIPT, encoding="utf-8")
    spared = " ".join(f"-dont_use {cell}" for cell in liberty.kept_out)
    return (
        f"dfflibmap -liberty cells.lib {spared}",
        f"abc -liberty cells.lib -script abc.script {spared}",
        "opt_clean -purge",
        _STAT + " -liberty cells.lib",
    )


def run_yosys(work: Path, commands: Sequence[str], requirement: str) -> None:
    """Run Yosys' commands in a folder; its log goes to ``yosys.log`` there.

    Raises
    ------
    ArgumentError
        Yosys says why the requirement is not met.
    ToolError
        It fails without a word, or takes too long.
    """
    (work / "commands.json").write_text(json.dumps(commands), encoding="utf-8")
    command = [sys.executable, "-P", str(Path(__file__).with_name("yosys.py")), "commands.json"]
    log = work / "yosys.log"
    status = run_group(command, cwd=work, output=log, limit_s=LIMIT_S, environment=environment(work))
    if status == 0:
        return
    said = tail(log, mark="ERROR").replace(f"{work}{os.sep}", "")
    if "ERROR" in said:
        raise ArgumentError(f"{requirement}, not:\n{said}")
    ending = f"run past {LIMIT_S:.0f} s" if status is None else f"end with status {status}"
    raise ToolError(f"Yosys must end, not {ending}; it was asked whether {requirement}:\n{said}")


def environment(work: Path) -> dict[str, str]:
    """Variables for a tool that imports what this process can, and leaves nothing outside its folder."""
    return os.environ | {"TMPDIR": str(work), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _stat(work: Path) -> tuple[dict[str, int], dict[str, Any]]:
    """Cells by type, and all of Yosys' figures."""
    figures = json.loads((work / "stat.json").read_text(encoding="utf-8"))["design"]
    cells = {str(kind).lstrip("\\"): int(count) for kind, count in figures["num_cells_by_type"].items()}
    return {kind: cells[kind] for kind in sorted(cells) if kind != "$scopeinfo"}, figures


def _on_device(work: Path, target: SynthTarget) -> dict[str, Any]:
    cells, _ = _stat(work)
    counts = dict.fromkeys(target.cells, 0)
    for kind, count in cells.items():
        keys = [key for key, pattern in target.cells.items() if pattern.fullmatch(kind)]
        _require(keys, kind, target.title)
        counts[keys[0]] += count
    counts.pop("inverters", None)
    area = float(sum(counts[key] * each for key, each in target.area_of.items()))
    depth = re.findall(r"\(length=(\d+)\)", (work / "depth.txt").read_text(encoding="utf-8"))
    return {
        "area": area,
        "area_unit": target.area_unit,
        "cells": cells,
        "depth": int(depth[0]) if depth else 0,
        **counts,
    }


def _in_gates(work: Path) -> dict[str, Any]:
    cells, figures = _stat(work)
    for kind in cells:
        _require(kind in _GATES, kind, "Yosys' CMOS gates")
    area = int(figures["estimated_num_transistors"]) / TRANSISTORS_PER_GATE
    return {
        "area": area,
        "area_unit": "GE",
        "cells": cells,
        "flip_flops": cells.get(_FLIP_FLOP, 0),
        "gate_equivalents": area,
    }


def _in_cells(work: Path, liberty: Liberty) -> dict[str, Any]:
    cells, figures = _stat(work)
    for kind in cells:
        _require(kind in liberty.cells, kind, f"the library {liberty.name}")
    log = (work / "yosys.log").read_text(encoding="utf-8", errors="replace")
    delays = re.findall(r"Delay =\s*([\d.]+) ps", log)
    area = float(figures.get("area", 0))  # none where there is no cell
    return {
        "area": area,
        "area_unit": "um2",
        "cells": cells,
        "flip_flops": sum(count for kind, count in cells.items() if kind in liberty.flip_flops),
        "path_ns": round(float(delays[-1]) / 1000, 6) if delays else 0.0,
        "gate_equivalents": round(area / liberty.nand2_area, 3) if liberty.nand2_area else None,
    }


def _require(known: object, kind: str, of: str) -> None:
    if not known:
        raise ArgumentError(f"every cell must be one of {of}, not {kind!r}; give all modules of the design")
