# SPDX-License-Identifier: Apache-2.0
"""Recorded inputs: an array of codes or of values in a file, as input codes of a unit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hwact.errors import ArgumentError
from hwact.unit import Unit

Array = npt.NDArray[Any]


def read(path: str | Path) -> Array:
    """An array of integers or floats from a ``.npy`` file; nothing is unpickled."""
    try:
        data = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ArgumentError(
            f"inputs must be a .npy file of numbers, not {str(path)!r} "
            f"({getattr(error, 'strerror', None) or error}); write one with numpy.save"
        ) from None
    if not isinstance(data, np.ndarray):
        data.close()
        raise ArgumentError(
            f"inputs must be a .npy file of one array, not an archive {str(path)!r}; "
            "write one with numpy.save"
        )
    if data.dtype.kind not in "iuf":
        raise ArgumentError(
            f"inputs must be integers (codes) or floats (values), not {str(data.dtype)!r} in {str(path)!r}; "
            "convert the array with astype"
        )
    return data


def codes_of(data: Array, unit: Unit, path: str | Path) -> Array:
    """Input codes of a unit, of the same shape.

    Integers are codes and must lie in the input format; floats are values, brought into it in the unit's
    rounding and overflow modes.
    """
    if data.dtype.kind == "f":
        bad = np.argwhere(~np.isfinite(data))
        if bad.size:
            place, value = ", ".join(map(str, bad[0])), float(data[tuple(bad[0])])
            raise ArgumentError(
                f"inputs must be finite, not {value!r} at index {place} of {str(path)!r}; "
                "remove or replace such values"
            )
        return unit.quantise(data)
    unit.check_range(data)
    return data
