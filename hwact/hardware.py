# SPDX-License-Identifier: Apache-2.0
"""What units of every kind have in common: a schedule behind an interface, a manifest and a bundle."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

from hwact import bundle, naming
from hwact.datapath.schedule import Schedule
from hwact.datapath.verilog import convert
from hwact.description import Description
from hwact.errors import BundleError
from hwact.formats import Format
from hwact.interfaces import INTERFACES, UnitComponent, port_records


class HardwareUnit(ABC):
    """A datapath with registers behind an interface."""

    name: str
    schedule: Schedule
    interface: str
    lanes: int
    clock: float | None

    @property
    @abstractmethod
    def formats(self) -> tuple[dict[str, Format], dict[str, Format]]:
        """Formats of the inputs and of the outputs, by name."""

    @abstractmethod
    def manifest_facts(self) -> dict[str, Any]:
        """The manifest without the digest of the Verilog."""

    @abstractmethod
    def origin(self, facts: Mapping[str, Any]) -> tuple[str, ...]:
        """The lines at the top of every file, without comment marks."""

    @abstractmethod
    def description(self) -> Description:
        """What the files of the bundle are made from."""

    @property
    def latency(self) -> int:
        """Cycles from an input word to its output word, when not stalled; 0 is combinational."""
        return self.schedule.latency

    def component(self) -> UnitComponent:
        """A fresh Amaranth component."""
        return INTERFACES[self.interface](self.schedule, *self.formats, self.lanes)

    @cached_property
    def verilog(self) -> str:
        """The unit as one Verilog-2001 module, with a note of its origin."""
        component = self.component()
        module = convert(component, self.name, component.ports(self.latency, *self.formats))
        return "".join(f"// {line}\n" for line in self.origin(self.manifest_facts())) + module

    def interface_facts(self) -> dict[str, Any]:
        """What a manifest says of interface, timing and ports."""
        return {
            "interface": self.interface,
            "lanes": self.lanes,
            "latency": self.latency,
            "requested_clock_mhz": None if self.clock is None else json_number(Fraction(str(self.clock))),
            "initiation_interval": 1,
            "ports": port_records(self.interface, self.latency, *self.formats, self.lanes),
        }

    def manifest(self) -> dict[str, Any]:
        """The facts of the unit under stable keys, ready for JSON."""
        return {**self.manifest_facts(), "verilog_sha256": hashlib.sha256(self.verilog.encode()).hexdigest()}

    def write(self, out: str | Path) -> Path:
        """Write the bundle into ``<out>/<name>``; returns that folder."""
        return bundle.write(Path(out), self.name, bundle.files(self.description()))


def json_number(value: Fraction) -> int | float | str:
    """A JSON number where one is exact, else text."""
    if value.denominator == 1:
        return int(value)
    return float(value) if Fraction(repr(float(value))) == value else naming.number(value)


@contextmanager
def describing_a_unit() -> Iterator[None]:
    """While a manifest is read: whatever is wrong in it becomes a `BundleError`."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError, ZeroDivisionError) as error:
        missing = isinstance(error, KeyError)
        reason = f"without the key {error}" if missing else f"that fails with {str(error)!r}"
        raise BundleError(f"a manifest must describe a unit, not one {reason}; generate it again") from error
