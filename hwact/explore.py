# SPDX-License-Identifier: Apache-2.0
"""The Pareto front of one function: architectures, their parameters, accuracies and latencies.

Every design of every architecture is built and judged over all codes; those whose estimated area is not far
above the best at their error are promising, and these are measured. What is finished is kept, so that an
interrupted run goes on where it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from hwact import architectures, jobs, synth
from hwact.architectures.problem import FITTED_ACCURACY
from hwact.design import designs
from hwact.entries import Entry, Job, Progress, code_sha256, entries
from hwact.errors import ArgumentError, UnreachableError
from hwact.synth import Options
from hwact.synth.cache import Cache, digest
from hwact.tools import cache_folder
from hwact.unit import specification

SLACK = 1.5  # estimates are this far off at times, and a design within them may be the smallest

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is to be explored.

    Parameters
    ----------
    spec : dict
        Arguments of :func:`hwact.unit.specification` but target and accuracy.
    target : str
    accuracies : tuple of str
    latencies : tuple of int or None
        Cycles; none for what the target's delays ask for.
    interface : str
    limit : int
        Most designs to measure, at each latency.
    options : Options
    """

    spec: Mapping[str, Any]
    target: str
    accuracies: tuple[str, ...] = ("correct", "faithful")
    latencies: tuple[int | None, ...] = (0, None)
    interface: str = "bare"
    limit: int = 12
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        synth.targets.get(self.target)
        if self.limit < 1:
            raise ArgumentError(f"the limit must be at least 1 design, not {self.limit!r}")
        for what in ("accuracies", "latencies"):
            if not getattr(self, what):
                raise ArgumentError(f"{what} must be at least one, not {getattr(self, what)!r}")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A design that meets an accuracy, before it is measured."""

    accuracy: str
    architecture: str
    parameters: Mapping[str, int | str]
    estimated_area: float
    max_error_ulp: float


def enumerated(arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All designs of one accuracy and architecture, ready for JSON."""
    given = dict(arguments)
    spec, name = specification(**given.pop("spec")), given.pop("architecture")
    return [
        {
            "accuracy": str(spec.accuracy),
            "architecture": name,
            "parameters": dict(design.parameters),
            "estimated_area": design.estimated_area,
            "max_error_ulp": design.accuracy.max_error_ulp,
        }
        for design in designs(spec, [name])
    ]


def explore(
    search: Search,
    *,
    scheduler: str | None = None,
    progress: Progress = lambda what, done, total: None,
) -> list[Row]:
    """The measured designs, from the smallest, each with whether it is on the front.

    Parameters
    ----------
    scheduler : str, optional
        Address of a Dask scheduler; the local cores unless given.
    progress : callable
        Told what is being done, how many are done, and of how many.

    Raises
    ------
    UnreachableError
        No design meets any of the accuracies.
    """
    candidates = promising(_candidates(search, scheduler, progress))[: search.limit]
    if not candidates:
        raise UnreachableError(
            f"accuracies must hold one that can be reached, not {list(search.accuracies)!r}; ask for faithful"
        )
    wanted = [_job(search, candidate, latency) for candidate in candidates for latency in search.latencies]
    found = entries(wanted, scheduler=scheduler, progress=progress)
    rows = {row["source_sha256"]: row for row in map(_row, found)}  # equal circuits count once
    return _with_front(sorted(rows.values(), key=lambda row: (*_goals(row), row["unit"])))


def _candidates(search: Search, scheduler: str | None, progress: Progress) -> list[Candidate]:
    """All designs of all accuracies and architectures."""
    wanted = [
        {"spec": {**search.spec, "target": search.target, "accuracy": accuracy}, "architecture": name}
        for accuracy in search.accuracies
        for name in architectures.catalogue()
    ]
    kept = Cache(cache_folder("candidates"))
    keys = [digest(arguments, code_sha256()) for arguments in wanted]
    found = {key: kept.get(key) for key in keys}
    missing = [i for i, key in enumerate(keys) if found[key] is None]
    progress("enumerating", len(keys) - len(missing), len(keys))
    with closing(jobs.run(enumerated, [wanted[i] for i in missing], scheduler=scheduler)) as results:
        for done, (position, value) in enumerate(results, start=1):
            found[keys[missing[position]]] = value
            kept.put(keys[missing[position]], value)
            progress("enumerating", len(keys) - len(missing) + done, len(keys))
    # A design that meets several accuracies counts once.
    all_facts = [facts for key in reversed(keys) for facts in found[key]]
    return list({_fitted(facts): Candidate(**facts) for facts in all_facts}.values())


def _fitted(facts: Mapping[str, Any]) -> str:
    """What tells designs apart: not for which accuracy one was found, but for which it was fitted."""
    parameters = {FITTED_ACCURACY: facts["accuracy"], **facts["parameters"]}
    return str({**facts, "parameters": parameters, "accuracy": None})


def promising(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that are estimated within ``SLACK`` of the smallest at most as inaccurate, the smallest first."""
    chosen = [
        one
        for one in candidates
        if one.estimated_area
        <= SLACK * min(c.estimated_area for c in candidates if c.max_error_ulp <= one.max_error_ulp)
    ]
    return sorted(chosen, key=lambda one: (one.estimated_area, one.max_error_ulp, str(one)))


def _job(search: Search, candidate: Candidate, latency: int | None) -> Job:
    unit = {
        **search.spec,
        "interface": search.interface,
        "accuracy": candidate.accuracy,
        "architecture": candidate.architecture,
        "architecture_parameters": dict(candidate.parameters),
        "latency": latency,
    }
    return Job(unit=unit, target=search.target, options=search.options)


def _row(entry: Entry) -> dict[str, Any]:
    record, stated = entry.record.as_dict(), entry.manifest["accuracy"]
    return {
        "unit": entry.manifest["name"],
        "architecture": entry.manifest["architecture"],
        "parameters": entry.manifest["architecture_parameters"],
        "class": stated["class"],
        "max_error_ulp": stated["max_error_ulp"],
        "mean_error_ulp": stated["mean_error_ulp"],
        "estimated_area": entry.estimated_area,
        **{key: record[key] for key in _MEASURED},
    }


_MEASURED = (
    "area",
    "area_unit",
    "luts",
    "carry_cells",
    "multiplexers",
    "flip_flops",
    "dsps",
    "block_rams",
    "latency",
    "depth",
    "path_ns",
    "f_max_mhz",
    "latency_ns",
    "source_sha256",
)


def _goals(row: Row) -> tuple[float, float, float, float]:
    """What is to be small: area, error, time from input to output, time between two words."""
    if row["f_max_mhz"] is not None:
        return row["area"], row["max_error_ulp"], row["latency_ns"], 1 / row["f_max_mhz"]
    stage = row["path_ns"] if row["path_ns"] is not None else row["depth"] or 0
    return row["area"], row["max_error_ulp"], stage * max(1, row["latency"]), stage


def _with_front(rows: Sequence[dict[str, Any]]) -> list[Row]:
    goals = [_goals(row) for row in rows]
    for row, own in zip(rows, goals, strict=True):
        beaten = (all(a <= b for a, b in zip(other, own, strict=True)) and other != own for other in goals)
        row["front"] = not any(beaten)
    return list(rows)
