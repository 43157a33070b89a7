# SPDX-License-Identifier: Apache-2.0
"""A unit's Amaranth component in simulation: every code, latency, throughput, gaps, stalls and reset."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

import pytest
from amaranth.hdl import Fragment, Module, ResetInserter, Signal
from amaranth.lib.wiring import Component
from amaranth.sim import Simulator

import hwact

PATTERNS: dict[str, Callable[[], Callable[[int], bool]]] = {
    "none": lambda: lambda cycle: True,
    "alternating": lambda: lambda cycle: cycle % 2 == 1,
    "random": lambda: seeded(random.Random(7)),
}


def seeded(source: random.Random) -> Callable[[int], bool]:
    return lambda cycle: source.random() < 0.4


def words(codes: Iterable[int], width: int, lanes: int) -> list[int]:
    """Codes packed into words, lane 0 in the least significant bits; the last word filled with zeros."""
    bits = [code % 2**width for code in codes]
    bits += [0] * (-len(bits) % lanes)
    return [
        sum(bits[first + lane] << (lane * width) for lane in range(lanes))
        for first in range(0, len(bits), lanes)
    ]


def traffic(unit: hwact.Unit) -> tuple[list[int], list[int]]:
    """All input codes as words, in shuffled order, and the words that must come."""
    codes = [int(code) for code in unit.input_format.codes()]
    random.Random(3).shuffle(codes)
    codes += [0] * (-len(codes) % unit.lanes)
    expected = [int(unit.evaluate(code)) for code in codes]
    sent = words(codes, unit.input_format.width, unit.lanes)
    return sent, words(expected, unit.output_format.width, unit.lanes)


def simulate(component: Component, bench: Callable[[Any], Any]) -> None:
    """Run a bench to its end; the clock is there for combinational units too."""
    top, alive = Module(), Signal()
    top.submodules.unit = component
    top.d.sync += alive.eq(1)
    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def through_stream(
    unit: hwact.Unit, sent: list[int], count: int, gaps: str, stalls: str
) -> tuple[list[int], list[int], list[int]]:
    """Words that came, and the cycles in which words went in and came out."""
    dut, offers, takes = unit.component(), PATTERNS[gaps](), PATTERNS[stalls]()
    received: list[int] = []
    went: list[int] = []
    came: list[int] = []
    span = 2 ** (unit.output_format.width * unit.lanes)

    async def bench(ctx: Any) -> None:
        held = None
        offering = False
        for cycle in range(20 * count + 100):
            offering = offering or (len(went) < len(sent) and offers(cycle))
            ctx.set(dut.i.valid, offering)
            ctx.set(dut.i.payload, sent[len(went)] if offering else cycle % 2)
            ctx.set(dut.o.ready, takes(cycle))
            out = (ctx.get(dut.o.valid), ctx.get(dut.o.payload) % span)
            assert held in (None, out)
            held = out if out[0] and not ctx.get(dut.o.ready) and unit.latency else None
            if offering and ctx.get(dut.i.ready):
                went.append(cycle)
                offering = False
            if out[0] and ctx.get(dut.o.ready):
                came.append(cycle)
                received.append(out[1])
            await ctx.tick()

    simulate(dut, bench)
    return received, went, came


STREAMS = [(0, 1), (1, 1), (2, 1), (5, 1), (0, 3), (2, 3)]


@pytest.mark.parametrize(("latency", "lanes"), STREAMS)
def test_a_stream_moves_one_word_a_cycle_with_constant_latency(latency: int, lanes: int) -> None:
    unit = hwact.build("tanh", input_format="SQ2.4", output_format="SQ1.4", latency=latency, lanes=lanes)
    sent, expected = traffic(unit)
    received, went, came = through_stream(unit, sent, len(sent), "none", "none")
    assert unit.latency == latency
    assert len(sent) == {1: 64, 3: 22}[lanes]
    assert received == expected
    assert went == list(range(len(sent)))
    assert came == [cycle + latency for cycle in went]


@pytest.mark.parametrize(("latency", "lanes"), STREAMS)
def test_a_stream_loses_nothing_under_gaps_and_stalls(latency: int, lanes: int) -> None:
    unit = hwact.build("tanh", input_format="SQ2.4", output_format="SQ1.4", latency=latency, lanes=lanes)
    sent, expected = traffic(unit)
    checked = 0
    for gaps, stalls in product(PATTERNS, PATTERNS):
        received, went, _ = through_stream(unit, sent, len(sent), gaps, stalls)
        assert received == expected, (gaps, stalls)
        checked += len(went)
    assert checked == 9 * len(sent)


@pytest.mark.parametrize("latency", [0, 1, 3])
def test_a_stalled_stream_fills_all_its_stages(latency: int) -> None:
    dut = hwact.build("tanh", width=6, latency=latency).component()
    ready: list[int] = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.i.valid, 1)
        for _ in range(8):
            ready.append(ctx.get(dut.i.ready))
            await ctx.tick()

    simulate(dut, bench)
    assert ready == [1] * latency + [0] * (8 - latency)


def test_reset_drops_the_words_under_way() -> None:
    unit = hwact.build("tanh", width=6, latency=3)
    dut, reset = unit.component(), Signal()
    came: list[int] = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.o.ready, 1)
        for cycle, code in enumerate([-31, -30, -29, 20, *range(1, 9)]):
            ctx.set(reset, cycle == 2)
            ctx.set(dut.i.valid, cycle != 3)
            ctx.set(dut.i.payload, code)
            if ctx.get(dut.o.valid):
                came.append(ctx.get(dut.o.payload))
            await ctx.tick()

    simulate(ResetInserter(reset)(dut), bench)
    assert came == [int(code) for code in unit.evaluate(range(1, 6))]


@pytest.mark.parametrize(("latency", "lanes"), [(1, 1), (2, 1), (5, 1), (1, 3), (2, 3)])
def test_a_bare_unit_counts_enabled_edges(latency: int, lanes: int) -> None:
    options: dict[str, Any] = {"interface": "bare", "latency": latency, "lanes": lanes}
    unit = hwact.build("gelu", input_format="UQ2.4", output_format="SQ3.3", **options)
    sent, expected = traffic(unit)
    dut, span = unit.component(), 2 ** (unit.output_format.width * lanes)
    seen: list[int] = []

    async def bench(ctx: Any) -> None:
        enabled, edges = PATTERNS["random"](), 0
        while edges < len(sent) + latency:
            on = enabled(0)
            ctx.set(dut.ce, on)
            ctx.set(dut.x, sent[edges] if on and edges < len(sent) else 0)
            await ctx.tick()
            edges += on
            if edges >= latency and edges - latency < len(sent):
                assert ctx.get(dut.y) % span == expected[edges - latency], edges
                seen.append(edges)

    simulate(dut, bench)
    assert set(seen) == set(range(latency, len(sent) + latency))
    assert len(seen) > len(sent)


@pytest.mark.parametrize("lanes", [1, 3])
def test_a_combinational_bare_unit_follows_its_input(lanes: int) -> None:
    unit = hwact.build("gelu", width=6, interface="bare", latency=0, lanes=lanes)
    sent, expected = traffic(unit)
    dut, span = unit.component(), 2 ** (6 * lanes)
    came: list[int] = []

    async def bench(ctx: Any) -> None:
        for word in sent:
            ctx.set(dut.x, word)
            came.append(ctx.get(dut.y) % span)

    simulate(dut, bench)
    assert came == expected
    assert not hasattr(dut, "ce")


def test_components_are_fresh_and_of_amaranth() -> None:
    gelu = hwact.build("gelu", width=6)
    first, second = gelu.component(), gelu.component()
    assert isinstance(first, Component)
    assert first is not second
    assert Fragment.get(first, None) is not Fragment.get(second, None)
