# SPDX-License-Identifier: Apache-2.0
"""The example engine, small and with weights by chance: right in a simulator, and broken ones are seen."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import hwact
from examples.matvec.engine import Engine, Integers, Layer
from examples.matvec.run import ROOT, simulate
from hwact.unit import Unit
from tests.verifying import flip_table_bit

COUNT = 6
PAGE = (ROOT / "docs" / "verification.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def unit() -> Unit:
    return hwact.build("gelu", width=8, architecture="table")


@pytest.fixture(scope="module")
def layer() -> Layer:
    random = np.random.default_rng(1)
    weights, bias = random.integers(-128, 128, (5, 7)), random.integers(-2000, 2000, 5)
    return Layer(weights, bias, multiplier=20_309, shift=21)


@pytest.fixture(scope="module")
def x(layer: Layer, unit: Unit) -> Integers:
    vectors = np.random.default_rng(2).integers(-128, 128, (COUNT, 7))
    codes = layer.codes(vectors, unit)
    assert codes.min() == -128
    assert codes.max() == 127
    assert len(np.unique(codes)) > 15
    return vectors


def test_requantisation_is_rounded_half_up(unit: Unit) -> None:
    layer = Layer(np.array([[1]]), np.array([0]), multiplier=3, shift=3)
    sums = np.arange(-128, 128)[:, None]
    assert np.array_equal(layer.codes(sums, unit), np.floor(sums * 3 / 8 + 0.5))


@pytest.mark.parametrize("simulator", ["icarus", pytest.param("verilator", marks=pytest.mark.slow)])
def test_the_engine_equals_its_integer_model(simulator: str, unit: Unit, layer: Layer, x: Integers) -> None:
    found = simulate(Engine(layer, unit).verilog(), layer, unit, x, simulator)
    assert not isinstance(found, str), found
    assert found.shape == (COUNT, 5)
    assert np.array_equal(found, unit.evaluate(layer.codes(x, unit)))


def test_a_multiplier_off_by_one_is_seen(unit: Unit, layer: Layer, x: Integers) -> None:
    off = replace(layer, multiplier=layer.multiplier + 1)
    assert (layer.codes(x, unit) != off.codes(x, unit)).sum() == 1
    found = simulate(Engine(off, unit).verilog(), layer, unit, x, "icarus")
    assert isinstance(found, str)
    assert f"    {found}\n" in PAGE


@pytest.mark.slow
def test_a_flipped_bit_of_the_table_is_seen(unit: Unit) -> None:
    layer = Layer(np.array([[1, 0]]), np.array([0]), multiplier=1 << 14, shift=14)
    vectors = np.stack([np.arange(-128, 128), np.zeros(256, dtype=np.int64)], axis=1)
    assert np.array_equal(layer.codes(vectors, unit)[:, 0], unit.input_format.codes())
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
