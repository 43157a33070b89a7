# SPDX-License-Identifier: Apache-2.0
"""Recorded inputs: an array of codes or of values, as input codes of a unit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwact.errors import ArgumentError
from hwact.formats import Codes, Format
from hwact.unit import Unit


def recorded_codes(path: str | Path, unit: Unit) -> Codes:
    """Input codes of a unit from a ``.npy`` file, flattened.

    Integers are codes and must lie in the input format; floats are values, brought into it in the unit's
    rounding and overflow modes.
    """
    data = _load(path)
    if data.size == 0:
        raise ArgumentError(
            f"inputs must hold at least one number, not shape {data.shape!r} in {str(path)!r}"
        )
    if data.dtype.kind in "iu":
        return _checked_codes(data.ravel(), unit.input_format)
    if data.dtype.kind == "f":
        return _quantised(data.ravel(), path, unit)
    raise ArgumentError(
        f"inputs must be integers (codes) or floats (values), not {str(data.dtype)!r} in {str(path)!r}; "
        "convert the array with astype"
    )


def _load(path: str | Path) -> npt.NDArray[np.generic]:
    try:
        data = np.load(path, allow_pickle=False)
    except OSError as error:
        raise ArgumentError(
            f"inputs must be a readable .npy file, not {str(path)!r} ({error.strerror or error}); "
            "write one with numpy.save"
        ) from None
    except (ValueError, EOFError) as error:
        raise ArgumentError(
            f"inputs must be a .npy file of numbers, not {str(path)!r} ({error}); write one with numpy.save"
        ) from None
    if not isinstance(data, np.ndarray):
        data.close()
        raise ArgumentError(
            f"inputs must be a .npy file of one array, not an archive {str(path)!r}; "
            "write one with numpy.save"
        )
    return data


def _checked_codes(codes: npt.NDArray[np.generic], number_format: Format) -> Codes:
    for extreme in (int(codes.min()), int(codes.max())):
        number_format.fit(extreme)
    return codes.astype(np.int64)


def _quantised(values: npt.NDArray[np.generic], path: str | Path, unit: Unit) -> Codes:
    reals = values.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(reals))
    if bad.size:
        raise ArgumentError(
            f"inputs must be finite, not {reals[bad[0]].item()!r} at index {bad[0].item()} of {str(path)!r}; "
            "remove or replace such values"
        )
    return unit.quantise(reals)
