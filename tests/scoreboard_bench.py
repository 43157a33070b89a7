# SPDX-License-Identifier: Apache-2.0
"""A cocotb bench that sends codes through a unit with gaps and stalls; a scoreboard checks them.

Reads the JSON file that ``HWACT_SCOREBOARD`` names, a unit's manifest; leaves the count of codes beside it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

import hwact
from hwact.cocotb import ActivationScoreboard

PATH = Path(os.environ["HWACT_SCOREBOARD"])
UNIT = hwact.unit.rebuilt(json.loads(PATH.read_text(encoding="utf-8")))
NAMES: dict[str, tuple[Any, ...]] = {
    "stream": ("clk", "rst", 1, "i_data", "i_valid", "i_ready", "o_ready"),
    "axis": ("aclk", "aresetn", 0, "s_axis_tdata", "s_axis_tvalid", "s_axis_tready", "m_axis_tready"),
    "bare": ("clk", None, 0, "x", "ce", None, None),
}


@cocotb.test(timeout_time=20, timeout_unit="us")
async def all_codes(dut: Any) -> None:
    """Every code in every lane, twice, shuffled; between the two a reset with words under way."""
    signals: Any = [getattr(dut, n) if isinstance(n, str) else n for n in NAMES[UNIT.interface]]
    clock, reset, level, data, valid, i_ready, o_ready = signals
    random = Random(2)
    Clock(clock, 2, "ns").start()
    beside = [dut.s_axis_tlast, dut.s_axis_tuser] if UNIT.interface == "axis" else []
    for handle, value in ((valid, 0), (reset, level), (o_ready, 1), (data, 0)):
        if handle is not None:
            handle.value = value
    board = ActivationScoreboard.attach(UNIT, dut)
    bits = len(data) // UNIT.lanes
    width, sent = UNIT.input_format.width, 0
    for turn in range(2):
        await ClockCycles(clock, 1 if turn else 3)
        if reset is not None:
            reset.value = 1 - level
        words = [code for code in range(1 << width) for _ in range(2)]
        random.shuffle(words)
        for first in words:
            while random.random() < 0.3:
                await RisingEdge(clock)
            lanes = [(first + lane) % (1 << width) for lane in range(UNIT.lanes)]
            data.value = sum(code << bits * lane for lane, code in enumerate(lanes))
            for handle in beside:
                handle.value = random.getrandbits(1)
            valid.value = 1
            moved = False
            while not moved:
                if o_ready is not None:
                    o_ready.value = int(random.random() < 0.6)
                await RisingEdge(clock)
                moved = i_ready is None or str(i_ready.value) == "1"
            valid.value = 0
            sent += UNIT.lanes
        if reset is not None and turn == 0:
            reset.value = level
    if o_ready is not None:
        o_ready.value = 1
    await ClockCycles(clock, 20)
    board.finish()
    PATH.with_suffix(".checked").write_text(f"{board.codes_checked} {sent}", encoding="utf-8")
