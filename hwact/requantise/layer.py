# SPDX-License-Identifier: Apache-2.0
"""A layer's numbers in a JSON file, and the unit that options ask for."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwact.errors import ArgumentError
from hwact.requantise.channel import Channel, channels
from hwact.requantise.thresholds import Thresholds
from hwact.requantise.unit import RequantisingUnit, Scaled, build
from hwact.unit import build as build_activation
from hwact.unit import specification

_KEYS = tuple(inspect.signature(channels).parameters)
_PLACES = ("interface", "latency", "clock", "lanes")
_FURTHER = ("with_gradient", "gradient_format", "runtime_beta")


def read(path: Path) -> tuple[Channel, ...]:
    """The channels of a JSON object with the arguments of :func:`channels`, numbers or lists of them."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ArgumentError(
            f"a layer must be a JSON file, not {str(path)!r} ({getattr(error, 'strerror', None) or error}); "
            f"write an object with {', '.join(_KEYS)}"
        ) from None
    if not isinstance(facts, dict) or "scale" not in facts or facts.keys() - set(_KEYS):
        found = sorted(facts) if isinstance(facts, dict) else type(facts).__name__
        raise ArgumentError(
            f"a layer must be a JSON object with scale, and of {', '.join(_KEYS[1:])} what there is, "
            f"not {found!r}"
        )
    for key, value in facts.items():
        for number in value if isinstance(value, list) and value else [value]:
            if isinstance(number, bool) or not isinstance(number, (int, float)):
                raise ArgumentError(f"{key} must be a number or a list of numbers, not {number!r}")
    if not isinstance(facts.get("epsilon", 0.0), (int, float)):
        raise ArgumentError(f"epsilon must be one number, not {facts['epsilon']!r}")
    return channels(**facts)


def unit_of(function: str | None, layer: Path, options: Mapping[str, Any]) -> RequantisingUnit:
    """The unit of a function behind a layer, from the arguments of `hwact.build` that were given.

    With an input format, a multiplier for each channel ahead of a unit from it; else thresholds.
    """
    made = read(layer)
    given = {key: value for key, value in options.items() if key not in _PLACES}
    places = {key: options[key] for key in _PLACES if key in options} | {"target": given["target"]}
    further = [(key, value) for key in _FURTHER if (value := given.pop(key, None))]
    if further:
        raise ArgumentError("{} must be left out behind a layer, not {!r}".format(*further[0]))
    if given["multipliers"] != "luts":
        raise ArgumentError(
            f"multipliers must be luts behind a layer, not {given['multipliers']!r}; leave it out"
        )
    name = given.get("name")
    if "input_format" in given or "width" in given:
        activation = build_activation(function, **given, interface="bare", latency=0)
        return build(Scaled.of(made, activation), name=name, **places)
    if "output_format" not in given:
        raise ArgumentError(
            "a layer must come with an output format, not none; add --output-format, and --input-format "
            "for a multiplier ahead of a unit in place of thresholds"
        )
    if given.pop("accuracy", "correct") != "correct" or given.pop("architecture") != "auto":
        raise ArgumentError(
            "thresholds must be correct and have no architecture, not another accuracy or architecture; "
            "add --input-format for a multiplier ahead of a unit"
        )
    spec = specification(function, **given, input_format=given["output_format"])
    if spec.overflow.value != "saturate":
        raise ArgumentError(f"overflow must be saturate behind a layer, not {spec.overflow.value!r}")
    form = Thresholds.of(spec.function, made, spec.output_format, rounding=spec.rounding)
    return build(form, name=name, **places, expression=given.get("expression"))
