# SPDX-License-Identifier: Apache-2.0
"""A function and its gradient from the same polynomial segments, without multipliers.

The high bits of the input, or of |x|, select a segment, the low bits, centred, are the offset v in it::

    bent = rows of c2[segment] * v
    slope = c1[segment] + bent
    function = (rows of slope * v + c0[segment]) >> guard_bits
    gradient = (rows of c3[segment] * q + bent + slope) >> gradient_guard_bits

``q`` is a small table of v squared. Function and gradient are a design each, with the same parameters but
for what these say of the other one; only beside each other do they pay.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwact.architectures.digits import rows_by_booth, rows_by_number
from hwact.architectures.joint_fit import (
    Coefficients,
    Shape,
    Specs,
    between,
    fitted,
    foldings,
    product_shift,
)
from hwact.architectures.problem import Accuracy, InfeasibleError, Parameters, UnitSpec
from hwact.architectures.rows import (
    MAX_INPUT_WIDTH,
    MAX_OUTPUT_WIDTH,
    MAX_SEGMENT_BITS,
    MAX_SQUARE_BITS,
    cheapest,
    kept_sum,
    magnitude,
    offset,
    saturations,
    square_fields,
    squared,
)
from hwact.datapath import Datapath, Node
from hwact.datapath.graph import Input
from hwact.formats import Codes, Format, Overflow

NAME = "joint"

MIN_INPUT_WIDTH = 11  # below, tables are smaller
MAX_GUARD_BITS = 5
LENGTHS = 2
FOLDINGS = ("magnitude", "plain")
OTHERS = ("other_format", "other_accuracy")  # what the parameters say of the other output


def candidates(_: UnitSpec) -> Iterator[Parameters]:
    """None: of one output, the other architectures make less."""
    return iter(())


def pairs(specs: Specs) -> Iterator[tuple[Parameters, Parameters]]:
    """For function and gradient: the longest feasible segments, and the next."""
    if not _fits(specs):
        return
    for folding in FOLDINGS:
        shapes: list[Shape] = []
        for saturate in saturations(specs[0]):
            shapes = shapes or _longest(specs, folding, saturate)
        for shape in shapes:
            yield _parameters(shape, specs[1]), _parameters(shape, specs[0])


def _parameters(shape: Shape, other: UnitSpec) -> Parameters:
    told = (str(other.output_format), str(other.accuracy))
    return {**vars(shape), **dict(zip(OTHERS, told, strict=True))}


def _fits(specs: Specs) -> bool:
    """Whether formats, accuracies and constraints are such as segments can be fitted to."""
    function = specs[0]
    formats = [function.input_format, *(spec.output_format for spec in specs)]
    return (
        MIN_INPUT_WIDTH <= function.input_format.width <= MAX_INPUT_WIDTH
        and all(spec.output_format.width <= MAX_OUTPUT_WIDTH for spec in specs)
        and all(each.scale is None for each in formats)
        and function.overflow is Overflow.SATURATE
        and function.accuracy.kind != "mse"
        and not function.constraints
    )


def _longest(specs: Specs, folding: str, saturate: int) -> list[Shape]:
    """The cheapest shapes of the greatest feasible segment lengths."""
    width = specs[0].input_format.width - (folding != "plain")
    found: list[Shape] = []
    for length in range(width - 3, width - MAX_SEGMENT_BITS - 1, -1):
        shape = _cheapest(specs, _roomy(folding, saturate, length))
        found += [shape] if shape else []
        if len(found) == LENGTHS:
            break
    return found


def _roomy(folding: str, saturate: int, length: int) -> Shape:
    """With the most bits in every place."""
    square = square_fields(length, MAX_SQUARE_BITS)
    return Shape(folding, saturate, length, MAX_GUARD_BITS, MAX_GUARD_BITS, length + 1, **square)


def _cheapest(specs: Specs, shape: Shape) -> Shape | None:
    fields = ("gradient_guard_bits", "guard_bits", "bend_bits", "square_bits", "curve_bits")
    return cheapest(shape, fields, 1, lambda fewer: fitted(specs, fewer) is not None)


def build(spec: UnitSpec, parameters: Parameters) -> Datapath:
    """The datapath of one of the two.

    Parameters
    ----------
    parameters
        The fields of :class:`hwact.architectures.joint_fit.Shape`; ``other_format`` and ``other_accuracy``:
        format and accuracy of the other output.
    """
    given = dict(parameters)
    made, accuracy = (str(given.pop(name)) for name in OTHERS)
    other = dataclasses.replace(
        spec,
        function=spec.function.antiderivative or spec.function.gradient(),
        output_format=Format.parse(made),
        accuracy=Accuracy.parse(accuracy),
    )
    specs = (other, spec) if spec.function.is_gradient else (spec, other)
    shape = Shape(**given)  # type: ignore[arg-type]
    coefficients = fitted(specs, shape) if _fits(specs) else None
    if coefficients is None:
        raise InfeasibleError.of_fit(
            "polynomial segments", spec, parameters, "shorter segments or more guard bits"
        )
    builder = _Builder(specs, shape, coefficients, spec.input())
    y = builder.gradient() if spec.function.is_gradient else builder.function()
    return spec.finish(builder.x, y)


@dataclass(frozen=True)
class _Builder:
    """Makes the graph of one design."""

    specs: Specs
    shape: Shape
    coefficients: Coefficients
    x: Input

    def function(self) -> Node:
        """The function before saturation."""
        shape, slope = self.shape, self._slope()
        rows = rows_by_booth(self._v, shape.segment_bits, slope, product_shift(self.specs, shape))
        total = self._sum(rows, self._table(self.coefficients.c0).named("c0"))
        return foldings(self.specs, shape)[0].result(self.x, total)

    def gradient(self) -> Node:
        """The gradient."""
        shape = self.shape
        square = squared(self._v, shape.segment_bits - shape.square_address, shape.squares())
        rows = self._rows("curve", self.coefficients.c3, square, shape.curve_bits)
        total = self._sum(rows, self._bent(), self._slope())
        folding, rest = foldings(self.specs, shape)[1], between(self.specs, shape)
        if not folding.odd:  # the function is, and has no base: no constant is between them
            return folding.result(self.x, total)
        negative, (centre, _) = self.x.less_than(0), folding.centre
        mirrored = negative.select(~total, total).named("mirrored")
        return (mirrored + negative.select(centre - rest, centre + rest)) >> shape.gradient_guard_bits

    @cached_property
    def _address(self) -> Node:
        return magnitude(self.x) if self.shape.folding == "magnitude" else self.x

    @cached_property
    def _v(self) -> Node:
        return offset(self._address, self.shape.segment_bits)

    @cached_property
    def _segment(self) -> Node:
        length = self.shape.segment_bits
        return self._address.bits(length, self._address.width - length).named("segment")

    def _table(self, values: Codes) -> Node:
        if self._address.signed:
            values = np.roll(values, values.size // 2)
        return self._segment.lookup(tuple(values.tolist()))

    def _rows(self, name: str, numbers: Codes, a: Node, shift: int) -> list[Node]:
        return rows_by_number(lambda digit: self._table(digit).named(name), numbers, a, shift)

    def _bent(self) -> Node:
        return self._sum(self._rows("bend", self.coefficients.c2, self._v, self.shape.bend_bits))

    def _slope(self) -> Node:
        return self._sum([self._bent()], self._table(self.coefficients.c1).named("c1"))

    def _sum(self, rows: list[Node], *last: Node) -> Node:
        """The narrowest rows first."""
        terms = [*sorted(rows, key=lambda row: row.width), *last]
        return kept_sum(self.x, terms, self.specs[0].input_format.codes())
