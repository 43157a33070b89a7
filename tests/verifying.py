# SPDX-License-Identifier: Apache-2.0
"""What the tests of verification share: small bundles, Verilog that is broken in one way, and runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import hwact
from hwact.tools import installed_simulators
from hwact.verify import VerifyReport, verify

SIMULATORS = [simulator.name for simulator in installed_simulators()]
TABLE_ROW = re.compile(r"^ +\d+'h[0-9a-f]+: \w+ = \d+'h(?P<word>[0-9a-f]+);$", re.MULTILINE)
SOURCES = Path(__file__).parent / "verilog"

# Each is x < 0 ? floor(x / 4) : x in SQ2.3: 32 codes. tests/verilog/ holds one of the same ports, by hand.
TINY: Mapping[str, Mapping[str, Any]] = {
    "stream": {"latency": 3},
    "bare": {"interface": "bare", "latency": 2},
    "combinational": {"interface": "bare", "latency": 0},
    "wires": {"latency": 0},
}


def tiny(kind: str, out: Path) -> Path:
    """A fresh bundle of 32 codes."""
    unit = hwact.build(
        "leaky_relu",
        input_format="SQ2.3",
        rounding="floor",
        negative_slope=0.25,
        name=f"tiny_{kind}",
        **TINY[kind],
    )
    return unit.write(out)


def by_hand(kind: str, out: Path, define: str | None = None) -> Path:
    """A unit written by hand for the bundle of that name; a define breaks it in one way."""
    text = (SOURCES / f"{kind}.v").read_text(encoding="utf-8")
    assert define is None or re.search(rf"`(ifdef|elsif|ifndef) {define}\b", text), define
    path = out / f"{kind}_{define}.v"
    path.write_text((f"`define {define}\n" if define else "") + text, encoding="utf-8")
    return path


def gelu_by_table() -> hwact.Unit:
    """GELU at 8 bits, whose Verilog holds a table."""
    parameters = {"folding": "based", "magnitude": "chain", "logic": "cases"}
    return hwact.build("gelu", width=8, architecture="table", architecture_parameters=parameters)


def table(out: Path) -> Path:
    """A fresh bundle of it."""
    return gelu_by_table().write(out)


def flip_table_bit(verilog: str, row: int) -> str:
    """The same Verilog with the last bit of one row of its case table flipped."""
    word = list(TABLE_ROW.finditer(verilog))[row]
    flipped = f"{int(word['word'], 16) ^ 1:x}"
    return verilog[: word.start("word")] + flipped + verilog[word.end("word") :]


def broken_table(bundle: Path, out: Path, row: int = 0x25) -> Path:
    """A copy of a bundle's Verilog with one wrong bit in its table."""
    verilog = (bundle / f"{bundle.name}.v").read_text(encoding="utf-8")
    path = out / "broken.v"
    path.write_text(flip_table_bit(verilog, row), encoding="utf-8")
    return path


def edit(bundle: Path, change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Change a bundle's manifest in its file; returns it as it was."""
    path = bundle / f"{bundle.name}.json"
    text = path.read_text(encoding="utf-8")
    manifest = json.loads(text)
    change(manifest)
    path.write_text(json.dumps(manifest), encoding="utf-8")
    before: dict[str, Any] = json.loads(text)
    return before


def prove(bundle: Path, simulator: str = "icarus", **options: Any) -> VerifyReport:
    """Run `verify`; its files are there, whatever it found."""
    report = verify(bundle, simulator=simulator, **options)
    assert report.simulator == simulator
    assert report.junit.is_file()
    assert report.log.is_file()
    return report


def failing(report: VerifyReport) -> set[str]:
    """Names of the phases that failed."""
    return {phase.name for phase in report.phases if not phase.passed}
