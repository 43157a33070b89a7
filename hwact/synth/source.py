# SPDX-License-Identifier: Apache-2.0
"""What is synthesised: a module's Verilog and its ports."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwact.errors import ArgumentError
from hwact.unit import Unit

CLOCK = "clk"
DIRECTIONS = ("input", "output")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")


@dataclass(frozen=True, kw_only=True)
class Port:
    """A port of a module; ``direction`` is ``input`` or ``output``."""

    name: str
    direction: str
    width: int

    def __post_init__(self) -> None:
        if not _IDENTIFIER.fullmatch(self.name) or self.direction not in DIRECTIONS or self.width < 1:
            raise ArgumentError(
                "a port must have a Verilog identifier as its name, the direction input or output and at "
                f"least 1 bit, not {self.name!r}, {self.direction!r}, {self.width!r}; "
                "correct the list of ports"
            )


@dataclass(frozen=True, kw_only=True)
class Source:
    """A module to synthesise.

    Parameters
    ----------
    name : str
        Of the top module; an identifier without escapes, since it becomes part of commands.
    verilog : str
    ports : tuple of Port
    latency : int
        Cycles; a clock of the name ``clk`` is among the ports unless it is 0.
    """

    name: str
    verilog: str
    ports: tuple[Port, ...]
    latency: int

    def __post_init__(self) -> None:
        if not _IDENTIFIER.fullmatch(self.name):
            raise ArgumentError(
                f"a module's name must be a Verilog identifier without escapes, not {self.name!r}; rename it"
            )

    @classmethod
    def of(cls, unit: Unit) -> Source:
        """A unit's own Verilog."""
        return cls.described(unit.manifest_facts(), unit.verilog)

    @classmethod
    def described(cls, manifest: Mapping[str, Any], verilog: str) -> Source:
        """Verilog with the ports of a manifest: a unit's own, or another file in its place."""
        records: Sequence[Mapping[str, Any]] = manifest["ports"]
        ports = tuple(Port(name=p["name"], direction=p["direction"], width=p["width"]) for p in records)
        return cls(name=manifest["name"], verilog=verilog, ports=ports, latency=manifest["latency"])

    @property
    def sha256(self) -> str:
        """Digest of the Verilog."""
        return hashlib.sha256(self.verilog.encode()).hexdigest()
