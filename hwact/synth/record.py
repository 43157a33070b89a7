# SPDX-License-Identifier: Apache-2.0
"""What was measured of one design on one target."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Record:
    """Area and speed of one design on one target.

    Area and cells are those of the unit alone; the clock is that of the unit between registers.

    Parameters
    ----------
    name, target, source_sha256 : str
        The module, where it was synthesised for, and the digest of its Verilog.
    area, area_unit : float, str
        Look-up tables with their carry cells' share, gate equivalents, or the Liberty file's unit.
    luts, carry_cells, multiplexers, flip_flops, dsps, block_rams : int
        Cells by kind; 0 where a target has none.
    cells : dict of str to int
        All cells by type.
    depth : int, optional
        Cells on the longest combinational path; none for standard cells.
    path_ns : float, optional
        Delay of the longest combinational path by ABC's timing, between registers and without their own
        delays; ns. Only with a Liberty file.
    f_max_by_seed : dict of int to float
        Clock after place and route by seed; MHz. Empty where nothing was placed.
    latency : int
        Cycles.
    tools : dict of str to str
        Versions.
    gate_equivalents : float, optional
        Area in NAND2 gates: four CMOS transistors each, or the area of the library's smallest NAND2; none for
        devices, and where the library has no NAND2.
    dsp_allowed, ram_allowed : bool
        Whether DSP blocks and memory blocks could be used.
    liberty_sha256 : str, optional
        Digest of the library's text without comments.
    """

    name: str
    target: str
    source_sha256: str
    area: float
    area_unit: str
    luts: int = 0
    carry_cells: int = 0
    multiplexers: int = 0
    flip_flops: int = 0
    dsps: int = 0
    block_rams: int = 0
    cells: Mapping[str, int] = dataclasses.field(default_factory=dict)
    depth: int | None = None
    path_ns: float | None = None
    f_max_by_seed: Mapping[int, float] = dataclasses.field(default_factory=dict)
    latency: int
    tools: Mapping[str, str]
    gate_equivalents: float | None = None
    dsp_allowed: bool = False
    ram_allowed: bool = False
    liberty_sha256: str | None = None

    @property
    def f_max(self) -> float | None:
        """Median clock over the seeds; MHz."""
        return median(self.f_max_by_seed.values()) if self.f_max_by_seed else None

    @property
    def latency_ns(self) -> float | None:
        """Time from input to output at the median clock; ns. A combinational unit takes one period."""
        return None if self.f_max is None else max(1, self.latency) * 1000 / self.f_max

    def as_dict(self) -> dict[str, Any]:
        """The record ready for JSON."""
        seeds = {str(seed): clock for seed, clock in self.f_max_by_seed.items()}
        derived = {"f_max_mhz": self.f_max, "latency_ns": self.latency_ns}
        return dataclasses.asdict(self) | {"f_max_by_seed": seeds} | derived

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Record:
        """The record that :meth:`as_dict` wrote."""
        names = {field.name for field in dataclasses.fields(cls)}
        given = {key: value for key, value in facts.items() if key in names}
        seeds = {int(seed): clock for seed, clock in facts["f_max_by_seed"].items()}
        return cls(**given | {"f_max_by_seed": seeds})
