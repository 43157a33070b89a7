# SPDX-License-Identifier: Apache-2.0
"""Synthesis by Yosys: cells, area and depth."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Sequence
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
        Yosys does not accept the Verilog, or something in it is no part of the target.
    """
    with tempfile.TemporaryDirectory(prefix="hwact-synth-") as name:
        work = Path(name)
        (work / "unit.v").write_text(source.verilog, encoding="utf-8")
        read = "read_verilog unit.v"
        if target.flow:
            steps = [target.command(source.name, dsp=dsp, ram=ram)]
            run_yosys(work, [read, *steps, _STAT, "tee -q -o depth.txt ltp -noff"], source.name)
            return _on_device(work, target)
        steps = [read, f"synth -flatten -top {source.name}"]
        if liberty is None:
            run_yosys(work, [*steps, *_TO_GATES], source.name)
            return _in_gates(work)
        (work / "cells.lib").write_text(liberty.text, encoding="utf-8")
        run_yosys(work, [*steps, *_mapping(work, liberty)], source.name)
        return _in_cells(work, liberty)


_STAT = "tee -q -o stat.json stat -json"
# Yosys knows the transistors of the plain flip-flop alone; enable and reset become gates in front of it.
_TO_GATES = (f"dfflegalize -cell {_FLIP_FLOP} x", "abc -g cmos", "opt_clean -purge", _STAT + " -tech cmos")


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


def run_yosys(work: Path, commands: Sequence[str], name: str) -> None:
    """Run Yosys' commands in a folder; its log goes to ``yosys.log`` there.

    Raises
    ------
    ArgumentError
        Yosys says what is wrong with the module.
    ToolError
        It fails without a word, or takes too long.
    """
    (work / "commands.json").write_text(json.dumps(commands), encoding="utf-8")
    command = [sys.executable, "-P", "-m", "hwact.synth.yosys", "commands.json"]
    environment = os.environ | {"TMPDIR": str(work), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    log = work / "yosys.log"
    status = run_group(command, cwd=work, output=log, limit_s=LIMIT_S, environment=environment)
    if status == 0:
        return
    said = tail(log, mark="ERROR")
    if "ERROR" in said:
        raise ArgumentError(f"module {name} must be Verilog that Yosys accepts, not:\n{said}")
    ending = f"run past {LIMIT_S:.0f} s" if status is None else f"end with status {status}"
    raise ToolError(f"Yosys must synthesise module {name}, not {ending}:\n{said}")


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
        if not keys:
            raise ArgumentError(
                f"every cell must be one of {target.title}, not {kind!r}; give all modules of the design"
            )
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
    transistors = int(figures["estimated_num_transistors"])
    area = transistors / TRANSISTORS_PER_GATE
    return {"area": area, "area_unit": "GE", "cells": cells, "flip_flops": cells.get(_FLIP_FLOP, 0)}


def _in_cells(work: Path, liberty: Liberty) -> dict[str, Any]:
    cells, figures = _stat(work)
    if foreign := sorted(set(cells) - set(liberty.cells)):
        raise ArgumentError(
            f"every cell must be one of the library {liberty.name}, not {foreign[0]!r}; "
            "it may lack a flip-flop or an inverter"
        )
    log = (work / "yosys.log").read_text(encoding="utf-8", errors="replace")
    delays = re.findall(r"Delay =\s*([\d.]+) ps", log)
    return {
        "area": float(figures["area"]),
        "area_unit": "um2",
        "cells": cells,
        "flip_flops": sum(count for kind, count in cells.items() if kind in liberty.flip_flops),
        "path_ns": float(delays[-1]) / 1000 if delays else 0.0,
    }
