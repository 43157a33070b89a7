# SPDX-License-Identifier: Apache-2.0
"""The ports that a simulator saw in the module under test, read from what it built.

A bench finds signals by their names, so a wire inside the module would pass for a port that is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

_ICARUS_MODULE = (
    r'^S_\w+ \.scope module, "{top}" "{top}" \d+ \d+;\n(?: \.timescale .*\n)?'
    r"(?P<ports>(?: +\.port_info .*\n)*)"
)
_ICARUS_PORT = re.compile(r'\.port_info \d+ /(?P<direction>\w+) \d+ "(?P<name>.*)"')
_VERILATOR_PORT = re.compile(r"^ +VL_(?P<direction>INOUT|IN|OUT)\w*\(&?(?P<name>\w+),", re.MULTILINE)
_DIRECTIONS = {"IN": "input", "INPUT": "input", "OUT": "output", "OUTPUT": "output", "INOUT": "inout"}


def built_ports(simulator: str, folder: Path, top: str) -> dict[str, str]:
    """Directions of the top module's ports, by name; from the folder of a build."""
    if simulator == "icarus":
        pattern = re.compile(_ICARUS_MODULE.format(top=top), re.MULTILINE)
        found = pattern.search((folder / "sim.vvp").read_text(encoding="utf-8", errors="replace"))
        matches = _ICARUS_PORT.finditer(found["ports"] if found else "")
    else:
        matches = _VERILATOR_PORT.finditer((folder / "Vtop.h").read_text(encoding="utf-8"))
    return {match["name"]: _DIRECTIONS[match["direction"]] for match in matches}


def missing_ports(required: Mapping[str, str], built: Mapping[str, str]) -> Iterator[str]:
    """A line for each port that is not there, or has another direction."""
    for name, direction in required.items():
        if built.get(name) != direction:
            actual = f"an {built[name]}" if name in built else "none"
            yield f"the module must have an {direction} {name}, not {actual}"
