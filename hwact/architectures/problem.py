# SPDX-License-Identifier: Apache-2.0
"""What a unit must compute: function, formats, rounding, overflow and accuracy."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from hwact import reference
from hwact.architectures import constraints
from hwact.architectures.constraints import Constraint
from hwact.datapath import Datapath, Node
from hwact.datapath.cost import TARGETS, Target
from hwact.datapath.evaluate import evaluate
from hwact.datapath.graph import Input
from hwact.errors import ArgumentError, UnreachableError
from hwact.exact import ExactValues
from hwact.formats import MAX_LISTED_WIDTH, Codes, Format, Overflow, Rounding
from hwact.functions.spec import FunctionSpec, exact_number

Parameters = Mapping[str, int | str]

MAX_INPUT_WIDTH = 32
MAX_FITTED_WIDTH = 20  # of an input whose codes are fitted one by one
MAX_OUTPUT_WIDTH = 32
CORRECT_UP_TO = 10
BLOCK = 1 << 20  # codes that are judged at a time
MAX_ULP = 1 << MAX_OUTPUT_WIDTH  # more says nothing about a code
FITTED_ACCURACY = "fitted_accuracy"
_LIMITS = {"max_ulp": MAX_ULP, "mse": 10**30}
_RUNGS = (Fraction(4), Fraction(2), Fraction(3, 2))  # ulp
_FACTORS = (4, 2.8, 2, 1.4, 1)  # of the largest error to its root mean square
_NEAREST = Fraction(1, 2)  # ulp
_HALF_BITS = 31
_EXACT_FLOATS = 1 << 53
_STEADY = Fraction(3, 4)  # ulp


class InfeasibleError(UnreachableError):
    """An architecture cannot meet a specification with these parameters."""

    @classmethod
    def of_fit(cls, what: str, spec: UnitSpec, parameters: Parameters, way_out: str) -> InfeasibleError:
        """That what was fitted with some parameters does not meet the accuracy."""
        return cls(
            f"{what} must be {spec.accuracy} on all codes, not so with {dict(parameters)!r}; choose {way_out}"
        )


@dataclass(frozen=True)
class Accuracy:
    """The accuracy that is asked for.

    Parameters
    ----------
    kind : str
        ``correct``: the exact value rounded in the unit's mode. ``faithful``: error below one ulp.
        ``max_ulp``: error of at most ``bound`` ulp. ``mse``: mean squared error, over all codes with
        equal weight, of at most ``bound``, in squared units of the output's value.
    bound : Fraction, optional
        None for ``correct`` and ``faithful``.
    """

    kind: str
    bound: Fraction | None = None

    @classmethod
    def parse(cls, text: str | Accuracy) -> Accuracy:
        """Read ``correct``, ``faithful``, ``max_ulp=1.5`` or ``mse=1e-8``."""
        if isinstance(text, Accuracy):
            return text
        if text in ("correct", "faithful"):
            return cls(text)
        kind, _, number = str(text).partition("=")
        bound = exact_number(number) if kind in _LIMITS else None
        if bound is None or not 0 < bound <= _LIMITS[kind]:
            raise ArgumentError(
                f"accuracy must be correct, faithful, max_ulp=N or mse=N with N above 0, "
                f"not {text!r}; N is at most 2**32 ulp, or 1e30"
            )
        return cls(kind, bound)

    def ladder(self, ulp: Fraction) -> tuple[Accuracy, ...]:
        """The accuracies whose designs are candidates, the loosest first; ``ulp`` is the output's.

        Those of tighter accuracies are among them, so that a looser one never costs more. A mean squared
        error bounds no code by itself: there the codes are bounded by multiples of its root.
        """
        correct = Accuracy("correct")
        if self.bound is None:
            return tuple(dict.fromkeys((self, correct)))
        if self.kind == "mse":
            root = math.sqrt(self.bound) / ulp
            bounds = [Fraction(f"{min(factor * root, MAX_ULP):.3g}") for factor in _FACTORS]
            faithful = [Accuracy("faithful")] if bounds[0] >= 1 else []
            loose, tight = ([*map(_max_ulp, filter(side, bounds))] for side in (_above_one, _below_one))
            return *loose, *faithful, *tight, _max_ulp(_NEAREST), correct
        if self.bound <= 1:
            return self, correct
        rungs = (_max_ulp(rung) for rung in _RUNGS if rung < self.bound)
        return self, *rungs, Accuracy("faithful"), correct

    def __str__(self) -> str:
        if self.bound is None:
            return self.kind
        spellings = f"{float(self.bound):g}", repr(float(self.bound)), str(self.bound)
        exact = (text for text in spellings if exact_number(text) == self.bound)
        return f"{self.kind}={next(exact, spellings[1])}"


def _max_ulp(bound: Fraction) -> Accuracy:
    return Accuracy("max_ulp", bound)


def _is_narrow(accuracy: Accuracy) -> bool:
    return accuracy.kind == "correct" or (accuracy.kind == "max_ulp" and (accuracy.bound or 1) <= _STEADY)


def _above_one(bound: Fraction) -> bool:
    return bound > 1


def _below_one(bound: Fraction) -> bool:
    return _NEAREST < bound < 1


@dataclass(frozen=True, kw_only=True)
class UnitSpec:
    """What the user asks for.

    Parameters
    ----------
    function : FunctionSpec
    input_format, output_format : Format
        At most 32 bits each, and 31 of an unsigned input. Of at most 24 bits in, every code is checked; of
        more, error bounds are proven.
    rounding : Rounding
    overflow : Overflow
    accuracy : Accuracy
    constraints : tuple of Constraint
        What the unit must keep exactly, besides.
    target : Target
        Hardware whose estimated cost chooses between designs.
    asked : Accuracy, optional
        The accuracy that is asked for where this one is a rung of its ladder.
    """

    function: FunctionSpec
    input_format: Format
    output_format: Format
    rounding: Rounding = Rounding.HALF_UP
    overflow: Overflow = Overflow.SATURATE
    accuracy: Accuracy = Accuracy("faithful")
    constraints: tuple[Constraint, ...] = ()
    target: Target = TARGETS["xc7"]
    asked: Accuracy | None = None

    def __post_init__(self) -> None:
        for name, number_format, limit in (
            ("input", self.input_format, MAX_INPUT_WIDTH - (not self.input_format.signed)),
            ("output", self.output_format, MAX_OUTPUT_WIDTH),
        ):
            if number_format.width > limit:
                raise ArgumentError(
                    f"the {name} format must have at most {limit} bits, not {number_format.width!r} in "
                    f"{str(number_format)!r}; choose fewer integer or fraction bits"
                )
        if self.listed:
            constraints.check(self)
            return
        if self.overflow is Overflow.WRAP:
            raise ArgumentError(
                f"overflow must be saturate where the input has more than {MAX_LISTED_WIDTH} bits, "
                f"not {self.overflow.value!r} with {self.input_format}; choose fewer bits"
            )
        asked = [*self.constraints, *(["mse"] if self.accuracy.kind == "mse" else [])]
        if asked:
            raise ArgumentError(
                f"{asked[0]} must be asked of an input of at most {MAX_LISTED_WIDTH} bits, "
                f"not of {self.input_format}; leave it out or choose fewer bits"
            )

    def at(self, accuracy: Accuracy) -> UnitSpec:
        """The same with another accuracy."""
        asked = None if accuracy == self.accuracy else self.accuracy
        return dataclasses.replace(self, accuracy=accuracy, asked=asked)

    @property
    def narrow(self) -> bool:
        """Whether most codes are left one output, not for the sake of an accuracy that leaves them two."""
        asked = self.asked or self.accuracy
        return _is_narrow(self.accuracy) and (asked.kind == "mse" or _is_narrow(asked))

    @property
    def listed(self) -> bool:
        """Whether all input codes are looked at one by one."""
        return self.input_format.width <= MAX_LISTED_WIDTH

    @cached_property
    def exact(self) -> ExactValues:
        """The exact function over all input codes."""
        return reference.exact_values(self.function, self.input_format, self.output_format, self.overflow)

    def exact_at(self, codes: Codes) -> ExactValues:
        """The exact function at some input codes, ascending, each once."""
        return reference.exact_at(self.function, self.input_format, self.output_format, self.overflow, codes)

    @cached_property
    def allowed(self) -> tuple[Codes, Codes]:
        """Inclusive bounds of the output code that the specification permits, for all input codes."""
        bounds = self.bounds(self.exact)
        return constraints.tightened(self, *bounds) if self.constraints else bounds

    def bounds(self, exact: ExactValues) -> tuple[Codes, Codes]:
        """Inclusive bounds of the output code that the accuracy permits, for given exact values."""
        if self.accuracy.kind == "correct":
            codes = exact.rounded(self.rounding)
            return codes, codes
        if self.accuracy.bound is None:
            return exact.allowed()
        if self.accuracy.kind == "mse":
            return exact.within(Fraction(MAX_ULP))
        return exact.within(self.accuracy.bound)

    def mean_squared_error(self, codes: Codes) -> Fraction:
        """Upper bound of the mean squared error over all input codes, in squared units of the value."""
        total = Fraction(0)
        for start in range(0, codes.size, BLOCK):
            exact = self.exact.part(start, start + BLOCK)
            total += self.squared_errors(exact, codes[start : start + BLOCK])
        return total / codes.size

    def squared_errors(self, exact: ExactValues, codes: Codes) -> Fraction:
        """The sum of the squares of the errors' upper bounds, added up without rounding."""
        scale = 1 << exact.guard_bits
        bounds = exact.error_bounds(codes) * scale
        above = np.where(bounds < _EXACT_FLOATS, bounds, np.nextafter(bounds, np.inf))
        return _sum_of_squares(above.astype(np.int64)) * (self.output_format.ulp / scale) ** 2

    @property
    def ladder(self) -> tuple[Accuracy, ...]:
        """The accuracies whose designs are candidates; :meth:`Accuracy.ladder`.

        A design of a tighter accuracy is likelier to be monotonic.
        """
        *rungs, last = self.accuracy.ladder(self.output_format.ulp)
        loose = any(rung.kind == "faithful" for rung in rungs)
        steady = [_max_ulp(_STEADY)] if loose and Constraint.MONOTONIC in self.constraints else []
        return *rungs, *steady, last

    @property
    def aligned(self) -> bool:
        """Whether an input ulp is some output ulps, or one is some input ulps, by a power of two."""
        return _is_power_of_two(self.input_format.ulp / self.output_format.ulp)

    @property
    def frac_shift(self) -> int:
        """An input ulp is ``2**frac_shift`` output ulps, where the formats are aligned; else 0."""
        ratio = self.input_format.ulp / self.output_format.ulp
        return ratio.numerator.bit_length() - ratio.denominator.bit_length() if self.aligned else 0

    def permits(self, codes: Codes) -> bool:
        """Whether output codes over all input codes meet the accuracy and the constraints."""
        return self._violations(codes) == 0

    def unclamped(self) -> tuple[Codes, Codes]:
        """Like ``allowed``, but open beyond the ends of the format where a saturation follows."""
        low, high = self.allowed
        if self.overflow is Overflow.WRAP:
            return low, high
        beyond = np.int64(1) << (self.output_format.width + 2)
        low = np.where(low == self.output_format.min_code, -beyond, low)
        return low, np.where(high == self.output_format.max_code, beyond, high)

    @property
    def quadratic(self) -> bool:
        """Whether the function consists of polynomials of degree 2 at most: few comparators, no tables."""
        return _is_quadratic(self.function)

    def input(self) -> Input:
        """The datapath's input node."""
        return Input.of(self.input_format)

    def finish(self, x: Input, y: Node) -> Datapath:
        """Bring the result into the output format and prove the datapath over all input codes.

        Raises
        ------
        InfeasibleError
            Some output code is not what the accuracy and the constraints permit.
        """
        raw = evaluate(Datapath(x, y), self.input_format.codes())
        codes = self.output_format.fit(raw, self.overflow)
        wrong = self._violations(codes)
        if wrong:
            raise InfeasibleError(
                f"the design must be {', '.join((str(self.accuracy), *self.constraints))} on all codes, not "
                f"wrong on {wrong!r} of them; "
                "choose other parameters"
            )
        return self.fitted(x, y.known(int(raw.min()), int(raw.max())))

    def fitted(self, x: Input, y: Node) -> Datapath:
        """Bring the result into the output format; what it is worth remains to be proven."""
        if self.overflow is Overflow.WRAP:
            result = y.bits(0, self.output_format.width, signed=self.output_format.signed)
        else:
            result = y.saturate(self.output_format.min_code, self.output_format.max_code)
        return Datapath(x, result.named("result"))

    def _violations(self, codes: Codes) -> int:
        if self.accuracy.kind == "mse" and self.mean_squared_error(codes) > (self.accuracy.bound or 0):
            return codes.size
        if self.constraints:
            low, high = self.allowed
            return int(((codes < low) | (high < codes)).sum()) + constraints.violations(self, codes)
        count = 0
        for start in range(0, codes.size, BLOCK):
            block = codes[start : start + BLOCK]
            low, high = self.bounds(self.exact.part(start, start + BLOCK))
            count += int(((block < low) | (high < block)).sum())
        return count


def _sum_of_squares(numbers: Codes) -> int:
    """The exact sum of at most 2**24 squares of numbers from 0 to 2**62 - 1, which int64 need not hold."""
    high, low = numbers >> _HALF_BITS, numbers & ((1 << _HALF_BITS) - 1)
    total = 0
    for products, shift in ((high * high, 2 * _HALF_BITS), (high * low, _HALF_BITS + 1), (low * low, 0)):
        for part in (32, 0):
            total += int((products >> part & 0xFFFFFFFF).sum()) << (shift + part)
    return total


def correct_by_default(function: FunctionSpec, input_format: Format, output_format: Format) -> bool:
    """Whether a unit is correctly rounded unless asked otherwise."""
    return max(input_format.width, output_format.width) <= CORRECT_UP_TO or _is_quadratic(function)


def _is_quadratic(function: FunctionSpec) -> bool:
    pieces = function.piecewise_polynomial()
    return pieces is not None and all(len(piece.coefficients) <= 3 for piece in pieces)


def _is_power_of_two(ratio: Fraction) -> bool:
    return all(number & (number - 1) == 0 for number in (ratio.numerator, ratio.denominator))
