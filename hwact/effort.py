# SPDX-License-Identifier: Apache-2.0
"""How hard a design is looked for: by its estimated area alone, or by what synthesis makes of the best."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from hwact import architectures, unit
from hwact.architectures.problem import MAX_FITTED_WIDTH, UnitSpec
from hwact.design import Design, designs
from hwact.entries import Job, Progress, entries
from hwact.errors import ArgumentError
from hwact.formats import Format, member
from hwact.synth import Options
from hwact.unit import Unit

FEW = 8  # designs of one architecture that are synthesised


class Effort(StrEnum):
    """What decides between designs."""

    NORMAL = "normal"
    HIGH = "high"


def build(
    function: str | None = None,
    *,
    effort: str = "normal",
    progress: Progress = lambda what, done, total: None,
    **options: Any,
) -> Unit:
    """Make the cheapest unit that meets a specification: :func:`hwact.unit.build`, with an effort.

    Parameters
    ----------
    function : str
    effort : str
        ``normal``: the smallest estimated area. ``high``: the smallest area after synthesis on the target,
        of the designs with the smallest estimates of each architecture.
    progress : callable
        Told what is being done, how many are done, and of how many.
    **options
        As of :func:`hwact.unit.build`.
    """
    found = unit.build(function, **options)
    chosen = options.get("architecture_parameters") is not None
    if member(Effort, "effort", effort) is Effort.NORMAL or chosen:
        return found
    if found.input_format.width > MAX_FITTED_WIDTH:
        raise ArgumentError(
            f"effort must be normal where the input has more than {MAX_FITTED_WIDTH} bits, not {effort!r}; "
            "choose fewer bits"
        )
    asked = {key: str(value) if isinstance(value, Format) else value for key, value in options.items()}
    target = asked.pop("target", found.spec.target.name)
    wanted: list[dict[str, Any]] = [
        {"function": function, **asked, "architecture": one.architecture}
        | {"architecture_parameters": dict(one.parameters)}
        for one in _shortlist(found.spec, asked.get("architecture", "auto"))
    ]
    made = entries(
        [Job(unit=each, target=target, options=Options(place=False)) for each in wanted], progress=progress
    )
    smallest = min(range(len(made)), key=lambda place: made[place].record.area)
    return unit.build(**wanted[smallest], target=target)


def _shortlist(spec: UnitSpec, architecture: str) -> list[Design]:
    """The designs of the smallest estimates, the smallest of all first."""
    names = architectures.catalogue() if architecture == "auto" else [architecture]
    few = [sorted(designs(spec, [name]), key=lambda one: one.estimated_area)[:FEW] for name in names]
    return sorted((one for each in few for one in each), key=lambda one: one.estimated_area)
