# SPDX-License-Identifier: Apache-2.0
"""What is measured over seeds: prediction differences, intervals, and whether a claim holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats
from torch import Tensor

CONFIDENCE = 0.95


def prediction_difference(p: Tensor, q: Tensor) -> Tensor:
    """The relative prediction difference (PD), the mean of ``2 |p - q| / (p + q)`` over examples.

    Parameters
    ----------
    p, q : tensors, shape (..., examples)
        Probabilities of two networks, not both 0.
    """
    return (2 * (p - q).abs() / (p + q)).mean(dim=-1)


def churn(p: Tensor, q: Tensor) -> Tensor:
    """The share of examples that two networks decide differently; scores, shape (..., examples, classes)."""
    return (p.argmax(dim=-1) != q.argmax(dim=-1)).double().mean(dim=-1)


def rounded(value: float) -> float | None:
    """Six digits, for JSON; None where it is no number."""
    return float(f"{value:.6g}") if np.isfinite(value) else None


def interval(values: npt.ArrayLike) -> dict[str, float | None]:
    """Mean and 95 % confidence interval by Student's t; one value a seed."""
    array = np.asarray(values, dtype=np.float64)
    mean, error = array.mean(), array.std(ddof=1) / np.sqrt(array.size)
    reach = error * stats.t.ppf((1 + CONFIDENCE) / 2, array.size - 1)
    return {"mean": rounded(mean), "low": rounded(mean - reach), "high": rounded(mean + reach)}


def claim(text: str, gains: npt.ArrayLike, **where: Any) -> dict[str, Any]:
    """Whether something is so: ``gains`` has one value a seed, above 0 where it is.

    The verdict is ``appears`` or ``reversed`` where the interval of the mean is above or below 0, else
    ``undecided``.
    """
    found = interval(gains)
    low, high = found["low"], found["high"]
    verdict = "undecided"
    if low is not None and high is not None:
        verdict = "appears" if low > 0 else "reversed" if high < 0 else verdict
    return {"claim": text, **where, "gain": found, "verdict": verdict}
