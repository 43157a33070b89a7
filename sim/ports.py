# SPDX-License-Identifier: Apache-2.0
"""Ports of the unit under test, and a clock driven by hand.

A cycle is: inputs change while the clock is low, one step for everything to settle, outputs are
read, the clock rises, one step, the clock falls. Nothing is read or written at an edge that a
register sees, so there is no race in any simulator, and a cycle costs two wake-ups of Python.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from cocotb.handle import HierarchyObject, LogicArrayObject, LogicObject, PackedObject
from cocotb.triggers import Timer

from sim.record import Broken, Record

Signal: TypeAlias = LogicObject | LogicArrayObject | PackedObject[Any]
SIGNALS = (LogicObject, LogicArrayObject, PackedObject)

LEVELS = (0, 1)
LOW, HIGH = LEVELS


def port(dut: HierarchyObject, name: str, width: int = 1) -> Signal:
    """The handle of a port; raises when it is missing or has another width."""
    handle = getattr(dut, name, None)
    if handle is None:
        raise Broken(f"the module must have a port {name} ({width} bits), but has none of that name")
    if not isinstance(handle, SIGNALS) or len(handle) != width:
        raise Broken(f"port {name} must have {width} bits, not {len(handle)}")
    return handle


def drive(handle: Signal, bits: int) -> None:
    """Set an input."""
    handle.value = bits


def read(handle: Signal) -> int:
    """The bits of an output; raises when one of them is X or Z."""
    value = handle.value
    try:
        return int(value)
    except ValueError:
        raise Broken(f"{handle._name} must have no X or Z bits, not {value}") from None


class Word:
    """Ports side by side as one number, the first in the least significant bits."""

    def __init__(self, *ports: Signal) -> None:
        self._ports = ports
        self.width = sum(len(part) for part in ports)

    def drive(self, bits: int) -> None:
        """Set inputs."""
        if len(self._ports) == 1:
            drive(self._ports[0], bits)
            return
        for part in self._ports:
            drive(part, bits & (1 << len(part)) - 1)
            bits >>= len(part)

    def read(self) -> int:
        """The bits of outputs; raises when one of them is X or Z."""
        if len(self._ports) == 1:
            return read(self._ports[0])
        bits = 0
        for part in reversed(self._ports):
            bits = bits << len(part) | read(part)
        return bits


class Clock:
    """A clock driven by hand; the record counts its rising edges. Without a handle only time passes."""

    def __init__(self, handle: Signal | None, record: Record) -> None:
        self._handle = handle
        self._record = record
        self._half = Timer(1, "ns")
        if handle is not None:
            handle.value = LOW

    async def settle(self) -> None:
        """Let the inputs' effects reach the outputs; the clock is low."""
        await self._half

    async def edge(self) -> None:
        """One rising edge, and back to low."""
        self._record.cycle += 1
        if self._handle is not None:
            self._handle.value = HIGH
            await self._half
            self._handle.value = LOW
