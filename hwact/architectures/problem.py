# SPDX-License-Identifier: Apache-2.0
"""What a unit must compute: function, formats, rounding, overflow and accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from hwact import reference
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
BLOCK = 1 << 20  # codes that are judged at a time
MAX_ULP = 1 << MAX_OUTPUT_WIDTH  # more says nothing about a code


class InfeasibleError(UnreachableError):
    """An architecture cannot meet a specification with these parameters."""


@dataclass(frozen=True)
class Accuracy:
    """The accuracy that is asked for.

    Parameters
    ----------
    max_ulp : Fraction, optional
        Largest permitted error; none for ``correct`` and ``faithful``.
    kind : str
        ``correct``: the exact value rounded in the unit's mode. ``faithful``: error below one ulp.
        ``max_ulp``: error of at most ``max_ulp``.
    """

    kind: str
    max_ulp: Fraction | None = None

    @classmethod
    def parse(cls, text: str | Accuracy) -> Accuracy:
        """Read ``correct``, ``faithful`` or ``max_ulp=1.5``."""
        if isinstance(text, Accuracy):
            return text
        if text in ("correct", "faithful"):
            return cls(text)
        name, _, number = str(text).partition("=")
        bound = exact_number(number) if name == "max_ulp" else None
        if bound is None or not 0 < bound <= MAX_ULP:
            raise ArgumentError(
                f"accuracy must be correct, faithful or max_ulp=N with N above 0, "
                f"not {text!r}; N is at most 2**32"
            )
        return cls("max_ulp", bound)

    def __str__(self) -> str:
        if self.max_ulp is None:
            return self.kind
        spellings = f"{float(self.max_ulp):g}", repr(float(self.max_ulp)), str(self.max_ulp)
        return "max_ulp=" + next(
            (text for text in spellings if exact_number(text) == self.max_ulp), spellings[1]
        )


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
    target : Target
        Hardware whose estimated cost chooses between designs.
    """

    function: FunctionSpec
    input_format: Format
    output_format: Format
    rounding: Rounding = Rounding.HALF_UP
    overflow: Overflow = Overflow.SATURATE
    accuracy: Accuracy = Accuracy("faithful")
    target: Target = TARGETS["xc7"]

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
        if not self.listed and self.overflow is Overflow.WRAP:
            raise ArgumentError(
                f"overflow must be saturate where the input has more than {MAX_LISTED_WIDTH} bits, "
                f"not {self.overflow.value!r} with {self.input_format}; choose fewer bits"
            )

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
        """Inclusive bounds of the output code that the accuracy permits, for all input codes."""
        return self.bounds(self.exact)

    def bounds(self, exact: ExactValues) -> tuple[Codes, Codes]:
        """Inclusive bounds of the output code that the accuracy permits, for given exact values."""
        if self.accuracy.kind == "correct":
            codes = exact.rounded(self.rounding)
            return codes, codes
        if self.accuracy.max_ulp is None:
            return exact.allowed()
        return exact.within(self.accuracy.max_ulp)

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
        """Whether output codes over all input codes meet the accuracy."""
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
        pieces = self.function.piecewise_polynomial()
        return pieces is not None and all(len(piece.coefficients) <= 3 for piece in pieces)

    def input(self) -> Input:
        """The datapath's input node."""
        return Input.of(self.input_format)

    def finish(self, x: Input, y: Node) -> Datapath:
        """Bring the result into the output format and prove the datapath over all input codes.

        Raises
        ------
        InfeasibleError
            Some output code is outside what the accuracy permits.
        """
        raw = evaluate(Datapath(x, y), self.input_format.codes())
        codes = self.output_format.fit(raw, self.overflow)
        if not self.permits(codes):
            raise InfeasibleError(
                f"the design must be {self.accuracy} on all codes, not wrong on "
                f"{self._violations(codes)!r} of them; choose other parameters"
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
        count = 0
        for start in range(0, codes.size, BLOCK):
            block = codes[start : start + BLOCK]
            low, high = self.bounds(self.exact.part(start, start + BLOCK))
            count += int(((block < low) | (high < block)).sum())
        return count


def _is_power_of_two(ratio: Fraction) -> bool:
    return all(number & (number - 1) == 0 for number in (ratio.numerator, ratio.denominator))
