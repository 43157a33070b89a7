# SPDX-License-Identifier: Apache-2.0
"""A cocotb bench of the ``axis`` interface by cocotbext-axi: sources, sinks and pauses of somebody else's.

Reads the JSON file that ``HWACT_AXIS`` names: lanes, widths of the codes and of their lanes in bytes, and
the output's lane for every input's bits.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

SETTINGS = json.loads(Path(os.environ["HWACT_AXIS"]).read_text(encoding="utf-8"))
LANES, WIDTH = SETTINGS["lanes"], SETTINGS["input_width"]
IN_BYTES, OUT_BYTES = SETTINGS["input_bytes"], SETTINGS["output_bytes"]
OUTPUTS = SETTINGS["outputs"]
PAUSES = ("none", "random", "alternating")


@dataclass(frozen=True)
class Packet:
    """Words that end with tlast: the bytes to send and to expect, and a tuser bit for each word."""

    sent: bytes
    expected: bytes
    user: list[int]


def packets(random: Random) -> Iterator[Packet]:
    """Every code in every lane, in packets of 1 to 9 words; the bits above a code are random."""
    todo = list(range(1 << WIDTH))
    while todo:
        count = random.randint(1, 9)
        yield packet(todo[:count], random)
        todo = todo[count:]


def packet(codes: list[int], random: Random) -> Packet:
    """A word for each code; lane l has the l-th code after it."""
    mask = (1 << WIDTH) - 1
    lanes = [(code + lane) & mask for code in codes for lane in range(LANES)]
    above = [random.getrandbits(8 * IN_BYTES) & ~mask for _ in lanes]
    return Packet(
        b"".join((bits | more).to_bytes(IN_BYTES, "little") for bits, more in zip(lanes, above, strict=True)),
        b"".join(OUTPUTS[bits].to_bytes(OUT_BYTES, "little") for bits in lanes),
        [random.getrandbits(1) for _ in codes],
    )


def pause(name: str, random: Random) -> Iterator[bool]:
    """When to pause."""
    if name == "alternating":
        return cycle((False, True))
    return (name == "random" and random.random() < 0.5 for _ in iter(int, 1))


async def receive(sink: Any, due: Packet) -> None:
    """The next packet from the unit, which must be that one."""
    frame = await sink.recv(compact=False)
    assert bytes(frame.tdata) == due.expected, (frame, due)
    assert frame.tuser == [bit for bit in due.user for _ in range(LANES * OUT_BYTES)], (frame, due)


@cocotb.test(
    timeout_time=200 << WIDTH, timeout_unit="ns"
)  # ten times what it takes; a fault may stop the unit
@cocotb.parametrize(gaps=PAUSES, stalls=PAUSES)
async def every_code(dut: Any, gaps: str, stalls: str) -> None:
    """All packets, at one pairing of pauses; then nothing more, and the same once again after a reset."""
    random = Random(f"{gaps} {stalls}")
    Clock(dut.aclk, 2, "ns").start()
    source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.aclk, dut.aresetn, False)
    sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.aclk, dut.aresetn, False)
    source.set_pause_generator(pause(gaps, random))
    sink.set_pause_generator(pause(stalls, random))
    for _ in range(2):
        dut.aresetn.value = 0
        await ClockCycles(dut.aclk, 3)
        dut.aresetn.value = 1
        await ClockCycles(dut.aclk, 1)
        sent = list(packets(random))
        for item in sent:
            user = [bit for bit in item.user for _ in range(LANES * IN_BYTES)]
            await source.send(AxiStreamFrame(item.sent, tuser=user))
        for item in sent:
            await receive(sink, item)
        await ClockCycles(dut.aclk, 20)
        assert sink.empty()
    codes = sum(len(item.user) for item in sent)
    dut._log.info("checked %d words", codes)
    with Path(os.environ["HWACT_AXIS"]).with_name("checked.txt").open("a", encoding="utf-8") as file:
        file.write(f"{gaps} {stalls} {codes}\n")
