# SPDX-License-Identifier: Apache-2.0
"""Yosys' passes from RTLIL to Verilog, as a process of its own: ``python -P yosys.py job.json``.

Yosys numbers its objects over the life of a process and orders statements by these numbers, so only a fresh
process gives the same text every time. The job holds ``source``, ``result``, ``name`` and ``ports``, and
``facts``: a file that receives, as JSON, the tables and the names of the signals that are to be kept.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

_FLAGS = sys.getdlopenflags()
from pyosys import libyosys as ys  # noqa: E402 - it leaves flags with which later libraries share their symbols

sys.setdlopenflags(_FLAGS)

_LUT_INPUTS = ys.IdString("\\lut_inputs")
_KEEP = ys.IdString("\\keep")
_ARITHMETIC = ("$add", "$sub", "$mul", "$xor")
_INVERSION = "$not"
_COMPARISON = ("$lt", "$le", "$gt", "$ge", "$eq", "$ne")
INSTANCE, PLACE = "hwact_table", "_place"


def write_verilog(source: str, result: str, facts: str, name: str, ports: Mapping[str, str]) -> None:
    """Clean a circuit up and write it as Verilog; tables stay as instances of ``INSTANCE``."""
    design = ys.Design()
    _run(design, f"read_rtlil {source}", "proc -noopt", "flatten -noscopeinfo -separator _")
    _run(design, "rename -hide w:*port__*")
    module = design.module(_identifier(name))
    _set_ports(module, ports)
    _show_module(module, name)
    kept = [wire.name.str()[1:] for wire in module.selected_wires() if wire.get_bool_attribute(_KEEP)]
    tables = _set_tables_aside(module)
    Path(facts).write_text(json.dumps({"tables": tables, "kept": kept}), encoding="utf-8")
    _run(design, "setattr -unset keep w:*", "setattr -unset init w:*", "opt_expr -keepdc")
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


def _show_module(module: ys.Module, name: str) -> None:
    """Rename a signal that has the module's name and would hide it; a port keeps its contract name."""
    signal = module.wire(_identifier(name))
    if signal is not None and not signal.port_id:
        module.rename(signal, module.uniquify(_identifier(f"{name}_value")))


def _set_tables_aside(module: ys.Module) -> dict[str, tuple[int, list[int], int]]:
    """Put an instance in place of every table's read port; each table by name.

    A table is told by its width, its words, and its attribute ``lut_inputs``.

    A table is a memory that nothing writes, with one read port that has no clock. Other memories stay.
    """
    ports: dict[str, list[ys.Cell]] = {}
    for cell in module.selected_cells():
        if cell.type.str() in ("$memrd_v2", "$memwr_v2", "$meminit_v2"):
            memory = cell.getParam(_identifier("MEMID")).decode_string().lstrip("\\")
            ports.setdefault(memory, []).append(cell)
    tables = {}
    for memory, cells in ports.items():
        read, initial = ([c for c in cells if c.type.str() == f"$mem{kind}_v2"] for kind in ("rd", "init"))
        if len(cells) != 2 or len(read) != 1 or not initial or _parameter(read[0], "CLK_ENABLE"):
            continue
        attributes = module.memories[_identifier(memory)].attributes
        lut_inputs = attributes[_LUT_INPUTS].as_int() if _LUT_INPUTS in attributes else 0
        tables[memory] = _parameter(initial[0], "WIDTH"), _words(initial[0]), lut_inputs
        address, data = (read[0].getPort(_identifier(port)) for port in ("ADDR", "DATA"))
        for cell in cells:
            module.remove(cell)
        instance = module.addCell(_identifier(memory + PLACE), _identifier(INSTANCE))
        instance.setPort(_identifier("address"), address)
        instance.setPort(_identifier("data"), data)
        _run(module.design, f"delete m:{memory}")
    return tables


def _words(cell: ys.Cell) -> list[int]:
    """What a memory is initialised with."""
    width = _parameter(cell, "WIDTH")
    bits = cell.getPort(_identifier("DATA")).as_const().as_string()
    return [int(bits[end - width : end], 2) for end in range(len(bits), 0, -width)]


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
