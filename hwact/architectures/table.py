# SPDX-License-Identifier: Apache-2.0
"""A table of output codes, direct or folded by symmetry and base.

Where the accuracy leaves a choice, codes far apart share one value: the longer the runs of one value
between round addresses, the smaller the logic.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from hwact.architectures.folding import Clipped, Folding, Region, foldings, roundest
from hwact.architectures.problem import InfeasibleError, Parameters, UnitSpec
from hwact.datapath import Datapath
from hwact.datapath.graph import Negation
from hwact.formats import Codes

NAME = "table"

MAX_ADDRESS_BITS = 16
MAX_NETWORK_BITS = 8  # its search takes longer than all others above
LOGIC = ("cases", "network")
SUMS = ("gated", "chosen")


def candidates(spec: UnitSpec) -> Iterator[Parameters]:
    """The foldings with which a table is possible; none where it would be absurdly large."""
    if spec.input_format.width > MAX_ADDRESS_BITS:
        return
    for folding in foldings(spec, max(0, -spec.frac_shift)):
        forms: dict[str, Sequence[str]] = {"logic": LOGIC[: 1 + _fits_network(spec, folding)]}
        if folding.kind == "magnitude":
            forms["magnitude"] = [*Negation]
        if folding.odd and not folding.centre[1]:
            forms["mirror"] = [Negation.CHAIN, Negation.CHOICE]
        if len({*folding.slopes}) > 1:
            forms["sum"] = SUMS
        for chosen in itertools.product(*forms.values()):
            yield {"folding": folding.kind, **dict(zip(forms, chosen, strict=True))}


def build(spec: UnitSpec, parameters: Parameters) -> Datapath:
    """A datapath around one table.

    Parameters
    ----------
    parameters
        ``folding``: a kind of :mod:`hwact.architectures.folding`. ``logic``: whether the table is left to
        synthesis as ``cases`` or is a ``network`` of look-up tables. Where the folding has them,
        ``magnitude``, ``mirror``: how ``|x|`` and a negative result are made, by names of `Negation`;
        ``sum``: whether x is ``gated`` before it is added on one side, or the sum ``chosen`` after it.
    """
    folding = Folding(
        spec,
        str(parameters["folding"]),
        _guard_bits(spec, str(parameters["folding"])),
        saturated=parameters["folding"] != "plain",
        magnitude=Negation(str(parameters.get("magnitude", Negation.CHAIN))),
        mirror=Negation(str(parameters.get("mirror", Negation.CHAIN))),
        chosen=parameters.get("sum") == "chosen",
    )
    region = _region(folding)
    values = fewest_steps(region.low, region.high)
    lut_inputs = spec.target.lut_inputs if parameters["logic"] == "network" else 0
    x, y = region.build(
        lambda address: address.lookup(tuple(values.tolist()), lut_inputs=lut_inputs).named("value")
    )
    return spec.finish(x, y)


def _region(folding: Folding) -> Region | Clipped:
    """The region of a folding; where its results are 0 or less and can be subtracted, of that folding."""
    region: Region | Clipped = Clipped.of(folding) if folding.odd else Region.of(folding)
    if folding.odd and (region.low > region.high).any():  # where one side saturates before the other
        region = Region.of(folding)
    if (region.low > region.high).any():
        raise InfeasibleError(
            f"codes that fold together must have a value in common, not by {folding.kind!r}; choose plain"
        )
    if folding.subtracted or not any(folding.slopes) or folding.chosen or (region.low > 0).any():
        return region
    return _region(replace(folding, subtracted=True))


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
