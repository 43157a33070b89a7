# SPDX-License-Identifier: Apache-2.0
"""The golden model as C99: a function of one code, and one over arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from hwact.datapath import Datapath
from hwact.datapath.c99 import CReading, array, element, kind_of
from hwact.formats import Codes, Format
from hwact.runtime import SETTING

_SETTING = "setting"  # of the functions' arguments
TABLE_BITS = 16  # up to this input width the arrays' function reads a table of all output codes

_HEADER = """\
{origin}
#ifndef {guard}
#define {guard}

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define {restrict}
extern "C" {{
#else
#define {restrict} restrict
#endif

/* The output code of an input code: the integers on the unit's ports.
   Only the low {input_width} bits of the code count, as on the port{setting_note}. */
{result} {function}(int32_t code{setting});

/* results[i] = {function}(codes[i]{argument}) for all i < n; the arrays must not overlap. */
void {function}_array(const {input} *{restrict} codes{setting},
{indent}{output} *{restrict} results, size_t n);

#ifdef __cplusplus
}}
#endif

#endif
"""

_SOURCE = """\
{origin}
#include "{function}.h"

{declarations}/* The input code is that of the low bits, whatever the others are. */
static inline {kind} of_code(int32_t code{setting}) {{
{inputs}{body}}}

{result} {function}(int32_t code{setting}) {{
  return {cast}of_code(code{argument});
}}

{outputs}void {function}_array(const {input} *{restrict} codes{setting},
{indent}{output} *{restrict} results, size_t n) {{
  for (size_t i = 0; i < n; i++)
    results[i] = {element};
}}
"""


class Argument(NamedTuple):
    """An argument of a golden model's function, by DPI-C.

    Members
    -------
    name, type : str
        As SystemVerilog imports it.
    value : str
        That of an input ``code`` and, where one comes with it, its ``setting``, in SystemVerilog.
    label : str
        For a reader.
    """

    name: str
    type: str
    value: str
    label: str


class GoldenModel(Protocol):
    """A golden model in C, as the other files of a bundle know it."""

    @property
    def name(self) -> str:
        """That of its files: ``<name>_golden.c`` and ``<name>_golden.h``."""

    @property
    def function(self) -> str:
        """The name of the function of one code."""

    @property
    def result_type(self) -> str:
        """The type of one result, in C."""

    @property
    def arguments(self) -> Sequence[Argument]:
        """Those of the function of one code."""

    def header(self) -> str:
        """``<name>_golden.h``."""

    def source(self) -> str:
        """``<name>_golden.c``."""


class Golden(NamedTuple):
    """What the C golden model is made from.

    Members
    -------
    name : str
        The unit's; the functions are ``<name>_golden`` and ``<name>_golden_array``.
    input_format, output_format : Format
        At most 32 bits each.
    setting_format : Format, optional
        Of the setting that comes with a code; the functions take it as ``setting``.
    datapath : Datapath
    table : integer array
        The output codes by the input's bits; read up to ``TABLE_BITS`` of them.
    origin : tuple of str
        Lines for the top of each file.
    """

    name: str
    input_format: Format
    output_format: Format
    setting_format: Format | None
    datapath: Datapath
    table: Codes
    origin: tuple[str, ...]

    @property
    def function(self) -> str:
        """The name of the function of one code."""
        return f"{self.name}_golden"

    @property
    def result_type(self) -> str:
        """The type of one result; every code of the output fits it."""
        return "uint32_t" if kind_of(self.output_format.max_code) == "int64_t" else "int32_t"

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Those of the function of one code."""
        code = Argument("code", "int", "code", "input code")
        return (code, Argument(_SETTING, "int", _SETTING, _SETTING)) if self.setting_format else (code,)

    def header(self) -> str:
        """``<name>_golden.h``."""
        return _HEADER.format(**self._texts(), input_width=self.input_format.width)

    def source(self) -> str:
        """``<name>_golden.c``; the function of one code is the datapath itself, in its own steps."""
        reading = CReading(self.datapath)
        return _SOURCE.format(
            **self._texts(),
            declarations=reading.declarations,
            kind=reading.kind,
            inputs="".join(f"  const int32_t {name} = {value};\n" for name, value in self._inputs().items()),
            body="".join(f"  (void){name};\n" for name in reading.unread) + reading.body,
            cast="" if reading.kind == self.result_type else f"({self.result_type})",
            outputs=self._outputs(),
            element=self._element(),
        )

    def _texts(self) -> dict[str, str]:
        return {
            "origin": "\n".join(f"// {line}" for line in self.origin),
            "guard": f"HWACT_{self.name.upper()}_GOLDEN_H",
            "restrict": f"HWACT_{self.name.upper()}_RESTRICT",
            "function": self.function,
            "indent": " " * len(f"void {self.function}_array("),
            "result": self.result_type,
            "input": c_type(self.input_format),
            "output": c_type(self.output_format),
            "setting": f", int32_t {_SETTING}" if self.setting_format else "",
            "argument": f", {_SETTING}" if self.setting_format else "",
            "setting_note": f", and of the setting its low {self.setting_format.width}"
            if self.setting_format
            else "",
        }

    def _inputs(self) -> dict[str, str]:
        """The datapath's inputs from the function's arguments."""
        inputs = {"x": _low_bits("code", self.input_format)}
        if self.setting_format:
            inputs[SETTING] = _low_bits(_SETTING, self.setting_format)
        return inputs

    @property
    def _tabulated(self) -> bool:
        return self.input_format.width <= TABLE_BITS and self.setting_format is None

    def _outputs(self) -> str:
        if not self._tabulated:
            return ""
        kind = c_type(self.output_format)
        words = (element(int(code), kind) for code in np.asarray(self.table))
        comment = "/* All output codes, by the bits of the input: reading them is faster than computing. */\n"
        return comment + array(kind, f"outputs[{self.table.size}]", words) + "\n"

    def _element(self) -> str:
        if self._tabulated:
            return f"outputs[(uint32_t)codes[i] & {_mask(self.input_format)}]"
        setting = f", {_SETTING}" if self.setting_format else ""
        return f"({c_type(self.output_format)})of_code((int32_t)codes[i]{setting})"


def _mask(number_format: Format) -> str:
    return f"{(1 << number_format.width) - 1:#x}u"


def _low_bits(argument: str, number_format: Format) -> str:
    """The code in an argument's low bits."""
    if not number_format.signed:
        return f"(int32_t)((uint32_t){argument} & {_mask(number_format)})"
    sign = f"{1 << (number_format.width - 1):#x}"
    return f"(int32_t)(((uint32_t){argument} & {_mask(number_format)}) ^ {sign}u) - {sign}"


def c_type(number_format: Format) -> str:
    """The smallest standard type that holds a format's codes."""
    return f"{number_format.dtype.name}_t"
