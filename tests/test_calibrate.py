# SPDX-License-Identifier: Apache-2.0
"""The fit of the estimate's prices, on areas whose prices are known."""

from __future__ import annotations

import random

import numpy as np
import pytest

from benchmarks.calibrate import NAMES, chosen, fitted, regret
from hwact.datapath.cost import TARGETS, amounts, area
from hwact.unit import specification

COUNTS = np.random.default_rng(1).integers(0, 40, (60, len(NAMES))).astype(float)
PRICES = np.linspace(0, 3, len(NAMES))


def test_the_prices_of_exact_areas_are_found() -> None:
    assert fitted(COUNTS, COUNTS @ PRICES) == pytest.approx(PRICES)


def test_regret_is_what_a_wrong_order_costs() -> None:
    areas = np.array([10.0, 20.0, 30.0, 60.0])
    assert regret(areas, areas, [0, 0, 1, 1]) == (1, 1)
    assert regret(-areas, areas, [0, 0, 1, 1]) == pytest.approx((2, 2))
    assert regret(np.array([2.0, 1.0, 1.0, 2.0]), areas, [0, 0, 1, 1]) == pytest.approx((2**0.5, 2))


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_amounts_times_prices_are_the_area(target: str) -> None:
    few = chosen(specification("gelu", width=7, target=target), random.Random(1))
    assert len({design.architecture for design in few}) >= 2
    for design in few:
        counts = amounts(design.datapath, TARGETS[target])
        assert set(counts) <= set(NAMES)
        total = sum(getattr(TARGETS[target].prices, name) * count for name, count in counts.items())
        assert total == area(design.datapath, TARGETS[target]) == design.estimated_area
