# SPDX-License-Identifier: Apache-2.0
"""What a unit must keep exactly, besides its accuracy: optional, and proven over all codes.

=============  =======================================================================================
constraint     meaning
=============  =======================================================================================
``monotonic``  the output never falls over ascending codes; never rises, where the function falls
``symmetric``  of the codes of x and -x, one output is the other's mirror image by the function's symmetry
               ``f(-x) = sign * f(x) + offset + slope * x``: odd, even, ``1 - f(x)``, ``f(x) - x``; an image
               outside the output format is saturated. The code without a mirror image, the most negative,
               is free, and so is x = 0 where the centre lies between two codes
``zero``       the output for x = 0 is 0
``tails``      from either end of the input format on, as long as the correctly rounded output is that
               of the asymptote there (0, x, a constant, a line), the unit's output is it too
=============  =======================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from hwact import reference
from hwact.errors import ArgumentError
from hwact.formats import Codes, Format, Overflow, member
from hwact.functions.expr import X
from hwact.functions.shape import Line
from hwact.functions.spec import FunctionSpec

if TYPE_CHECKING:
    from hwact.architectures.problem import UnitSpec


class Constraint(StrEnum):
    """An optional constraint by its name."""

    MONOTONIC = "monotonic"
    SYMMETRIC = "symmetric"
    ZERO = "zero"
    TAILS = "tails"


def parse(names: str | Iterable[str]) -> tuple[Constraint, ...]:
    """The constraints of some names, each once, in the order of the table above."""
    if isinstance(names, str):
        raise ArgumentError(f"constraints must be a sequence of names, not {names!r}; put it into brackets")
    wanted = {member(Constraint, "a constraint", name) for name in names}
    return tuple(each for each in Constraint if each in wanted)


@dataclass(frozen=True)
class Mirror:
    """A symmetry in codes: the image of y at k steps from x = 0 is ``sign*y + constant + slope*k``."""

    sign: int
    constant: int
    slope: int

    @classmethod
    def of(cls, spec: UnitSpec) -> Mirror | None:
        """None where the function has no symmetry, or the output format does not hold the images."""
        symmetry = spec.function.symmetry
        if symmetry is None or not _steps(spec.input_format):
            return None
        offset = symmetry.offset / spec.output_format.ulp
        slope = symmetry.slope * spec.input_format.ulp / spec.output_format.ulp
        if offset.denominator != 1 or slope.denominator != 1:
            return None
        constant = int(offset) + spec.output_format.zero_point * (1 - symmetry.sign)
        return cls(symmetry.sign, constant, int(slope))

    def image(self, y: Codes, steps: Codes) -> Codes:
        """The outputs at minus so many steps, before saturation, from those at plus so many."""
        return self.sign * y + self.constant + self.slope * steps

    @property
    def centre(self) -> int | None:
        """The output at x = 0, where the symmetry decides it."""
        return self.constant // 2 if self.sign < 0 and self.constant % 2 == 0 else None


def _steps(number_format: Format) -> int:
    """The most steps from x = 0 that are possible both ways."""
    zero = number_format.zero_point
    return min(number_format.max_code - zero, zero - number_format.min_code)


def _index_of_zero(spec: UnitSpec) -> int:
    return spec.input_format.zero_point - spec.input_format.min_code


def check(spec: UnitSpec) -> None:
    """Refuse constraints that the exact function itself does not keep."""
    for constraint in spec.constraints:
        needs = _UNMET[constraint](spec)
        if needs:
            raise ArgumentError(
                f"{constraint} must be asked of {needs}, not of {spec.function.name!r} from "
                f"{spec.input_format} to {spec.output_format} ({spec.overflow}); leave {constraint} out"
            )


def _not_monotonic(spec: UnitSpec) -> str:
    return "" if _direction(spec) else "a function that never falls or never rises over the input codes"


def _not_symmetric(spec: UnitSpec) -> str:
    if Mirror.of(spec) is not None:
        return ""
    return "a symmetric function, of x and -x in the input format and with images that are output codes"


def _not_zero(spec: UnitSpec) -> str:
    here, exact = _index_of_zero(spec), spec.exact
    zero = spec.output_format.zero_point << exact.guard_bits
    return "" if exact.floor[here] == zero and not exact.inexact[here] else "a function with f(0) = 0"


def _no_tails(spec: UnitSpec) -> str:
    return "" if spec.function.left or spec.function.right else "a function with an asymptote"


_UNMET = {
    Constraint.MONOTONIC: _not_monotonic,
    Constraint.SYMMETRIC: _not_symmetric,
    Constraint.ZERO: _not_zero,
    Constraint.TAILS: _no_tails,
}


def _direction(spec: UnitSpec) -> int:
    """1 where the exact function never falls over the input codes, -1 where it never rises, else 0."""
    steps = np.diff(spec.exact.floor)
    return 1 if (steps >= 0).all() else -1 if (steps <= 0).all() else 0


def tightened(spec: UnitSpec, low: Codes, high: Codes) -> tuple[Codes, Codes]:
    """Bounds of the outputs with those constraints that speak of codes one by one."""
    due, free = np.zeros_like(low), np.ones(low.shape, np.bool_)
    if Constraint.TAILS in spec.constraints:
        tails = _tails(spec)
        due[tails], free[tails] = spec.exact.rounded(spec.rounding)[tails], False
    here = _index_of_zero(spec)
    if Constraint.ZERO in spec.constraints:
        due[here], free[here] = spec.output_format.zero_point, False
    mirror = Mirror.of(spec) if Constraint.SYMMETRIC in spec.constraints else None
    if mirror is not None and mirror.centre is not None:
        due[here], free[here] = mirror.centre, False
    return np.where(free, low, np.maximum(low, due)), np.where(free, high, np.minimum(high, due))


def _tails(spec: UnitSpec) -> Codes:
    """The indices of the codes that lie on an asymptote, from either end."""
    rounded, zero = spec.exact.rounded(spec.rounding), _index_of_zero(spec)
    left, right = (_on(spec, line) == rounded for line in (spec.function.left, spec.function.right))
    first = int(np.logical_and.accumulate(left[:zero]).sum())
    last = int(np.logical_and.accumulate(right[zero + 1 :][::-1]).sum())
    return np.concatenate((np.arange(first), np.arange(rounded.size - last, rounded.size)))


def _on(spec: UnitSpec, line: Line | None) -> Codes:
    """The correctly rounded codes of a line; without one, what is no code."""
    if line is None:
        return np.full(1 << spec.input_format.width, spec.output_format.max_code + 1)
    function = FunctionSpec(
        name="asymptote", summary="", formula="", expression=line.slope * X + line.intercept
    )
    exact = reference.exact_values(function, spec.input_format, spec.output_format, spec.overflow)
    return exact.rounded(spec.rounding)


def violations(spec: UnitSpec, codes: Codes) -> int:
    """At how many codes the constraints that relate codes to one another do not hold."""
    wrong = 0
    if Constraint.MONOTONIC in spec.constraints:
        wrong += int((np.diff(codes) * _direction(spec) < 0).sum())
    if Constraint.SYMMETRIC in spec.constraints:
        wrong += _asymmetries(spec, codes)
    return wrong


def _asymmetries(spec: UnitSpec, codes: Codes) -> int:
    mirror, zero = Mirror.of(spec), _index_of_zero(spec)
    assert mirror is not None
    steps = np.arange(1, _steps(spec.input_format) + 1)
    right, left = codes[zero + steps], codes[zero - steps]
    fit, overflow = spec.output_format.fit, Overflow(spec.overflow)
    there = fit(mirror.image(right, steps), overflow) == left
    back = fit(mirror.image(left, -steps), overflow) == right
    return int((~there & ~back).sum())
