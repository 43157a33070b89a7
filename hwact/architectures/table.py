# SPDX-License-Identifier: Apache-2.0
"""A table of correctly rounded values, direct or folded by symmetry and base."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from hwact.architectures.folding import Folding, Region, foldings, roundest
from hwact.architectures.problem import Accuracy, InfeasibleError, Parameters, UnitSpec
from hwact.datapath import Datapath

NAME = "table"

MAX_ADDRESS_BITS = 16


def candidates(spec: UnitSpec) -> Iterator[Parameters]:
    """The foldings with which a table is possible; none where it would be absurdly large."""
    if spec.input_format.width <= MAX_ADDRESS_BITS:
        for folding in foldings(_correct(spec), max(0, -spec.frac_shift)):
            yield {"folding": folding.kind}


def build(spec: UnitSpec, parameters: Parameters) -> Datapath:
    """A datapath around one table.

    Parameters
    ----------
    parameters
        ``folding``: a kind of :mod:`hwact.architectures.folding`.
    """
    correct = _correct(spec)
    region = Region.of(
        Folding(correct, str(parameters["folding"]), _guard_bits(correct, str(parameters["folding"])))
    )
    if (region.low > region.high).any():
        raise InfeasibleError(
            f"the function must fold exactly, not by {parameters['folding']!r}; choose plain"
        )
    values = tuple(roundest(region.low, region.high).tolist())
    x, y = region.build(lambda address: address.lookup(values).named("value"))
    return correct.finish(x, y)


def _guard_bits(spec: UnitSpec, kind: str) -> int:
    """As few as make the base exact."""
    return 0 if kind == "plain" else max(0, -spec.frac_shift)


def _correct(spec: UnitSpec) -> UnitSpec:
    return dataclasses.replace(spec, accuracy=Accuracy("correct"))
