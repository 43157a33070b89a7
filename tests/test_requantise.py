# SPDX-License-Identifier: Apache-2.0
"""Accumulators to codes: thresholds against a second library, and the bound of the multiplier form."""

from __future__ import annotations

import re
import runpy
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mpmath import mp, mpf

import hwact
from hwact import functions
from hwact.errors import ArgumentError
from hwact.formats import Codes, Format, Rounding, round_fraction
from hwact.requantise import Channel, Requantiser, Thresholds, channels
from hwact.requantise.thresholds import _Search
from tests import oracles

OUT = Format.parse("int8:0.03f:-100")
FUNCTIONS = ("gelu", "hardswish", "sigmoid")
RANDOM = np.random.default_rng(7)
SCALE = RANDOM.uniform(2e-4, 2e-3, 3).astype(np.float32)
NORM: dict[str, Any] = {
    "gamma": np.array([0.8, -1.3, 0.0], np.float32),
    "beta": np.array([0.1, -0.4, 0.7], np.float32),
    "mean": np.array([3.0, -0.5, 0.2], np.float32),
    "variance": np.array([0.37, 2.0, 1.0], np.float32),
    "epsilon": 1e-5,
}


def exact_step(name: str, channel: int, accumulator: int) -> Any:
    """y in ulps from the zero point: 60 digits, from the definition of batch normalisation."""
    scale, gamma, beta, mean, variance = (
        Fraction(float(values[channel]))
        for values in (SCALE, NORM["gamma"], NORM["beta"], NORM["mean"], NORM["variance"])
    )
    function = functions.get(name)
    with mp.workdps(60):
        inner = gamma * (scale * accumulator - mean)
        root = mp.sqrt(oracles.real(variance + Fraction(NORM["epsilon"])))
        t = oracles.real(inner) / root + oracles.real(beta)
        sign, mantissa, exponent, _ = mpf(t)._mpf_
        value = oracles.value(
            name,
            False,
            (-1) ** sign * int(mantissa) * Fraction(2) ** exponent,
            dict(function.arguments),
        )
        number = oracles.real(value) if isinstance(value, Fraction) else value
        return number / oracles.real(OUT.ulp)


