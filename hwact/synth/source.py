# SPDX-License-Identifier: Apache-2.0
"""What is synthesised: a module's Verilog and its ports."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwact.unit import Unit


@dataclass(frozen=True, kw_only=True)
class Port:
    """A port of a module; ``direction`` is ``input`` or ``output``."""

    name: str
    direction: str
    width: int


@dataclass(frozen=True, kw_only=True)
class Source:
    """A module to synthesise.

    Parameters
    ----------
    name : str
        Of the top module.
    verilog : str
    ports : tuple of Port
    latency : int
        Cycles; a clock of the name ``clk`` is among the ports unless it is 0.
    """

    name: str
    verilog: str
    ports: tuple[Port, ...]
    latency: int

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
