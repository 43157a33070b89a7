# SPDX-License-Identifier: Apache-2.0
"""The benchmark measures what it says; its bars are for a quiet machine and not tested here."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks import speed, torch_activation


@pytest.mark.parametrize(
    ("samples", "at_least", "met"),
    [((1, 2, 9), False, True), ((3, 3, 3), False, False), ((3, 3, 3), True, True), ((1, 2, 9), True, False)],
)
def test_the_median_is_held_against_the_bar(samples: tuple[float, ...], at_least: bool, met: bool) -> None:
    row = speed.Row(what="w", unit="s", samples=samples, bar=3, at_least=at_least)
    assert row.met is met
    assert row.cells()[-1] == ("yes" if met else "no")


def test_memory_counts_temporaries_but_not_the_result() -> None:
    source = np.zeros(2**20, dtype=np.int64)
    assert speed.extra_memory(lambda: source + 1) == pytest.approx(0, abs=0.1)
    assert speed.extra_memory(lambda: np.abs(source + 1)) == pytest.approx(8, abs=0.1)


def test_the_golden_model_is_timed_beside_pytorch() -> None:
    rows = list(speed.golden_rows(width=8, count=1000, repeats=2))
    assert [len(row.samples) for row in rows] == [2, 2, 2, 1]
    assert all(sample > 0 for row in rows[:3] for sample in row.samples)


def test_the_table_has_a_line_for_each_row() -> None:
    rows = [
        speed.Row(what="w", unit="s", samples=(1.0,)),
        speed.Row(what="v", unit="x", samples=(2.0,), bar=3),
    ]
    lines = speed.markdown(rows).splitlines()
    assert lines[2:4] == ["| w [s] | 1 | 1 to 1 |  |  |", "| v [x] | 2 | 2 to 2 | below 3 | yes |"]


def test_the_c_golden_model_is_timed_beside_numpys() -> None:
    rows = list(speed.c_rows(width=8, count=1000, repeats=2))
    assert [len(row.samples) for row in rows] == [2, 2]
    assert all(sample > 0 for row in rows for sample in row.samples)


def test_the_module_is_timed_beside_pytorch() -> None:
    rows = list(torch_activation.rows(width=8, count=1000, repeats=2, threads=torch.get_num_threads()))
    assert [len(row.samples) for row in rows] == [2] * 4
    assert all(sample > 0 for row in rows for sample in row.samples)
