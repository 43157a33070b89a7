# SPDX-License-Identifier: Apache-2.0
"""Units with their gradient beside two units: ``python -m benchmarks.gradients`` makes the page's table."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

from benchmarks.readme import ROOT, markdown, with_section
from hwact.entries import Job, entries
from hwact.synth import Options

PAGE = ROOT / "docs" / "gradients.md"
FUNCTIONS = ("smelu", "gelu", "swish", "softplus", "sigmoid", "tanh")
WIDTHS = (8, 16)
TARGETS = ("xc7", "ecp5", "ice40")
KINDS: Mapping[str, Mapping[str, Any]] = {
    "function": {},
    "gradient": {"gradient": True},
    "pair": {"with_gradient": True},
}
Cell = tuple[str, int, str, str]  # function, width, target, kind


def job(cell: Cell) -> Job:
    """How the unit of a cell is built and measured: combinational, in the formats that are the default."""
    function, width, target, kind = cell
    unit = {"function": function, "width": width, "interface": "bare", "latency": 0, **KINDS[kind]}
    return Job(unit=unit, target=target, options=Options(place=False))


def measured(cells: Iterable[Cell]) -> dict[Cell, int]:
    """Look-up tables by cell."""
    cells = list(cells)
    made = entries([job(cell) for cell in cells], progress=_show)
    return {cell: entry.record.luts for cell, entry in zip(cells, made, strict=True)}


def _show(what: str, done: int, total: int) -> None:
    print(f"\r{what} {done}/{total}", end="\n" if done == total else "", file=sys.stderr)


def table(areas: Mapping[Cell, int]) -> str:
    """A line for each function and width in Markdown: the sum of two units, the pair and the ratio."""
    header = ("function", "bits", *(f"{target}: two, pair" for target in TARGETS))
    lines = [
        (f"`{function}`", str(width), *(_cell(areas, function, width, target) for target in TARGETS))
        for width, function in product(WIDTHS, FUNCTIONS)
    ]
    return markdown(header, lines)


def _cell(areas: Mapping[Cell, int], function: str, width: int, target: str) -> str:
    one, other, pair = (areas[function, width, target, kind] for kind in KINDS)
    return f"{one} + {other}, {pair} = {pair / (one + other):.2f}"


def main() -> None:
    """Write the page's table."""
    areas = measured(product(FUNCTIONS, WIDTHS, TARGETS, KINDS))
    text = with_section(PAGE.read_text(encoding="utf-8"), "pairs", table(areas))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
