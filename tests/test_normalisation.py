# SPDX-License-Identifier: Apache-2.0
"""Moving averages: the steady state by exhaustion, the variance's range, and the hardware."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from hwact.errors import ArgumentError
from hwact.formats import Format
from hwact.normalisation import MovingStatistics

SIX = Format.parse("SQ3.3")


@pytest.mark.parametrize("shift", range(1, 6))
@pytest.mark.parametrize("guard", range(1, 6))
def test_the_steady_state_is_off_by_exactly_what_is_said(shift: int, guard: int) -> None:
    """From every register value, for every constant code, until nothing moves."""
    rule = MovingStatistics(input_format=SIX, shift=shift, guard_bits=guard)
    codes = SIX.codes()[None, :]
    starts = np.arange(SIX.min_code << guard, (SIX.max_code << guard) + 1)[:, None]
    state, before = np.broadcast_to(starts, (starts.size, codes.size)), None
    steps = 0
    while before is None or not np.array_equal(state, before):
        before, state = state, rule.follow(state, codes << guard)
        assert state.min() >= starts.min()
        assert state.max() <= starts.max()
        steps += 1
    assert 1 < steps < 2 ** (shift + 4)
    assert state.size == 64 * (63 * 2**guard + 1)
    worst = int(np.abs(state - (codes << guard)).max())
    assert Fraction(worst, 2**guard) == Fraction(2) ** (shift - 1 - guard)
    arrives = np.array_equal(rule.mean_code(state), np.broadcast_to(codes, state.shape))
    assert arrives == (guard >= shift)


def test_unless_told_otherwise_guard_bits_let_the_mean_arrive() -> None:
    assert MovingStatistics(input_format=SIX, shift=5).guard == 5


def test_the_variance_never_leaves_its_register() -> None:
    """Its largest and smallest values over all registers and codes of a small format."""
    rule = MovingStatistics(input_format=Format.parse("SQ2.1"), shift=2)
    low, high = -4 << 2, 3 << 2
    limit = rule.update(low, 0, 3)[1] * 4  # what a deviation as wide as the format pulls towards
    mean, variance, code = np.meshgrid(np.arange(low, high + 1), np.arange(limit + 1), np.arange(-4, 4))
    after, spread = rule.update(mean, variance, code)
    assert after.size == 29 * (limit + 1) * 8
    assert (after.min(), after.max()) == (low, high)
    assert spread.min() == 0
    assert spread.max() <= limit < 2 ** rule.widths[1]


def test_mean_and_variance_settle_at_those_of_the_population() -> None:
    rule = MovingStatistics(input_format=Format.parse("SQ4.8"), shift=8)
    drawn = np.random.default_rng(0).normal(1.5, 0.75, (4000, 64))
    codes = np.round(drawn * 256).astype(np.int64)
    mean = variance = np.zeros(64, dtype=np.int64)
    for row in codes:
        mean, variance = rule.update(mean, variance, row)
    assert np.ldexp(mean.mean(), -16) == pytest.approx(1.5, abs=0.03)
    assert np.ldexp(variance.mean(), -24) == pytest.approx(0.75**2, rel=0.03)


@pytest.mark.parametrize(("shift", "guard"), [(1, 3), (3, 3), (4, 2)])
def test_hardware_equals_the_golden_model(shift: int, guard: int) -> None:
    rule = MovingStatistics(input_format=SIX, shift=shift, guard_bits=guard)
    component: Any = rule.component()
    generator = np.random.default_rng(shift)
    extremes = [SIX.min_code, SIX.max_code] * 8 + [SIX.min_code] * 30 + [SIX.max_code] * 30
    codes = [*extremes, *map(int, generator.permutation(SIX.codes())), *map(int, SIX.codes())]
    checked = []

    async def bench(context: Any) -> None:
        mean = variance = 0
        for code in codes:
            for enable in (1, 0):
                context.set(component.x, code)
                context.set(component.en, enable)
                await context.tick()
                if enable:
                    mean, variance = rule.update(mean, variance, code)
                assert (context.get(component.mean), context.get(component.variance)) == (mean, variance)
                checked.append(code)

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert len(checked) == 2 * (76 + 128)
    assert set(checked) == set(map(int, SIX.codes()))


@pytest.mark.parametrize(
    ("text", "shift", "guard", "message"),
    [
        ("UQ4.4", 4, None, "must be signed.*not 'UQ4.4'"),
        ("SQ4.28", 4, None, "must be signed.*not 'SQ4.28'"),
        ("SQ4.4", 0, 2, "shift must be an integer from 1 to 16, not 0"),
        ("SQ4.4", 2, 17, "guard_bits must be an integer from 1 to 16, not 17"),
    ],
)
def test_what_cannot_be_is_refused(text: str, shift: int, guard: int | None, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        MovingStatistics(input_format=Format.parse(text), shift=shift, guard_bits=guard)
