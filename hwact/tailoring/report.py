# SPDX-License-Identifier: Apache-2.0
"""What a tailored activation becomes when its constants, and then its codes, are rounded."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hwact.errors import ArgumentError
from hwact.tailoring.maps import LocalMap
from hwact.tailoring.networks import Network
from hwact.tailoring.solve import Tailored

_GRID = np.linspace(0.0, 0.99, 100)
MAX_DIGITS = 16


@dataclass(frozen=True)
class GlobalMaps:
    """The second moment at the end of a network for 1 at its start, and correlations for 0 to 0.99."""

    q: float
    c: tuple[float, ...]
    peak: float
    """The largest C_f(0) of all subnetworks f."""

    @classmethod
    def of(cls, network: Network, local: LocalMap) -> GlobalMaps:
        """Of a network with these local maps everywhere."""
        q, c = network.maps(local, _GRID)
        peaks = [float(part.maps(local, np.zeros(1))[1][0]) for part in network.subnetworks()]
        return cls(q, tuple(c.tolist()), max(peaks))

    def at(self, correlation: float) -> float:
        """C at 0, 0.01, ... 0.99."""
        return self.c[round(100 * correlation)]

    @property
    def span(self) -> float:
        """C(0.99) - C(0): how much the end of the network still tells of its start."""
        return self.at(0.99) - self.at(0.0)

    def distance(self, other: GlobalMaps) -> float:
        """The largest difference, of the second moment and of all correlations; NaN where one has none."""
        return max(abs(self.q - other.q), float(np.abs(np.subtract(self.c, other.c)).max()))

    def as_dict(self) -> dict[str, float | None]:
        """For machines."""
        facts = {"q": self.q, "peak_c0": self.peak, "span": self.span}
        facts |= {f"c_{c}": self.at(c) for c in (0.0, 0.5, 0.9, 0.99)}
        return {key: value if math.isfinite(value) else None for key, value in facts.items()}


@dataclass(frozen=True)
class Rounded:
    """A tailored activation with its constants to so many signed digits, and what that costs."""

    digits: int
    tailored: Tailored
    maps: GlobalMaps
    error: float


def rounded(tailored: Tailored, network: Network, digits: int) -> Rounded:
    """Round all constants to so many signed digits."""
    result = tailored.rounded(digits)
    maps, exact = GlobalMaps.of(network, result.local), GlobalMaps.of(network, tailored.local)
    return Rounded(digits, result, maps, maps.distance(exact))


def roundings(tailored: Tailored, network: Network, tolerance: float) -> list[Rounded]:
    """From one signed digit to as many as keep Q(1) and C of the whole network within the tolerance."""
    if not tolerance > 0:
        raise ArgumentError(f"the tolerance must be above 0, not {tolerance!r}")
    found: list[Rounded] = []
    while not found or not found[-1].error <= tolerance:
        if len(found) == MAX_DIGITS:
            raise ArgumentError(
                f"the tolerance must be one that {MAX_DIGITS} signed digits meet, not {tolerance!r}; "
                "take a larger one"
            )
        found.append(rounded(tailored, network, len(found) + 1))
    return found
