# SPDX-License-Identifier: Apache-2.0
"""One description of a unit, whatever its kind: what the files of its bundle are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hwact.formats import Codes, Format
from hwact.golden import GoldenModel


@dataclass(frozen=True, kw_only=True)
class Description:
    """A unit's Verilog, its facts, and its golden models in C.

    Parameters
    ----------
    manifest : mapping
    verilog : str
    origin : tuple of str
        Lines for the top of each file.
    formats : pair of mappings of str to Format
        Of the inputs and of the outputs, by name.
    models : sequence of GoldenModel
        One for each output; the name of the first is the unit's.
    readme : str
    digested : str
        What the manifest's digests are of, in words.
    fields : mapping of str to Format
        What an input code consists of, from its highest bits on; empty where it is one number.
    steps : int64 array
        Input codes that a bench must send where it cannot send all.
    which : str
        What these are called.
    constants : mapping of str to int
        Further numbers for the SystemVerilog package.
    """

    manifest: Mapping[str, Any]
    verilog: str
    origin: tuple[str, ...]
    formats: tuple[Mapping[str, Format], Mapping[str, Format]]
    models: Sequence[GoldenModel]
    readme: str
    digested: str
    fields: Mapping[str, Format] = field(default_factory=dict)
    steps: Codes = field(default_factory=lambda: np.empty(0, np.int64))
    which: str = ""
    constants: Mapping[str, int] = field(default_factory=dict)
