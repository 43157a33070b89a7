# SPDX-License-Identifier: Apache-2.0
"""Symmetric units by construction: one half by another architecture, the other half its mirror image.

The half is a unit of its own, for |x|, whose output must suit x and -x at once. Only where exact symmetry
is asked for: elsewhere the other architectures fold more cheaply, half an ulp off.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwact.architectures import piecewise, quadratic, rows, table
from hwact.architectures.arithmetic import times
from hwact.architectures.constraints import Constraint, Mirror
from hwact.architectures.problem import InfeasibleError, Parameters, UnitSpec
from hwact.datapath import Datapath, Node
from hwact.datapath.evaluate import evaluate
from hwact.datapath.graph import Input, applied
from hwact.exact import ExactValues
from hwact.formats import Codes

NAME = "mirrored"

_HALVES = {module.NAME: module for module in (quadratic, rows, table, piecewise)}


@dataclass(frozen=True, kw_only=True)
class Half(UnitSpec):
    """The half of a symmetric specification for codes from 0 on.

    Parameters
    ----------
    whole : UnitSpec
    """

    whole: UnitSpec

    @classmethod
    def of(cls, whole: UnitSpec) -> Half:
        """The half; `InfeasibleError` where the specification has none."""
        given = whole.input_format
        if Mirror.of(whole) is None or not given.signed or given.zero_point or given.width < 3:
            raise InfeasibleError(
                "the mirrored architecture needs a symmetric function and a signed input without zero point, "
                f"not {whole.function.name!r} with {given} in and {whole.output_format} out; choose another"
            )
        half = dataclasses.replace(given, signed=False, integer_bits=given.integer_bits - 1)
        kept = {field.name: getattr(whole, field.name) for field in dataclasses.fields(UnitSpec)}
        return cls(**{**kept, "input_format": half, "constraints": ()}, whole=whole)

    @property
    def mirror(self) -> Mirror:
        """The symmetry in codes."""
        mirror = Mirror.of(self.whole)
        assert mirror is not None
        return mirror

    @cached_property
    def exact(self) -> ExactValues:
        """The whole's, from code 0 on."""
        whole = self.whole.exact
        start = whole.floor.size // 2
        parts = {name: getattr(whole, name)[start:] for name in ("floor", "inexact", "negative")}
        return dataclasses.replace(whole, **parts)

    @cached_property
    def allowed(self) -> tuple[Codes, Codes]:
        """Bounds that hold for x and, mirrored, for -x."""
        return self._folded(*self.whole.allowed)

    def unclamped(self) -> tuple[Codes, Codes]:
        """Open where the whole saturates afterwards."""
        return self._folded(*self.whole.unclamped())

    def _folded(self, low: Codes, high: Codes) -> tuple[Codes, Codes]:
        size = low.size // 2
        steps = np.arange(1, size, dtype=np.int64)
        ends = [self._inverse(bound[size - steps], steps) for bound in (low, high)]
        low, high = low[size:].copy(), high[size:].copy()
        low[1:], high[1:] = np.maximum(low[1:], np.minimum(*ends)), np.minimum(high[1:], np.maximum(*ends))
        return low, high

    def _inverse(self, y: Codes, steps: Codes) -> Codes:
        return self.mirror.sign * (y - self.mirror.constant - self.mirror.slope * steps)

    def finish(self, x: Input, y: Node) -> Datapath:
        """The half before any saturation."""
        raw = evaluate(Datapath(x, y), self.input_format.codes())
        low, high = self.unclamped()
        if ((raw < low) | (high < raw)).any():
            raise InfeasibleError(
                f"a half must be {self.accuracy} with its mirror image, not wrong; choose other parameters"
            )
        return Datapath(x, y.known(int(raw.min()), int(raw.max())))


def candidates(spec: UnitSpec) -> Iterator[Parameters]:
    """Those of the halves' architectures, where symmetry is asked for."""
    if Constraint.SYMMETRIC not in spec.constraints:
        return
    try:
        half = Half.of(spec)
    except InfeasibleError:
        return
    for name, architecture in _HALVES.items():
        for parameters in architecture.candidates(half):
            yield {"half": name, **parameters}


def build(spec: UnitSpec, parameters: Parameters) -> Datapath:
    """A datapath around one half.

    Parameters
    ----------
    parameters
        ``half``: the name of its architecture; and that one's parameters.
    """
    given = dict(parameters)
    name = str(given.pop("half"))
    if name not in _HALVES:
        raise InfeasibleError(f"a half must be one of {', '.join(_HALVES)}, not {name!r}")
    half = Half.of(spec)
    made = _HALVES[name].build(half, given)
    x, mirror = spec.input(), half.mirror
    negative = x.less_than(0).named("negative")
    magnitude = negative.select(0 - x, x).bits(0, half.input_format.width).named("magnitude")
    core = applied(made, magnitude).named("half")
    shift = times(magnitude, mirror.slope)
    shift = shift + mirror.constant if mirror.constant else shift
    y = negative.select(shift - core, core) if mirror.sign < 0 else core + negative.select(shift, 0)
    return spec.finish(x, x.equal_to(x.low).select(_last(spec, x, y), y))


def _last(spec: UnitSpec, x: Input, y: Node) -> int:
    """The output for the most negative code, which has no image: its neighbour's where it may be."""
    low, high = (int(bound[0]) for bound in spec.allowed)
    neighbour = int(evaluate(Datapath(x, y), np.array([x.low + 1]))[0])
    return min(max(neighbour, low), high)
