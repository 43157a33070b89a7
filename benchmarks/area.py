# SPDX-License-Identifier: Apache-2.0
"""Our combinational units beside the rival's: ``python -m benchmarks.area`` makes docs/area.md's tables.

benchmarks/alpha.csv holds the smallest units that FloPoCo's ALPHA operator gave over all its methods and
options, counted by the flows of :mod:`hwact.synth`. The bar is the smaller of its rows ``faithful`` and
``faithful except at the most negative code``; ours are faithful on all codes, correctly rounded at 8 bits.
"""

from __future__ import annotations

import csv
import itertools
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import geometric_mean

from benchmarks.readme import ROOT, markdown, with_section
from hwact.entries import Job, entries
from hwact.synth import Options

PAGE = ROOT / "docs" / "area.md"
RIVAL = Path(__file__).with_name("alpha.csv")
COLUMNS = {"xc7": "xc7_luts", "ecp5": "ecp5_lut4", "ice40": "ice40_lut4"}
CORRECT_UP_TO = 8
WIDTHS = (8, 10, 12, 16)
CORRECT_WIDTHS = (8, 10, 12, 14, 16)
COMPARED = {  # output formats by function and width
    "sigmoid": "UQ0.{0}",
    "tanh": "SQ1.{1}",
    **dict.fromkeys(("silu", "gelu", "softplus", "mish", "smelu"), "SQ4.{2}"),
}
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


def job(cell: Cell, accuracy: str) -> Job:
    """How our unit of a cell is built and measured."""
    _, function, input_format, output_format, target = cell
    unit = {
        "function": function,
        "input_format": input_format,
        "output_format": output_format,
        "accuracy": accuracy,
        "interface": "bare",
        "latency": 0,
    }
    return Job(unit=unit, target=target, options=Options(place=False))


def measured(cells: Iterable[Cell], accuracy: str | None = None) -> dict[Cell, int]:
    """Our look-up tables by cell; at the accuracy that stands beside the rival's unless given."""
    cells = list(cells)
    default = {cell: "correct" if cell[0] <= CORRECT_UP_TO else "faithful" for cell in cells}
    made = entries([job(cell, accuracy or default[cell]) for cell in cells], progress=_show)
    return {cell: entry.record.luts for cell, entry in zip(cells, made, strict=True)}


def _show(what: str, done: int, total: int) -> None:
    print(f"\r{what} {done}/{total}", end="\n" if done == total else "", file=sys.stderr)


def table(rival: Mapping[Cell, int], ours: Mapping[Cell, int]) -> list[tuple[str, ...]]:
    """A line for each unit, then one for each width: ours, the rival's and the ratio on every target."""
    lines: list[tuple[str, ...]] = []
    for width, function, x, y in dict.fromkeys(cell[:4] for cell in rival):
        cells = [(width, function, x, y, target) for target in COLUMNS]
        ratios = (f"{ours[cell]} / {rival[cell]} = {ours[cell] / rival[cell]:.2f}" for cell in cells)
        lines.append((f"`{function}`", x, y, *ratios))
    return lines


def summary(rival: Mapping[Cell, int], ours: Mapping[Cell, int]) -> list[tuple[str, ...]]:
    """A line for each width: geometric mean and largest of the ratios."""
    lines: list[tuple[str, ...]] = []
    for width in dict.fromkeys(cell[0] for cell in rival):
        ratios = [ours[cell] / rival[cell] for cell in rival if cell[0] == width]
        lines.append((str(width), f"{geometric_mean(ratios):.2f}", f"{max(ratios):.2f}"))
    return lines


def section(widths: Iterable[int]) -> str:
    """Both tables in Markdown."""
    rival = bars(widths)
    ours = measured(rival)
    header = ("function", "input", "output", *(f"{target}: ours / ALPHA" for target in COLUMNS))
    units = markdown(header, table(rival, ours))
    return units + "\n\n" + markdown(("bits", "geometric mean", "largest"), summary(rival, ours))


def compared(widths: Iterable[int]) -> list[Cell]:
    """The cells whose price of correct rounding is measured."""
    return [
        (width, function, f"SQ4.{width - 4}", outside.format(width, width - 1, width - 4), target)
        for (function, outside), width, target in itertools.product(COMPARED.items(), widths, COLUMNS)
    ]


def prices(cells: Iterable[Cell]) -> list[tuple[str, ...]]:
    """A line for each unit: look-up tables correctly rounded, faithful, and the ratio on every target."""
    cells = list(cells)
    correct, faithful = (measured(cells, accuracy) for accuracy in ("correct", "faithful"))
    lines: list[tuple[str, ...]] = []
    for unit in dict.fromkeys(cell[:4] for cell in cells):
        mine = [(*unit, target) for target in COLUMNS]
        ratios = (
            f"{correct[cell]} / {faithful[cell]} = {correct[cell] / faithful[cell]:.2f}" for cell in mine
        )
        lines.append((f"`{unit[1]}`", *unit[2:], *ratios))
    return lines


def correct_section(cells: Iterable[Cell]) -> str:
    """What correct rounding costs, in Markdown."""
    header = ("function", "input", "output", *(f"{target}: correct / faithful" for target in COLUMNS))
    return markdown(header, prices(cells))


def main(wanted: Sequence[str]) -> None:
    """Write the page's tables: those beside the rival's; what correct rounding costs, which takes longer."""
    for name in wanted or ("alpha",):
        made = section(WIDTHS) if name == "alpha" else correct_section(compared(CORRECT_WIDTHS))
        PAGE.write_text(with_section(PAGE.read_text(encoding="utf-8"), name, made), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
