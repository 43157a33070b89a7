# SPDX-License-Identifier: Apache-2.0
"""Tensors through a unit's table on a processor, by loops that Numba compiles when they are first called.

Quantising, looking up and dequantising are loops of their own: those without look-ups are vectorised.
Their arrays have shape ``(n,)``; numbers beside values have their type.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from numba import njit
from torch import Tensor

from hwact.formats import Rounding

_PIECE = 1 << 16  # values that go through all loops while they are in the processor's cache
_PIECES_A_THREAD = 2  # fewer take no longer than waking the thread

Words = npt.NDArray[Any]


class _Rounding(NamedTuple):
    """Rounding without ties in float: of multiples of ``1 / parts`` ulp to whole floats, then of integers."""

    parts: int
    whole: Callable[[Tensor], Tensor]
    ufunc: np.ufunc  # the same of NumPy
    bias: Callable[[Any], Any]  # added to the whole parts before they are divided


ROUNDINGS: Mapping[str, _Rounding] = {
    Rounding.HALF_UP.value: _Rounding(2, torch.floor, np.floor, lambda halves: 1),
    Rounding.HALF_EVEN.value: _Rounding(1, torch.round, np.rint, lambda code: 0),
    Rounding.HALF_AWAY.value: _Rounding(2, torch.trunc, np.trunc, lambda halves: halves >= 0),
    Rounding.FLOOR.value: _Rounding(1, torch.floor, np.floor, lambda code: 0),
    Rounding.TOWARD_ZERO.value: _Rounding(1, torch.trunc, np.trunc, lambda code: 0),
}


class Numbers(NamedTuple):
    """What the operations need of a unit, as plain numbers; `low` and `high` in parts of an ulp.

    Parts are ``value * to_parts / divisor``, values ``(code - zero_out) * numerator / denominator``; where
    a format is `affine`, in float64.
    """

    to_parts: float
    divisor: float
    low: int
    high: int
    zero: int
    mask: int
    saturates: bool
    rounding: str
    zero_out: int
    numerator: float
    denominator: float
    affine: bool


def evaluate(codes: Tensor, table: Tensor, mask: int, dtype: torch.dtype) -> Tensor:
    """As :meth:`hwact.torch.Activation.evaluate`: output codes of the low bits of the codes.

    Parameters
    ----------
    codes : integer tensor, any shape
    table : integer tensor, shape ``(2**width,)``
        Output codes by the input's bits.
    mask : int
        Selects the input's bits.
    dtype : torch.dtype
        Of the result: that of the table where codes have 8 bits.
    """
    look = _look(codes.dtype, mask, dtype, codes.numel() % 2 == 0)
    words, array = table.numpy(), codes.contiguous().resolve_neg().numpy()
    bits, result = array.reshape(-1).view(look.bits), np.empty(array.size, look.result)
    out: Words = result
    if look.in_pairs:
        words = _pairs(words.tobytes(), words.dtype)
        out = result.view(words.dtype)
    _share(bits.size, lambda place: _look_up(bits[place], words, out[place], look.mask))
    return torch.from_numpy(result.reshape(array.shape))


def apply(values: Tensor, table: Tensor, numbers: Numbers, *, keep: bool) -> tuple[Tensor, Tensor | None]:
    """Values through a unit: quantised, looked up and dequantised.

    Parameters
    ----------
    values : float32 or float64 tensor, any shape
    table : integer tensor, shape ``(2**width,)``
    numbers : Numbers
    keep : bool
        Whether to return the bits of the input codes, too, int32.
    """
    array, words = values.detach().contiguous().resolve_neg().numpy(), table.numpy()
    source = array.reshape(-1)
    result, kept = np.empty_like(source), np.empty(source.size * keep, dtype=np.uint32)
    loops = _loops(numbers, values.dtype)

    def work(place: slice) -> None:
        given, out = source[place], result[place]
        bits = kept[place] if keep else np.empty(given.size, dtype=np.uint32)
        loops.quantise(given, bits, *loops.to_bits)
        _look_up(bits, words, out, None)
        _dequantise(given, out, *loops.to_values)

    _share(source.size, work)
    index = torch.from_numpy(kept.view(np.int32).reshape(array.shape)) if keep else None
    return torch.from_numpy(result.reshape(array.shape)), index


@njit(nogil=True)
def _look_up(codes: Words, table: Words, results: Words, mask: np.integer[Any] | None) -> None:
    """Results by the low bits of codes, those of the mask; by all of them without one."""
    for i in range(codes.size):
        results[i] = table[codes[i] if mask is None else codes[i] & mask]


@cache
def _quantiser(
    whole: np.ufunc, bias: Callable[[Any], Any], shift: int, integer: type[np.signedinteger[Any]]
) -> Callable[..., None]:
    """The loop from values to the bits of codes.

    Parameters
    ----------
    whole : ufunc
        From a number of parts of an ulp to a whole one.
    bias : callable
        What is added to it ahead of the shift to the right that makes a code of it.
    integer : type
        Holds all whole numbers of parts between `low` and `high`.

    Returns
    -------
    callable
        Of the values, the bits to write, and `to_parts`, `divisor`, `reach`, `low` and `high`, then of the
        code's zero point and the mask of its bits. The parts ``value * to_parts / divisor`` are those of zero
        beyond the reach and for a NaN; they are clipped to `low` and `high`.
    """
    added = njit(bias)

    @njit(nogil=True, error_model="numpy")
    def quantise(
        values: Words,
        bits: Words,
        to_parts: Any,
        divisor: Any,
        reach: Any,
        low: Any,
        high: Any,
        zero: Any,
        mask: Any,
    ) -> None:
        nothing = values.dtype.type(0)
        for i in range(values.size):
            parts = values[i] * to_parts / divisor
            parts = parts if abs(parts) <= reach else nothing
            parts = parts if parts > low else low
            parts = parts if parts < high else high
            code = integer(whole(parts))
            code = integer(integer(code + added(code)) >> shift)
            bits[i] = integer(code + zero) & mask

    result: Callable[..., None] = quantise
    return result


@njit(nogil=True, error_model="numpy")
def _dequantise(
    values: Words,
    results: Words,
    to_parts: Any,
    divisor: Any,
    reach: Any,
    zero: Any,
    numerator: Any,
    denominator: Any,
) -> None:
    """Output codes to their values, in place; NaN where a value is NaN or has more parts than the reach."""
    for i in range(values.size):
        result = (results[i] - zero) * numerator / denominator
        results[i] = result if abs(values[i] * to_parts / divisor) <= reach else np.nan


class _Loops(NamedTuple):
    """How floats of a type go through a unit: the loop to its codes, and what follows the arrays in each."""

    quantise: Callable[..., None]
    to_bits: tuple[Any, ...]
    to_values: tuple[Any, ...]


@lru_cache(maxsize=64)
def _loops(n: Numbers, dtype: torch.dtype) -> _Loops:
    kind = np.float64 if dtype == torch.float64 else np.float32
    integer = np.int32 if n.saturates else np.int64
    rounding = ROUNDINGS[n.rounding]
    limit = np.nextafter(kind(rounding.parts * 2.0**62), kind(0))  # fits the integer, as does all below it
    low, high, reach = (n.low, n.high, np.inf) if n.saturates else (-limit, limit, limit)
    to_parts = (kind(n.to_parts), kind(n.divisor), kind(reach))
    return _Loops(
        _quantiser(rounding.ufunc, rounding.bias, rounding.parts - 1, integer),
        (*to_parts, kind(low), kind(high), integer(n.zero), integer(n.mask)),
        (*to_parts, kind(n.zero_out), kind(n.numerator), kind(n.denominator)),
    )


class _Look(NamedTuple):
    """How codes of a type are looked up: the type that their bits are read as, the mask, and the result's."""

    bits: np.dtype[Any]
    mask: np.integer[Any] | None
    result: np.dtype[Any]
    in_pairs: bool = False  # of codes, and of results


