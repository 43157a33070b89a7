# SPDX-License-Identifier: Apache-2.0
"""Number formats, rounding and overflow: integers only, no floats.

A *code* is the integer that a register holds; what it means, its *value*, is a matter of format:

=========================== ================================ ===============================================
format                      value                            spelling
=========================== ================================ ===============================================
fixed point                 ``code * 2**-frac_bits``         ``SQ4.12``, ``UQ0.8``, ``ap_fixed<16,4>``
affine, of quantized        ``(code - zero_point) * scale``  ``int8:0.05:-3``, ``uint8:1/255``: width, scale
networks                                                     and, unless 0, zero point
=========================== ================================ ===============================================

A scale is an exact number: ``0.05`` and ``1/20`` are the same, and ``0.05f`` is, as in C, the float32
next to it, which is what ONNX, TFLite and PyTorch keep.

Rounding of a value that lies between two codes (ties shown at half-way points). An affine format rounds
``value / scale``, then adds the zero point:

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
MAX_LISTED_WIDTH = 24  # where all codes are looked at one by one
_QUOTIENT_ERROR = 2.0**-50  # of a float by a scale in float64: two roundings, with room

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
_AFFINE = re.compile(r"(?P<sign>u?)int(?P<width>\d{1,4}):(?P<scale>[^:]+)(:(?P<zero_point>-?\d{1,20}))?")
_SCALE = re.compile(
    r"(?P<top>\d{1,50}(\.\d{0,50})?(e[+-]?\d{1,2})?)((?P<single>f)|/(?P<bottom>\d{1,50}))?", re.IGNORECASE
)
_SCALE_LIMIT = 10**30


@dataclass(frozen=True)
class Format:
    """A fixed-point or an affine format.

    Parameters
    ----------
    signed : bool
        Two's complement when true.
    integer_bits : int
        Bits before the binary point; the sign bit counts among them. May be negative.
    frac_bits : int
        Bits after the binary point; the value of a code is ``code * 2**-frac_bits``. May be negative.
    scale : Fraction, optional
        Of an affine format, whose codes are integers (``frac_bits`` is 0); the value of a code is
        ``(code - zero_point) * scale``. At least 1e-30 and at most 1e30.
    zero_point : int
        Of an affine format, the code of the value 0.

    Raises
    ------
    FormatError
        The width ``integer_bits + frac_bits`` is not in 1..64, or there is no such affine format.
    """

    signed: bool
    integer_bits: int
    frac_bits: int
    scale: Fraction | None = None
    zero_point: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.width <= MAX_WIDTH:
            raise FormatError(
                f"a format must have 1 to {MAX_WIDTH} bits in all, not {self.width!r} in {str(self)!r}; "
                "choose other integer or fraction bits"
            )
        if self.frac_bits and self.scale is not None:
            raise FormatError(f"an affine format must have 0 fraction bits, not {self.frac_bits!r}")
        if self.scale is not None and not Fraction(1, _SCALE_LIMIT) <= self.scale <= _SCALE_LIMIT:
            raise FormatError(
                f"a scale must be from 1e-30 to 1e30, not {float(self.scale)!r}; scale the network's values"
            )
        if self.zero_point and (self.scale is None or not self.min_code <= self.zero_point <= self.max_code):
            raise FormatError(
                f"a zero point must be a code of its affine format, in {self.min_code}..{self.max_code}, "
                f"not {self.zero_point!r} in {str(self)!r}"
            )

    @classmethod
    def parse(cls, text: str | Format) -> Format:
        """Read ``SQ4.12``, ``UQ0.8``, ``ap_fixed<16,4>``, ``ap_ufixed<8,0>`` or ``int8:0.05:-3``."""
        if isinstance(text, Format):
            return text
        match = None
        if isinstance(text, str):
            spellings = *_SPELLINGS, _AFFINE
            match = next((m for spelling in spellings if (m := spelling.fullmatch(text.strip()))), None)
        scale = _exact_scale(match["scale"]) if match is not None and match.re is _AFFINE else None
        if match is None or (scale is None and match.re is _AFFINE):
            raise FormatError(
                "a format must look like SQ4.12, UQ0.8, ap_fixed<16,4>, ap_ufixed<8,0>, int8:0.05:-3 or "
                f"uint8:0.05f, not {text!r}"
            )
        if scale is not None:
            return cls.affine(match["sign"] == "", int(match["width"]), scale, int(match["zero_point"] or 0))
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

    @classmethod
    def affine(cls, signed: bool, width: int, scale: Fraction | float, zero_point: int = 0) -> Format:
        """The affine format of so many bits, whose codes mean ``(code - zero_point) * scale``.

        A float is taken exactly as it is.
        """
        return cls(signed, width, 0, Fraction(scale), zero_point)

    def __str__(self) -> str:
        if self.scale is None:
            return f"{'SU'[not self.signed]}Q{self.integer_bits}.{self.frac_bits}"
        zero_point = f":{self.zero_point}" * bool(self.zero_point)
        return f"{'u' * (not self.signed)}int{self.width}:{_spelled_scale(self.scale)}{zero_point}"

    @property
    def identifier(self) -> str:
        """The format as part of a Verilog name: ``sq4_12``, ``int8_0_05_m3``; a minus sign becomes ``m``."""
        text = str(self).lower().replace("/", "by").replace("+", "")
        return text.replace(".", "_").replace(":", "_").replace("-", "m")

    @property
    def meaning(self) -> str:
        """The value of a code, as a formula."""
        if self.scale is None:
            return f"code * 2**{-self.frac_bits}"
        step = f"(code {'-+'[self.zero_point < 0]} {abs(self.zero_point)})" if self.zero_point else "code"
        return f"{step} * {_spelled_scale(self.scale)}"

    @property
    def default_rounding(self) -> Rounding:
        """``half_up``, one constant and a shift in hardware; affine: ``half_even``, as ONNX and PyTorch."""
        return Rounding.HALF_UP if self.scale is None else Rounding.HALF_EVEN

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
        return Fraction(2) ** -self.frac_bits if self.scale is None else self.scale

    def codes(self) -> Codes:
        """All codes in order from the most negative, shape ``(2**width,)``, int64; of at most 24 bits."""
        if self.width > MAX_LISTED_WIDTH:
            raise FormatError(
                f"a format must have at most {MAX_LISTED_WIDTH} bits where all codes are listed, "
                f"not {self.width!r} in {str(self)!r}; choose fewer, or name some codes"
            )
        return np.arange(self.min_code, self.max_code + 1, dtype=np.int64)

    def value(self, code: int) -> Fraction:
        """The exact value of one code."""
        return (int(code) - self.zero_point) * self.ulp

    def values(self, codes: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The values of codes in float64, any shape.

        Exact where float64 holds them; of scales whose numerator and denominator it does not hold, to within
        2**-51 of the value.
        """
        steps = np.asarray(codes).astype(np.float64) - self.zero_point
        if self.scale is None:
            return np.asarray(np.ldexp(steps, -self.frac_bits))
        return np.asarray(steps * float(self.scale.numerator) / float(self.scale.denominator))

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
        return self.fit(code + self.zero_point, overflow)

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
            scaled = np.ldexp(floats, self.frac_bits) if self.scale is None else floats / float(self.scale)
        low, high = self.min_code - self.zero_point, self.max_code - self.zero_point
        if overflow is Overflow.SATURATE:
            scaled = np.clip(scaled, float(low) - 1, float(high) + 1)
        elif np.abs(scaled).max(initial=0) >= 2.0**62:
            raise FormatError(
                f"values that wrap into {self} must be below 2**62 ulp, "
                f"not {floats.flat[np.abs(scaled).argmax()]!r}"
            )
        rounded = _round_floats(scaled, rounding)
        if self.scale is not None:  # the quotient was rounded: next to a boundary it decides nothing
            doubled = 2 * scaled
            close = np.abs(doubled - np.rint(doubled)) <= np.abs(doubled) * _QUOTIENT_ERROR
            if overflow is Overflow.SATURATE:
                close &= (low - 1 < scaled) & (scaled < high + 1)
            values, places = np.unique(floats[close], return_inverse=True)
            exact = [round_fraction(Fraction(float(value)) / self.scale, rounding) for value in values]
            rounded[close] = np.array(exact, dtype=np.int64)[places]
        return np.asarray(self.fit(rounded + self.zero_point, overflow))

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


def _exact_scale(text: str) -> Fraction | None:
    """The number that the text of a scale means, above 0; else none."""
    match = _SCALE.fullmatch(text)
    if match is None or Fraction(match["top"]) == 0 or (match["bottom"] and int(match["bottom"]) == 0):
        return None
    exact = Fraction(match["top"]) / int(match["bottom"] or 1)
    return _nearest_single(exact) if match["single"] else exact


def _nearest_single(exact: Fraction) -> Fraction:
    """The float32 nearest to a positive number."""
    with np.errstate(over="ignore"):
        guess = np.float32(float(exact))  # rounded twice, so a neighbour may be nearer
    around = [guess, np.nextafter(guess, np.float32(0)), np.nextafter(guess, np.float32(np.inf))]
    finite = [Fraction(float(single)) for single in around if np.isfinite(single)]
    return min(finite, key=lambda single: abs(single - exact))


def _spelled_scale(scale: Fraction) -> str:
    """The shortest of the exact spellings: a decimal, a float32, a ratio."""
    with np.errstate(over="ignore"):
        decimals = repr(float(scale)), f"{np.float32(float(scale))!s}f"
    return next((text for text in decimals if _exact_scale(text) == scale), str(scale))


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
