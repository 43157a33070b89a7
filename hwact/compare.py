# SPDX-License-Identifier: Apache-2.0
"""Many units side by side: error, area, latency and clock, all of them measured."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hwact import synth
from hwact.architectures.problem import CORRECT_UP_TO
from hwact.datapath import cost
from hwact.entries import Entry, Job
from hwact.errors import ArgumentError
from hwact.synth import Options
from hwact.unit import specification

GRADIENT = "_grad"
FAMILY = (
    "relu",
    "leaky_relu",
    "smelu",
    "hardswish",
    "softplus",
    "sigmoid",
    "tanh",
    "swish",
    "gelu",
    "mish",
    f"smelu{GRADIENT}",
    f"gelu{GRADIENT}",
    f"swish{GRADIENT}",
)
BASES = ("relu", "smelu")
_SPECIFIED = ("function", "gradient", "width", "accuracy")

Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is to be compared; every function at every width on every target.

    Parameters
    ----------
    functions : tuple of str
        Catalogue names; a gradient is the name with ``_grad`` behind it.
    widths : tuple of int
        Bits; SQ4.(width-4) in and out.
    targets : tuple of str
        Names of synthesis targets.
    accuracy : str, optional
        The same for all, so that like is compared with like: correct up to 10 bits, else faithful,
        unless given.
    interface : str
    latency : int, optional
        Cycles; chosen from each target's delays unless given.
    multipliers : str
        Of all units: in look-up tables, ``luts``, or in the targets' DSP blocks, ``dsp``.
    options : Options
        How areas and clocks are measured.
    """

    functions: tuple[str, ...] = FAMILY
    widths: tuple[int, ...] = (16,)
    targets: tuple[str, ...] = tuple(synth.TARGETS)
    accuracy: str | None = None
    interface: str = "bare"
    latency: int | None = None
    multipliers: str = "luts"
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        for what in ("functions", "widths", "targets"):
            values = getattr(self, what)
            if not values or len(set(values)) < len(values):
                raise ArgumentError(
                    f"{what} must be different ones, at least one, not {list(values)!r}; name each once"
                )
        for name in self.targets:
            synth.targets.get(name)
            cost.target(name, self.multipliers)
        for function in self.functions:
            for width in self.widths:
                given = self._unit(function, width)
                specification(**{key: given[key] for key in _SPECIFIED})

    def jobs(self) -> list[Job]:
        """The units to build and measure: by width, then target, then function."""
        return [
            Job(unit=self._unit(function, width), target=target, options=self.options)
            for width in self.widths
            for target in self.targets
            for function in self.functions
        ]

    def _unit(self, function: str, width: int) -> dict[str, Any]:
        return {
            "function": function.removesuffix(GRADIENT),
            "gradient": function.endswith(GRADIENT),
            "width": width,
            "accuracy": self.accuracy or ("correct" if width <= CORRECT_UP_TO else "faithful"),
            "interface": self.interface,
            "latency": self.latency,
            "multipliers": self.multipliers,
        }

    def rows(self, entries: Sequence[Entry]) -> list[Row]:
        """The facts of every entry under flat keys, with its area relative to those of ReLU and SmeLU."""
        rows = [_row(job, entry) for job, entry in zip(self.jobs(), entries, strict=True)]
        areas = {(row["width"], row["target"], row["function"]): row["area"] for row in rows}
        for row in rows:
            for base in BASES:
                area = areas.get((row["width"], row["target"], base))
                row[f"area_by_{base}"] = row["area"] / area if area else None
        return list(rows)


def _row(job: Job, entry: Entry) -> dict[str, Any]:
    manifest, record = entry.manifest, entry.record
    stated = manifest["accuracy"]
    return {
        "function": job.unit["function"] + GRADIENT * job.unit["gradient"],
        "width": job.unit["width"],
        "target": job.target,
        "unit": manifest["name"],
        "architecture": manifest["architecture"],
        "class": stated["class"],
        "max_error_ulp": stated["max_error_ulp"],
        "mean_error_ulp": stated["mean_error_ulp"],
        "correctly_rounded_fraction": stated["correctly_rounded_fraction"],
        "latency": manifest["latency"],
        "estimated_area": entry.estimated_area,
        **{key: value for key, value in record.as_dict().items() if key not in _LEFT_OUT},
        "golden_sha256": manifest["golden_sha256"],
    }


_LEFT_OUT = ("name", "target", "latency", "cells", "tools", "f_max_by_seed")


# Headings of the printed table, and how a row fills them.
COLUMNS: Mapping[str, tuple[str, str]] = {
    "function": ("function", "{}"),
    "area": ("area ({unit})", "{:.4g}"),
    "area_by_relu": ("x ReLU", "{:.2f}"),
    "area_by_smelu": ("x SmeLU", "{:.2f}"),
    "max_error_ulp": ("max error (ulp)", "{:.4f}"),
    "class": ("class", "{}"),
    "flip_flops": ("flip-flops", "{}"),
    "latency": ("cycles", "{}"),
    "f_max_mhz": ("clock (MHz)", "{:.1f}"),
    "latency_ns": ("latency (ns)", "{:.1f}"),
    "depth": ("depth (cells)", "{}"),
    "path_ns": ("path (ns)", "{:.2f}"),
    "architecture": ("architecture", "{}"),
    "parameters": ("parameters", "{}"),
}


@dataclass(frozen=True)
class Table:
    """The rows of one width and target as text; columns without any value are left out."""

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, title: str, rows: Sequence[Row]) -> Table:
        """A table of rows of one target; of the columns, those for which the rows have something."""
        keys = [key for key in COLUMNS if any(row.get(key) is not None for row in rows)]
        header = tuple(COLUMNS[key][0].format(unit=rows[0]["area_unit"]) for key in keys)
        return cls(title, header, tuple(tuple(_cell(row, key) for key in keys) for row in rows))

    def markdown(self) -> str:
        """The table in Markdown."""
        lines = [self.header, ("---",) * len(self.header), *self.lines]
        return f"{self.title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(row: Row, key: str) -> str:
    value = row.get(key)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return "" if value is None else COLUMNS[key][1].format(value)


def tables(rows: Sequence[Row]) -> list[Table]:
    """A table for every width and target, in the rows' order."""
    groups: dict[tuple[int, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["width"], row["target"]), []).append(row)
    return [
        Table.of(f"{width} bits, {synth.TARGETS[target].title}", group)
        for (width, target), group in groups.items()
    ]


def as_csv(rows: Sequence[Row]) -> str:
    """All facts of all rows as CSV."""
    content = io.StringIO()
    writer = csv.DictWriter(content, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return content.getvalue()
