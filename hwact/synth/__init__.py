# SPDX-License-Identifier: Apache-2.0
"""Measuring area and speed: synthesis by Yosys, place and route by nextpnr."""

from hwact.synth.measure import Options, measure, versions
from hwact.synth.record import Record
from hwact.synth.source import Source
from hwact.synth.targets import TARGETS

__all__ = ["TARGETS", "Options", "Record", "Source", "measure", "versions"]
