# SPDX-License-Identifier: Apache-2.0
"""Choosing the cheapest design that meets a specification."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from hwact import accuracy, architectures
from hwact.architectures.problem import InfeasibleError, Parameters, UnitSpec
from hwact.datapath import Datapath
from hwact.datapath.cost import area
from hwact.datapath.evaluate import evaluate
from hwact.datapath.schedule import Schedule, cycles, highest_clock, pipelined_area, schedule
from hwact.errors import UnreachableError
from hwact.formats import Codes


@dataclass(frozen=True, eq=False)
class Design:
    """A datapath that meets a specification on every input code.

    Parameters
    ----------
    spec : UnitSpec
    architecture : str
    parameters : mapping
        With these the architecture builds the same datapath again.
    datapath : Datapath
    """

    spec: UnitSpec
    architecture: str
    parameters: Parameters
    datapath: Datapath

    @classmethod
    def build(cls, spec: UnitSpec, architecture: str, parameters: Parameters) -> Design:
        """The design of given parameters.

        Raises
        ------
        InfeasibleError
            It does not meet the specification.
        """
        datapath = architectures.get(architecture).build(spec, parameters)
        design = cls(spec, architecture, parameters, datapath)
        if not spec.permits(design.codes):
            raise InfeasibleError(
                f"the design must be {spec.accuracy}, not {design.accuracy.max_error_ulp!r} ulp off"
            )
        return design

    @cached_property
    def codes(self) -> Codes:
        """The output codes over all input codes, from the most negative; by the golden model."""
        return evaluate(self.datapath, self.spec.input_format.codes())

    @cached_property
    def accuracy(self) -> accuracy.AccuracyReport:
        """The error over all input codes."""
        return accuracy.report(self.spec, self.codes)

    @cached_property
    def estimated_area(self) -> float:
        """Estimated look-up tables on the specification's target."""
        return float(area(self.datapath, self.spec.target))

    @cached_property
    def highest_clock(self) -> int:
        """MHz that every stage can reach by the target's delays, with as many stages as that takes."""
        return int(highest_clock(self.datapath, self.spec.target))

    def cycles(self, clock: float | None = None) -> int:
        """Fewest cycles, at least 1, for a clock in MHz; for the target's usual stages where none is given.

        Raises
        ------
        UnreachableError
            A single operation takes longer.
        """
        hardware = self.spec.target
        if clock is None:
            return cycles(self.datapath, hardware, hardware.stage_delay)
        if clock > self.highest_clock:
            raise UnreachableError(
                f"the clock must be at most {self.highest_clock} MHz for {self.spec.function.name} on "
                f"{hardware.name}, not {clock:g}; ask for a lower one"
            )
        return cycles(self.datapath, hardware, int(1e6 / clock) - hardware.register_delay)

    def plan(self, latency: int) -> Schedule:
        """The datapath in stages."""
        return schedule(self.datapath, self.spec.target, latency)


def choose(spec: UnitSpec, architecture: str = "auto", clock: float | None = None) -> Design:
    """The design of the smallest estimated area; of equals, the first in the architectures' order.

    Parameters
    ----------
    architecture : str
        ``auto``, or the one architecture to search.
    clock : float, optional
        MHz that stages must reach; registers then count for the area.

    Raises
    ------
    UnreachableError
        No design meets the specification, or none of them the clock.
    """
    names = list(architectures.catalogue()) if architecture == "auto" else [architecture]
    found = sorted(designs(spec, names), key=lambda design: design.estimated_area)
    if found and clock is not None:
        return _clocked(found, clock)
    best = next(iter(found), None)
    if best is None:
        raise UnreachableError(
            f"accuracy must be one that {architecture} architectures reach for {spec.function.name} from "
            f"{spec.input_format} to {spec.output_format}, not {str(spec.accuracy)!r}; "
            "ask for faithful or a larger max_ulp, or choose the architecture auto"
        )
    return best


def _clocked(found: Sequence[Design], clock: float) -> Design:
    """Of designs by area, the smallest with the registers of its fewest cycles for a clock."""
    best, least = max(found, key=lambda design: design.highest_clock), math.inf
    for design in found:
        if design.estimated_area >= least:
            break
        if design.highest_clock >= clock:
            total = pipelined_area(design.plan(design.cycles(clock)), design.spec.target)
            best, least = (design, total) if total < least else (best, least)
    best.cycles(clock)  # refuses where none reaches it
    return best


def designs(spec: UnitSpec, names: Iterable[str]) -> Iterator[Design]:
    """Every design of some architectures that meets the specification, in a fixed order."""
    for name in names:
        for parameters in architectures.get(name).candidates(spec):
            try:
                yield Design.build(spec, name, parameters)
            except InfeasibleError:
                continue
