# SPDX-License-Identifier: Apache-2.0
"""The effort high: what synthesis says decides."""

from __future__ import annotations

from typing import Any

import pytest

import hwact
from hwact import effort
from hwact.design import designs
from hwact.entries import Job
from hwact.errors import ArgumentError
from hwact.synth import Options, measure
from hwact.unit import specification
from tests.commands import Run

TANH: dict[str, Any] = {"width": 5, "interface": "bare", "latency": 0, "target": "ice40"}


class Measured:
    """An entry that knows its area alone."""

    def __init__(self, area: int) -> None:
        self.record, self.area = self, area


@pytest.mark.parametrize("smallest", [0, 3, -1])
def test_the_smallest_measured_design_is_taken(smallest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Job] = []

    def entries(jobs: list[Job], **_: object) -> list[Measured]:
        asked.extend(jobs)
        areas = [9] * len(jobs)
        areas[smallest] = 4
        return [Measured(area) for area in areas]

    monkeypatch.setattr(effort, "entries", entries)
    unit = hwact.build("tanh", effort="high", **TANH)
    wanted = asked[smallest].unit
    assert unit.design.architecture == wanted["architecture"]
    assert dict(unit.design.parameters) == wanted["architecture_parameters"]
    assert (unit.interface, unit.latency, unit.spec.target.name) == ("bare", 0, "ice40")
    assert len(asked) > 6
    assert {job.target for job in asked} == {"ice40"}


@pytest.mark.slow
def test_no_design_is_smaller_on_the_device() -> None:
    spec = specification("tanh", width=5, target="ice40")
    areas = []
    for name in ("table", "rows", "piecewise"):
        few = sorted(designs(spec, [name]), key=lambda one: one.estimated_area)[: effort.FEW]
        for one in few:
            parameters = dict(one.parameters)
            unit = hwact.build("tanh", architecture=name, architecture_parameters=parameters, **TANH)
            areas.append(measure(unit, "ice40", Options(place=False)).area)
    best = measure(hwact.build("tanh", effort="high", **TANH), "ice40", Options(place=False)).area
    assert best == min(areas) < max(areas)
    assert len(areas) > 6


def test_what_effort_cannot_do_is_refused(run: Run) -> None:
    with pytest.raises(ArgumentError, match="effort must be one of normal, high, not 'most'"):
        hwact.build("gelu", width=6, effort="most")
    with pytest.raises(ArgumentError, match="effort must be normal where the input has more than 20 bits"):
        hwact.build("relu", width=24, effort="high")
    done = run("generate", "gelu", "--width", "6", "--effort", "most")
    assert done.code == 2
    assert "effort must be one of normal, high" in done.err
