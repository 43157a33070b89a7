# SPDX-License-Identifier: Apache-2.0
"""Yosys' passes from RTLIL to Verilog, as a process of its own: ``python -P yosys.py job.json``.

Yosys numbers its objects over the life of a process and orders statements by these numbers, so only a fresh
process gives the same text every time. The job holds ``source``, ``result``, ``name`` and ``ports``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

_FLAGS = sys.getdlopenflags()
from pyosys import libyosys as ys  # noqa: E402 - it leaves flags with which later libraries share their symbols

sys.setdlopenflags(_FLAGS)

_ARITHMETIC = ("$add", "$sub", "$mul", "$xor")
_INVERSION = "$not"
_COMPARISON = ("$lt", "$le", "$gt", "$ge", "$eq", "$ne")
INSTANCE, PLACE = "hwact_table", "_place"


def write_verilog(source: str, result: str, name: str, ports: Mapping[str, str]) -> None:
    """Clean a circuit up and write it as Verilog; tables stay as instances of ``INSTANCE``."""
    design = ys.Design()
    _run(design, f"read_rtlil {source}", "proc -noopt", "flatten -noscopeinfo")
    _run(design, "rename -hide w:*.* w:port__*")
    module = design.module(_identifier(name))
    _set_ports(module, ports)
    _set_tables_aside(module)
    _run(design, "delete m:* t:$meminit_v2", "setattr -unset init w:*", "opt_expr -keepdc")
    _run(design, "wreduce -keepdc", "opt_clean -purge", "opt_merge", "opt_dff w:*valid* %ci1:+[Q]")
    _run(design, "opt_dff -nosdff", "opt_clean -purge")
    _match_operand_widths(module)
    _run(design, f"write_verilog -noattr {result}")


def _run(design: ys.Design, *passes: str) -> None:
    for command in passes:
        ys.Pass.call(design, f"tee -q {command}")


def _identifier(name: str) -> ys.IdString:
    return ys.IdString("\\" + name)


def _set_ports(module: ys.Module, ports: Mapping[str, str]) -> None:
    """Give ports their contract names and order; a port without one (an unused reset) becomes a wire.

    Ports are plain vectors: operators on a signed port would change their meaning with it.
    """
    for port in list(module.ports):
        if port.str()[1:] not in ports.values():
            module.wire(port).port_input = False
    for verilog, amaranth in ports.items():
        if verilog != amaranth:
            module.rename(module.wire(_identifier(amaranth)), _identifier(verilog))
    for position, verilog in enumerate(ports, start=1):
        wire = module.wire(_identifier(verilog))
        wire.port_id, wire.is_signed = position, False
    module.fixup_ports()


def _set_tables_aside(module: ys.Module) -> None:
    """Put an instance in place of every table's read port, for :func:`_with_table` to find."""
    for cell in list(module.selected_cells()):
        if cell.type.str() != "$memrd_v2":
            continue
        memory = cell.getParam(_identifier("MEMID")).decode_string().lstrip("\\")
        address, data = cell.getPort(_identifier("ADDR")), cell.getPort(_identifier("DATA"))
        module.remove(cell)
        instance = module.addCell(_identifier(memory + PLACE), _identifier(INSTANCE))
        instance.setPort(_identifier("address"), address)
        instance.setPort(_identifier("data"), data)


def _match_operand_widths(module: ys.Module) -> None:
    """Extend operands to one width, that of the result where there is one, so that nothing is implicit."""
    for cell in list(module.selected_cells()):
        kind = cell.type.str()
        if kind == _INVERSION:
            _extend(cell, "A", _parameter(cell, "Y_WIDTH"))
        elif kind in _ARITHMETIC:
            for port in "AB":
                _extend(cell, port, _parameter(cell, "Y_WIDTH"))
                cell.setParam(_identifier(f"{port}_SIGNED"), ys.Const(0, 1))
        elif kind in _COMPARISON:
            widest = max(_parameter(cell, f"{port}_WIDTH") for port in "AB")
            for port in "AB":
                _extend(cell, port, widest)


def _extend(cell: ys.Cell, port: str, width: int) -> None:
    """Extend an operand, by its sign where it has one; or cut it."""
    bits = cell.getPort(_identifier(port))
    bits.extend_u0(width, _parameter(cell, f"{port}_SIGNED") == 1)
    cell.setPort(_identifier(port), bits)
    cell.setParam(_identifier(f"{port}_WIDTH"), ys.Const(width, 32))


def _parameter(cell: ys.Cell, name: str) -> int:
    return int(cell.getParam(_identifier(name)).as_int())


if __name__ == "__main__":
    write_verilog(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
