# SPDX-License-Identifier: Apache-2.0
"""The examples run as a user runs them, and what they print is true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hwact

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("digits")
    command = [sys.executable, str(EXAMPLES / "digits.py"), "--out", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def number(pattern: str, text: str) -> float:
    match = re.search(pattern, text)
    assert match is not None, text
    return float(match[1])


def test_digits_records_what_the_command_evaluates(digits: tuple[Path, str]) -> None:
    folder, _ = digits
    recorded, evaluated = np.load(folder / "x.npy"), np.load(folder / "y.npy")
    assert recorded.shape == (450, 128 + 64)
    assert recorded.dtype == np.float32
    assert np.array_equal(evaluated, hwact.build("gelu", width=16)(recorded))


def test_digits_keeps_its_accuracy_on_the_hardware(digits: tuple[Path, str]) -> None:
    _, printed = digits
    by_float = number(r"accuracy with float32 GELU +([\d.]+)", printed)
    by_hardware = number(r"accuracy with the 16-bit hardware +([\d.]+)", printed)
    assert by_float > 0.95
    assert abs(by_float - by_hardware) <= 2 / 450


def test_digits_states_an_error_below_that_of_its_parts(digits: tuple[Path, str]) -> None:
    # half an ulp of the input times GELU's steepest slope, 1.13, and less than one ulp of a faithful unit
    assert number(r"max ([\d.]+) ulp", digits[1].split("against float64", 1)[1]) < 0.5 * 1.13 + 1


def test_quantised_training_prints_a_row_for_each_activation() -> None:
    command = [
        sys.executable,
        str(EXAMPLES / "quantised_training.py"),
        "--epochs",
        "20",
        "--widths",
        "8",
        "6",
    ]
    rows = printed(command)
    assert [row[0] for row in rows] == ["activation", "smelu", "gelu", "swish"]
    assert rows[0][1:] == ["float32", "8", "bits", "6", "bits"]
    for row in rows[1:]:
        by_float, *by_hardware = map(float, row[1:])
        assert by_float > 0.8
        assert len(by_hardware) == 2
        assert all(abs(share - by_float) < 0.03 for share in by_hardware)


@pytest.mark.slow
def test_quantised_training_keeps_its_accuracy() -> None:
    rows = printed([sys.executable, str(EXAMPLES / "quantised_training.py")])
    shares = [float(share) for row in rows[1:] for share in row[1:]]
    assert len(shares) == 3 * 4
    assert min(shares) > 0.94


def printed(command: list[str]) -> list[list[str]]:
    """The words of each line that a command prints."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]
