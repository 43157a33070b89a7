# SPDX-License-Identifier: Apache-2.0
"""How well estimated areas rank designs: ``python benchmarks/calibrate.py --widths 8,12,16``.

For every target, Spearman's rank correlation of the estimate, which selection goes by, with the measured
area, over the whole family of functions, and the factor by which estimates miss, so that the constants in
hwact/datapath/cost.py can be set again. Combinational units: registers are no part of the estimate.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hwact import synth
from hwact.compare import FAMILY, Question, Row
from hwact.entries import entries
from hwact.synth import Options

Floats = npt.NDArray[np.float64]


def measured(widths: Sequence[int], targets: Sequence[str], functions: Sequence[str] = FAMILY) -> list[Row]:
    """The family at some widths, combinational and without place and route."""
    question = Question(
        functions=tuple(functions),
        widths=tuple(widths),
        targets=tuple(targets),
        latency=0,
        options=Options(place=False),
    )
    return question.rows(entries(question.jobs(), progress=_show))


def _show(what: str, done: int, total: int) -> None:
    print(f"\r{what} {done}/{total}", end="\n" if done == total else "", file=sys.stderr)


def ranks(values: Sequence[float]) -> Floats:
    """Rank of every value from 1; equal values share the mean of theirs."""
    array = np.asarray(values, dtype=np.float64)
    _, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's rank correlation."""
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def line(target: str, width: int | None, rows: Sequence[Row]) -> tuple[str, ...]:
    """What the rows of one target say, at one width or at all of them."""
    estimates, areas = [row["estimated_area"] for row in rows], [row["area"] for row in rows]
    factors = [area / estimate for area, estimate in zip(areas, estimates, strict=True) if estimate]
    correlation = rank_correlation(estimates, areas)
    spread = f"{min(factors):.2f} to {max(factors):.2f}"
    bits = "all" if width is None else str(width)
    title = synth.TARGETS[target].title
    return title, bits, str(len(rows)), f"{correlation:.3f}", f"{statistics.median(factors):.2f}", spread


def main() -> None:
    """Measure, and print a table in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--widths", default="8,12,16", help="bits (default 8,12,16)")
    parser.add_argument("--targets", default=",".join(synth.TARGETS), help="synthesis targets (default all)")
    options = parser.parse_args()
    widths, targets = [int(text) for text in options.widths.split(",")], options.targets.split(",")
    rows = measured(widths, targets)
    header = ("target", "bits", "units", "rank correlation", "measured / estimated, median", "range")
    lines = [header, ("---",) * len(header)]
    for target in targets:
        mine = [row for row in rows if row["target"] == target]
        lines.append(line(target, None, mine))
        lines += [line(target, width, [row for row in mine if row["width"] == width]) for width in widths]
    print("\n".join(f"| {' | '.join(cells)} |" for cells in lines))


if __name__ == "__main__":
    main()
