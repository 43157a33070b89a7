# SPDX-License-Identifier: Apache-2.0
"""Requantisation as a datapath: an accumulator and its channel in one word, an output code out.

The accumulator is in the low bits of the word, in two's complement, the channel above it. The constants of
all channels are tables that the channel addresses; a channel beyond the last is as the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwact.datapath import graph as g
from hwact.datapath.forms import divided_table
from hwact.datapath.rewrite import fed_by
from hwact.formats import Codes, Format, round_shift
from hwact.requantise.multiplier import Requantiser
from hwact.requantise.thresholds import Thresholds

_TABLE_BITS = 16  # Verilator nests a `case` statement of more as deep as it has words, and ends in a crash


def word_format(bits: int, channels: int) -> Format:
    """The format of the input words: the accumulator alone where there is one channel."""
    width = bits + (channels - 1).bit_length()
    return Format(channels == 1, width, 0)


@dataclass(frozen=True)
class _Word:
    """The input and its fields; no channel where there is one alone."""

    x: g.Input
    accumulator: g.Node
    channel: g.Node | None

    @classmethod
    def of(cls, bits: int, channels: int) -> _Word:
        x = g.Input.of(word_format(bits, channels))
        if channels == 1:
            return cls(x, x, None)
        channel = x.bits(bits, (channels - 1).bit_length()).named("channel")
        return cls(x, x.bits(0, bits, signed=True).named("accumulator"), channel)

    def each(self, rows: Sequence[tuple[int, ...]], index: g.Node | None = None, name: str = "") -> g.Node:
        """A table with a row for each channel, addressed by the channel and an index into the row."""
        bits = (len(rows[0]) - 1).bit_length()
        if self.channel is None:
            address = index
        else:
            rows = [*rows, *[rows[-1]] * ((1 << self.channel.width) - len(rows))]
            address = self.channel if index is None else self.channel.concat(index, bits)
        words = tuple(word for row in rows for word in row)
        return g.as_node(words[0]) if address is None else divided_table(address, words, _TABLE_BITS, name)


def comparisons(form: Thresholds) -> g.Datapath:
    """A binary search among the starts: one comparison for each bit of the place, then a table of codes."""
    word = _Word.of(form.bits, len(form.starts))
    levels = (max(map(len, form.starts)) - 1).bit_length()
    last = (1 << (form.bits - 1)) - 1
    starts = [_filled(row, last, 1 << levels) for row in form.starts]
    place: g.Node | None = None
    for level in range(levels):
        step = 1 << (levels - level)
        rows = [row[step // 2 :: step] for row in starts]
        reached = word.accumulator.at_least(word.each(rows, place, f"start_{level}"))
        place = (reached if place is None else place.concat(reached, 1)).named(f"place_{level}")
    codes = [_filled(row, int(row[-1]), 1 << levels) for row in form.codes]
    return g.Datapath(word.x, word.each(codes, place, "result"))


def _filled(row: Codes, end: int, length: int) -> tuple[int, ...]:
    return *map(int, row), *[end] * (length - len(row))


def multiplied(stage: Requantiser, activation: g.Datapath) -> g.Datapath:
    """Multiply, add, shift, round and saturate, then the activation.

    The channels' shifts are one fixed shift and a rest, by which the sum is shifted first; whether bits
    that were lost there had ones is kept in a bit below, for the rounding.
    """
    word = _Word.of(stage.bits, len(stage.shifts))
    fixed = max(1, min(stage.shifts))
    doubled = [max(0, fixed - shift) for shift in stage.shifts]
    multiplier = word.each([(m << up,) for m, up in zip(stage.multipliers, doubled, strict=True)])
    total = word.accumulator * multiplier.named("multiplier")
    if any(stage.biases):
        bias = word.each([(b << up,) for b, up in zip(stage.biases, doubled, strict=True)])
        total = total + bias.named("bias")
    total = total.named("total")
    rest = [max(0, shift - fixed) for shift in stage.shifts]
    if any(rest):
        total = _shifted(total << 1, word.each([(amount,) for amount in rest]).named("rest"), max(rest))
        fixed += 1
    steps = total.round_shift(fixed, stage.rounding).known(*_reach(stage)).named("steps")
    target = stage.output_format
    code = steps + target.zero_point if target.zero_point else steps
    code = code.saturate(target.min_code, target.max_code).named("code")
    return g.Datapath(word.x, fed_by(activation, code))


def _shifted(node: g.Node, amount: g.Node, most: int) -> g.Node:
    """Shift right by an amount; the lowest bit stays 1 where it, or a bit that was lost, was 1."""
    for bit in range(most.bit_length()):
        places = 1 << bit
        some = node.bits(0, places + 1).at_least(1)
        node = amount.bits(bit, 1).select((node >> (places + 1)).concat(some, 1), node)
    return node


def _reach(stage: Requantiser) -> tuple[int, int]:
    """The least and the largest step before clamping, over all accumulators of all channels."""
    ends = [
        round_shift(multiplier * accumulator + bias, shift, stage.rounding)
        for multiplier, bias, shift in zip(stage.multipliers, stage.biases, stage.shifts, strict=True)
        for accumulator in (-(1 << (stage.bits - 1)), (1 << (stage.bits - 1)) - 1)
    ]
    return min(ends), max(ends)
