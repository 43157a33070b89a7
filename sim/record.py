# SPDX-License-Identifier: Apache-2.0
"""The record of one phase: what arrived, what was wrong, and the files that say so."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
from cocotb.handle import HierarchyObject

from sim.settings import Phase, Settings, unpack

MAX_FAILURES = 8


class Broken(Exception):  # noqa: N818 - it is the unit that is broken
    """The unit does something after which the phase cannot go on."""


class Record:
    """Collects the words that a phase receives and its failures; counts all, keeps the first few.

    Members
    -------
    cycle : int
        Rising edges so far; the bench's clock counts them here.
    """

    def __init__(self, settings: Settings, phase: Phase) -> None:
        self.settings = settings
        self.phase = phase
        self.sent, self.expected = settings.words(phase)
        self.received: list[int] = []
        self.latencies: set[int] = set()
        self.failures: list[str] = []
        self.failure_count = 0
        self.cycle = 0
        self._started = time.perf_counter()

    def fail(self, text: str, *, keep: bool = False) -> None:
        """Note one failure; one to `keep` is told however many came before it."""
        self.failure_count += 1
        if keep or len(self.failures) < MAX_FAILURES:
            self.failures.append(f"cycle {self.cycle}: {text}")

    def receive(self, got: int) -> None:
        """Compare one word with the next expected one."""
        index = len(self.received)
        self.received.append(got)
        if got != self.expected[index]:
            self.fail(self._mismatch(index, got))

    def _mismatch(self, index: int, got: int) -> str:
        settings, lanes = self.settings, self.settings.lanes
        due, came = (settings.parts(word, settings.outputs) for word in (self.expected[index], got))
        places = [(lane, name) for lane in range(lanes) for name in due]
        wrong = next(((lane, name) for lane, name in places if due[name][lane] != came[name][lane]), None)
        if wrong is None:
            text = self.settings.output_text
            return f"word {index}: expected {text(self.expected[index])}, got {text(got)}"
        lane, name = wrong
        sent = settings.parts(self.sent[index], settings.inputs)
        given = [number.text(sent[key][lane]) for key, number in settings.inputs.items()]
        where = f"word {index}" + (f", lane {lane}" if lanes > 1 else "")
        sink, title = self.settings.outputs[name], self.settings.title(name)
        return (
            f"{where}, input {' with '.join(given)}: "
            f"expected {title}{sink.text(due[name][lane])}, got {sink.text(came[name][lane])}"
        )

    def finish(self) -> None:
        """Compare the counts, write the phase's files, and raise when anything was wrong."""
        if len(self.received) != len(self.expected):
            self.fail(f"{len(self.expected)} words must come out, not {len(self.received)}", keep=True)
        base = Path(self.settings.results) / self.phase.name
        np.save(base.with_suffix(".npy"), np.array(self._codes(), dtype=np.uint64))
        base.with_suffix(".json").write_text(json.dumps(self._summary()), encoding="utf-8")
        if self.failure_count:
            raise AssertionError(f"{self.failure_count} failures, the first: {self.failures[0]}")

    def _codes(self) -> list[list[int]]:
        """The bits received of each output's codes, lane by lane."""
        rows, words = [], self.received
        for number in self.settings.outputs.values():
            mask = (1 << number.width) - 1
            rows.append([bits & mask for bits in unpack(words, number, self.settings.lanes)])
            words = [word >> number.lane_bits * self.settings.lanes for word in words]
        return rows

    def _summary(self) -> dict[str, object]:
        return {
            "cycles": self.cycle,
            "latencies": sorted(self.latencies),
            "failures": self.failures,
            "failure_count": self.failure_count,
            "seconds": time.perf_counter() - self._started,
        }


async def conduct(
    dut: HierarchyObject,
    settings: Settings,
    index: int,
    run: Callable[[HierarchyObject, Record], Awaitable[None]],
) -> None:
    """Run one phase and leave its record; raises when anything was wrong."""
    record = Record(settings, settings.phases[index])
    try:
        await run(dut, record)
    except Broken as broken:
        record.fail(str(broken), keep=True)
    record.finish()
