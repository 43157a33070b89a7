# SPDX-License-Identifier: Apache-2.0
"""The third witness: what the RTL put out beside PyTorch's float64 function."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hwact.formats import Codes, Overflow
from hwact.output import Output
from hwact.tools import require_module
from hwact.verify.report import PhaseRecord

# PyTorch's float64 functions are off by a few units of 2**-53 of the largest number they handle: the
# argument, the result, or the 1 that a cancelling 1 + erf begins with. 2**-48 of it leaves a factor of ten;
# at 16 bits that is 1e-10 ulp.
FLOAT64_ALLOWANCE = 2.0**-48


def require_torch() -> None:
    """Raise unless PyTorch is installed."""
    require_module("torch", "for --against torch", "python -m pip install 'hwact[torch]' brings it")


def torch_witness(
    unit: Output, claims: Mapping[str, Any], codes: Codes, received: Codes, name: str = "against_torch"
) -> tuple[PhaseRecord, str]:
    """Compare the codes of an RTL output with PyTorch's function; their error must be within the claim.

    Returns
    -------
    record : PhaseRecord
    note : str
        The largest error in ulp, and at which code.
    """
    started = time.perf_counter()
    received = received[: len(codes)]
    if len(received) < len(codes):
        failure = (
            f"all {len(codes)} codes must come out in order before they can be compared, not {len(received)}"
        )
        return PhaseRecord(name=name, failures=(failure,)), "PyTorch: not compared"
    x = unit.input_format.values(codes)
    exact = _torch_values(unit, x)
    error = _error_ulp(unit, received, exact)
    allowance = (
        FLOAT64_ALLOWANCE
        * np.maximum(1, np.maximum(np.abs(x), np.abs(exact)))
        / float(unit.output_format.ulp)
    )
    claim = claims["accuracy"]["max_error_ulp"]
    bad = np.flatnonzero(~(error <= claim + allowance))  # a NaN is no error that is small enough
    failures = tuple(
        f"code {codes[i]} (value {x[i]!s}): the error against PyTorch's {exact[i]!s} must be at most the "
        f"manifest's {claim!r} ulp, not {error[i]!s}: got {received[i]}"
        for i in bad[:8].tolist()
    )
    worst = int(np.argmax(error))
    note = (
        f"PyTorch float64: largest error {error[worst]:.6f} ulp at code {codes[worst]}, "
        f"claimed {claim:.6f} (allowance for float64: {allowance.max():.1e} ulp)"
    )
    seconds = time.perf_counter() - started
    record = PhaseRecord(name=name, codes_checked=len(codes), seconds=seconds, failures=failures)
    return record, note


def _torch_values(unit: Output, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    import torch  # an optional extra, and slow to import

    return np.asarray(unit.function.torch_form(torch.from_numpy(x)).detach().numpy(), dtype=np.float64)


def _error_ulp(unit: Output, received: Codes, exact: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The distance in ulp to the exact value, clamped to the format or modulo its range as the unit does."""
    target = unit.output_format
    scaled = exact / float(target.ulp) + target.zero_point
    if unit.spec.overflow is Overflow.SATURATE:
        return np.abs(received - np.clip(scaled, target.min_code, target.max_code))
    span = 2.0**target.width
    return np.abs(np.remainder(received - scaled + span / 2, span) - span / 2)
