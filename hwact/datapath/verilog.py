# SPDX-License-Identifier: Apache-2.0
"""Amaranth to readable Verilog-2001, through Yosys' own passes in a process of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from amaranth.back import rtlil
from amaranth.lib.wiring import Component

from hwact.datapath import yosys
from hwact.datapath.network import Network, network
from hwact.errors import ToolError

_WAIVER = (
    "  /* verilator lint_off UNUSEDSIGNAL */  // {reason}\n"
    "{declaration}"
    "  /* verilator lint_on UNUSEDSIGNAL */\n"
)
_DROPPED = "bits of an exact result that rounding or truncation drops"
_UNREAD = "bits on which the output does not depend"
_DECLARATION = re.compile(
    r"^  (?:input|wire|reg|output)[^;\n]*?(?:\[(?P<high>\d+):0\] )?(?P<name>\w+);\n", re.MULTILINE
)


# Words of a `case` statement; more of them have a wire for their address. Of such a statement Verilator makes
# a table; of one that reads other signals, nested branches.
_BRANCHES = 1 << 8


class Table(NamedTuple):
    """A read-only table: the width of its words in bits, and the words as bits, from address 0.

    It becomes a network of look-up tables of ``lut_inputs`` inputs; for 0, a ``case`` statement.
    """

    width: int
    words: Sequence[int]
    lut_inputs: int


def convert(component: Component, name: str, ports: Mapping[str, str]) -> str:
    """The Verilog of a component and its submodules, as one flat module.

    A memory that nothing writes, with one read port that has no clock, becomes a ``case`` statement: Yosys
    would write an ``initial`` block, which synthesis for silicon ignores. Other memories stay what they are.
    Signals with the attribute ``keep`` have it.

    Parameters
    ----------
    component : Component
    name : str
        Of the Verilog module.
    ports : mapping of str to str
        Verilog port names, in order, to the names that Amaranth gives those signals.
    """
    rtl = rtlil.convert(component, name=name, emit_src=False)
    with tempfile.TemporaryDirectory() as folder:
        source, result, facts, job = (
            Path(folder, file) for file in ("unit.il", "unit.v", "facts.json", "job.json")
        )
        source.write_text(rtl)
        places = {"source": str(source), "result": str(result), "facts": str(facts)}
        job.write_text(json.dumps({**places, "name": name, "ports": dict(ports)}))
        command = [sys.executable, "-P", yosys.__file__, str(job)]  # without hwact, whose import takes longer
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            raise ToolError(f"Yosys must accept hwact's own circuit, not fail: {run.stderr[-500:]}")
        text, found = result.read_text(), json.loads(facts.read_text())
    tables = {memory: Table(*table) for memory, table in found["tables"].items()}
    return _finished(text, tables, found["kept"])


def _finished(text: str, tables: Mapping[str, Table], kept: Sequence[str]) -> str:
    """Drop the tool's version line and its double declarations, put the tables in, add waivers."""
    text = re.sub(r"\A/\*.*?\*/\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"^(  (?:in|out)put (.*);\n)  wire \2;\n", r"\1", text, flags=re.MULTILINE)
    text = re.sub(r"^  output (.*);\n  reg \1;\n", r"  output reg \1;\n", text, flags=re.MULTILINE)
    text = re.sub(r"\b(\w+\[\d+\])(?:, \1)+", _replicated, text)
    text = re.sub(r"= ! (?=\S)", "= ~| ", text)
    for memory, table in tables.items():
        text = _with_table(text, memory, table)
    used = _used_bits(text)
    text = _DECLARATION.sub(lambda found: _waived(found, used), text)
    return _with_kept(text, kept)


def _with_kept(text: str, kept: Sequence[str]) -> str:
    """Mark wires that synthesis is asked to leave as they are; one that a pass removed is not missed.

    They come before the others: ABC then finds up to a fifth less logic between them.
    """
    off, on = (rf"  /\* verilator lint_{end} [^\n]*\n" for end in ("off", "on"))
    first = re.search(rf"^({off})?  (wire|reg) ", text, re.MULTILINE)
    marked: list[str] = []
    for signal in kept:
        declaration = rf"^({off})?  (wire (?:\[\d+:0\] )?{signal};\n)((?(1){on}))"
        if found := re.search(declaration, text, re.MULTILINE):
            text = text.replace(found[0], "")
            marked.append(f"{found[1] or ''}  (* keep *) {found[2]}{found[3]}")
    return text[: first.start()] + "".join(marked) + text[first.start() :] if first and marked else text


def _replicated(found: re.Match[str]) -> str:
    return f"{{{found[0].count(',') + 1}{{{found[1]}}}}}"


def _waived(found: re.Match[str], used: Mapping[str, set[int]]) -> str:
    """A declaration, between waivers where some bits of it, or none of an input's, are read."""
    bits = used[found["name"]]
    is_input = found[0].startswith("  input ")
    if len(bits) > int(found["high"] or 0) or not (bits or is_input):
        return found[0]
    return _WAIVER.format(declaration=found[0], reason=_UNREAD if is_input else _DROPPED)


def _used_bits(text: str) -> dict[str, set[int]]:
    """The bits of every signal that some expression reads; all of an output's."""
    widths = {found["name"]: int(found["high"] or 0) + 1 for found in _DECLARATION.finditer(text)}
    used: dict[str, set[int]] = {name: set() for name in widths}
    body = re.sub(r"^  (?:input|output|wire|reg) .*$|^module.*$", "", text, flags=re.MULTILINE)
    read = re.sub(r"^  assign [^=]*=|(?<=[ )])\w+(\[[\d:]+\])? <?= ", " ", body, flags=re.MULTILINE)
    for name, high, low in re.findall(r"(?<![\w'\\])([A-Za-z_]\w*)(?:\[(\d+)(?::(\d+))?\])?", read):
        if name in used:
            bits = range(int(low or high), int(high) + 1) if high else range(widths[name])
            used[name].update(bits)
    for name in re.findall(r"^  output.*?(\w+);", text, re.MULTILINE):
        used[name] = set(range(widths[name]))
    return used


def _with_table(text: str, memory: str, table: Table) -> str:
    """Replace a table's instance by its network, or by a ``case`` statement.

    The latter drives the wire that the instance drove, or a register of its own where that is part of a port.
    """
    instance = rf"  {yosys.INSTANCE} {memory}{yosys.PLACE} \(\n"
    found = re.search(
        instance + r"    \.address\((?P<address>.*)\),\n    \.data\((?P<data>.*)\)\n  \);\n", text
    )
    if found is None:  # nothing reads the table
        assert f"{memory}{yosys.PLACE}" not in text, memory
        return text
    if table.lut_inputs:
        cells = network(tuple(table.words), table.width, table.lut_inputs)
        return text.replace(found[0], _network(cells, found["address"], found["data"], memory))
    data, bits = found["data"], f"[{table.width - 1}:0] " * (table.width > 1)
    if f"  wire {bits}{data};\n" in text:
        text = text.replace(f"  wire {bits}{data};\n", f"  reg {bits}{data};\n")
        return text.replace(found[0], _case(table, found["address"], data))
    register = f"{memory}_word"
    case = f"  assign {data} = {register};\n" + _case(table, found["address"], register)
    first = re.search(r"^  (?:wire|reg|assign|always) ", text.replace(found[0], case), re.MULTILINE)
    assert first is not None
    text = text.replace(found[0], case)
    return f"{text[: first.start()]}  reg {bits}{register};\n{text[first.start() :]}"


def _network(network: Network, address: str, data: str, name: str) -> str:
    """A wire for each cell."""
    names = [f"{name}_address[{bit}]" for bit in range(network.inputs)]
    names += [f"{name}_lut{number}" for number in range(len(network.cells))]
    lines = [f"  wire [{network.inputs - 1}:0] {name}_address;"]
    lines += [f"  wire {wire};" for wire in names[network.inputs :]]
    lines += [f"  assign {name}_address = {address};"]
    for wire, cell in zip(names[network.inputs :], network.cells, strict=True):
        logic = _logic(cell.function, [names[operand] for operand in cell.operands])
        lines.append(f"  assign {wire} = {logic};")
    outputs = ", ".join(names[output] for output in reversed(network.outputs))
    return "".join(f"{line}\n" for line in [*lines, f"  assign {data} = {{ {outputs} }};"])


def _logic(function: int, operands: Sequence[str]) -> str:
    """A function, given by its output for each value of the operands, as an expression."""
    if not operands:
        return f"1'b{function}"
    *lower, top = operands
    half = 1 << len(lower)
    ones = (1 << half) - 1
    zero, one = function & ones, function >> half
    if zero == one:
        return _logic(zero, lower)
    if zero == one ^ ones:
        rest = _logic(zero, lower)
        return {"1'b0": top, "1'b1": f"~{top}"}.get(rest, f"({top} ^ {rest})")
    match zero, one:
        case 0, _:
            return f"({top} & {_logic(one, lower)})"
        case _, 0:
            return f"(~{top} & {_logic(zero, lower)})"
        case _ if one == ones:
            return f"({top} | {_logic(zero, lower)})"
        case _ if zero == ones:
            return f"(~{top} | {_logic(one, lower)})"
    return f"({top} ? {_logic(one, lower)} : {_logic(zero, lower)})"


def _case(table: Table, address: str, data: str) -> str:
    bits = max(1, (len(table.words) - 1).bit_length())
    digits = (bits + 3) // 4, (table.width + 3) // 4
    word = f"{table.width}'h{{:0{digits[1]}x}}".format
    rows = [f"{bits}'h{row:0{digits[0]}x}: {data} = {word(bits_)};" for row, bits_ in enumerate(table.words)]
    lines = "".join(f"      {row}\n" for row in [*rows, f"default: {data} = {word(0)};"])
    wire = ""
    if len(table.words) > _BRANCHES:
        wire = f"  wire [{bits - 1}:0] {data}_address;\n  assign {data}_address = {address};\n"
        address = f"{data}_address"
    return f"{wire}  always @*\n    case ({address})\n{lines}    endcase\n"
