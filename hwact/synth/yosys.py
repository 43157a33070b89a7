# SPDX-License-Identifier: Apache-2.0
"""Yosys' commands, as a process of its own: ``python hwact/synth/yosys.py commands.json``.

Yosys numbers its objects over the life of a process, and ABC's result depends on these numbers, so only a
fresh process gives the same netlist every time.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pyosys import libyosys as ys

if __name__ == "__main__":
    design = ys.Design()
    for command in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        ys.Pass.call(design, command)
