# SPDX-License-Identifier: Apache-2.0
"""Prices for hwact/datapath/cost.py: ``python benchmarks/calibrate.py --target ecp5 --designs 200``.

Takes functions of the catalogue, widths and accuracies by chance, and of each specification some designs of
every architecture, the cheap ones by the estimate of today; synthesises each of them without registers; and
fits the prices to the areas, by least squares of the relative errors, none below 0. Beside them stands what
the estimate costs: the measured area of the design that it puts first, over that of the best one tried.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import sys
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

import hwact
from hwact import architectures
from hwact.architectures.problem import UnitSpec
from hwact.datapath.cost import TARGETS, Prices, amounts
from hwact.design import Design, designs
from hwact.errors import UnreachableError
from hwact.synth import Options, measure
from hwact.unit import Unit, specification

WIDTHS = (7, 8, 8, 9, 10, 11, 12, 13, 14, 16)
CHEAPEST, TAKEN = 10, 2  # of one architecture
WITHIN = 2.0  # of the best estimate
NAMES = [field.name for field in dataclasses.fields(Prices)]

Floats = npt.NDArray[np.float64]


def groups(target: str, chance: random.Random) -> Iterator[list[Design]]:
    """Designs of one specification after the other, without end."""
    while True:
        width = chance.choice(WIDTHS)
        spec = specification(
            chance.choice(hwact.functions.names()),
            width=width,
            gradient=chance.random() < 0.25,
            accuracy="faithful" if width > 10 or chance.random() < 0.5 else "correct",
            target=target,
        )
        try:
            yield chosen(spec, chance)
        except UnreachableError:
            continue


def chosen(spec: UnitSpec, chance: random.Random) -> list[Design]:
    """Some of the cheap designs of every architecture."""
    found = sorted(designs(spec, architectures.catalogue()), key=lambda one: one.estimated_area)
    few: list[Design] = []
    for name in architectures.catalogue():
        mine = [one for one in found if one.architecture == name][:CHEAPEST]
        mine = [one for one in mine if one.estimated_area < WITHIN * found[0].estimated_area + 5]
        few += chance.sample(mine, min(TAKEN, len(mine)))
    return few


def luts(design: Design) -> float:
    """The measured area of a design without registers."""
    unit = Unit(design, "unit", design.plan(0), "bare", 1)
    return measure(unit, design.spec.target.name, Options(place=False)).area


def fitted(counts: Floats, areas: Floats) -> Floats:
    """The prices with the smallest relative errors; a few cells count as noise."""
    weights = 1 / (areas + 5)
    return np.asarray(nnls(counts * weights[:, None], areas * weights)[0])


def regret(estimates: Floats, areas: Floats, group: Sequence[int]) -> tuple[float, float]:
    """Area of the design of the smallest estimate over the smallest area: geometric mean and largest."""
    ratios = []
    for each in sorted(set(group)):
        mine = np.flatnonzero(np.array(group) == each)
        ratios.append(areas[mine[estimates[mine].argmin()]] / areas[mine].min())
    return float(np.exp(np.log(ratios).mean())), max(ratios)


def main() -> None:
    """Measure, fit, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", default="ecp5", choices=list(TARGETS))
    parser.add_argument("--designs", type=int, default=200, help="how many to synthesise (default 200)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    hardware = TARGETS[options.target]
    rows: list[list[float]] = []
    areas: list[float] = []
    group: list[int] = []
    for number, few in enumerate(groups(options.target, random.Random(options.seed))):
        for design in few:
            counted = amounts(design.datapath, hardware)
            rows.append([counted.get(name, 0.0) for name in NAMES])
            areas.append(luts(design))
            group.append(number)
        print(f"\rdesigns {len(areas)}/{options.designs}", end="", file=sys.stderr, flush=True)
        if len(areas) >= options.designs:
            break
    counts, measured = np.array(rows), np.array(areas)
    now, best = np.array(dataclasses.astuple(hardware.prices)), fitted(counts, measured)
    print(f"\n{'price':20} {'now':>6} {'fitted':>6} {'designs':>8}")
    for name, old, new, used in zip(NAMES, now, best, (counts > 0).sum(axis=0), strict=True):
        print(f"{name:20} {old:6.2f} {new:6.2f} {used:8}")
    for title, prices in (("now", now), ("fitted", best)):
        mean, largest = regret(counts @ prices, measured, group)
        print(f"regret, {title}: {mean:.3f} in the mean, {largest:.2f} at most")


if __name__ == "__main__":
    main()
