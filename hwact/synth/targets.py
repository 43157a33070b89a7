# SPDX-License-Identifier: Apache-2.0
"""What can be synthesised for: Yosys' flows, and what their cells are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from hwact.errors import ArgumentError


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device for place and route.

    Parameters
    ----------
    arguments : tuple of str
        Of nextpnr.
    luts, dsps, block_rams : int
        Look-up tables, DSP blocks and memory blocks that it has.
    """

    arguments: tuple[str, ...]
    luts: int
    dsps: int
    block_rams: int


@dataclass(frozen=True, kw_only=True)
class SynthTarget:
    """A synthesis target.

    Parameters
    ----------
    name : str
        Name on the command line.
    title : str
        Name in tables and plots.
    area_unit : str
        What the area of a record counts; with a Liberty file, its own unit.
    flow : str
        Yosys' command, without ``-top``; empty for standard cells, which take several.
    without_dsp, without_ram : str
        Options that keep it from using DSP blocks and memory blocks.
    with_dsp : str
        Option that lets it use DSP blocks, where they are not the default.
    cells : mapping of str to pattern
        Which cells a record counts under which key; every cell must match one of them.
    clocked : tuple of str
        Cells between which paths lie, as Yosys' patterns.
    area_of : mapping of str to int
        Area of one cell of a kind; others have none.
    place : str
        Name of the nextpnr that places it; empty where there is none.
    devices : tuple of Device
        The first that suffices is taken.
    """

    name: str
    title: str
    area_unit: str
    flow: str = ""
    without_dsp: str = ""
    without_ram: str = ""
    with_dsp: str = ""
    cells: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    clocked: tuple[str, ...] = ()
    area_of: Mapping[str, int] = field(default_factory=dict)
    place: str = ""
    devices: tuple[Device, ...] = ()

    def command(self, top: str, *, dsp: bool, ram: bool) -> str:
        """Yosys' synthesis command."""
        options = (self.with_dsp if dsp else self.without_dsp, "" if ram else self.without_ram)
        return " ".join(part for part in (self.flow, *options, f"-top {top}") if part)


def _cells(**patterns: str) -> dict[str, re.Pattern[str]]:
    return {key: re.compile(pattern) for key, pattern in patterns.items()}


# With neither DSP nor RAM these are the flows with which rivals' units are commonly counted.
_TARGETS = (
    SynthTarget(
        name="xc7",
        title="7-series",
        area_unit="LUT",
        flow="synth_xilinx -family xc7 -nolutram -nosrl -noiopad -noclkbuf -flatten",
        without_dsp="-nodsp",
        without_ram="-nobram",
        cells=_cells(
            luts=r"LUT[1-6]",
            inverters=r"INV",  # absorbed by the look-up tables around them
            carry_cells=r"CARRY4",
            multiplexers=r"MUXF[78]",
            flip_flops=r"FD[RSCP]E(_1)?",
            dsps=r"DSP48E1",
            block_rams=r"RAMB(18|36)E1",
        ),
        clocked=("FD?E*", "RAMB*"),
        area_of={"luts": 1},
    ),
    SynthTarget(
        name="ecp5",
        title="ECP5",
        area_unit="LUT4",
        flow="synth_ecp5 -nolutram -noabc9",
        without_dsp="-nodsp",
        without_ram="-nobram",
        cells=_cells(
            luts=r"LUT4",
            carry_cells=r"CCU2C",
            multiplexers=r"PFUMX|L6MUX21",
            flip_flops=r"TRELLIS_FF",
            dsps=r"MULT18X18D|ALU54B",
            block_rams=r"DP16KD|PDPW16KD",
        ),
        clocked=("TRELLIS_FF", "DP16KD", "PDPW16KD"),
        area_of={"luts": 1, "carry_cells": 2},  # a CCU2C takes the place of two LUT4
        place="nextpnr-ecp5",
        devices=tuple(
            Device(
                arguments=(f"--{size}", "--package", "CABGA381", "--speed", "6"),
                luts=luts,
                dsps=dsps,
                block_rams=rams,
            )
            for size, luts, dsps, rams in (
                ("25k", 24_000, 28, 56),
                ("45k", 44_000, 72, 108),
                ("85k", 84_000, 156, 208),
            )
        ),
    ),
    SynthTarget(
        name="ice40",
        title="iCE40",
        area_unit="LUT4",
        flow="synth_ice40",
        without_ram="-nobram",
        with_dsp="-dsp",
        cells=_cells(
            luts=r"SB_LUT4",
            carry_cells=r"SB_CARRY",
            flip_flops=r"SB_DFF\w*",
            dsps=r"SB_MAC16",
            block_rams=r"SB_RAM40_4K\w*",
        ),
        clocked=("SB_DFF*", "SB_RAM40_4K*"),
        area_of={"luts": 1},
        place="nextpnr-ice40",
        # Only the slower second one has DSP blocks.
        devices=(
            Device(arguments=("--hx8k", "--package", "ct256"), luts=7_680, dsps=0, block_rams=32),
            Device(arguments=("--up5k", "--package", "sg48"), luts=5_280, dsps=8, block_rams=30),
        ),
    ),
    SynthTarget(name="asic", title="standard cells", area_unit="GE"),
)
TARGETS = {target.name: target for target in _TARGETS}


def get(name: str) -> SynthTarget:
    """The target of a name, or a clear error."""
    if name not in TARGETS:
        raise ArgumentError(f"a synthesis target must be one of {', '.join(TARGETS)}, not {name!r}")
    return TARGETS[name]
