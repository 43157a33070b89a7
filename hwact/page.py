# SPDX-License-Identifier: Apache-2.0
"""The page of `compare --html`: tables and pictures in one file, without network."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from itertools import cycle
from typing import Any

from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure

from hwact import synth
from hwact.compare import Row, tables
from hwact.entries import Entry
from hwact.report import COLOURS, bar_figure, error_figure, scatter_figure, svg


def page(rows: Sequence[Row], entries: Sequence[Entry]) -> str:
    """The HTML text of a comparison.

    Parameters
    ----------
    rows : sequence of dict
        As :meth:`hwact.compare.Question.rows` gives them.
    entries : sequence of Entry
        Of the same units in the same order.
    """
    pictures = _Numbered()
    widths = [_width(bits, rows, entries, pictures) for bits in dict.fromkeys(row["width"] for row in rows)]
    environment = Environment(loader=PackageLoader("hwact", ""), autoescape=True)
    tools = sorted({f"{name} {number}" for e in entries for name, number in e.record.tools.items()})
    return environment.get_template("page.html").render(
        title="Activation functions in fixed-point hardware, side by side",
        widths=widths,
        origin=f"Made by hwact {version('hwact')} with {', '.join(tools)}.",
    )


class _Numbered:
    """Pictures for one page: their ids must not meet."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, figure: Figure, caption: str) -> dict[str, str]:
        self.count += 1
        text = svg(figure, caption)
        text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
        text = re.sub(r'\bid="([^"]+)"', rf'id="f{self.count}-\1"', text)
        text = re.sub(r"#([\w-]+)(?=[\")])", self._reference(text), text)
        return {"svg": text, "caption": caption}

    def _reference(self, text: str) -> Any:
        prefix = f"f{self.count}-"
        return lambda found: f"#{prefix}{found[1]}" if f'id="{prefix}{found[1]}"' in text else found[0]


def _width(bits: int, rows: Sequence[Row], entries: Sequence[Entry], picture: _Numbered) -> dict[str, Any]:
    mine = [(row, entry) for row, entry in zip(rows, entries, strict=True) if row["width"] == bits]
    targets = list(dict.fromkeys(row["target"] for row, _ in mine))
    parts = []
    for target in targets:
        group = [row for row, _ in mine if row["target"] == target]
        parts.append({"table": tables(group)[0], "figures": list(_figures(group, picture))})
    first = [(row, entry) for row, entry in mine if row["target"] == targets[0]]
    errors = [
        picture(error_figure([(entry.manifest, entry.envelope)], [colour]), row["function"])
        for (row, entry), colour in zip(first, cycle(COLOURS), strict=False)
    ]
    return {"bits": bits, "parts": parts, "errors": errors, "pictured": synth.TARGETS[targets[0]].title}


def _figures(rows: Sequence[Row], picture: _Numbered) -> Iterator[dict[str, str]]:
    names = [row["function"] for row in rows]
    areas = [row["area"] for row in rows]
    axis = f"area ({rows[0]['area_unit']})"
    yield picture(bar_figure(names, areas, axis, COLOURS[0]), "Area, the unit with its pipeline registers")
    for key, label, caption in _SPEEDS:
        if all(row[key] is not None for row in rows):
            values = [row[key] for row in rows]
            yield picture(bar_figure(names, values, label, COLOURS[1]), caption)
            break
    errors = [row["mean_error_ulp"] for row in rows]
    yield picture(scatter_figure(names, areas, errors, axis), "Accuracy against area")


# The best statement of speed that a target has comes first.
_SPEEDS = (
    ("latency_ns", "latency (ns)", "Latency at the clock that place and route reached"),
    ("path_ns", "longest path (ns)", "Longest path between registers"),
    ("depth", "depth (cells)", "Longest path between registers"),
    ("latency", "latency (cycles)", "Latency"),
)
