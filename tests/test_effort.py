# SPDX-License-Identifier: Apache-2.0
"""The effort high: what synthesis says decides."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import hwact
from hwact import effort
from hwact.design import designs
from hwact.errors import ArgumentError
from hwact.synth import Options, measure
from hwact.unit import specification
from tests.commands import Run

TANH: dict[str, Any] = {"width": 5, "interface": "bare", "latency": 0, "target": "ice40"}


@pytest.mark.parametrize("smallest", [0, 3, -1])
def test_the_smallest_measured_design_is_taken(smallest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[hwact.Unit] = []

    def measure(unit: hwact.Unit, target: str, options: Options) -> SimpleNamespace:
        assert (target, options.place) == ("ice40", False)
        seen.append(unit)
        return SimpleNamespace(area=str(dict(unit.design.parameters)) != wanted, dsps=0)

    wanted = ""
    monkeypatch.setattr(effort, "measure", measure)
    hwact.build("tanh", effort="high", **TANH)
    assert len(seen) > 6
    wanted = str(dict(seen[smallest].design.parameters))
    unit = hwact.build("tanh", effort="high", **TANH)
    assert str(dict(unit.design.parameters)) == wanted
    assert (unit.interface, unit.latency, unit.spec.target.name) == ("bare", 0, "ice40")


@pytest.mark.parametrize("smallest", [0, 5, -1])
def test_the_smallest_measured_pair_is_taken(smallest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[hwact.Unit] = []

    def measure(unit: hwact.Unit, **_: object) -> SimpleNamespace:
        seen.append(unit)
        return SimpleNamespace(area=said(unit) != wanted, dsps=0)

    def said(unit: hwact.Unit) -> list[dict[str, object]]:
        return [
            {**output.design.parameters, "": output.design.architecture} for output in unit.outputs.values()
        ]

    wanted: list[dict[str, object]] = []
    monkeypatch.setattr(effort, "measure", measure)
    hwact.build("tanh", effort="high", with_gradient=True, **TANH)
    assert len(seen) > 6
    wanted = said(seen[smallest])
    unit = hwact.build("tanh", effort="high", with_gradient=True, **TANH)
    assert said(unit) == wanted
    assert unit.gradient
    assert unit.gradient.golden_sha256 == hwact.build("tanh", gradient=True, **TANH).golden_sha256


def test_a_clock_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effort, "measure", lambda unit, **_: SimpleNamespace(area=-unit.latency, dsps=0))
    for clock in (100, 200):
        unit = hwact.build("tanh", width=5, target="ice40", effort="high", clock=clock)
        assert (unit.clock, unit.latency) == (clock, unit.design.cycles(clock))
        assert unit.design.highest_clock >= clock


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
    with pytest.raises(ArgumentError, match="effort must be normal with a run-time beta"):
        hwact.build("smelu", width=6, effort="high", runtime_beta=True)
    done = run("generate", "gelu", "--width", "6", "--effort", "most")
    assert done.code == 2
    assert "effort must be one of normal, high" in done.err


@pytest.mark.slow
def test_a_looser_accuracy_never_takes_more_on_the_device() -> None:
    """By the estimates alone it does: these took 51, 32, 68 and 20."""
    areas = []
    for accuracy in ("faithful", "max_ulp=1.5", "max_ulp=2", "max_ulp=4"):
        unit = hwact.build(
            "smelu", width=10, accuracy=accuracy, target="ecp5", interface="bare", latency=0, effort="high"
        )
        areas.append(measure(unit, "ecp5", Options(place=False)).area)
    assert areas == sorted(areas, reverse=True)
    assert areas[-1] < areas[0]
