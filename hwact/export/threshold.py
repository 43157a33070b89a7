# SPDX-License-Identifier: Apache-2.0
"""QONNX's and FINN's MultiThreshold: the output counts the thresholds that the input has reached.

The operator computes ``out_scale * (number of thresholds T with x >= T) + out_bias``. Here ``x`` is the
input code, and the result is the output code.
"""

from __future__ import annotations

import json

import numpy as np

from hwact.errors import ArgumentError
from hwact.export.npy import array
from hwact.export.source import Export, Source
from hwact.formats import Codes, Format

NAME = "threshold"


def export(source: Source) -> Export:
    """Thresholds in ascending order, equal ones where the output moves by more than one code.

    Raises
    ------
    ArgumentError
        The output rises at one code and falls at another.
    """
    source.table()  # its limit on the width also keeps every threshold a float32, as QONNX holds it
    scale = _direction(source)
    codes = source.codes
    counts = scale * np.diff(codes)
    inputs = source.spec.input_format.codes()
    thresholds = np.repeat(inputs[1:], counts)[np.newaxis].astype(np.float32)
    facts = {
        "op_type": "MultiThreshold",
        "domain": "qonnx.custom_op.general",
        "attributes": {
            "out_dtype": _data_type(codes, source.spec.output_format),
            "out_scale": float(scale),
            "out_bias": float(codes[0]),
        },
        "input_dtype": _data_type(inputs, source.spec.input_format),
        "thresholds": f"{source.name}_thresholds.npy",
        "input_format": str(source.spec.input_format),
        "output_format": str(source.spec.output_format),
    }
    return Export(
        {
            f"{source.name}_thresholds.npy": array(thresholds),
            f"{source.name}_threshold.json": f"{json.dumps(facts, indent=2)}\n".encode(),
        },
        f"{thresholds.size} thresholds",
        f"{scale:+d} for each threshold reached, {int(codes[0])} at first",
        source.spec,
        codes,
    )


def _direction(source: Source) -> int:
    """1 where the output never falls, -1 where it never rises."""
    steps = np.diff(source.codes)
    falls, rises = np.flatnonzero(steps < 0), np.flatnonzero(steps > 0)
    if falls.size and rises.size:
        first = source.spec.input_format.min_code
        raise ArgumentError(
            f"{NAME} must be given a function that never falls or never rises, not {source.name!r}, which "
            f"falls between the input codes {first + falls[0]} and {first + falls[0] + 1} and rises between "
            f"{first + rises[0]} and {first + rises[0] + 1}; choose coe, mem or npy"
        )
    return -1 if falls.size else 1


def _data_type(codes: Codes, given: Format) -> str:
    """QONNX's name of the integers that a format holds; unsigned where no code is negative.

    FINN takes a signed output only with a bias below 0.
    """
    unsigned = int(codes.min()) >= 0
    return f"UINT{max(1, given.width - given.signed)}" if unsigned else f"INT{given.width}"
