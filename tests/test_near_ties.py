# SPDX-License-Identifier: Apache-2.0
"""Rows for accuracies that leave most codes one output: correct on all codes, and no correction too many."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import hwact
from hwact import reference, synth
from hwact.architectures import near_ties, rows
from hwact.architectures.problem import Accuracy, InfeasibleError, UnitSpec
from hwact.architectures.row_fit import Shape
from hwact.datapath.evaluate import evaluate
from hwact.design import Design
from hwact.formats import Codes
from hwact.synth import Options
from hwact.unit import specification


def narrow(spec: UnitSpec) -> list[Design]:
    """The designs of the candidates for narrow accuracies."""
    found = [each for each in rows.candidates(spec) if "corrections" in each]
    return [Design.build(spec, rows.NAME, each) for each in found]  # none fails


def exact_codes(spec: UnitSpec) -> Codes:
    return reference.codes(
        spec.function, spec.input_format, spec.output_format, rounding=spec.rounding, overflow=spec.overflow
    )


UNITS = (
    ("gelu", "SQ4.6", "SQ4.6", "half_up", "saturate"),
    ("tanh", "SQ4.6", "SQ1.9", "floor", "saturate"),
    ("sigmoid", "SQ4.6", "UQ0.10", "toward_zero", "saturate"),
    ("silu", "SQ3.7", "SQ3.5", "half_even", "saturate"),
    ("mish", "SQ4.6", "SQ4.7", "half_up", "wrap"),
    ("exp", "SQ3.7", "SQ4.6", "half_up", "saturate"),
    ("gelu", "int10:0.008:17", "int9:0.02:-5", "half_even", "saturate"),
)


@pytest.mark.parametrize(("name", "inside", "outside", "rounding", "overflow"), UNITS)
def test_every_candidate_is_the_exact_function_rounded(
    name: str, inside: str, outside: str, rounding: str, overflow: str
) -> None:
    spec = specification(
        name,
        input_format=inside,
        output_format=outside,
        rounding=rounding,
        overflow=overflow,
        accuracy="correct",
    )
    designs, exact = narrow(spec), exact_codes(spec)
    assert designs
    for design in designs:
        assert design.codes.size == 1 << spec.input_format.width
        assert np.array_equal(design.codes, exact)


def test_without_its_corrections_a_unit_is_wrong_just_there(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = specification("tanh", width=11, output_format="SQ1.10", accuracy="correct")
    shapes = [Shape(**each) for each in rows.candidates(spec) if "corrections" in each]  # type: ignore[arg-type]
    places = {shape: kept.corrected for shape in shapes if (kept := near_ties.fitted(spec, shape))}
    shape, corrected = max(places.items(), key=lambda item: len(item[1]))
    assert corrected
    assert shape.folding == "magnitude"

    coefficients = near_ties.fitted(spec, shape)
    assert coefficients is not None
    uncorrected = dataclasses.replace(coefficients, corrected=())
    x, y = rows._result(spec, shape, uncorrected)
    codes = evaluate(spec.fitted(x, y), spec.input_format.codes())
    wrong = spec.input_format.codes()[codes != exact_codes(spec)]
    assert {*np.abs(wrong).tolist()} == {*corrected}
    monkeypatch.setattr(near_ties, "fitted", lambda *_: uncorrected)
    with pytest.raises(InfeasibleError, match=f"not wrong on {wrong.size} of them"):
        rows.build(spec, shape.parameters)


def test_what_needs_more_corrections_is_refused() -> None:
    spec = specification("tanh", width=11, output_format="SQ1.10", accuracy="correct")
    for parameters in (each for each in rows.candidates(spec) if "corrections" in each):
        coefficients = near_ties.fitted(spec, Shape(**parameters))  # type: ignore[arg-type]
        assert coefficients is not None
        count = len(coefficients.corrected)
        if count > 1:
            rows.build(spec, {**parameters, "corrections": count})
            with pytest.raises(InfeasibleError, match=r"must be correct on all codes, not so with \{"):
                rows.build(spec, {**parameters, "corrections": count - 1})
            break
    else:
        pytest.fail("no candidate has two corrections")


def test_accuracies_that_leave_a_choice_do_not_wait_for_them() -> None:
    faithful = specification("silu", width=11, accuracy="faithful")
    half = Accuracy.parse("max_ulp=0.5")
    correct = Accuracy("correct")
    assert not faithful.narrow
    assert not faithful.at(correct).narrow
    assert faithful.at(half).at(correct).narrow
    assert specification("silu", width=11, accuracy="mse=1e-8").at(correct).narrow
    assert not specification("silu", width=11, accuracy="mse=1e-8").narrow
    assert not any("corrections" in each for each in rows.candidates(faithful.at(correct)))
    assert not narrow(specification("smelu", width=11, accuracy="correct"))  # exact arithmetic


def test_segments_in_which_the_output_saturates_are_as_long_as_others() -> None:
    spec = specification("exp", width=12, accuracy="correct")  # without corrections none fits
    designs = narrow(spec)
    assert len(designs) == len([*rows.candidates(spec)])
    for design in designs:
        assert spec.permits(design.codes)
    assert max(int(design.parameters["segment_bits"]) for design in designs) >= 4


# Upper bounds of look-up tables: a better design may take less, none may take more.
AREAS = {
    ("sigmoid", 10, "UQ0.10", "ice40"): 190,
    ("tanh", 12, "SQ1.11", "ice40"): 370,
    ("gelu", 16, "SQ4.12", "xc7"): 400,
    ("sigmoid", 16, "UQ0.16", "xc7"): 480,
    ("mish", 16, "SQ4.12", "ice40"): 1300,
}


@pytest.mark.parametrize(
    ("name", "width", "outside", "target", "most"),
    [
        pytest.param(*cell, most, marks=[pytest.mark.slow] if cell[1] > 10 else [])
        for cell, most in AREAS.items()
    ],
)
def test_area_does_not_creep_up(name: str, width: int, outside: str, target: str, most: int) -> None:
    unit = hwact.build(
        name,
        width=width,
        output_format=outside,
        accuracy="correct",
        target=target,
        interface="bare",
        latency=0,
    )
    record = synth.measure(unit, target, Options(place=False))
    assert record.luts <= most
    assert record.area == pytest.approx(unit.design.estimated_area, rel=0.35)
