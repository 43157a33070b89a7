# SPDX-License-Identifier: Apache-2.0
"""A unit's component inside another Amaranth design: both converters, simulated on all codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from amaranth.back import verilog
from amaranth.hdl import ClockDomain, Module
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

import hwact
from hwact.datapath.verilog import convert
from hwact.unit import Unit
from tests.verifying import failing, flip_table_bit, prove

PORTS = ("clk", "rst", "i_data", "i_valid", "i_ready", "o_data", "o_valid", "o_ready")
PYOSYS = """
import sys
from pyosys import libyosys as ys
ys.Pass.call(ys.Design(), f"tee -q script {sys.argv[1]}")
"""


class Outer(Component):
    """A design with the ports of a unit, whose work a unit in a module within it does; it counts words."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        inside, outside = unit.input_format.width, unit.output_format.width
        ports = {"clk": In(1), "rst": In(1), "i_data": In(inside), "i_valid": In(1), "i_ready": Out(1)}
        ports |= {"o_data": Out(outside), "o_valid": Out(1), "o_ready": In(1), "count": Out(4)}
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m, middle = Module(), Module()
        m.domains.sync = sync = ClockDomain(local=True)
        m.submodules.middle = middle
        middle.submodules.activation = unit = self.unit.component()
        m.d.comb += [
            sync.clk.eq(self.clk),
            sync.rst.eq(self.rst),
            unit.i.payload.eq(self.i_data),
            unit.i.valid.eq(self.i_valid),
            self.i_ready.eq(unit.i.ready),
            self.o_data.eq(unit.o.payload),
            self.o_valid.eq(unit.o.valid),
            unit.o.ready.eq(self.o_ready),
        ]
        m.submodules.words = words = Memory(shape=4, depth=2, init=[0, 0])  # one that is written
        write, read = words.write_port(), words.read_port(domain="comb")
        m.d.comb += [self.count.eq(read.data), write.data.eq(read.data + 1)]
        m.d.comb += write.en.eq(self.i_valid & self.i_ready)
        return m


def by_hwact(unit: Unit, _: Path) -> str:
    return convert(Outer(unit), unit.name, {port: port for port in (*PORTS, "count")})


def by_amaranth(unit: Unit, folder: Path) -> str:
    """Amaranth's own back end, with the Yosys that hwact has."""

    class Yosys:
        @staticmethod
        def run(_: object, script: str, **__: object) -> str:
            path, result = folder / "script.ys", folder / "result.v"
            path.write_text(f"{script.rstrip()} {result}\n", encoding="utf-8")
            subprocess.run([sys.executable, "-c", PYOSYS, path], check=True, cwd=folder)
            return result.read_text(encoding="utf-8")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verilog, "find_yosys", lambda _: Yosys)
        return verilog.convert(Outer(unit), name=unit.name)


@pytest.mark.parametrize("by", [by_hwact, by_amaranth])
@pytest.mark.parametrize("architecture", ["table", "rows"])
def test_a_unit_in_a_submodule_computes_every_code(by: Any, architecture: str, tmp_path: Path) -> None:
    unit = hwact.build("swish", width=9, accuracy="faithful", architecture=architecture, latency=2)
    bundle = unit.write(tmp_path)
    text = by(unit, tmp_path)
    assert ("keep" in text) == (architecture == "rows")
    path = tmp_path / "outer.v"
    path.write_text(text, encoding="utf-8")
    report = prove(bundle, verilog=path)
    assert not report.failures
    assert report.codes_checked > 512 * 9


def test_a_wrong_table_in_a_submodule_is_seen(tmp_path: Path) -> None:
    unit = hwact.build("gelu", width=8, architecture="table", target="ecp5")
    bundle = unit.write(tmp_path)
    path = tmp_path / "outer.v"
    path.write_text(flip_table_bit(by_hwact(unit, tmp_path), 0x25), encoding="utf-8")
    assert "in_order" in failing(prove(bundle, verilog=path))


def test_tables_become_cases_and_written_memories_stay() -> None:
    text = by_hwact(hwact.build("gelu", width=8, architecture="table", target="ecp5"), Path())
    assert text.count("case (") == 1
    assert "reg [3:0] words [1:0];" in text
    assert "middle_activation_value" in text


def test_two_units_side_by_side_have_tables_of_their_own() -> None:
    options: dict[str, Any] = {"width": 8, "architecture": "table", "target": "ecp5"}
    units = [hwact.build(name, **options) for name in ("gelu", "swish", "gelu")]

    class Both(Component):
        def __init__(self) -> None:
            super().__init__({"x": In(8), "y": Out(24)})

        def elaborate(self, platform: object) -> Module:
            m = Module()
            for place, unit in enumerate(units):
                m.submodules[f"unit{place}"] = component = unit.component()
                m.d.comb += [component.i.payload.eq(self.x), component.i.valid.eq(1), component.o.ready.eq(1)]
                m.d.comb += self.y.word_select(place, 8).eq(component.o.payload)
            return m

    text = convert(Both(), "both", {"clk": "clk", "rst": "rst", "x": "x", "y": "y"})
    assert text.count("case (") == 3
