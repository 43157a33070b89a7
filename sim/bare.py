# SPDX-License-Identifier: Apache-2.0
"""cocotb bench of the ``bare`` interface: clk ce x y; with latency 0, x y alone.

A setting comes with x and a gradient with y at ports of their own.
"""

from __future__ import annotations

from random import Random

import cocotb
from cocotb.handle import HierarchyObject

from sim.patterns import pattern
from sim.ports import LEVELS, Clock, Word, port
from sim.record import Record, conduct
from sim.settings import Settings

SETTINGS = Settings.load()
LONG_HOLD = SETTINGS.latency + 8


class Bench:
    """The unit and its clock."""

    def __init__(self, dut: HierarchyObject, record: Record) -> None:
        clocked = SETTINGS.latency > 0
        self.record = record
        self.x = Word(*(port(dut, name, width) for name, width in SETTINGS.input_ports.items()))
        self.y = Word(*(port(dut, name, width) for name, width in SETTINGS.output_ports.items()))
        self.enable = port(dut, "ce") if clocked else None
        self.clock = Clock(port(dut, "clk") if clocked else None, record)
        self.random = Random(f"{SETTINGS.seed} {record.phase.name}")
        self.go = pattern(record.phase.gaps, self.random, LONG_HOLD)

    def garbage(self) -> int:
        """A word that is not to be taken."""
        return self.random.getrandbits(SETTINGS.input_width)

    def drive(self, word: int, *, enable: bool) -> None:
        """Set the inputs of the coming edge."""
        self.x.drive(word)
        if self.enable is not None:
            self.enable.value = LEVELS[enable]

    async def hold(self) -> None:
        """Cycles without enable until the pattern enables again: y must hold still while x changes."""
        before: int | None = None
        while not next(self.go):
            self.drive(self.garbage(), enable=False)
            await self.clock.settle()
            before = self._still(before)
            await self.clock.edge()

    def _still(self, before: int | None) -> int | None:
        if not self.record.received:
            return None  # the registers are not filled yet: y may be anything, X too
        now = self.y.read()
        if before is not None and now != before:
            text = SETTINGS.output_text
            self.record.fail(f"y must hold {text(before)} while ce = 0, not {text(now)}")
        return now


async def run(dut: HierarchyObject, record: Record) -> None:
    """All words of the phase, then as many more edges as it takes for the last to come out."""
    bench, latency = Bench(dut, record), SETTINGS.latency
    words = record.sent + [bench.garbage() for _ in range(latency)]
    for edge, word in enumerate(words):
        await bench.hold()
        bench.drive(word, enable=True)
        await bench.clock.settle()
        if edge >= latency:
            record.receive(bench.y.read())
        await bench.clock.edge()
    note_latency(record)


def note_latency(record: Record) -> None:
    """Find the latency at which all words match; it must be the claimed one."""
    got, due, claimed = record.received, record.expected, SETTINGS.latency
    if len(set(due)) > 1:
        seen = (late for late in range(-claimed, LONG_HOLD) if matches(got, due, late))
        record.latencies.update(claimed + late for late in seen)
    if record.latencies and claimed not in record.latencies:
        record.fail(f"latency must be {claimed} enabled edges, not {min(record.latencies)}", keep=True)


def matches(got: list[int], due: list[int], late: int) -> bool:
    """Whether the words that came are the expected ones, so many edges later than claimed."""
    if late < 0:
        return matches(due, got, -late)
    return len(got) > late and got[late:] == due[: len(due) - late]


@cocotb.test()
@cocotb.parametrize(index=range(len(SETTINGS.phases)))
async def phase(dut: HierarchyObject, index: int) -> None:
    """One phase of the settings."""
    await conduct(dut, SETTINGS, index, run)
