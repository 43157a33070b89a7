# SPDX-License-Identifier: Apache-2.0
"""Units with their gradient beside two units: ``python -m benchmarks.gradients`` makes the page's tables."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from itertools import product
from statistics import geometric_mean
from typing import Any

from benchmarks.readme import ROOT, markdown, with_section
from hwact.entries import Job, entries
from hwact.synth import Options
from hwact.synth.record import Record

PAGE = ROOT / "docs" / "gradients.md"
FUNCTIONS = ("smelu", "gelu", "swish", "softplus", "sigmoid", "tanh")
WIDTHS = (8, 16)
TARGETS = ("xc7", "ecp5", "ice40")
KINDS: Mapping[str, Mapping[str, Any]] = {
    "function": {},
    "gradient": {"gradient": True},
    "pair": {"with_gradient": True},
}
INTERFACES: Mapping[str, Mapping[str, Any]] = {
    "pairs": {"interface": "bare", "latency": 0},
    "stream": {},
}
FIGURES: Mapping[str, tuple[str, ...]] = {"pairs": ("luts",), "stream": ("luts", "flip_flops")}
Cell = tuple[str, int, str, str, str]  # interface, width, function, target, kind


def job(cell: Cell) -> Job:
    """How the unit of a cell is built and measured: in the formats, at the latency that are the default."""
    interface, width, function, target, kind = cell
    unit = {"function": function, "width": width, **INTERFACES[interface], **KINDS[kind]}
    return Job(unit=unit, target=target, options=Options(place=False))


def measured(cells: Iterable[Cell]) -> dict[Cell, Record]:
    """What synthesis makes of the units, by cell."""
    cells = list(cells)
    made = entries([job(cell) for cell in cells], progress=_show)
    return {cell: entry.record for cell, entry in zip(cells, made, strict=True)}


def _show(what: str, done: int, total: int) -> None:
    print(f"\r{what} {done}/{total}", end="\n" if done == total else "", file=sys.stderr)


Sums = list[tuple[int, int, int]]  # of the function's unit, its gradient's and the pair; for each figure


def table(records: Mapping[Cell, Record], interface: str) -> str:
    """A line for each function and width in Markdown, and the geometric means of the ratios of a width."""
    header = ("function", "bits", *(f"{target}: two, pair" for target in TARGETS))
    lines = []
    for width in WIDTHS:
        rows = [[_counts(records, (interface, width, name, t)) for t in TARGETS] for name in FUNCTIONS]
        lines += [
            (f"`{name}`", str(width), *map(_cell, row)) for name, row in zip(FUNCTIONS, rows, strict=True)
        ]
        lines.append(("geometric mean", str(width), *map(_means, zip(*rows, strict=True))))
    return markdown(header, lines)


def _counts(records: Mapping[Cell, Record], place: tuple[str, int, str, str]) -> Sums:
    made = [records[*place, kind] for kind in KINDS]
    return [tuple(getattr(record, figure) for record in made) for figure in FIGURES[place[0]]]


def _ratio(sums: tuple[int, int, int]) -> float:
    one, other, pair = sums
    return pair / (one + other)


def _cell(counts: Sums) -> str:
    return "; ".join(
        f"{one} + {other}, {pair} = {_ratio((one, other, pair)):.2f}" for one, other, pair in counts
    )


def _means(column: tuple[Sums, ...]) -> str:
    """The geometric mean of all functions' ratios, for each figure."""
    return "; ".join(f"{geometric_mean(map(_ratio, each)):.2f}" for each in zip(*column, strict=True))


def main() -> None:
    """Write the page's tables."""
    records = measured(product(INTERFACES, WIDTHS, FUNCTIONS, TARGETS, KINDS))
    text = PAGE.read_text(encoding="utf-8")
    for interface in INTERFACES:
        text = with_section(text, interface, table(records, interface))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
