# SPDX-License-Identifier: Apache-2.0
"""Pictures of units: what they compute, how far they are off, what they cost."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hwact.accuracy import Envelope

# Okabe and Ito's colours, which colour-blind readers tell apart; their yellow is too pale on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vP*X<>hpd"

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: searchable, and in the reader's own font
    "svg.hashsalt": "hwact",  # else ids are random, and so is the file
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
}

Pictured = tuple[Mapping[str, Any], Envelope]  # a manifest and what is drawn of its unit


@contextmanager
def styled(width: float, height: float) -> Iterator[Figure]:
    """A figure in the common style; inches."""
    with mpl.rc_context(_STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def error_figure(units: Sequence[Pictured], colours: Sequence[str] = COLOURS) -> Figure:
    """Each unit's output over its input, and below it the error at every input code.

    The error is drawn as the band between the smallest and the largest of neighbouring codes, so
    that no code is left out however narrow the picture.
    """
    with styled(3.1 * len(units), 4.2) as figure:
        grid = figure.subplots(2, len(units), sharex="col", sharey="row", squeeze=False)
        for unit, (above, below), colour in zip(units, grid.T, cycle(colours), strict=False):
            _draw_outputs(above, unit, colour)
            _draw_errors(below, unit, colour)
        grid[0][0].set_ylabel("output (value)")
        grid[1][0].set_ylabel("error (ulp)")
    return figure


def _draw_outputs(axes: Axes, unit: Pictured, colour: str) -> None:
    manifest, drawn = unit
    axes.plot(drawn.inputs, drawn.outputs, color=colour, linewidth=1.4)
    axes.set_title(manifest["name"], fontsize=9)


def _draw_errors(axes: Axes, unit: Pictured, colour: str) -> None:
    manifest, drawn = unit
    axes.fill_between(drawn.inputs, drawn.least, drawn.most, step="post", color=colour, linewidth=0.4)
    for limit in (-0.5, 0.5):
        axes.axhline(limit, color="#666666", linewidth=0.7, linestyle="--")
    stated = manifest["accuracy"]
    axes.set_title(f"{stated['class']}, at most {stated['max_error_ulp']:.4f} ulp", fontsize=8)
    axes.set_xlabel("input (value)")


def bar_figure(names: Sequence[str], values: Sequence[float], axis: str, colour: str) -> Figure:
    """One horizontal bar a name, with its number; the axis' label states the unit."""
    with styled(4.2, 0.8 + 0.24 * len(names)) as figure:
        axes = figure.subplots()
        bars = axes.barh(names, values, color=colour)
        axes.bar_label(bars, [f"{value:.4g}" for value in values], padding=3, fontsize=8)
        axes.margins(x=0.15)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(axis)
    return figure


def scatter_figure(
    names: Sequence[str], areas: Sequence[float], errors: Sequence[float], axis: str
) -> Figure:
    """Mean error over area, a point a name."""
    with styled(4.2, 3.8) as figure:
        axes = figure.subplots()
        marks = zip(names, areas, errors, cycle(COLOURS), cycle(MARKERS), strict=False)
        for name, area, error, colour, marker in marks:
            axes.plot(area, error, marker, color=colour, label=name)
        axes.set_xlabel(axis)
        axes.set_ylabel("mean error (ulp)")
        axes.set_ylim(bottom=0)
        figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def svg(figure: Figure, description: str) -> str:
    """The figure as SVG text, the same from run to run; the description goes into its metadata."""
    content = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Description": description}
    with mpl.rc_context(_STYLE):
        figure.savefig(content, format="svg", metadata=metadata)
    return "\n".join(line.rstrip() for line in content.getvalue().splitlines()) + "\n"
