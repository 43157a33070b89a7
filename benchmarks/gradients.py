# SPDX-License-Identifier: Apache-2.0
"""Units with their gradient beside two units: ``python -m benchmarks.gradients`` makes the page's table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from statistics import geometric_mean
from typing import Any, NamedTuple

import hwact
from benchmarks.readme import ROOT, markdown, with_section
from hwact.entries import Entry, Job, entries
from hwact.synth import Options, Source, measure
from hwact.synth.record import Record

PAGE = ROOT / "docs" / "gradients.md"
FUNCTIONS = ("smelu", "gelu", "swish", "softplus", "sigmoid", "tanh")
WIDTHS = (8, 16)
KINDS: Mapping[str, Mapping[str, Any]] = {
    "function": {},
    "gradient": {"gradient": True},
    "pair": {"with_gradient": True},
}
BESIDE = "beside"  # function and gradient as two units in one module


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
Counts = list[tuple[int, ...]]  # of function, gradient and pair, and of both in one module; for each figure


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


def beside(function: Entry, gradient: Entry) -> Source:
    """A combinational unit and its gradient's in one module, as they are in a design with both."""
    sources = [Source.of(hwact.from_manifest(entry.manifest)) for entry in (function, gradient)]
    x, y = sources[0].ports
    ports = x, y, replace(sources[1].ports[1], name="gradient")
    declared = ", ".join(f"{port.direction} [{port.width - 1}:0] {port.name}" for port in ports)
    instances = "".join(
        f"  {source.name} of_{port.name} (x, {port.name});\n"
        for source, port in zip(sources, ports[1:], strict=True)
    )
    module = f"module {BESIDE} ({declared});\n{instances}endmodule\n"
    verilog = "".join(source.verilog for source in sources) + module
    return Source(name=BESIDE, verilog=verilog, ports=ports, latency=0)


def besides(made: Mapping[Cell, Entry]) -> dict[Cell, Record]:
    """The areas of all combinational units beside their gradients'."""
    cells = [
        (function, width, column)
        for function, width, column in product(FUNCTIONS, WIDTHS, COLUMNS)
        if column.options is COMBINATIONAL
    ]

    def measured(cell: tuple[str, int, Column]) -> Record:
        function, width, column = cell
        both = beside(*(made[function, width, column.title, kind] for kind in ("function", "gradient")))
        return measure(both, column.target, Options(place=False))

    with ThreadPoolExecutor() as threads:  # the work is done by processes of Yosys
        records = threads.map(measured, cells)
        return {
            (f, w, column.title, BESIDE): each for (f, w, column), each in zip(cells, records, strict=True)
        }


def table(records: Mapping[Cell, Record]) -> str:
    """A line for each function and width in Markdown, and the geometric means of the ratios of a width."""
    header = ("function", "bits", *(f"{column.title}: {_shown(column)}" for column in COLUMNS))
    lines = []
    for width in WIDTHS:
        rows = [[_counts(records, name, width, column) for column in COLUMNS] for name in FUNCTIONS]
        lines += [
            (f"`{name}`", str(width), *map(_cell, row)) for name, row in zip(FUNCTIONS, rows, strict=True)
        ]
        columns = list(zip(COLUMNS, zip(*rows, strict=True), strict=True))
        apart = (_means(counts, _to_two) for _, counts in columns)
        together = (
            _means(counts, _to_beside) if column.options is COMBINATIONAL else "-"
            for column, counts in columns
        )
        lines.append(("pair / two", str(width), *apart))
        lines.append(("pair / in one module", str(width), *together))
    return markdown(header, lines)


def _shown(column: Column) -> str:
    return "two, in one module, pair" if column.options is COMBINATIONAL else "two, pair"


def _counts(records: Mapping[Cell, Record], function: str, width: int, column: Column) -> Counts:
    cells = [(function, width, column.title, kind) for kind in (*KINDS, BESIDE)]
    return [tuple(getattr(records[c], figure) for c in cells if c in records) for figure in column.figures]


def _cell(counts: Counts) -> str:
    lists = ((f"{one} + {other}", *map(str, more), str(pair)) for one, other, pair, *more in counts)
    return "; ".join(map(", ".join, lists))


def _to_two(counts: tuple[int, ...]) -> float:
    one, other, pair, *_ = counts
    return pair / (one + other)


def _to_beside(counts: tuple[int, ...]) -> float:
    _, _, pair, both = counts
    return pair / both


def _means(column: Iterable[Counts], ratio: Callable[[tuple[int, ...]], float]) -> str:
    """The geometric mean of all functions' ratios, for each figure."""
    return "; ".join(f"{geometric_mean(map(ratio, each)):.2f}" for each in zip(*column, strict=True))


def main() -> None:
    """Write the page's table."""
    wanted = jobs()
    made = dict(zip(wanted, entries(list(wanted.values()), progress=_show), strict=True))
    records = {cell: entry.record for cell, entry in made.items()} | besides(made)
    text = with_section(PAGE.read_text(encoding="utf-8"), "pairs", table(records))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
