# SPDX-License-Identifier: Apache-2.0
"""Pictures of units: what they compute and how far they are off, over all input codes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hwact.unit import Unit

Floats = npt.NDArray[np.float64]

# Okabe and Ito's colours, which colour-blind readers tell apart; their yellow is too pale on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_BINS = 256

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


def signed_errors(unit: Unit) -> Floats:
    """Output less exact value, over all input codes from the most negative; ulp of the output."""
    exact = unit.spec.exact
    distance = (unit.design.codes.astype(np.int64) << exact.guard_bits) - exact.floor
    return distance / float(1 << exact.guard_bits)


def error_figure(units: Sequence[Unit]) -> Figure:
    """Each unit's output over its input, and below it the error at every input code.

    The error is drawn as the band between the smallest and the largest of neighbouring codes, so
    that no code is left out however narrow the picture.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(3.1 * len(units), 4.2), layout="constrained")
        grid = figure.subplots(2, len(units), sharex="col", sharey="row", squeeze=False)
        for unit, (above, below), colour in zip(units, grid.T, COLOURS, strict=False):
            _draw_outputs(above, unit, colour)
            _draw_errors(below, unit, colour)
        grid[0][0].set_ylabel("output (value)")
        grid[1][0].set_ylabel("error (ulp)")
    return figure


def _draw_outputs(axes: Axes, unit: Unit, colour: str) -> None:
    inside, outside = unit.input_format, unit.output_format
    inputs = np.ldexp(inside.codes().astype(np.float64), -inside.frac_bits)
    step = max(1, inputs.size // 1024)
    outputs = np.ldexp(unit.design.codes.astype(np.float64), -outside.frac_bits)
    axes.plot(inputs[::step], outputs[::step], color=colour, linewidth=1.4)
    axes.set_title(unit.name, fontsize=9)


def _draw_errors(axes: Axes, unit: Unit, colour: str) -> None:
    found = signed_errors(unit)
    inside = unit.input_format
    starts = np.arange(0, found.size, max(1, found.size // _BINS))
    positions = np.ldexp((starts + inside.min_code).astype(np.float64), -inside.frac_bits)
    least, most = np.minimum.reduceat(found, starts), np.maximum.reduceat(found, starts)
    axes.fill_between(positions, least, most, step="post", color=colour, linewidth=0.4)
    for limit in (-0.5, 0.5):
        axes.axhline(limit, color="#666666", linewidth=0.7, linestyle="--")
    report = unit.accuracy
    axes.set_title(f"{report.class_}, at most {report.max_error_ulp:.4f} ulp", fontsize=8)
    axes.set_xlabel("input (value)")


def svg(figure: Figure, description: str) -> str:
    """The figure as SVG text, the same from run to run; the description goes into its metadata."""
    content = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Description": description}
    with mpl.rc_context(_STYLE):
        figure.savefig(content, format="svg", metadata=metadata)
    return "\n".join(line.rstrip() for line in content.getvalue().splitlines()) + "\n"
