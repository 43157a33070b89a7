# SPDX-License-Identifier: Apache-2.0
"""Names of units: legal identifiers in every language that a bundle speaks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from hwact.errors import ArgumentError
from hwact.formats import Format
from hwact.functions.spec import FunctionSpec

MAX_LENGTH = 100

# Reserved words of SystemVerilog (IEEE 1800-2017 annex B), which include those of Verilog.
_KEYWORDS = frozenset(
    """
    accept_on alias always always_comb always_ff always_latch and assert assign assume automatic before
    begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle checker class
    clocking cmos config const constraint context continue cover covergroup coverpoint cross deassign
    default defparam design disable dist do edge else end endcase endchecker endclass endclocking
    endconfig endfunction endgenerate endgroup endinterface endmodule endpackage endprimitive endprogram
    endproperty endsequence endspecify endtable endtask enum event eventually expect export extends
    extern final first_match for force foreach forever fork forkjoin function generate genvar global
    highz0 highz1 if iff ifnone ignore_bins illegal_bins implements implies import incdir include
    initial inout input inside instance int integer interconnect interface intersect join join_any
    join_none large let liblist library local localparam logic longint macromodule matches medium
    modport module nand negedge nettype new nexttime nmos nor noshowcancelled not notif0 notif1 null or
    output package packed parameter pmos posedge primitive priority program property protected pull0
    pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence
    rcmos real realtime ref reg reject_on release repeat restrict return rnmos rpmos rtran rtranif0
    rtranif1 s_always s_eventually s_nexttime s_until s_until_with scalared sequence shortint shortreal
    showcancelled signed small soft solve specify specparam static string strong strong0 strong1 struct
    super supply0 supply1 sync_accept_on sync_reject_on table tagged task this throughout time
    timeprecision timeunit tran tranif0 tranif1 tri tri0 tri1 triand trior trireg type typedef union
    unique unique0 unsigned until until_with untyped use uwire var vectored virtual void wait wait_order
    wand weak weak0 weak1 while wildcard wire with within wor xnor xor
    """.split()  # noqa: SIM905 - a list of one word a line is harder to compare with the standard
)


def checked(name: str) -> str:
    """The name of a unit as it is, or a clear error."""
    if not isinstance(name, str) or not re.fullmatch(rf"[A-Za-z][A-Za-z0-9_]{{0,{MAX_LENGTH - 1}}}", name):
        raise ArgumentError(
            f"a unit's name must be 1 to {MAX_LENGTH} letters, digits and underscores after a first letter, "
            f"not {name!r}; choose another"
        )
    if name in _KEYWORDS:
        raise ArgumentError(
            f"a unit's name must not be a SystemVerilog keyword, not {name!r}; choose another"
        )
    return name


def default(
    function: FunctionSpec,
    input_format: Format,
    output_format: Format,
    gradient_format: Format | None = None,
    runtime: Sequence[str] = (),
) -> str:
    """``<function>[_<parameter><value>][_grad]_<in>[_<out>]`` with parameters that are not the default.

    With a gradient beside the function it is ``_with_grad``, and its format follows where it is not the same;
    a parameter that comes with the codes is ``_runtime_<parameter>``.
    """
    parts = [function.name]
    defaults = dict(function.defaults)
    parts += [f"{key}{_spelled(value)}" for key, value in function.arguments if value != defaults[key]]
    parts += [f"runtime_{key}" for key in runtime]
    parts += ["grad"] * function.is_gradient + ["with_grad"] * (gradient_format is not None)
    formats = [input_format, output_format, gradient_format or output_format]
    while len(formats) > 1 and formats[-1] == formats[-2]:
        formats.pop()
    parts += [each.identifier for each in formats]
    return checked("_".join(parts))


def _spelled(value: Fraction) -> str:
    return number(value).replace(".", "_").replace("-", "m").replace("/", "_")


def number(value: Fraction) -> str:
    """The shortest text that names an exact number: a decimal where one exists, else a ratio."""
    if value.denominator == 1:
        return str(value.numerator)
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1:
        return str(value)
    digits = 0
    while (value * 10**digits).denominator != 1:
        digits += 1
    scaled = str(abs(int(value * 10**digits))).zfill(digits + 1)
    return f"{'-' * (value < 0)}{scaled[:-digits]}.{scaled[-digits:]}"
