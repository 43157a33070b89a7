# SPDX-License-Identifier: Apache-2.0
"""Units with their gradient beside two units: ``python -m benchmarks.gradients`` makes the page's table."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from itertools import product
from statistics import geometric_mean
from typing import Any, NamedTuple

from benchmarks.readme import ROOT, markdown, with_section
from hwact.entries import Job, entries
from hwact.synth import Options
from hwact.synth.record import Record

PAGE = ROOT / "docs" / "gradients.md"
FUNCTIONS = ("smelu", "gelu", "swish", "softplus", "sigmoid", "tanh")
WIDTHS = (8, 16)
KINDS: Mapping[str, Mapping[str, Any]] = {
    "function": {},
    "gradient": {"gradient": True},
    "pair": {"with_gradient": True},
}


class Column(NamedTuple):
    """A title, the target, options of the units, and what is counted of them."""

    title: str
    target: str
    options: Mapping[str, Any]
    figures: tuple[str, ...]


COMBINATIONAL = {"interface": "bare", "latency": 0}
CYCLES = 3  # of all units behind registers: two units beside each other must have as many
COLUMNS = (
    *(Column(target, target, COMBINATIONAL, ("luts",)) for target in ("xc7", "ecp5", "ice40")),
    Column("xc7, `stream`", "xc7", {"latency": CYCLES}, ("luts", "flip_flops")),
)
Cell = tuple[str, int, str, str]  # function, width, title of the column, kind
Counts = list[tuple[int, int, int]]  # of the function, of its gradient and of the pair; for each figure


def jobs() -> dict[Cell, Job]:
    """How the unit of every cell is built and measured: in the formats that are the default."""
    return {
        (function, width, column.title, kind): Job(
            unit={"function": function, "width": width, **column.options, **KINDS[kind]},
            target=column.target,
            options=Options(place=False),
        )
        for function, width, column, kind in product(FUNCTIONS, WIDTHS, COLUMNS, KINDS)
    }


def _show(what: str, done: int, total: int) -> None:
    print(f"\r{what} {done}/{total}", end="\n" if done == total else "", file=sys.stderr)


def table(records: Mapping[Cell, Record]) -> str:
    """A line for each function and width in Markdown, and the geometric means of the ratios of a width."""
    header = ("function", "bits", *(f"{column.title}: two, pair" for column in COLUMNS))
    lines = []
    for width in WIDTHS:
        rows = [[_counts(records, name, width, column) for column in COLUMNS] for name in FUNCTIONS]
        lines += [
            (f"`{name}`", str(width), *map(_cell, row)) for name, row in zip(FUNCTIONS, rows, strict=True)
        ]
        lines.append(("geometric mean", str(width), *map(_means, zip(*rows, strict=True))))
    return markdown(header, lines)


def _counts(records: Mapping[Cell, Record], function: str, width: int, column: Column) -> Counts:
    one, other, pair = (records[function, width, column.title, kind] for kind in KINDS)
    return [(getattr(one, f), getattr(other, f), getattr(pair, f)) for f in column.figures]


def _ratio(counts: tuple[int, int, int]) -> float:
    one, other, pair = counts
    return pair / (one + other)


def _cell(counts: Counts) -> str:
    return "; ".join(f"{each[0]} + {each[1]}, {each[2]} = {_ratio(each):.2f}" for each in counts)


def _means(column: Iterable[Counts]) -> str:
    """The geometric mean of all functions' ratios, for each figure."""
    return "; ".join(f"{geometric_mean(map(_ratio, each)):.2f}" for each in zip(*column, strict=True))


def main() -> None:
    """Write the page's table."""
    wanted = jobs()
    made = entries(list(wanted.values()), progress=_show)
    records = {cell: entry.record for cell, entry in zip(wanted, made, strict=True)}
    text = with_section(PAGE.read_text(encoding="utf-8"), "pairs", table(records))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
