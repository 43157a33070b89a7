# SPDX-License-Identifier: Apache-2.0
"""A requantising unit's golden model as C99: a function of one accumulator, and one over vectors."""

from __future__ import annotations

from typing import NamedTuple

from hwact.datapath import Datapath
from hwact.datapath.c99 import CReading, kind_of
from hwact.formats import Format
from hwact.golden import Argument, c_type
from hwact.requantise.datapaths import word_format

_HEADER = """\
{origin}
#ifndef {guard}
#define {guard}

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

#define {channels_macro} {channels}

/* The output code of an accumulator: the integers on the unit's ports.
   Only its low {bits} bits count. A channel beyond the last acts as the last. */
int32_t {function}(int32_t accumulator, uint32_t channel);

/* For n vectors of {channels_macro} accumulators each: results[i] is that of accumulators[i].
   The arrays must not overlap. */
void {function}_array(const int32_t *accumulators, {output} *results, size_t n);

#ifdef __cplusplus
}}
#endif

#endif
"""

_SOURCE = """\
{origin}
#include "{function}.h"

{declarations}static inline {kind} of_word({word_type} x) {{
{body}}}

int32_t {function}(int32_t accumulator, uint32_t channel) {{
{unused}  return (int32_t)of_word(({word_type})({word}));
}}

void {function}_array(const int32_t *accumulators, {output} *results, size_t n) {{
  for (size_t i = 0; i < n; i++)
    for (uint32_t channel = 0; channel < {channels_macro}; channel++, accumulators++, results++)
      *results = ({output}){function}(*accumulators, channel);
}}
"""


class LayerGolden(NamedTuple):
    """What the C golden model of a layer is made from.

    Members
    -------
    name : str
        The unit's; the functions are ``<name>_golden`` and ``<name>_golden_array``.
    channels : int
    bits : int
        Of the accumulator, at most 32.
    output_format : Format
    datapath : Datapath
        From input words to output codes.
    origin : tuple of str
        Lines for the top of each file.
    """

    name: str
    channels: int
    bits: int
    output_format: Format
    datapath: Datapath
    origin: tuple[str, ...]

    @property
    def function(self) -> str:
        """The name of the function of one accumulator."""
        return f"{self.name}_golden"

    @property
    def result_type(self) -> str:
        """The type of one result."""
        return "int32_t"

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """Those of the function of one accumulator; one channel alone has no field in the code."""
        accumulator, channel = ("code.accumulator", "code.channel") if self.channels > 1 else ("code", "0")
        return (
            Argument("accumulator", "int", accumulator, "accumulator"),
            Argument("channel", "int unsigned", channel, "channel"),
        )

    def header(self) -> str:
        """``<name>_golden.h``."""
        return _HEADER.format(**self._texts())

    def source(self) -> str:
        """``<name>_golden.c``."""
        reading, last = CReading(self.datapath), self.channels - 1
        mask, sign = f"{(1 << self.bits) - 1:#x}u", f"{1 << (self.bits - 1):#x}"
        accumulator = f"(int64_t)((uint32_t)accumulator & {mask})"
        channel = f"(int64_t)(channel < {last}u ? channel : {last}u) << {self.bits}"
        return _SOURCE.format(
            **self._texts(),
            declarations=reading.declarations,
            kind=reading.kind,
            body="".join(f"  (void){name};\n" for name in reading.unread) + reading.body,
            unused="" if last else "  (void)channel;\n",
            word_type=kind_of(word_format(self.bits, self.channels).max_code),
            word=f"({channel}) | {accumulator}" if last else f"({accumulator} ^ {sign}) - {sign}",
        )

    def _texts(self) -> dict[str, object]:
        return {
            "origin": "\n".join(f"// {line}" for line in self.origin),
            "guard": f"HWACT_{self.name.upper()}_GOLDEN_H",
            "function": self.function,
            "channels_macro": f"{self.name.upper()}_CHANNELS",
            "channels": self.channels,
            "bits": self.bits,
            "output": c_type(self.output_format),
        }
