# SPDX-License-Identifier: Apache-2.0
"""The committed units in rtl/ are what the generator makes today, byte by byte."""

from __future__ import annotations

from pathlib import Path

import pytest

import hwact
from hwact.cli import DEFAULT_FUNCTIONS

RTL = Path(__file__).parents[1] / "rtl"
UNITS = [(function, width) for function in DEFAULT_FUNCTIONS for width in (8, 16)]


@pytest.mark.parametrize(("function", "width"), UNITS)
def test_units_are_current(function: str, width: int, tmp_path: Path) -> None:
    made = hwact.build(function, width=width).write(tmp_path)
    kept = RTL / made.name
    for file in sorted(made.iterdir()):
        assert (kept / file.name).read_bytes() == file.read_bytes(), (
            f"{kept / file.name} must be current; run python -m hwact generate --width {width} --out rtl"
        )


def test_nothing_else_lies_there() -> None:
    assert len(list(RTL.iterdir())) == len(UNITS)
