# SPDX-License-Identifier: Apache-2.0
"""What the tests of requantising units share: units of both forms, and Verilog with a wrong constant."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

import hwact
from hwact import functions
from hwact.formats import Format
from hwact.requantise import RequantisingUnit, Scaled, Thresholds, build, channels
from hwact.unit import Unit

OUT = Format.parse("int6:0.2f:-20")
NORM: dict[str, Any] = {
    "gamma": [0.8, -1.3, 0.0],
    "beta": [0.1, -0.4, 0.7],
    "mean": [3.0, -0.5, 0.2],
    "variance": [0.37, 2.0, 1.0],
    "epsilon": 1e-5,
}
SCALE = np.array([2e-4, 2e-3, 1e-3])


def activation(function: str = "gelu", **options: Any) -> Unit:
    return hwact.build(
        function, input_format="int7:0.2:3", output_format=OUT, interface="bare", latency=0, **options
    )


def by_thresholds(**options: Any) -> RequantisingUnit:
    made = channels(SCALE, **NORM)
    return build(Thresholds.of(functions.get("gelu"), made, OUT), name="thresholds", **options)


def by_multiplier(**options: Any) -> RequantisingUnit:
    return build(Scaled.of(channels(SCALE, **NORM), activation()), name="multiplier", **options)


def single(**options: Any) -> RequantisingUnit:
    form = Thresholds.of(functions.get("relu"), channels(0.01), Format.parse("UQ4.0"))
    return build(form, name="single", **options)


def few_bits(count: int, **options: Any) -> RequantisingUnit:
    """Of accumulators so short that all input words can be sent."""
    made = channels(np.geomspace(0.01, 0.1, count))
    form = Thresholds.of(functions.get("gelu"), made, Format.parse("SQ3.2"), bits=10)
    return build(form, name="few_bits", **options)


UNITS: dict[str, Callable[..., RequantisingUnit]] = {
    "thresholds": by_thresholds,
    "multiplier": by_multiplier,
    "single": single,
}


def wrong_constants(text: str) -> list[str]:
    """The same Verilog with one bit wrong in the first row of each table; a large one."""
    made = []
    for found in re.finditer(r"^ +case .*\n.*'h(?P<digit>[0-9a-f])[0-9a-f]*;$", text, re.MULTILINE):
        place = found.start("digit")
        made.append(f"{text[:place]}{int(text[place], 16) ^ 1:x}{text[place + 1 :]}")
    return made
