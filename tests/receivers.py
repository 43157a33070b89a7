# SPDX-License-Identifier: Apache-2.0
"""What the receivers of exported files compute, written from their formats' rules; nothing of hwact is used.

One code at a time, in Python's integers.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any

import numpy as np

Receiver = Callable[[int], int]


def coe(path: Path, width: int) -> list[int]:
    """AMD's COE: two statements that semicolons end, a radix and a vector with commas between its words."""
    radix, vector, rest = path.read_text(encoding="ascii").split(";")
    assert rest.strip() == ""
    (base,) = re.fullmatch(r"\s*memory_initialization_radix\s*=\s*(2|10|16)\s*", radix).groups()  # type: ignore[union-attr]
    (words,) = re.fullmatch(r"\s*memory_initialization_vector\s*=\s*([^=]*)", vector).groups()  # type: ignore[union-attr]
    found = [int(word, int(base)) for word in words.split(",")]
    assert max(found) < 1 << width
    return found


def multi_threshold(folder: Path, name: str) -> Receiver:
    """QONNX's MultiThreshold: out_scale * (number of thresholds that x is not below) + out_bias."""
    facts = json.loads((folder / f"{name}_threshold.json").read_text(encoding="utf-8"))
    thresholds = np.load(folder / facts["thresholds"])
    assert thresholds.dtype == np.float32
    assert thresholds.shape[0] == 1  # one row: the same thresholds for every channel
    row = [float(threshold) for threshold in thresholds[0]]
    assert row == sorted(row)  # so that FINN's binary search counts what QONNX counts
    attributes = facts["attributes"]
    low, high = _data_type(attributes["out_dtype"])

    def compute(x: int) -> int:
        result = attributes["out_scale"] * bisect_right(row, x) + attributes["out_bias"]
        assert low <= result <= high
        return int(result)

    return compute


def _data_type(name: str) -> tuple[int, int]:
    sign, bits = re.fullmatch(r"(U?)INT(\d+)", name).groups()  # type: ignore[union-attr]
    return (0, 2 ** int(bits) - 1) if sign else (-(2 ** (int(bits) - 1)), 2 ** (int(bits) - 1) - 1)


def tflite(path: Path) -> Receiver:
    """TensorFlow Lite's LUTLookup for int16."""
    lut = json.loads(path.read_text(encoding="utf-8"))["lut"]
    assert len(lut) == 513
    assert all(-32768 <= entry <= 32767 for entry in lut)

    def compute(value: int) -> int:
        index, offset = divmod(value + 32768, 128)
        base, slope = lut[index], _int16(lut[index + 1] - lut[index])
        return _int16(base + (slope * offset + 64) // 128)

    return compute


def _int16(value: int) -> int:
    return (value + 32768) % 65536 - 32768


def _nearest(value: Fraction) -> int:
    """To the nearest integer, ties away from zero."""
    return floor(value + Fraction(1, 2)) if value >= 0 else -floor(-value + Fraction(1, 2))


def nvdla(path: Path) -> Receiver:
    """NVDLA's look-up stage with the registers' values; both tables linear, ALU and multiplier bypassed."""
    facts = json.loads(path.read_text(encoding="utf-8"))
    words = {int(one["address"], 16): int(one["value"], 16) for one in facts["registers"].values()}
    field = _fields(words)
    tables = facts["le_table"], facts["lo_table"]
    assert [len(table) for table in tables] == [65, 257]
    assert all(-32768 <= entry <= 32767 for table in tables for entry in table)
    assert field(0xB010, 0, 1) == 1  # LE is linear
    assert field(0xB080, 0, 7) == 0b0010010  # element-wise stage and look-up on, ALU and multiplier off
    starts = field(0xB018, 0, 32, True), field(0xB020, 0, 32, True)
    ends = field(0xB01C, 0, 32, True), field(0xB024, 0, 32, True)
    selects = field(0xB014, 8, 8, True), field(0xB014, 16, 8, True)
    scales = [[field(at, low, 16, True) for low in (0, 16)] for at in (0xB028, 0xB030)]
    shifts = [[field(at, low, 5, True) for low in (0, 5)] for at in (0xB02C, 0xB034)]
    underflow, overflow, hybrid = (field(0xB010, bit, 1) for bit in (4, 5, 6))
    offset, scale, shift = field(0xB0C0, 0, 32, True), field(0xB0C4, 0, 16, True), field(0xB0C8, 0, 6)

    def flow(x: int, which: int) -> int:
        """-1, 0 or 1: below, in or beyond a table."""
        if x <= starts[which]:
            return -1
        return int((x - starts[which]) >> selects[which] >= len(tables[which]) - 1)

    def value(x: int, which: int) -> int:
        table, side = tables[which], flow(x, which)
        if side:
            anchor = starts[which] if side < 0 else ends[which]
            right = shifts[which][side > 0]
            line = Fraction((x - anchor) * scales[which][side > 0]) / Fraction(2) ** right
            return table[0 if side < 0 else -1] + _nearest(line)
        index, rest = divmod(x - starts[which], 1 << selects[which])
        part = Fraction(rest, 1 << selects[which])
        return _nearest(table[index] * (1 - part) + table[index + 1] * part)

    def compute(x: int) -> int:
        le, lo = flow(x, 0), flow(x, 1)
        if le == lo == -1:
            which = underflow
        elif le == lo == 1:
            which = overflow
        elif (le == 0) == (lo == 0):
            which = hybrid
        else:
            which = int(lo == 0)
        converted = _nearest(Fraction((value(x, which) - offset) * scale, 1 << shift))
        return max(-32768, min(32767, converted))

    return compute


def _fields(words: dict[int, int]) -> Callable[..., int]:
    """Bits of registers by address, lowest bit and width; signed where asked."""

    def field(address: int, low: int, width: int, signed: bool = False) -> int:
        bits = words[address] >> low & ((1 << width) - 1)
        return bits - (1 << width) if signed and bits >> (width - 1) else bits

    return field


def all_codes(receiver: Receiver, low: int, high: int) -> np.ndarray[Any, Any]:
    """A receiver's outputs for all codes from `low` to `high`."""
    return np.array([receiver(code) for code in range(low, high + 1)])
