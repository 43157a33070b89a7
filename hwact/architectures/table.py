# SPDX-License-Identifier: Apache-2.0
"""A table of output codes, direct or folded by symmetry and base.

Where the accuracy leaves a choice, codes far apart share one value: the longer the runs of one value
between round addresses, the smaller the logic.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hwact.architectures.folding import Folding, Region, foldings, roundest
from hwact.architectures.problem import InfeasibleError, Parameters, UnitSpec
from hwact.datapath import Datapath
from hwact.formats import Codes

NAME = "table"

MAX_ADDRESS_BITS = 16
MAX_NETWORK_BITS = 8  # its search takes longer than all others above
LOGIC = ("cases", "network")
MAGNITUDES = ("chain", "gates")


def candidates(spec: UnitSpec) -> Iterator[Parameters]:
    """The foldings with which a table is possible; none where it would be absurdly large."""
    if spec.input_format.width <= MAX_ADDRESS_BITS:
        for folding in foldings(spec, max(0, -spec.frac_shift)):
            for logic in LOGIC[: 1 + _fits_network(spec, folding)]:
                for magnitude in MAGNITUDES if folding.kind == "magnitude" else MAGNITUDES[:1]:
                    yield {"folding": folding.kind, "magnitude": magnitude, "logic": logic}


def build(spec: UnitSpec, parameters: Parameters) -> Datapath:
    """A datapath around one table.

    Parameters
    ----------
    parameters
        ``folding``: a kind of :mod:`hwact.architectures.folding`. ``magnitude``: whether ``|x|`` comes
        from an adder's ``chain`` or from ``gates``. ``logic``: whether the table is left to synthesis as
        ``cases`` or is a ``network`` of look-up tables.
    """
    kind = str(parameters["folding"])
    region = Region.of(
        Folding(
            spec,
            kind,
            _guard_bits(spec, kind),
            saturated=kind != "plain",
            chained=parameters["magnitude"] == "chain",
        )
    )
    if (region.low > region.high).any():
        raise InfeasibleError(
            f"codes that fold together must have a value in common, not by {kind!r}; choose plain"
        )
    values = tuple(fewest_steps(region.low, region.high).tolist())
    lut_inputs = spec.target.lut_inputs if parameters["logic"] == "network" else 0
    x, y = region.build(lambda address: address.lookup(values, lut_inputs=lut_inputs).named("value"))
    return spec.finish(x, y)


def fewest_steps(low: Codes, high: Codes) -> Codes:
    """Values within bounds, constant over the largest aligned blocks of addresses that permit it.

    Parameters
    ----------
    low, high : int64 arrays, shape (2**bits,)
        Inclusive bounds, none of them empty.
    """
    values, settled = np.zeros_like(low), np.zeros(low.shape, np.bool_)
    size = low.size
    while not settled.all():
        bottom, top = low.reshape(-1, size).max(axis=1), high.reshape(-1, size).min(axis=1)
        fits = np.repeat(bottom <= top, size) & ~settled
        values = np.where(fits, np.repeat(roundest(bottom, np.maximum(bottom, top)), size), values)
        settled |= fits
        size //= 2
    return values


def _fits_network(spec: UnitSpec, folding: Folding) -> bool:
    return spec.target.lut_inputs < folding.address_bits <= MAX_NETWORK_BITS


def _guard_bits(spec: UnitSpec, kind: str) -> int:
    """As few as make the base exact."""
    return 0 if kind == "plain" else max(0, -spec.frac_shift)
