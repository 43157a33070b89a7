# SPDX-License-Identifier: Apache-2.0
"""NVDLA's look-up tables of the single data point processor: both tables and their registers.

The input code is the stage's integer input, the output code what its converter puts out. Where the tables
lie is searched by the error of plain interpolation, then the entries are fitted for the smallest largest
error of the stage's own integer arithmetic, over all codes.
"""

from __future__ import annotations

import json
from typing import Any

from hwact.export import nvdla_fit, nvdla_search
from hwact.export.nvdla_sdp import INT16, Program, Table
from hwact.export.source import Export, Source, require

NAME = "nvdla-lut"

_EW_CFG = 0b0010010  # element-wise stage on, its adder and multiplier bypassed, its tables not


def export(source: Source) -> Export:
    """Tables and register values as JSON.

    Raises
    ------
    ArgumentError
        A format's codes do not fit 16 bits with sign, or the output wraps.
    """
    for given in source.formats:
        fits = given.min_code >= INT16.min and given.max_code <= INT16.max
        require(NAME, "formats whose codes fit an int16", holds=fits, given=str(given))
    source.refuse_wrapping(NAME)
    codes = source.spec.input_format.codes()
    programs = [nvdla_fit.program(source.spec, layout) for layout in nvdla_search.layouts(source.spec)]
    best = min(programs, key=lambda one: nvdla_fit.error(source.spec, one))
    formats = {key: str(given) for key, given in zip(("input", "output"), source.formats, strict=True)}
    facts = {**contents(best), "formats": formats}
    return Export(
        {f"{source.name}_nvdla_lut.json": f"{json.dumps(facts, indent=2)}\n".encode()},
        f"{best.le.ranges.entries} + {best.lo.ranges.entries} int16 entries, registers",
        "SDP: LE and LO tables interpolated, output converter",
        source.spec,
        best.codes(codes),
    )


def contents(program: Program) -> dict[str, Any]:
    """What NVDLA is programmed with: registers and tables."""
    return {
        "registers": registers(program),
        "le_table": program.le.entries.tolist(),
        "lo_table": program.lo.entries.tolist(),
    }


def registers(program: Program) -> dict[str, dict[str, Any]]:
    """Every register of the stage by its name: byte address in nvdlav1, value, and its fields."""
    le, lo, priorities = program.le, program.lo, program.priorities
    return {
        "SDP_S_LUT_CFG": _register(
            0xB010,
            LUT_LE_FUNCTION=(0, 1, 1),
            LUT_UFLOW_PRIORITY=(4, 1, priorities.underflow),
            LUT_OFLOW_PRIORITY=(5, 1, priorities.overflow),
            LUT_HYBRID_PRIORITY=(6, 1, priorities.hybrid),
        ),
        "SDP_S_LUT_INFO": _register(
            0xB014,
            LUT_LE_INDEX_OFFSET=(0, 8, 0),
            LUT_LE_INDEX_SELECT=(8, 8, le.ranges.select),
            LUT_LO_INDEX_SELECT=(16, 8, lo.ranges.select),
        ),
        "SDP_S_LUT_LE_START": _register(0xB018, LUT_LE_START=(0, 32, le.ranges.start)),
        "SDP_S_LUT_LE_END": _register(0xB01C, LUT_LE_END=(0, 32, le.ranges.end)),
        "SDP_S_LUT_LO_START": _register(0xB020, LUT_LO_START=(0, 32, lo.ranges.start)),
        "SDP_S_LUT_LO_END": _register(0xB024, LUT_LO_END=(0, 32, lo.ranges.end)),
        "SDP_S_LUT_LE_SLOPE_SCALE": _scales(0xB028, "LE", le),
        "SDP_S_LUT_LE_SLOPE_SHIFT": _shifts(0xB02C, "LE", le),
        "SDP_S_LUT_LO_SLOPE_SCALE": _scales(0xB030, "LO", lo),
        "SDP_S_LUT_LO_SLOPE_SHIFT": _shifts(0xB034, "LO", lo),
        "SDP_D_DP_EW_CFG": {"address": "0xb080", "value": f"{_EW_CFG:#010x}"},
        "SDP_D_CVT_OFFSET": _register(0xB0C0, CVT_OFFSET=(0, 32, program.converter.offset)),
        "SDP_D_CVT_SCALE": _register(0xB0C4, CVT_SCALE=(0, 16, 1)),
        "SDP_D_CVT_SHIFT": _register(0xB0C8, CVT_SHIFT=(0, 6, program.converter.shift)),
    }


def _scales(address: int, name: str, table: Table) -> dict[str, Any]:
    fields = {
        f"LUT_{name}_SLOPE_UFLOW_SCALE": (0, 16, table.underflow.scale),
        f"LUT_{name}_SLOPE_OFLOW_SCALE": (16, 16, table.overflow.scale),
    }
    return _register(address, **fields)


def _shifts(address: int, name: str, table: Table) -> dict[str, Any]:
    fields = {
        f"LUT_{name}_SLOPE_UFLOW_SHIFT": (0, 5, table.underflow.shift),
        f"LUT_{name}_SLOPE_OFLOW_SHIFT": (5, 5, table.overflow.shift),
    }
    return _register(address, **fields)


def _register(address: int, **fields: tuple[int, int, int]) -> dict[str, Any]:
    """A register from its fields, each as lowest bit, width and value."""
    value = sum((int(given) & ((1 << width) - 1)) << low for low, width, given in fields.values())
    return {
        "address": f"{address:#06x}",
        "value": f"{value:#010x}",
        "fields": {name: int(given) for name, (_, _, given) in fields.items()},
    }
