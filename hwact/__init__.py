# SPDX-License-Identifier: Apache-2.0
"""Proven activation-function units in fixed-point hardware.

>>> import hwact
>>> unit = hwact.build("gelu", width=16)
>>> unit.evaluate([-4096, 0, 4096])  # codes of SQ4.12: -1, 0 and 1
"""

from hwact import functions, reference
from hwact.effort import build
from hwact.unit import Unit, from_manifest

__all__ = ["Unit", "build", "from_manifest", "functions", "reference"]
