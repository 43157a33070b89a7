# SPDX-License-Identifier: Apache-2.0
"""Choosing the cheapest design that meets a specification."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import islice

import numpy as np

from hwact import accuracy, architectures
from hwact.architectures.problem import (
    FITTED_ACCURACY,
    MAX_FITTED_WIDTH,
    Accuracy,
    InfeasibleError,
    Parameters,
    UnitSpec,
)
from hwact.datapath import Datapath
from hwact.datapath.cost import area
from hwact.datapath.evaluate import evaluate
from hwact.datapath.schedule import Schedule, cycles, highest_clock, pipelined_area, schedule
from hwact.errors import UnreachableError
from hwact.formats import Codes
from hwact.proof import Proof, prove

CYCLE = 1 / 12  # what a cycle of latency counts for, of the area
CHECKED_CODES = 1 << 12  # beside hostile ones, where the input has more than 24 bits


@dataclass(frozen=True, eq=False)
class Design:
    """A datapath that meets a specification on every input code.

    Parameters
    ----------
    spec : UnitSpec
    architecture : str
    parameters : mapping
        With these the architecture builds the same datapath again; ``fitted_accuracy`` among them is
        the tighter accuracy for which it does, where that is not the specification's.
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
        own = dict(parameters)
        fitted = own.pop(FITTED_ACCURACY, None)
        asked = spec if fitted is None else spec.at(Accuracy.parse(str(fitted)))
        datapath = architectures.get(architecture).build(asked, own)
        design = cls(spec, architecture, parameters, datapath)
        if not spec.listed:
            design._check_proof()
        elif not spec.permits(design.codes):
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
        if self.spec.listed:
            return accuracy.report(self.spec, self.codes)
        inputs = self.checked_codes
        return accuracy.proven_report(self.spec, self.proof, inputs, evaluate(self.datapath, inputs))

    @cached_property
    def proof(self) -> Proof:
        """What is known of all codes without a look at each."""
        return prove(self.spec, self.datapath)

    @cached_property
    def checked_codes(self) -> Codes:
        """The codes that are compared with the exact function where all are too many; ascending."""
        given = self.spec.input_format
        spread = accuracy.spread_codes(given, CHECKED_CODES)
        return np.union1d(accuracy.hostile_codes(given, self.proof.starts), spread)

    def _check_proof(self) -> None:
        """Refuse a design that is not proven to meet the specification."""
        wanted, proof = self.spec.accuracy, self.proof
        if wanted.kind == "correct":
            met = proof.correct
        elif wanted.bound is None:
            met = proof.max_error_ulp < 1
        else:
            met = Fraction(proof.max_error_ulp) <= wanted.bound
        if not met:
            raise InfeasibleError(
                f"the design must be proven {wanted} on all codes, not at most {proof.max_error_ulp!r} ulp "
                "off by the proof; choose more guard bits"
            )

    @cached_property
    def estimated_area(self) -> float:
        """Estimated look-up tables on the specification's target."""
        return float(area(self.datapath, self.spec.target))

    @cached_property
    def highest_clock(self) -> int:
        """MHz that every stage can reach by the target's delays, with as many stages as that takes."""
        return highest_clock(self.datapath, self.spec.target)

    def cycles(self, clock: float | None = None) -> int:
        """As :func:`hwact.datapath.schedule.cycles`."""
        return cycles(self.datapath, self.spec.target, clock)

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
    found = designs(spec, names)
    wide = spec.input_format.width > MAX_FITTED_WIDTH
    if wide:  # judging one takes seconds, and the architectures begin with the cheapest
        found = islice(found, 1)
    if clock is None:
        best = min(found, key=lambda design: design.estimated_area, default=None)
    else:
        best = _clocked(found, clock)
    if best is None:
        raise UnreachableError(
            f"accuracy must be one that {architecture} architectures reach for {spec.function.name} from "
            f"{spec.input_format} to {spec.output_format}, not "
            f"{' with '.join((str(spec.accuracy), *spec.constraints))!r}; "
            "ask for faithful, or a larger max_ulp or mse, or choose the architecture auto"
            + ", or an input of fewer bits"
            * wide
        )
    return best


def _clocked(found: Iterable[Design], clock: float) -> Design | None:
    """The smallest design with the registers of its fewest cycles for a clock; none of none.

    A cycle more must save a part of the area.
    """
    bare = [replace(design) for design in found]  # without their codes, which take memory
    best, least = max(bare, key=lambda design: design.highest_clock, default=None), math.inf
    for design in sorted(bare, key=lambda design: design.estimated_area):
        if design.estimated_area >= least:
            break
        if design.highest_clock >= clock:
            latency = design.cycles(clock)
            total = pipelined_area(design.plan(latency), design.spec.target) * (1 + latency * CYCLE)
            best, least = (design, total) if total < least else (best, least)
    if best is not None:
        best.cycles(clock)  # refuses where none reaches it
    return best


def designs(spec: UnitSpec, names: Iterable[str]) -> Iterator[Design]:
    """Designs of some architectures that meet the specification, in a fixed order.

    They are fitted for one accuracy after the other of the specification's ladder; a mean squared error
    is content with the first that leads to any, and the next.
    """
    names, met = tuple(names), 0
    for each in spec.ladder:
        none = True
        for design in _fitted(spec, each, names):
            none = False
            yield design
        met += not none
        if met == 2 and spec.accuracy.kind == "mse":
            return


def _fitted(spec: UnitSpec, accuracy: Accuracy, names: Iterable[str]) -> Iterator[Design]:
    """Those that are fitted for one accuracy."""
    more = {} if accuracy == spec.accuracy else {FITTED_ACCURACY: str(accuracy)}
    for name in names:
        for parameters in architectures.get(name).candidates(spec.at(accuracy)):
            try:
                yield Design.build(spec, name, {**parameters, **more})
            except InfeasibleError:
                continue
