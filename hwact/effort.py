# SPDX-License-Identifier: Apache-2.0
"""How hard a design is looked for: by its estimated area alone, or by what synthesis makes of the best."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import Any

from hwact import architectures, unit
from hwact.architectures.problem import FITTED_ACCURACY, MAX_FITTED_WIDTH, UnitSpec
from hwact.datapath.schedule import cycles, highest_clock
from hwact.design import Design, designs
from hwact.errors import ArgumentError
from hwact.formats import member
from hwact.pairs import datapath_of, joined, pairs_of
from hwact.synth import Options, measure
from hwact.unit import Unit, of_designs

FEW = 8  # designs of one architecture and accuracy that are synthesised
# Of what was tried, the smallest is estimated at up to 1.6 times the smallest estimate.
WITHIN, MORE = 2, 10  # times the smallest estimate, and look-up tables beyond


class Effort(StrEnum):
    """What decides between designs."""

    NORMAL = "normal"
    HIGH = "high"


def build(
    function: str | None = None,
    *,
    effort: str = "normal",
    **options: Any,
) -> Unit:
    """Make the cheapest unit that meets a specification: :func:`hwact.unit.build`, with an effort.

    Parameters
    ----------
    function : str
    effort : str
        ``normal``: the smallest estimated area. ``high``: the smallest area after synthesis on the target,
        of the designs with the smallest estimates of each architecture, or of the pairs of designs that
        are tried where a gradient comes along.
    **options
        As of :func:`hwact.unit.build`.
    """
    found = unit.build(function, **options)
    chosen = options.get("architecture_parameters") is not None
    if member(Effort, "effort", effort) is Effort.NORMAL or chosen:
        return found
    if found.input_format.width > MAX_FITTED_WIDTH:
        raise ArgumentError(
            f"effort must be normal where the input has more than {MAX_FITTED_WIDTH} bits, not {effort!r}; "
            "choose fewer bits"
        )
    if found.setting_format:
        raise ArgumentError(f"effort must be normal with a run-time beta, not {effort!r}")
    units = list(_units(found, options)) or [found]
    target = found.spec.target
    allowed = Options(place=False, dsp=target.block is not None)
    measured = functools.partial(measure, target=target.name, options=allowed)
    with ThreadPoolExecutor() as threads:  # the work is done by processes of Yosys
        records = list(threads.map(measured, units))
    areas = [record.area + target.priced(record.dsps) for record in records]
    return units[areas.index(min(areas))]


def _units(found: Unit, options: Mapping[str, Any]) -> Iterator[Unit]:
    """Units like the one found, of the few best designs, as far as they reach its clock."""
    architecture, latency = options.get("architecture", "auto"), options.get("latency")
    target, clock = found.spec.target, found.clock
    if found.gradient:
        few = pairs_of((found.spec, found.gradient.spec), architecture)
    else:
        few = [(one,) for one in _shortlist(found.spec, architecture)]
    for each in map(joined, few):
        datapath = datapath_of(each)
        if clock is None or highest_clock(datapath, target) >= clock:
            stages = cycles(datapath, target, clock) if latency is None else latency
            yield of_designs(found.name, each, stages, found.interface, found.lanes, found.expression, clock)


def _shortlist(spec: UnitSpec, architecture: str) -> list[Design]:
    """The designs of the smallest estimates, the smallest of all first.

    They are few of each architecture and accuracy of the ladder: those which are synthesised for an
    accuracy of the ladder are among those for a looser one, as long as they have a chance.
    """
    names = architectures.catalogue() if architecture == "auto" else [architecture]
    alike: dict[tuple[str, object], list[Design]] = defaultdict(list)
    for design in designs(spec, names):
        alike[design.architecture, design.parameters.get(FITTED_ACCURACY)].append(design)
    few = [one for group in alike.values() for one in sorted(group, key=_estimate)[:FEW]]
    limit = WITHIN * min(map(_estimate, few), default=0) + MORE
    return sorted((one for one in few if _estimate(one) <= limit), key=_estimate)


def _estimate(design: Design) -> float:
    return design.estimated_area
