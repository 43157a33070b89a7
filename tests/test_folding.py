# SPDX-License-Identifier: Apache-2.0
"""Foldings: every form of a table on all codes, and what is not there because nothing needs it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from hwact.architectures import table
from hwact.architectures.folding import Clipped, Folding, Region, foldings
from hwact.architectures.problem import InfeasibleError, UnitSpec
from hwact.datapath import graph as g
from hwact.design import Design
from hwact.formats import Codes
from hwact.unit import specification

TINY = (("SQ1.0", "SQ1.0"), ("SQ2.1", "UQ1.2"), ("SQ3.2", "SQ1.4"), ("SQ3.3", "UQ0.6"), ("SQ2.3", "SQ3.3"))
FORMS = {
    "tanh": 2260,
    "sigmoid": 2052,
    "gelu": 2812,
    "silu": 2812,
    "softplus": 2540,
    "elu": 828,
}  # codes of all


def designs(spec: UnitSpec) -> list[Design]:
    """Every form of a table that meets a specification; building one judges all codes."""
    found = []
    for parameters in table.candidates(spec):
        try:
            found.append(Design.build(spec, "table", parameters))
        except InfeasibleError:
            continue
    return found


def small(function: str, inside: str, outside: str, accuracy: str = "correct") -> UnitSpec:
    options: dict[str, Any] = {"input_format": inside, "output_format": outside, "accuracy": accuracy}
    if "(" in function:
        return specification(expression=function, **options)
    return specification(function, **options)


@pytest.mark.parametrize(("name", "count"), FORMS.items())
def test_every_form_of_a_table_is_right_on_all_codes(name: str, count: int) -> None:
    codes = 0
    for (inside, outside), accuracy in itertools.product(TINY, ("correct", "faithful")):
        spec = small(name, inside, outside, accuracy)
        for design in designs(spec):
            low, high = spec.allowed
            assert ((low <= design.codes) & (design.codes <= high)).all(), design.parameters
            codes += design.codes.size
    assert codes == count


def common(spec: UnitSpec, address: Codes, first: int) -> bool:
    """Whether one output for each sign does from an address on."""
    codes, (low, high) = spec.input_format.codes(), spec.allowed
    sides = [side & (address >= first) for side in (codes < 0, codes >= 0)]
    return all(not side.any() or low[side].max() <= high[side].min() for side in sides)


@pytest.mark.parametrize("kind", ["magnitude", "complement"])
def test_an_odd_function_needs_no_address_from_which_two_codes_do(kind: str) -> None:
    checked = 0
    for name, (inside, outside), accuracy in itertools.product(
        ("tanh", "sigmoid"), TINY, ("correct", "faithful")
    ):
        spec = small(name, inside, outside, accuracy)
        if kind not in {folding.kind for folding in foldings(spec, 0) if folding.odd}:
            continue
        clipped = Clipped.of(Folding(spec, kind, 0))
        low, high = spec.allowed
        codes = spec.input_format.codes()
        address = np.abs(codes) if kind == "magnitude" else np.maximum(codes, ~codes)

        assert common(spec, address, clipped.first)
        assert clipped.first == 1 or not common(spec, address, clipped.first - 1)
        for code, end in ((codes < 0, clipped.ends[0]), (codes >= 0, clipped.ends[1])):
            beyond = code & (address >= clipped.first)
            assert ((low[beyond] <= end) & (end <= high[beyond])).all()
            checked += int(beyond.sum())
    assert checked >= 20


def kinds_of(design: Design) -> set[type[g.Node]]:
    return {type(node) for node in design.datapath.nodes}


def test_an_odd_table_has_no_saturation_behind_it() -> None:
    for name, outside in (("tanh", "SQ1.7"), ("sigmoid", "UQ0.8")):
        made = designs(small(name, "SQ4.4", outside))
        folded = [one for one in made if one.parameters["folding"] == "magnitude"]
        assert len(folded) == 2 * 3 * 2
        assert not any(g.Saturate in kinds_of(one) for one in folded)


def test_a_centre_between_two_codes_mirrors_without_a_carry() -> None:
    made = designs(small("255/256*sigmoid(x)", "SQ4.4", "UQ0.8"))
    folded = [one for one in made if one.parameters["folding"] == "magnitude"]
    assert folded
    for one in folded:
        assert sum(isinstance(node, g.Negate) for node in one.datapath.nodes) == 1  # |x| alone
        assert "mirror" not in one.parameters


def test_the_most_negative_code_shares_an_address_where_it_may() -> None:
    silu, softplus = (small(name, "SQ4.4", "SQ4.4") for name in ("silu", "softplus"))
    region = Region.of(Folding(silu, "magnitude", 0))
    assert (region.bits, region.tails, region.wrapped) == (7, (), True)
    assert not Region.of(Folding(softplus, "magnitude", 0)).wrapped  # softplus(0) is not 0


def test_a_core_that_is_never_positive_is_subtracted() -> None:
    for name, subtracted in (("gelu", True), ("softplus", False)):
        made = designs(small(name, "SQ4.4", "SQ4.4"))
        gated = [one for one in made if one.parameters.get("sum") == "gated"]
        assert gated
        assert all((g.Subtract in kinds_of(one)) == subtracted for one in gated), name
