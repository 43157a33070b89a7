# SPDX-License-Identifier: Apache-2.0
"""Units built and measured, many at a time, each kept for the next run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from hwact import accuracy, jobs, synth
from hwact.accuracy import Envelope
from hwact.synth import Options, Record, Source
from hwact.synth.cache import Cache, digest
from hwact.tools import cache_folder
from hwact.unit import build

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A unit to build and measure.

    Parameters
    ----------
    unit : dict
        Arguments of :func:`hwact.build` but the target.
    target : str
        Hardware that the unit is chosen for and measured on.
    options : Options
        DSP blocks may be used too by a unit with its multipliers in them.
    """

    unit: Mapping[str, Any]
    target: str
    options: Options

    def __post_init__(self) -> None:
        if self.unit.get("multipliers") == "dsp":
            object.__setattr__(self, "options", replace(self.options, dsp=True))

    @property
    def key(self) -> str:
        """Digest of all that the entry depends on."""
        target = synth.TARGETS[self.target]
        place = list(self.options.seeds) if self.options.place and target.place else []
        tools = synth.versions(target, placed=bool(place))
        return digest(dict(self.unit), self.options.used(target), place, tools, code_sha256())


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A unit that was built and measured.

    Parameters
    ----------
    manifest : dict
    estimated_area : float
        What the choice between designs went by; look-up tables, or gate equivalents.
    envelope : Envelope
    record : Record
    """

    manifest: Mapping[str, Any]
    estimated_area: float
    envelope: Envelope
    record: Record

    def as_dict(self) -> dict[str, Any]:
        """The entry ready for JSON."""
        return {
            "manifest": dict(self.manifest),
            "estimated_area": self.estimated_area,
            "envelope": {key: list(values) for key, values in vars(self.envelope).items()},
            "record": self.record.as_dict(),
        }

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Entry:
        """The entry that :meth:`as_dict` wrote."""
        columns = {key: tuple(values) for key, values in facts["envelope"].items()}
        given = {"envelope": Envelope(**columns), "record": Record.from_dict(facts["record"])}
        return cls(**dict(facts) | given)


def measured(job: Job) -> dict[str, Any]:
    """Build and measure one unit; the entry ready for JSON."""
    unit = build(**job.unit, target=job.target)
    entry = Entry(
        manifest=unit.manifest(),
        estimated_area=unit.design.estimated_area,
        envelope=accuracy.envelope(unit.spec, unit.design.codes),
        record=synth.measure(Source.of(unit), job.target, job.options),
    )
    return entry.as_dict()


def entries(
    wanted: Sequence[Job],
    *,
    scheduler: str | None = None,
    progress: Progress = lambda what, done, total: None,
) -> list[Entry]:
    """The entries of all jobs, in their order, whatever the order in which they finish.

    Parameters
    ----------
    scheduler : str, optional
        Address of a Dask scheduler; the local cores unless given.
    progress : callable
        Told what is being done, how many are done, and of how many, whenever that changes.

    Raises
    ------
    HwactError
        A job fails. What was finished before is kept.
    """
    kept = Cache(cache_folder("entries"))
    found = {job.key: kept.get(job.key) for job in wanted}
    missing = {job.key: job for job in wanted if found[job.key] is None}
    progress("measuring", len(found) - len(missing), len(found))
    keys = list(missing)
    with closing(jobs.run(measured, list(missing.values()), scheduler=scheduler)) as results:
        for position, value in results:
            kept.put(keys[position], value)
            found[keys[position]] = value
            progress("measuring", sum(value is not None for value in found.values()), len(found))
    return [Entry.from_dict(found[job.key]) for job in wanted]


@cache
def code_sha256() -> str:
    """Digest of hwact's own text: when it changes, units may."""
    files = sorted(Path(__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
