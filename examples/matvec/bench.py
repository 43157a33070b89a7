# SPDX-License-Identifier: Apache-2.0
"""The engine's cocotb bench: images in, two scoreboards on the way out.

One watches the stream into the unit and the stream out of it: it finds faults of the unit. The other knows
what each image must give from the layer's integers alone: it finds faults of what comes before, too. Reads
the folder that ``MATVEC`` names: ``layer.npz`` and the unit's manifest, ``unit.json``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from examples.matvec.engine import Layer
from hwact.cocotb import ActivationScoreboard, Stream
from hwact.requantise import rebuilt

FOLDER = Path(os.environ["MATVEC"])
FACTS = np.load(FOLDER / "layer.npz")
LAYER = Layer(FACTS["weights"], FACTS["bias"])
UNIT = rebuilt(json.loads((FOLDER / "unit.json").read_text(encoding="utf-8")))


async def send(dut: Any, elements: list[int], random: Random) -> None:
    """Offer the elements, with gaps."""
    for element in elements:
        while random.random() < 0.2:
            await RisingEdge(dut.clk)
        dut.i_data.value = element & 0xFF
        dut.i_valid.value = 1
        await RisingEdge(dut.clk)
        while not int(dut.i_ready.value):
            await RisingEdge(dut.clk)
        dut.i_valid.value = 0


async def take(dut: Any, count: int, random: Random) -> list[int]:
    """So many output words, with stalls."""
    words: list[int] = []
    while len(words) < count:
        dut.o_ready.value = int(random.random() < 0.7)
        await RisingEdge(dut.clk)
        if int(dut.o_valid.value) and int(dut.o_ready.value):
            words.append(int(dut.o_data.value))
    dut.o_ready.value = 1
    return words


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def images(dut: Any) -> None:
    """All images; the words that came go into ``words.npy``."""
    random = Random(1)
    Clock(dut.clk, 2, "ns").start()
    dut.rst.value, dut.i_valid.value, dut.o_ready.value = 1, 0, 0
    stage = Stream(dut.word, dut.word_valid, dut.word_ready)
    output = Stream.of(dut, "o_")
    unit = ActivationScoreboard(UNIT, dut.clk, output, stage, reset=dut.rst)
    engine = ActivationScoreboard(UNIT, dut.clk, output, reset=dut.rst)
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
    sums = UNIT.words(LAYER.sums(FACTS["x"])).ravel()
    engine.expect(sums)
    cocotb.start_soon(send(dut, FACTS["x"].ravel().tolist(), random))
    words = await take(dut, sums.size, random)
    await ClockCycles(dut.clk, 20)
    for board in (unit, engine):
        board.finish()
        assert board.codes_checked == sums.size
    np.save(FOLDER / "words.npy", np.array(words))
