# SPDX-License-Identifier: Apache-2.0
"""Units for what was found in a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hwact import naming
from hwact.effort import build
from hwact.errors import ArgumentError
from hwact.onnx.activations import Activation, Listing, Unmatched
from hwact.unit import Unit

MAX_UNITS = 256

Progress = Callable[[str, int, int], None]


def units_of(found: Listing, progress: Progress, **options: Any) -> list[tuple[Unit, list[str]]]:
    """A unit for each activation, with its nodes; those that cannot be built join the unmatched.

    Parameters
    ----------
    found : Listing
    progress : callable
        Told what is being built, how many are, and of how many.
    **options
        As of :func:`hwact.build`: accuracy, constraints, architecture, target, interface, latency, lanes.

    Raises
    ------
    ArgumentError
        There are more than 256 of them.
    """
    if len(found.activations) > MAX_UNITS:
        raise ArgumentError(
            f"a model must need at most {MAX_UNITS} units, not {len(found.activations)!r}; split it"
        )
    units: dict[str, tuple[Unit, list[str]]] = {}
    for done, (activation, nodes) in enumerate(found.activations.items()):
        progress(activation.function.name, done, len(found.activations))
        try:
            unit = _unit(activation, units, options)
            units[unit.name] = unit, nodes
        except ArgumentError as error:
            found.unmatched += [Unmatched(node, activation.function.name, str(error)) for node in nodes]
    return list(units.values())


def _unit(activation: Activation, taken: dict[str, Any], options: dict[str, Any]) -> Unit:
    function, formats = activation.function, (activation.input_format, activation.output_format)
    name = naming.default(function, *formats)
    given: dict[str, Any] = {
        **options,
        **function.parameters,
        "input_format": activation.input_format,
        "output_format": activation.output_format,
        "rounding": activation.rounding,
        "name": f"{name}_{activation.rounding}" if name in taken else name,
    }
    return build(function.name, **given)
