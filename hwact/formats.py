# SPDX-License-Identifier: Apache-2.0
"""Fixed-point number formats, rounding and overflow: integers only, no floats.

A *code* is the integer that a register holds; its *value* is ``code * 2**-frac_bits``.

Rounding of a value that lies between two codes (ties shown at half-way points):

============== ====================================== ==== ==== ==== ==== ==== ====
mode           result                                 -2.5 -1.5 -0.5 0.5  1.5  2.5
============== ====================================== ==== ==== ==== ==== ==== ====
``half_up``    nearest, ties towards plus infinity    -2   -1   0    1    2    3
``half_even``  nearest, ties to the even code         -2   -2   0    0    2    2
``half_away``  nearest, ties away from zero           -3   -2   -1   1    2    3
``floor``      towards minus infinity                 -3   -2   -1   0    1    2
``toward_zero`` towards zero                          -2   -1   0    0    1    2
============== ====================================== ==== ==== ==== ==== ==== ====
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from hwact.errors import ArgumentError, FormatError

MAX_WIDTH = 64

Codes = npt.NDArray[np.int64]
IntOrCodes = TypeVar("IntOrCodes", int, Codes)


class Rounding(StrEnum):
    """Rounding mode, by the rule for values between two codes."""

    HALF_UP = "half_up"
    HALF_EVEN = "half_even"
    HALF_AWAY = "half_away"
    FLOOR = "floor"
    TOWARD_ZERO = "toward_zero"


class Overflow(StrEnum):
    """What happens to a number outside a format: clamp it, or keep its low bits."""

    SATURATE = "saturate"
    WRAP = "wrap"


_SPELLINGS = (
    re.compile(r"(?P<sign>[SU])Q(?P<integer>-?\d{1,4})\.(?P<frac>-?\d{1,4})", re.IGNORECASE),
    re.compile(r"ap_(?P<sign>u?)fixed<\s*(?P<width>\d{1,4})\s*,\s*(?P<integer>-?\d{1,4})\s*>"),
)


@dataclass(frozen=True)
class Format:
    """A fixed-point format.

    Parameters
    ----------
    signed : bool
        Two's complement when true.
    integer_bits : int
        Bits before the binary point; the sign bit counts among them. May be negative.
    frac_bits : int
        Bits after the binary point; the value of a code is ``code * 2**-frac_bits``. May be negative.

    Raises
    ------
    FormatError
        The width ``integer_bits + frac_bits`` is not in 1..64.
    """

    signed: bool
    integer_bits: int
    frac_bits: int

    def __post_init__(self) -> None:
        if not 1 <= self.width <= MAX_WIDTH:
            raise FormatError(
                f"a format must have 1 to {MAX_WIDTH} bits in all, not {self.width!r} in {str(self)!r}; "
                "choose other integer or fraction bits"
            )

    @classmethod
    def parse(cls, text: str | Format) -> Format:
        """Read ``SQ4.12``, ``UQ0.8``, ``ap_fixed<16,4>`` or ``ap_ufixed<8,0>``."""
        if isinstance(text, Format):
            return text
        match = None
        if isinstance(text, str):
            match = next((m for spelling in _SPELLINGS if (m := spelling.fullmatch(text.strip()))), None)
        if match is None:
            raise FormatError(
                f"a format must look like SQ4.12, UQ0.8, ap_fixed<16,4> or ap_ufixed<8,0>, not {text!r}"
            )
        parts = match.groupdict()
        integer = int(parts["integer"])
        frac = int(parts["frac"]) if "frac" in parts else int(parts["width"]) - integer
        return cls(parts["sign"].lower() not in ("u",), integer, frac)

    @classmethod
    def of_width(cls, width: int) -> Format:
        """``SQ4.(width-4)``: the domain [-8, 8)."""
        if isinstance(width, bool) or not isinstance(width, int) or not 2 <= width <= MAX_WIDTH:
            raise FormatError(
                f"width must be an integer from 2 to {MAX_WIDTH}, not {width!r}; "
                "it stands for the format SQ4.(width-4)"
            )
        return cls(True, 4, width - 4)

    def __str__(self) -> str:
        return f"{'SU'[not self.signed]}Q{self.integer_bits}.{self.frac_bits}"

    @property
    def identifier(self) -> str:
        """The format as part of a Verilog name: ``sq4_12``; a minus sign becomes ``m``."""
        return str(self).lower().replace(".", "_").replace("-", "m")

    @property
    def width(self) -> int:
        """Width in bits."""
        return self.integer_bits + self.frac_bits

    @cached_property
    def min_code(self) -> int:
        """The most negative code."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @cached_property
    def max_code(self) -> int:
        """The largest code."""
        return (1 << (self.width - self.signed)) - 1

    @property
    def ulp(self) -> Fraction:
        """The value of one unit in the last place."""
        return Fraction(2) ** -self.frac_bits

    def codes(self) -> Codes:
        """All codes in order from the most negative, shape ``(2**width,)``, int64."""
        return np.arange(self.min_code, self.max_code + 1, dtype=np.int64)

    def value(self, code: int) -> Fraction:
        """The exact value of one code."""
        return Fraction(int(code)) * self.ulp

    @property
    def dtype(self) -> np.dtype[np.signedinteger | np.unsignedinteger]:
        """The smallest of int8 to int64 (uint8 to uint64 when unsigned) that holds every code."""
        bits = next(size for size in (8, 16, 32, 64) if size >= self.width)
        return np.dtype(f"{'iu'[not self.signed]}{bits // 8}")

    def to_bits(self, codes: IntOrCodes) -> IntOrCodes:
        """The register's bits as an unsigned number (two's complement)."""
        return codes & ((1 << self.width) - 1)

    def quantise(
        self, value: Fraction | int, rounding: Rounding | None = None, overflow: Overflow | None = None
    ) -> int:
        """The code of an exact value.

        Without a rounding mode the value must be representable; without an overflow mode it
        must lie in range. Nothing is quantised silently.
        """
        scaled = Fraction(value) / self.ulp
        if rounding is None and scaled.denominator != 1:
            raise FormatError(f"{self} must represent the value exactly, not {value!r}; name a rounding mode")
        code = round_fraction(scaled, rounding or Rounding.FLOOR)
        return self.fit(code, overflow)

    def quantise_array(self, values: npt.ArrayLike, rounding: Rounding, overflow: Overflow) -> Codes:
        """The codes of finite floats, exactly rounded; any shape, int64."""
        floats = np.asarray(values)
        if floats.dtype.kind not in "fiu":
            raise FormatError(f"values must be real numbers, not of type {floats.dtype.name!r}")
        floats = floats.astype(np.float64)
        if not np.isfinite(floats).all():
            bad = float(floats[~np.isfinite(floats)].flat[0])
            raise FormatError(f"values must be finite, not {bad!r}; replace NaN and infinities first")
        with np.errstate(over="ignore"):  # an infinity is clipped, or refused, below
            scaled = np.ldexp(floats, self.frac_bits)
        if overflow is Overflow.SATURATE:
            scaled = np.clip(scaled, float(self.min_code) - 1, float(self.max_code) + 1)
        elif np.abs(scaled).max(initial=0) >= 2.0**62:
            raise FormatError(
                f"values that wrap into {self} must be below 2**62 ulp, "
                f"not {floats.flat[np.abs(scaled).argmax()]!r}"
            )
        return np.asarray(self.fit(_round_floats(scaled, rounding), overflow))

    def fit(self, code: IntOrCodes, overflow: Overflow | None = None) -> IntOrCodes:
        """Bring integers into the format's range; without a mode they must lie in it already."""
        if overflow is None:
            low, high = (code, code) if isinstance(code, int) else (int(code.min()), int(code.max()))
            if low < self.min_code or high > self.max_code:
                bad = low if low < self.min_code else high
                raise FormatError(
                    f"a code of {self} must be in {self.min_code}..{self.max_code}, not {bad!r}; "
                    "name an overflow mode"
                )
            return code
        if overflow is Overflow.WRAP:
            return ((code - self.min_code) & ((1 << self.width) - 1)) + self.min_code
        if isinstance(code, int):
            return max(self.min_code, min(self.max_code, code))
        return np.clip(code, self.min_code, self.max_code)


