# SPDX-License-Identifier: Apache-2.0
"""What each accuracy promises: mean squared errors, exactly; and a looser one costs no more."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import hwact
from hwact.architectures.problem import Accuracy
from hwact.design import choose, designs
from hwact.errors import UnreachableError
from hwact.explore import Search, enumerated
from hwact.formats import Format
from hwact.unit import specification
from tests import oracles

FROM_TIGHT_TO_LOOSE = ("correct", "faithful", "max_ulp=1.5", "max_ulp=2", "max_ulp=4")


def areas(function: str, **options: Any) -> list[float]:
    """The estimated areas from the tightest accuracy to the loosest."""
    return [
        choose(specification(function, accuracy=each, **options)).estimated_area
        for each in FROM_TIGHT_TO_LOOSE
    ]


def assert_never_rising(found: list[float]) -> None:
    assert len(found) == len(FROM_TIGHT_TO_LOOSE)
    assert all(tight >= loose for tight, loose in pairwise(found)), found


@pytest.mark.parametrize("function", hwact.functions.names())
def test_a_looser_accuracy_never_costs_more(function: str) -> None:
    assert_never_rising(areas(function, width=6))


@pytest.mark.slow
@pytest.mark.parametrize("target", ["xc7", "ice40"])
@pytest.mark.parametrize("function", ["gelu", "silu", "tanh", "smelu", "elu"])
def test_a_looser_accuracy_never_costs_more_at_sixteen_bits(function: str, target: str) -> None:
    assert_never_rising(areas(function, width=16, target=target))


@pytest.mark.parametrize("accuracy", ["max_ulp=1.7", "max_ulp=6", "max_ulp=1", "mse=2e-3"])
def test_a_design_fitted_for_a_tighter_accuracy_is_built_again(accuracy: str) -> None:
    spec = specification("erf", width=6, accuracy=accuracy)
    fitted = {}
    for design in designs(spec, ["table", "rows", "piecewise"]):
        assert spec.permits(design.codes)
        fitted[str(design.parameters.get("fitted_accuracy", accuracy))] = design
    assert len(fitted) > 1
    for design in fitted.values():
        again = type(design).build(spec, design.architecture, design.parameters)
        assert np.array_equal(again.codes, design.codes)
        assert again.estimated_area == design.estimated_area


def test_a_unit_of_a_tighter_fit_comes_back_from_its_manifest() -> None:
    unit = hwact.build("erf", width=6, accuracy="max_ulp=2")
    assert unit.manifest()["architecture_parameters"]["fitted_accuracy"] == "max_ulp=1.5"
    assert hwact.from_manifest(unit.manifest()).verilog == unit.verilog


def test_exploring_counts_a_design_of_several_accuracies_once() -> None:
    search = Search(spec={"function": "erf", "width": 6}, target="xc7", accuracies=("correct", "faithful"))
    found = [
        facts["parameters"]
        for accuracy in search.accuracies
        for facts in enumerated({"spec": {**search.spec, "accuracy": accuracy}, "architecture": "table"})
    ]
    again = [p for p in found if p.get("fitted_accuracy") == "correct"]
    assert again
    assert all({k: v for k, v in p.items() if k != "fitted_accuracy"} in found for p in again)


# Mean squared errors


def mean_squared_error(unit: hwact.Unit) -> Fraction:
    """In squared units of the value, by rational arithmetic alone."""
    out = unit.output_format
    total = Fraction(0)
    for code, y in zip(unit.input_format.codes(), unit.design.codes, strict=True):
        exact = oracles.value(unit.function.name, False, unit.input_format.value(int(code)))
        exact = min(max(exact, out.value(out.min_code)), out.value(out.max_code))
        total += (out.value(int(y)) - exact) ** 2
    return total / unit.design.codes.size


@pytest.mark.parametrize(("function", "output_format"), [("smelu", "SQ4.4"), ("softsign", "SQ1.9")])
@pytest.mark.parametrize("accuracy", ["correct", "max_ulp=3"])
def test_the_mean_squared_error_is_an_upper_bound(function: str, output_format: str, accuracy: str) -> None:
    unit = hwact.build(function, width=8, output_format=output_format, accuracy=accuracy)
    true, stated = mean_squared_error(unit), unit.accuracy.mean_squared_error
    ulp = unit.output_format.ulp
    assert unit.design.codes.size == 256
    assert true <= Fraction(stated) <= true + ulp**2 * Fraction(1, 2**20)


def test_the_mean_squared_error_does_not_overflow() -> None:
    wide = Format.parse("SQ17.15")
    spec = specification("relu", input_format="SQ16.0", output_format=wide)
    least = np.full(1 << 16, wide.min_code)
    value = sum(Fraction(max(x, 0) - wide.value(wide.min_code)) ** 2 for x in range(-(1 << 15), 1 << 15))
    true = value / (1 << 16)
    assert true <= spec.mean_squared_error(least) <= true * (1 + Fraction(1, 1 << 50))


@pytest.mark.parametrize(
    ("function", "width", "bound", "reached"),
    [
        ("smelu", 8, "4e-4", True),
        ("smelu", 8, "1e-3", True),
        ("softsign", 8, "3e-4", True),
        ("smelu", 8, "1e-5", False),
    ],
)
def test_mse_is_kept_and_refused_exactly(function: str, width: int, bound: str, reached: bool) -> None:
    if not reached:
        with pytest.raises(
            UnreachableError, match=f"accuracy must be .*, not 'mse={float(bound):g}'; ask for"
        ):
            hwact.build(function, width=width, accuracy=f"mse={bound}")
        return
    unit = hwact.build(function, width=width, accuracy=f"mse={bound}")
    assert mean_squared_error(unit) <= Fraction(bound)
    assert unit.manifest()["requested_accuracy"] == f"mse={float(bound):g}"


def test_mse_judges_to_the_last_bit() -> None:
    unit = hwact.build("smelu", width=8, accuracy="max_ulp=2")
    true = mean_squared_error(unit)  # dyadic, so that the reference has it exactly
    for bound, permitted in ((true, True), (true - Fraction(1, 10**30), False)):
        spec = specification("smelu", width=8, accuracy="faithful").at(Accuracy("mse", bound))
        assert spec.permits(unit.design.codes) is permitted


def test_a_looser_mse_costs_less() -> None:
    found = [
        choose(specification("gelu", width=8, accuracy=f"mse={bound}")).estimated_area
        for bound in ("1.4e-4", "1e-3", "1e-2")
    ]
    assert found[0] > found[1] > found[2]
    assert found[0] <= choose(specification("gelu", width=8, accuracy="correct")).estimated_area
