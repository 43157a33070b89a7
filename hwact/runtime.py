# SPDX-License-Identifier: Apache-2.0
"""SmeLU with beta as an input: a power of two, at run time, correctly rounded for every one.

With b = 2**n input codes for beta, X the input code and d = max(b - |X|, 0)::

    SmeLU(X) = relu(X) + d**2 / 2**(n + 2)

so one squarer serves every setting, and n is what a shifter takes. All bits that the shifter drops lie below
what rounding looks at: for whole ulps the sum is ``(4 relu(X) + (d**2 >> n) + 2) >> 2``, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from hwact import accuracy, functions
from hwact.accuracy import AccuracyReport
from hwact.architectures.arithmetic import SQUARES, square
from hwact.architectures.problem import Accuracy, UnitSpec
from hwact.datapath import Datapath, Input, Node
from hwact.datapath.cost import area
from hwact.datapath.rewrite import with_constant
from hwact.design import Design
from hwact.errors import ArgumentError
from hwact.formats import Codes, Format, Overflow, Rounding
from hwact.functions.spec import FunctionSpec

NAME = "runtime"
SETTING = "log2_beta"
PARAMETER = "beta"
MAX_INPUT_WIDTH = 16  # every setting is proven on every code


@dataclass(frozen=True, eq=False)
class Family(Design):
    """Designs of one datapath, one for each setting of its second input.

    As a design it is all of them: its codes are those of the lowest setting, then those of the next, and its
    accuracy is over all of them.

    Parameters
    ----------
    members : mapping of int to Design
        By setting, from the lowest.
    setting_format : Format
        Of the second input; a setting beyond the members' counts as the nearest of them.
    """

    members: Mapping[int, Design]
    setting_format: Format

    @cached_property
    def codes(self) -> Codes:
        """The output codes of all settings, shape (settings * 2**input width,)."""
        return np.concatenate([member.codes for member in self.members.values()])

    @cached_property
    def accuracy(self) -> AccuracyReport:
        """The error over all settings and input codes."""
        return accuracy.joint([member.accuracy for member in self.members.values()])

    def member(self, setting: int) -> Design:
        """The design at a setting of the port."""
        return self.members[min(max(setting, min(self.members)), max(self.members))]


def family(spec: UnitSpec) -> Family:
    """The datapath for every beta that makes a difference, proven for each.

    Parameters
    ----------
    spec : UnitSpec
        Of the function with any beta.

    Raises
    ------
    ArgumentError
        The function, the formats or the rounding are none for which there is such a datapath.
    """
    _check(spec)
    settings = _settings(spec)
    port = _port(settings)
    forms = (_datapath(spec, settings, port, kind) for kind in SQUARES)
    datapath = min(forms, key=lambda form: area(form, spec.target))
    members = {}
    for setting in settings:
        wanted = replace(spec, function=at(spec.function, setting), accuracy=Accuracy("correct"))
        member = Design(wanted, NAME, {}, with_constant(datapath, SETTING, setting))
        if not wanted.permits(member.codes):
            raise ArgumentError(
                f"a run-time beta must belong to a function of the form relu(x) + max(beta - |x|, 0)**2 / "
                f"(4 beta), as smelu is, not to {spec.function.name!r}; give beta as a number"
            )
        members[setting] = member
    return Family(replace(spec, accuracy=Accuracy("correct")), NAME, {}, datapath, members, port)


def check_alone(**others: bool) -> None:
    """Refuse what leaves no sense beside a run-time beta."""
    for name in (name for name, given in others.items() if given):
        raise ArgumentError(f"runtime_beta must stand without {name}, not beside it; leave one of them out")


def at(function: FunctionSpec, setting: int) -> FunctionSpec:
    """The function at ``beta = 2**setting``."""
    parameters: dict[str, Any] = function.parameters | {PARAMETER: Fraction(2) ** setting}
    return functions.get(function.name, **parameters)


def _check(spec: UnitSpec) -> None:
    function, formats = spec.function, (spec.input_format, spec.output_format)
    if function.is_gradient or PARAMETER not in function.parameters:
        what = f"the gradient of {function.name}" if function.is_gradient else function.name
        raise ArgumentError(f"a run-time beta must belong to smelu, not to {what!r}; leave runtime_beta out")
    if any(each.scale is not None for each in formats):
        raise ArgumentError(
            f"a run-time beta needs fixed-point formats, not {str(formats[0])!r} and {str(formats[1])!r}; "
            "give beta as a number"
        )
    if not 2 <= spec.input_format.width <= MAX_INPUT_WIDTH:
        raise ArgumentError(
            f"a run-time beta needs an input of 2 to {MAX_INPUT_WIDTH} bits, not "
            f"{spec.input_format.width!r}; give beta as a number"
        )
    if spec.rounding is Rounding.HALF_EVEN:
        modes = ", ".join(mode for mode in Rounding if mode is not Rounding.HALF_EVEN)
        raise ArgumentError(
            f"rounding must be one of {modes} with a run-time beta, not {spec.rounding.value!r}"
        )


def _settings(spec: UnitSpec) -> range:
    """From a beta of one input code to one that covers all of them."""
    given = spec.input_format
    widest = given.width - given.signed
    return range(-given.frac_bits, widest - given.frac_bits + 1)


def _port(settings: range) -> Format:
    """The smallest signed format of integers that holds all settings."""
    ends = settings[0], settings[-1]
    bits = next(n for n in range(1, 64) if -(1 << (n - 1)) <= ends[0] and ends[1] < 1 << (n - 1))
    return Format(True, bits, 0)


def _datapath(spec: UnitSpec, settings: range, port: Format, kind: str) -> Datapath:
    x = spec.input()
    setting = Input(low=port.min_code, high=port.max_code, name=SETTING)
    positions = np.clip(port.codes(), settings[0], settings[-1]) - settings[0]
    by_bits = tuple(np.roll(positions, -(positions.size // 2)).tolist())
    address = setting.bits(0, port.width)
    n = address.lookup(by_bits).named("n")
    width = address.lookup(tuple(1 << place for place in by_bits)).named("transition")
    negative = x.less_than(0)
    magnitude = negative.select(0 - x, x).known(0, max(x.high, -x.low)).named("magnitude")
    distance = (width - magnitude).named("inside").saturate(0, width.high).named("distance")
    up, down = max(spec.frac_shift, 0), max(-spec.frac_shift, 0)
    curve = _shifted(square(distance, kind) << up, n).known(0, width.high << up).named("curve")
    base = negative.select(0, x).known(0, x.high).named("base") << (2 + up)
    half = 2 << down if spec.rounding in (Rounding.HALF_UP, Rounding.HALF_AWAY) else 0
    total = (base + curve).named("sum") + half if half else (base + curve).named("sum")
    y = total >> (2 + down)
    made = spec.output_format
    if spec.overflow is Overflow.WRAP:
        result = y.bits(0, made.width, signed=made.signed)
    else:
        result = y.saturate(made.min_code, made.max_code)
    return Datapath(x, result.named("result"))


def _shifted(value: Node, amount: Node) -> Node:
    """``value >> amount``, the large steps first."""
    for bit in reversed(range(amount.width)):
        value = amount.bits(bit, 1).select(value >> (1 << bit), value).named("shifted")
    return value