@cache
def _look(codes: torch.dtype, mask: int, results: torch.dtype, even: bool) -> _Look:
    kind, result = (np.dtype(str(dtype).removeprefix("torch.")) for dtype in (codes, results))
    if even and kind.itemsize == 1 and mask < 1 << 8 and result.itemsize <= 4:
        return _Look(np.dtype(np.uint16), None, result, in_pairs=True)
    unsigned, most = np.dtype(f"u{kind.itemsize}"), (1 << 8 * kind.itemsize) - 1
    if mask > most:
        return _Look(kind, np.int64(mask), result)  # a sign goes on
    return _Look(unsigned, None if mask == most else unsigned.type(mask), result)


@lru_cache(maxsize=64)
def _pairs(table: bytes, kind: np.dtype[Any]) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Two output codes for two input codes of 8 bits, by both as they lie in memory."""
    words = np.frombuffer(table, kind)
    codes = np.arange(1 << 16, dtype=np.uint16).view(np.uint8) & (words.size - 1)
    return words[codes].view(f"u{2 * kind.itemsize}")


def _share(size: int, work: Callable[[slice], None]) -> None:
    """Share the pieces among as many threads as pay, up to PyTorch's; the loops let go of Python's lock."""
    if size <= _PIECE:
        work(slice(size))
        return
    threads = max(1, min(torch.get_num_threads(), size // _PIECE // _PIECES_A_THREAD))

    def go_through(first: int) -> None:
        for start in range(first * _PIECE, size, threads * _PIECE):
            work(slice(start, start + _PIECE))

    others = [_pool(os.getpid()).submit(go_through, first) for first in range(1, threads)]
    go_through(0)
    for other in others:
        other.result()


@cache
def _pool(_process: int) -> ThreadPoolExecutor:
    """Threads that are kept, since starting them is slow; a fork of the process has none of them."""
    return ThreadPoolExecutor(os.cpu_count())
