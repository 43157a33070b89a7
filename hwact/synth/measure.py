# SPDX-License-Identifier: Apache-2.0
"""Measuring one design on one target, and keeping the record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hwact.errors import ArgumentError
from hwact.synth import area, place, targets
from hwact.synth.cache import Cache, digest
from hwact.synth.harness import registers
from hwact.synth.liberty import Liberty
from hwact.synth.record import Record
from hwact.synth.source import Source
from hwact.synth.targets import SynthTarget
from hwact.tools import cache_folder
from hwact.unit import Unit

SEEDS = (1, 2, 3)


@dataclass(frozen=True, kw_only=True)
class Options:
    """How designs are measured.

    Parameters
    ----------
    dsp, ram : bool
        Whether DSP blocks and memory blocks may be used.
    liberty : Liberty, optional
        Cells for the target ``asic``; Yosys' generic CMOS gates unless given.
    place : bool
        Whether to place and route, where the target can.
    seeds : tuple of int
        Of place and route; the clock is the median.
    """

    dsp: bool = False
    ram: bool = False
    liberty: Liberty | None = None
    place: bool = True
    seeds: tuple[int, ...] = SEEDS

    def __post_init__(self) -> None:
        if self.place and not self.seeds:
            raise ArgumentError(f"seeds must be at least one number, not {self.seeds!r}; or do not place")

    def used(self, target: SynthTarget) -> dict[str, Any]:
        """What matters for a target's area, under names for a digest."""
        cells = self.liberty.sha256 if self.liberty and not target.flow else None
        return {"target": target.name, "dsp": self.dsp, "ram": self.ram, "liberty": cells}


def measure(
    source: Source | Unit,
    target: str | SynthTarget,
    options: Options | None = None,
    kept: Cache | None = None,
) -> Record:
    """Synthesise a module, place it where the target can, and say what it costs.

    Parameters
    ----------
    source : Source or Unit
    kept : Cache, optional
        Earlier results; the user's own cache unless given.

    Raises
    ------
    ArgumentError
        Yosys does not accept the Verilog, the unit does not fit, or the cache cannot be written.
    ToolError
        A tool is missing or fails.
    """
    source = Source.of(source) if isinstance(source, Unit) else source
    target = targets.get(target) if isinstance(target, str) else target
    options = options or Options()
    kept = kept or Cache(cache_folder("synth"))
    figures = _area(source, target, options, kept)
    placed = options.place and bool(target.place)
    clocks = _clocks(source, target, options, kept, figures) if placed else {}
    return Record(
        name=source.name,
        target=target.name,
        source_sha256=source.sha256,
        latency=source.latency,
        dsp_allowed=options.dsp,
        ram_allowed=options.ram,
        liberty_sha256=options.used(target)["liberty"],
        f_max_by_seed=clocks,
        tools=versions(target, placed=placed),
        **figures,
    )


def versions(target: SynthTarget, *, placed: bool) -> dict[str, str]:
    """Of the tools that a record depends on."""
    return area.versions() | (place.versions(target) if placed else {})


def _area(source: Source, target: SynthTarget, options: Options, kept: Cache) -> dict[str, Any]:
    key = digest("area", steps_sha256(), source.name, source.sha256, options.used(target), area.versions())
    figures: dict[str, Any] | None = kept.get(key)
    if figures is None:
        figures = area.synthesise(source, target, dsp=options.dsp, ram=options.ram, liberty=options.liberty)
        kept.put(key, figures)
    return figures


def _clocks(
    source: Source, target: SynthTarget, options: Options, kept: Cache, figures: Mapping[str, Any]
) -> dict[int, float]:
    """The clock by seed; MHz."""
    facts = ("clock", steps_sha256(), source.name, source.sha256, options.used(target), area.versions())
    keys = {seed: digest(*facts, place.versions(target), seed) for seed in options.seeds}
    clocks = {seed: kept.get(key) for seed, key in keys.items()}
    missing = [seed for seed, clock in clocks.items() if clock is None]
    if missing:
        chosen = place.device(target, figures, registers(source))
        place.prepare(target)
        with place.netlist(source, target, dsp=options.dsp, ram=options.ram) as work:
            for seed in missing:
                clocks[seed] = place.f_max(work, target, chosen, seed)
                kept.put(keys[seed], clocks[seed])
    return clocks


@cache
def steps_sha256() -> str:
    """Digest of this package's own text: when its steps change, no older record counts."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