def due(name: str, channel: int, accumulator: int) -> int:
    step = exact_step(name, channel, accumulator)
    with mp.workdps(60):
        code = int(mp.nint(step)) + OUT.zero_point  # half to even
    return min(max(code, OUT.min_code), OUT.max_code)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_codes_at_both_sides_of_every_threshold(name: str) -> None:
    """And in the middle between neighbouring ones; with batch normalisation, negative and zero gamma."""
    table = Thresholds.of(functions.get(name), channels(SCALE, **NORM), OUT)
    checked = 0
    for channel, (starts, codes) in enumerate(zip(table.starts, table.codes, strict=True)):
        assert starts[0] == -(2**31)
        assert len(starts) == len(codes) == 1 + int((np.diff(codes) != 0).sum())
        ends = [*starts.tolist(), 2**31]
        for (first, behind), code in zip(pairwise(ends), codes.tolist(), strict=True):
            for accumulator in {first, (first + behind) // 2, behind - 1}:
                assert due(name, channel, accumulator) == code, (channel, accumulator)
                checked += 1
    assert checked > 100
    assert len(table.starts[2]) == 1  # gamma 0


@pytest.mark.parametrize("guess", ["late", "constant", "noise"])
def test_float64_decides_nothing(guess: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is wrong the changes are found nevertheless."""
    made = channels(SCALE, **NORM)
    right = Thresholds.of(functions.get("gelu"), made, OUT)
    asked, true = 0, _Search._float_codes

    def wrong(search: _Search, accumulators: Codes) -> Codes:
        nonlocal asked
        asked += 1
        codes = true(search, accumulators)
        return {
            "late": np.clip(codes - 3, OUT.min_code, OUT.max_code),
            "constant": np.zeros_like(codes),
            "noise": RANDOM.integers(OUT.min_code, OUT.max_code + 1, codes.shape),
        }[guess]

    monkeypatch.setattr(_Search, "_float_codes", wrong)
    found = Thresholds.of(functions.get("gelu"), made, OUT)
    assert asked > 0
    for one, other in zip(right.starts + right.codes, found.starts + found.codes, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("scale", "form", "bits"), [(1.5, "SQ31.31", 6), (1e200, "SQ4.4", 8), (2.0**-20, "SQ2.62", 4)]
)
def test_more_codes_than_accumulators_and_numbers_beyond_float64(
    scale: float, form: str, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def table() -> Codes:
        made = channels(scale, gamma=scale)
        found = Thresholds.of(functions.get("softplus"), made, Format.parse(form), bits=bits)
        return found.evaluate(np.arange(-(1 << (bits - 1)), 1 << (bits - 1))[:, None])

    got = table()
    assert len(np.unique(got)) > 2
    monkeypatch.setattr(_Search, "_float_codes", lambda _, accumulators: np.zeros_like(accumulators))
    assert np.array_equal(got, table())


@pytest.mark.parametrize("name", ["gelu", "relu"])
def test_all_accumulators_of_16_bits(name: str) -> None:
    """The float64 function decides all but a few, and those are decided in 60 digits."""
    made = channels(SCALE * 300, **NORM)
    table = Thresholds.of(functions.get(name), made, OUT, bits=16)
    codes = np.arange(-(2**15), 2**15)
    got = table.evaluate(np.stack([codes] * 3), axis=0)
    assert got.shape == (3, 65536)
    close = 0
    for channel, row in enumerate(got):
        gamma, beta, mean, variance = (
            float(NORM[key][channel]) for key in ("gamma", "beta", "mean", "variance")
        )
        t = gamma * (float((SCALE * 300)[channel]) * codes - mean) / np.sqrt(variance + 1e-5) + beta
        steps = functions.get(name).float_form(t) / float(OUT.ulp)
        rounded = np.clip(np.rint(steps) + OUT.zero_point, -128, 127)
        wrong = np.flatnonzero(rounded != row)
        assert (np.abs(steps[wrong] % 1 - 0.5) < 1e-9).all()
        close += wrong.size
    assert close < 10


def test_real_ties_follow_the_rounding_mode() -> None:
    """Without a root everything is rational: every other accumulator of ReLU is a tie."""
    target = Format.parse("int8:0.5:-3")
    for rounding in Rounding:
        table = Thresholds.of(functions.get("relu"), channels(0.25), target, rounding=rounding, bits=12)
        codes = np.arange(-2048, 2048)
        expected = [
            min(max(round_fraction(Fraction(max(a, 0), 2), rounding) - 3, -128), 127) for a in codes.tolist()
        ]
        assert table.evaluate(codes[:, None])[:, 0].tolist() == expected


def test_ties_at_irrational_arguments_follow_the_rounding_mode() -> None:
    """SmeLU is ((x + 1) / 2)**2 near 0; with x = a / sqrt(2) - 1 that is a**2 / 8, in quarters a**2 / 2."""
    ties = 0
    for rounding in Rounding:
        channel = Channel(Fraction(1), offset=Fraction(-1), radicand=Fraction(2))
        smelu = functions.get("smelu", beta=1)
        table = Thresholds.of(smelu, [channel], Format.parse("SQ4.2"), rounding=rounding, bits=4)
        accumulators = np.arange(-8, 8)
        for a, code in zip(accumulators.tolist(), table.evaluate(accumulators[:, None])[:, 0], strict=True):
            if a <= 0:
                assert code == 0
            elif a <= 2:  # x < 1
                assert code == round_fraction(Fraction(a * a, 2), rounding)
                ties += a % 2
            else:
                with mp.workdps(60):
                    assert code == round_fraction(Fraction(str(4 * (a / mp.sqrt(2) - 1))), rounding)
    assert ties == len(Rounding)


def test_the_layer_of_pytorch() -> None:
    """Batch normalisation in evaluation mode and GELU, in float64, on random sums."""
    norm = torch.nn.BatchNorm1d(3, eps=1e-5).double().eval()
    state = {"weight": "gamma", "bias": "beta", "running_mean": "mean", "running_var": "variance"}
    for key, name in state.items():
        getattr(norm, key).data.copy_(torch.from_numpy(NORM[name].astype(np.float64)))
    sums = RANDOM.integers(-20000, 20000, (500, 3))
    table = Thresholds.of(functions.get("gelu"), channels(SCALE, **NORM), OUT)
    with torch.no_grad():
        values = norm(torch.from_numpy(sums * SCALE.astype(np.float64)))
        y = torch.nn.functional.gelu(values).numpy()
    assert np.array_equal(table.evaluate(sums), np.clip(np.rint(y / float(OUT.ulp)) - 100, -128, 127))


@pytest.mark.parametrize("bits", [8, 16, 24])
def test_the_multiplier_stays_within_its_bound(bits: int) -> None:
    target = Format.parse("int16:0.0005:7")
    made = channels(SCALE, **NORM)
    stage = Requantiser.of(made, target, multiplier_bits=bits)
    assert all(abs(multiplier) <= 1 << bits for multiplier in stage.multipliers)
    sums = np.unique(np.concatenate([RANDOM.integers(-(2**31), 2**31, 300), np.arange(-9000, 9000, 60)]))
    got = stage.evaluate(np.stack([sums] * 3, axis=1))
    worst = [0.0, 0.0, 0.0]
    for channel, made_channel in enumerate(made):
        root = mp.sqrt(oracles.real(made_channel.radicand))
        for code, accumulator in zip(got[:, channel].tolist(), sums.tolist(), strict=True):
            inner = made_channel.factor * accumulator + made_channel.constant
            exact = (oracles.real(inner) / root + oracles.real(made_channel.offset)) / oracles.real(
                target.ulp
            ) + 7
            clamped = min(max(exact, mpf(-32768)), mpf(32767))
            worst[channel] = max(worst[channel], float(abs(code - clamped)))
    assert all(error <= 0.5 + bound for error, bound in zip(worst, stage.bounds, strict=True))
    assert max(stage.bounds) < 2.0 ** (18 - bits)
    assert max(worst) > 0.5 + 2.0**-bits or bits == 24


def test_a_stage_ahead_of_a_unit() -> None:
    """At most one code off, since the unit's input is finer than its output."""
    unit = hwact.build("gelu", input_format="int10:0.015", output_format=OUT)
    made = channels(SCALE, **NORM)
    sums = RANDOM.integers(-20000, 20000, (2000, 3))
    stage = Requantiser.of(made, unit.input_format)
    codes = unit.evaluate(stage.evaluate(sums))
    exact = Thresholds.of(functions.get("gelu"), made, OUT).evaluate(sums)
    assert np.abs(codes - exact).max() <= 1
    assert (codes == exact).mean() > 0.75


def test_the_example_of_the_page(here: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / "quantised.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    script = here / "example.py"
    script.write_text(block, encoding="utf-8")
    names = runpy.run_path(str(script))
    assert names["codes"].tolist() == [[-102, -42], [-100, -75]]
    assert max(names["stage"].bounds) < 1e-4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": np.nan}, "scale must be finite, not"),
        ({"scale": 1.0, "variance": -1.0}, r"the variance with epsilon must be above 0, not -1.0 \+ 0.0"),
        ({"scale": [1.0, 2.0], "gamma": [1.0, 2.0, 3.0]}, r"must have the shape \(channels,\) or be one"),
    ],
)
def test_numbers_that_are_no_layer(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        channels(**arguments)


def test_accumulators_that_are_refused() -> None:
    table = Thresholds.of(functions.get("relu"), channels([0.5, 0.25]), OUT, bits=8)
    for sums, message in (
        (np.array([[1.0, 2.0]]), "accumulators must be integers, not 'float64'"),
        (np.array([1, 2, 3]), r"axis -1 must have 2 channels, not the shape \(3,\)"),
        (np.array([0, 128]), "accumulators must have 8 bits, not 128"),
    ):
        with pytest.raises(ArgumentError, match=message):
            table.evaluate(sums)
    with pytest.raises(ArgumentError, match="an accumulator must have 2 to 62 bits, not 70"):
        Thresholds.of(functions.get("relu"), channels(1.0), OUT, bits=70)
    with pytest.raises(ArgumentError, match=r"a multiplier must have 2 to 28 bits .*, not 40 and 32"):
        Requantiser.of(channels(1.0), OUT, multiplier_bits=40)
    with pytest.raises(ArgumentError, match="must need a multiplier of at most 24 bits"):
        Requantiser.of([Channel(Fraction(10) ** 20)], OUT)
