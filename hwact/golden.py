# SPDX-License-Identifier: Apache-2.0
"""The golden model as C99: a function of one code, and one over arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hwact.datapath import Datapath
from hwact.datapath.c99 import CReading, array, element, kind_of
from hwact.formats import Codes, Format

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
   Only the low {input_width} bits of the code count, as on the port. */
{result} {function}(int32_t code);

/* results[i] = {function}(codes[i]) for all i < n; the arrays must not overlap. */
void {function}_array(const {input} *{restrict} codes,
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
static inline {kind} of_code(int32_t code) {{
  const int32_t x = {x};
{body}}}

{result} {function}(int32_t code) {{
  return {cast}of_code(code);
}}

{outputs}void {function}_array(const {input} *{restrict} codes,
{indent}{output} *{restrict} results, size_t n) {{
  for (size_t i = 0; i < n; i++)
    results[i] = {element};
}}
"""


class Golden(NamedTuple):
    """What the C golden model is made from.

    Members
    -------
    name : str
        The unit's; the functions are ``<name>_golden`` and ``<name>_golden_array``.
    input_format, output_format : Format
        At most 32 bits each.
    datapath : Datapath
    table : integer array
        The output codes by the input's bits; read up to ``TABLE_BITS`` of them.
    origin : tuple of str
        Lines for the top of each file.
    """

    name: str
    input_format: Format
    output_format: Format
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
            x=self._input_code(),
            body=("" if reading.reads_x else "  (void)x;\n") + reading.body,
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
        }

    @property
    def _mask(self) -> str:
        return f"{(1 << self.input_format.width) - 1:#x}u"

    def _input_code(self) -> str:
        if not self.input_format.signed:
            return f"(int32_t)((uint32_t)code & {self._mask})"
        sign = f"{1 << (self.input_format.width - 1):#x}"
        return f"(int32_t)(((uint32_t)code & {self._mask}) ^ {sign}u) - {sign}"

    @property
    def _tabulated(self) -> bool:
        return self.input_format.width <= TABLE_BITS

    def _outputs(self) -> str:
        if not self._tabulated:
            return ""
        kind = c_type(self.output_format)
        words = (element(int(code), kind) for code in np.asarray(self.table))
        comment = "/* All output codes, by the bits of the input: reading them is faster than computing. */\n"
        return comment + array(kind, f"outputs[{self.table.size}]", words) + "\n"

    def _element(self) -> str:
        if self._tabulated:
            return f"outputs[(uint32_t)codes[i] & {self._mask}]"
        return f"({c_type(self.output_format)})of_code((int32_t)codes[i])"


def c_type(number_format: Format) -> str:
    """The smallest standard type that holds a format's codes."""
    return f"{number_format.dtype.name}_t"
