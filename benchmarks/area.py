# SPDX-License-Identifier: Apache-2.0
"""Our combinational units beside the rival's: ``python benchmarks/area.py [width ...]``.

benchmarks/alpha.csv holds the smallest units that FloPoCo's ALPHA operator gave over all its methods and
options, counted by the flows of :mod:`hwact.synth`. The bar is the smaller of its rows ``faithful`` and
``faithful except at the most negative code``; ours are faithful on all codes, correctly rounded at 8 bits.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from pathlib import Path
from statistics import geometric_mean

from rich.console import Console
from rich.table import Table

from hwact.entries import Job, entries
from hwact.synth import Options

RIVAL = Path(__file__).with_name("alpha.csv")
COLUMNS = {"xc7": "xc7_luts", "ecp5": "ecp5_lut4", "ice40": "ice40_lut4"}
CORRECT_UP_TO = 8
Cell = tuple[int, str, str, str, str]  # width, function, formats, target


def bars(widths: Iterable[int]) -> dict[Cell, int]:
    """The rival's area by width, function, input and output format, and target."""
    found: dict[Cell, int] = {}
    with RIVAL.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if int(row["width"]) in widths and row["accuracy"].startswith("faithful"):
                for target, column in COLUMNS.items():
                    unit = row["function"], row["input_format"], row["output_format"]
                    cell = int(row["width"]), *unit, target
                    found[cell] = min(int(row[column]), found.get(cell, sys.maxsize))
    return found


def job(cell: Cell) -> Job:
    """How our unit of a cell is built and measured."""
    width, function, input_format, output_format, target = cell
    unit = {
        "function": function,
        "input_format": input_format,
        "output_format": output_format,
        "accuracy": "correct" if width <= CORRECT_UP_TO else "faithful",
        "interface": "bare",
        "latency": 0,
    }
    return Job(unit=unit, target=target, options=Options(place=False))


def measured(cells: Iterable[Cell]) -> dict[Cell, int]:
    """Our look-up tables by cell."""
    cells = list(cells)
    made = entries([job(cell) for cell in cells], progress=_show)
    return {cell: entry.record.luts for cell, entry in zip(cells, made, strict=True)}


def _show(what: str, done: int, total: int) -> None:
    print(f"\r{what} {done}/{total}", end="\n" if done == total else "", file=sys.stderr)


def main(widths: Iterable[int]) -> None:
    """Print every cell's two areas and their ratio, and the geometric mean of each width."""
    rival = bars(widths)
    ours = measured(rival)
    table = Table("width", "function", *(f"{target}: ours / ALPHA = ratio" for target in COLUMNS))
    for width, function, x, y in dict.fromkeys(cell[:4] for cell in rival):
        cells = [(width, function, x, y, target) for target in COLUMNS]
        shown = (f"{ours[cell]} / {rival[cell]} = {ours[cell] / rival[cell]:.2f}" for cell in cells)
        table.add_row(str(width), function, *shown)
    console = Console()
    console.print(table)
    for width in dict.fromkeys(cell[0] for cell in rival):
        ratios = [ours[cell] / rival[cell] for cell in rival if cell[0] == width]
        console.print(f"{width} bits: geometric mean {geometric_mean(ratios):.2f}, largest {max(ratios):.2f}")


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or (8, 10, 16))
