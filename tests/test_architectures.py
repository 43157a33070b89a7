# SPDX-License-Identifier: Apache-2.0
"""Architectures: every design judged by the exact reference over all codes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import hwact
from hwact.architectures import piecewise
from hwact.errors import ArgumentError, UnreachableError
from hwact.unit import specification

TINY = (("SQ1.0", "SQ1.0"), ("UQ1.0", "SQ2.0"), ("SQ2.1", "UQ1.2"), ("SQ3.2", "SQ2.4"), ("SQ-1.6", "SQ1.5"))
MODES = tuple(itertools.product(("half_up", "half_even", "toward_zero"), ("saturate", "wrap")))


def assert_correct(unit: hwact.Unit) -> int:
    """The golden model equals the correctly rounded reference on all codes; returns their number."""
    codes = unit.input_format.codes()
    due = unit.spec.exact.rounded(unit.spec.rounding)
    assert np.array_equal(unit.evaluate(codes), due)
    assert unit.accuracy.class_ == "correct"
    return int(codes.size)


@pytest.mark.parametrize("name", hwact.functions.names())
def test_every_function_is_correct_in_tiny_formats(name: str) -> None:
    checked = 0
    for (inside, outside), (rounding, overflow), gradient in itertools.product(TINY, MODES, (False, True)):
        unit = hwact.build(
            name,
            input_format=inside,
            output_format=outside,
            rounding=rounding,
            overflow=overflow,
            gradient=gradient,
        )
        checked += assert_correct(unit)
    assert checked == 12 * (2 + 2 + 8 + 32 + 32)


@pytest.mark.parametrize("exponent", range(-12, 4))
def test_smelu_is_exact_for_every_power_of_two(exponent: int) -> None:
    unit = hwact.build("smelu", width=16, beta=2.0**exponent, architecture="quadratic")
    assert assert_correct(unit) == 65_536


@pytest.mark.parametrize("beta", ["0.3", "1.5", "1/3", "5.123"])
def test_smelu_is_exact_for_rational_beta(beta: str) -> None:
    assert assert_correct(hwact.build("smelu", width=16, beta=beta, architecture="quadratic")) == 65_536


@pytest.mark.parametrize("name", ["gelu", "swish", "elu", "sigmoid", "tanh", "mish"])
def test_sixteen_bits_are_faithful(name: str) -> None:
    unit = hwact.build(name, width=16)
    low, high = hwact.reference.allowed(name, "SQ4.12", "SQ4.12")
    codes = unit.evaluate(unit.input_format.codes())
    assert ((low <= codes) & (codes <= high)).all()
    assert unit.accuracy.codes_checked == codes.size == 65_536


@pytest.mark.parametrize("architecture", ["table", "piecewise", "rows"])
def test_architectures_can_be_asked_for(architecture: str) -> None:
    assert hwact.build("gelu", width=9, architecture=architecture).design.architecture == architecture


def test_unreachable_wishes_are_refused() -> None:
    with pytest.raises(UnreachableError, match=r"not 'max_ulp=0\.1'"):
        hwact.build("gelu", width=8, accuracy="max_ulp=0.1")
    with pytest.raises(UnreachableError, match="quadratic"):
        hwact.build("gelu", width=8, architecture="quadratic")
    with pytest.raises(ArgumentError, match="not 'nope'"):
        hwact.build("gelu", width=8, architecture="nope")


@pytest.mark.parametrize(("name", "falls"), [("smelu", True), ("exp", False)])
def test_what_falls_is_multiplied_by_ones_complements(name: str, falls: bool) -> None:
    """Of exp segments of two codes, too; a chord of 0 may be rounded down."""
    spec = specification(name, width=10, accuracy="faithful")
    shapes = [piecewise.Shape(**each) for each in piecewise.candidates(spec)]  # type: ignore[arg-type]
    assert falls or 1 in {shape.segment_bits for shape in shapes}
    falling = 0
    for shape in shapes:
        segments = piecewise._fitted(spec, shape)
        assert segments
        falling += segments.falling
        assert not segments.falling or segments.c1.min() >= -1
    assert (falling > 5) == falls == (falling > 0)
