# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Lite's table for int16 activations: 513 entries with linear interpolation.

Its kernels read entry ``256 + (x >> 7)`` and the one behind it, multiply their difference by the low 7 bits
of ``x``, add 64, shift right by 7 and add the lower entry; the difference is an int16 itself. Where its own
generator samples the function, and moves each entry by half the error at the middle, here all entries are
chosen together for the smallest largest error over all 65 536 codes.
"""

from __future__ import annotations

import json

import numpy as np

from hwact.export.fit import Chain
from hwact.export.source import Export, Source, require
from hwact.formats import Codes, Rounding

NAME = "tflite-int16"
WIDTH = 16
FRACTION_BITS = 7
ENTRIES = (1 << (WIDTH - FRACTION_BITS)) + 1
_INT16 = np.iinfo(np.int16)


def export(source: Source) -> Export:
    """The 513 entries, with the scales that the formats mean.

    Raises
    ------
    ArgumentError
        A format is not signed with 16 bits and the zero point 0, or the output wraps.
    """
    for given in source.formats:
        fits = given.signed and given.width == WIDTH and not given.zero_point
        require(NAME, "signed 16-bit formats such as SQ4.12, zero point 0", holds=fits, given=str(given))
    source.refuse_wrapping(NAME)
    table = entries(source)
    inside, outside = source.formats
    facts = {
        "lut": table.tolist(),
        "input": {"type": "int16", "scale": float(inside.ulp), "zero_point": 0, "format": str(inside)},
        "output": {"type": "int16", "scale": float(outside.ulp), "zero_point": 0, "format": str(outside)},
    }
    return Export(
        {f"{source.name}_tflite_int16.json": f"{json.dumps(facts, indent=2)}\n".encode()},
        f"{ENTRIES} int16 entries",
        "9 bits of index, 7 bits of interpolation",
        source.spec,
        lookup(table, inside.codes()),
    )


def entries(source: Source) -> Codes:
    """The table, shape (513,), int64."""
    codes = source.spec.input_format.codes()
    exact = source.spec.exact
    sampled = exact.rounded(Rounding.HALF_UP)[:: 1 << FRACTION_BITS]
    chain = Chain(
        size=ENTRIES,
        segment=_index(codes),
        position=codes & ((1 << FRACTION_BITS) - 1),
        exact=exact.floor / float(1 << exact.guard_bits),
        interpolate=_interpolate,
        low=_INT16.min,
        high=_INT16.max,
    )
    return chain.fitted(np.append(sampled, sampled[-1]))


def lookup(table: Codes, codes: Codes) -> Codes:
    """What TensorFlow Lite's kernel computes from a table."""
    index = _index(codes)
    return _interpolate(table[index], table[index + 1], codes & ((1 << FRACTION_BITS) - 1))


def _index(codes: Codes) -> Codes:
    return (codes >> FRACTION_BITS) - (_INT16.min >> FRACTION_BITS)


def _interpolate(lower: Codes, upper: Codes, offset: Codes) -> Codes:
    slope = _wrapped(upper - lower)
    return _wrapped(lower + ((slope * offset + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS))


def _wrapped(codes: Codes) -> Codes:
    return codes.astype(np.int16).astype(np.int64)
