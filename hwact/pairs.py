# SPDX-License-Identifier: Apache-2.0
"""A function and its gradient in one datapath."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from heapq import nsmallest
from itertools import product
from typing import Any

from hwact import architectures, reference
from hwact.architectures import joint
from hwact.architectures.problem import MAX_FITTED_WIDTH, Accuracy, UnitSpec, correct_by_default
from hwact.datapath.cost import area
from hwact.datapath.graph import Datapath
from hwact.datapath.rewrite import merged
from hwact.design import Design, choose, designs
from hwact.errors import ArgumentError
from hwact.formats import MAX_LISTED_WIDTH, Format
from hwact.functions.spec import FunctionSpec

MOST = 4  # designs of each that are tried with each of the other
_WIDE = Format.parse("SQ18.14")


def gradient_spec(
    spec: UnitSpec, wanted: bool, number_format: str | Format | None, accuracy: str | None
) -> UnitSpec | None:
    """What the second output must compute, if there is to be one.

    Constraints and a mean squared error are those of the function alone: a derivative need not keep them.
    """
    if not isinstance(wanted, bool):
        raise ArgumentError(f"with_gradient must be True or False, not {wanted!r}")
    if not wanted:
        if number_format is not None:
            raise ArgumentError(
                f"a gradient format must come with a gradient as second output, not {number_format!r} alone; "
                "add with_gradient"
            )
        return None
    function = spec.function.gradient()
    if number_format is None:
        made = gradient_format_of(function, spec.input_format, spec.output_format)
    else:
        made = Format.parse(number_format)
    default = "correct" if correct_by_default(function, spec.input_format, made) else "faithful"
    asked = None if accuracy is None else Accuracy.parse(accuracy)
    return replace(
        spec,
        function=function,
        output_format=made,
        accuracy=Accuracy(default) if asked is None or asked.kind == "mse" else asked,
        constraints=(),
    )


def rebuilt_gradient(spec: UnitSpec, facts: Mapping[str, Any]) -> Design:
    """The design of a unit's second output, from what its manifest says of it."""
    slope = gradient_spec(spec, True, facts["output_format"], facts["requested_accuracy"])
    assert slope is not None
    return Design.build(slope, facts["architecture"], facts["architecture_parameters"])


def gradient_format_of(gradient: FunctionSpec, input_format: Format, output_format: Format) -> Format:
    """The format of the gradient's codes unless one is given.

    The function's own format where it is fixed point and holds the gradient at every input code; else the
    signed format of as many bits that does, with as many fraction bits as that leaves.

    Raises
    ------
    ArgumentError
        The input has too many codes to look at each.
    """
    if input_format.width > MAX_LISTED_WIDTH:
        raise ArgumentError(
            f"a gradient format must be given for an input of more than {MAX_LISTED_WIDTH} bits, not left "
            f"out with {input_format}; add gradient_format"
        )
    exact = reference.exact_values(gradient, input_format, _WIDE)
    unit = _WIDE.ulp / (1 << exact.guard_bits)
    low, high = int(exact.floor.min()) * unit, (int(exact.floor.max()) + 1) * unit
    if output_format.scale is None and _holds(output_format, low, high):
        return output_format
    width = output_format.width
    choices = (Format(True, bits, width - bits) for bits in range(1, _WIDE.integer_bits))
    return next((each for each in choices if _holds(each, low, high)), _WIDE)


def _holds(number_format: Format, low: Fraction, high: Fraction) -> bool:
    """Whether values are at most half an ulp outside a format."""
    half = number_format.ulp / 2
    least, most = (number_format.value(code) for code in (number_format.min_code, number_format.max_code))
    return least - half <= low and high <= most + half


def choose_pair(specs: tuple[UnitSpec, UnitSpec], architecture: str = "auto") -> tuple[Design, ...]:
    """The designs of a function and its gradient that together take the least, by the estimate.

    Raises
    ------
    UnreachableError
        No design meets one of the specifications.
    """
    return pairs_of(specs, architecture)[0]


def pairs_of(specs: tuple[UnitSpec, UnitSpec], architecture: str = "auto") -> list[tuple[Design, ...]]:
    """The designs of a function and its gradient that are tried, the smallest estimate of both first.

    These are designs on the same polynomial segments, and of each output the few that are smallest by
    themselves; of wide inputs, where judging a design takes seconds, the one.

    Raises
    ------
    UnreachableError
        No design meets one of the specifications.
    """
    tried = list(_on_joint_segments(specs)) if architecture in ("auto", joint.NAME) else []
    if architecture != joint.NAME or not tried:
        tried += product(*(_smallest(spec, architecture) for spec in specs))
    return sorted(tried, key=_area)


def _area(pair: tuple[Design, ...]) -> float:
    """The estimated area of both on common nodes."""
    return float(area(datapath_of(joined(pair)), pair[0].spec.target))


def _on_joint_segments(specs: tuple[UnitSpec, UnitSpec]) -> Iterator[tuple[Design, ...]]:
    for parameters in joint.pairs(specs):
        yield tuple(Design.build(spec, joint.NAME, own) for spec, own in zip(specs, parameters, strict=True))


def _smallest(spec: UnitSpec, architecture: str) -> list[Design]:
    names = list(architectures.catalogue()) if architecture == "auto" else [architecture]
    wide = spec.input_format.width > MAX_FITTED_WIDTH
    found = [] if wide else nsmallest(MOST, designs(spec, names), key=lambda design: design.estimated_area)
    return found or [choose(spec, architecture)]


def joined(designs: tuple[Design, ...]) -> tuple[Design, ...]:
    """The same designs on common nodes."""
    if len(designs) == 1:
        return designs
    both = merged(*(design.datapath for design in designs))
    return tuple(replace(design, datapath=both.alone(i)) for i, design in enumerate(designs))


def datapath_of(designs: tuple[Design, ...]) -> Datapath:
    """The datapath of all outputs behind designs on common nodes."""
    first, *others = (design.datapath for design in designs)
    return Datapath(first.x, first.y, tuple(other.y for other in others))