def round_fraction(value: Fraction, rounding: Rounding) -> int:
    """Round an exact rational number to an integer."""
    floor = math.floor(value)
    rest = value - floor
    if rest == 0 or rounding is Rounding.FLOOR:
        return floor
    if rounding is Rounding.TOWARD_ZERO:
        return floor + (value < 0)
    if rest != Fraction(1, 2):
        return floor + (rest > Fraction(1, 2))
    match rounding:
        case Rounding.HALF_UP:
            return floor + 1
        case Rounding.HALF_EVEN:
            return floor + floor % 2
        case _:
            return floor + (value > 0)


def round_shift(code: IntOrCodes, shift: int, rounding: Rounding) -> IntOrCodes:
    """Divide integers by ``2**shift`` and round; the way hardware does it, one constant and a shift.

    Parameters
    ----------
    code : int or int64 array
    shift : int
        At least 0.
    """
    if shift < 0:
        raise ArgumentError(f"shift must be at least 0, not {shift!r}")
    if shift == 0:
        return code
    half = 1 << (shift - 1)
    negative = (code >> (code.bit_length() if isinstance(code, int) else 63)) & 1
    match rounding:
        case Rounding.HALF_UP:
            return (code + half) >> shift
        case Rounding.HALF_EVEN:
            return (code + half - 1 + ((code >> shift) & 1)) >> shift
        case Rounding.HALF_AWAY:
            return (code + half - negative) >> shift
        case Rounding.FLOOR:
            return code >> shift
        case Rounding.TOWARD_ZERO:
            return (code + ((1 << shift) - 1) * negative) >> shift


def _round_floats(scaled: npt.NDArray[np.float64], rounding: Rounding) -> Codes:
    """Round floats below 2**62 to int64; floor and remainder of a float that is not negative are exact."""
    if rounding is Rounding.HALF_AWAY:
        return np.sign(scaled).astype(np.int64) * _round_floats(np.abs(scaled), Rounding.HALF_UP)
    floor = np.floor(scaled)
    rest, code = scaled - floor, floor.astype(np.int64)
    negative = scaled < 0
    match rounding:
        case Rounding.FLOOR:
            return code
        case Rounding.TOWARD_ZERO:
            return code + (negative & (rest > 0))
        case Rounding.HALF_UP:
            return code + (rest >= 0.5)
        case Rounding.HALF_EVEN:
            return code + ((rest > 0.5) | ((rest == 0.5) & (code % 2 == 1)))


Member = TypeVar("Member", bound=StrEnum)


def member(enum: type[Member], name: str, text: str) -> Member:
    """The member of an enumeration by its value, or a clear error."""
    try:
        return enum(text)
    except ValueError:
        raise ArgumentError(f"{name} must be one of {', '.join(enum)}, not {text!r}") from None
