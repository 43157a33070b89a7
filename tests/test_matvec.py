# SPDX-License-Identifier: Apache-2.0
"""The example engine, small and with weights by chance: right in a simulator, and broken ones are seen."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

from examples.matvec.engine import Engine, Integers, Layer
from examples.matvec.run import ROOT, simulate
from hwact.requantise import RequantisingUnit, Scaled, build, channels
from tests.verifying import flip_table_bit, gelu_by_table

COUNT = 6
OFF = 1.01
PAGE = (ROOT / "docs" / "verification.md").read_text(encoding="utf-8")


def unit_of(scale: list[float]) -> RequantisingUnit:
    return build(Scaled.of(channels(scale), gelu_by_table()))


SCALES = [6.0e-4, 5.5e-4, 7e-4, 6.5e-4, 5e-4]


@pytest.fixture(scope="module")
def unit() -> RequantisingUnit:
    return unit_of(SCALES)


@pytest.fixture(scope="module")
def layer() -> Layer:
    random = np.random.default_rng(1)
    return Layer(random.integers(-128, 128, (5, 7)), random.integers(-2000, 2000, 5))


@pytest.fixture(scope="module")
def x(layer: Layer, unit: RequantisingUnit) -> Integers:
    vectors = np.random.default_rng(2).integers(-128, 128, (COUNT, 7))
    assert isinstance(unit.form, Scaled)
    codes = unit.form.stage.evaluate(layer.sums(vectors))
    assert codes.min() == -128
    assert codes.max() == 127
    assert len(np.unique(codes)) > 15
    return vectors


@pytest.mark.parametrize("simulator", ["icarus", pytest.param("verilator", marks=pytest.mark.slow)])
def test_the_engine_equals_its_integer_model(
    simulator: str, unit: RequantisingUnit, layer: Layer, x: Integers
) -> None:
    found = simulate(Engine(layer, unit).verilog(), layer, unit, x, simulator)
    assert not isinstance(found, str), found
    assert found.shape == (COUNT, 5)
    assert np.array_equal(found, unit.form.evaluate(layer.sums(x)))
    assert np.array_equal(found, unit.evaluate(unit.words(layer.sums(x))))


def test_a_scale_that_is_slightly_off_is_seen(unit: RequantisingUnit, layer: Layer, x: Integers) -> None:
    off = unit_of([*SCALES[:3], SCALES[3] * OFF, SCALES[4]])
    assert (unit.form.evaluate(layer.sums(x)) != off.form.evaluate(layer.sums(x))).sum() == 1
    found = simulate(Engine(layer, off).verilog(), layer, unit, x, "icarus")
    assert isinstance(found, str)
    assert f"    {found}\n" in PAGE


@pytest.mark.slow
def test_a_flipped_bit_of_the_table_is_seen() -> None:
    layer, unit = Layer(np.array([[1, 0]]), np.array([0])), unit_of([1 / 16])
    vectors = np.stack([np.arange(-128, 128), np.zeros(256, dtype=np.int64)], axis=1)
    assert isinstance(unit.form, Scaled)
    assert np.array_equal(unit.form.stage.evaluate(layer.sums(vectors))[:, 0], np.arange(-128, 128))
    broken = flip_table_bit(Engine(layer, unit).verilog(), 0x2D)
    found = simulate(broken, layer, unit, vectors, "icarus")
    assert isinstance(found, str)
    assert f"    {found}\n" in PAGE


@pytest.mark.slow
def test_the_script_prints_the_accuracy_of_both() -> None:
    command = [sys.executable, str(ROOT / "examples" / "matvec" / "run.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "images simulated: 30, 960 codes, equal to the integer model: True" in done.stdout
    floats, integers = map(float, re.findall(r"(?:float|engine) (0\.\d+)", done.stdout))
    assert floats > 0.95
    assert abs(floats - integers) < 0.01
