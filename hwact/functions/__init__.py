# SPDX-License-Identifier: Apache-2.0
"""The catalogue of activation functions: one file each, found by listing this package.

A file that offers ``define(**parameters) -> FunctionSpec`` is a function; the `Parameter`
records in its ``PARAMETERS`` say what it takes.
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from fractions import Fraction
from functools import cache, lru_cache
from types import ModuleType

from hwact.discovery import modules_with
from hwact.errors import ArgumentError
from hwact.functions.parse import parse
from hwact.functions.shape import asymptotes_of, is_monotonic, symmetry_of
from hwact.functions.spec import FunctionSpec, Parameter

__all__ = ["FunctionSpec", "Parameter", "from_expression", "get", "names", "parameters_of"]


@cache
def _modules() -> dict[str, ModuleType]:
    return modules_with("define", __name__)


def names() -> tuple[str, ...]:
    """The names in the catalogue, sorted."""
    return tuple(_modules())


def _module(name: str) -> ModuleType:
    if isinstance(name, str) and name in _modules():
        return _modules()[name]
    near = difflib.get_close_matches(str(name).lower(), names(), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(names())}"
    raise ArgumentError(f"the function must be one of the catalogue, not {name!r}; {hint}")


def parameters_of(name: str) -> tuple[Parameter, ...]:
    """The parameters that a function takes, in their order."""
    return tuple(getattr(_module(name), "PARAMETERS", ()))


def get(name: str, *, gradient: bool = False, **parameters: object) -> FunctionSpec:
    """A function of the catalogue with its parameters bound.

    Parameters
    ----------
    name : str
        One of `names`.
    gradient : bool
        Its derivative instead.
    **parameters : int, float, str or Fraction
        A float or a text stands for the decimal that is written: 0.3 is exactly 3/10.

    Raises
    ------
    ArgumentError
        Unknown function or parameter, or a value outside the legal range.
    """
    legal = parameters_of(name)
    takes = [parameter.name for parameter in legal]
    for key in parameters:
        if key not in takes:
            what = f"it takes {', '.join(takes)}" if takes else "it takes none"
            raise ArgumentError(f"a parameter of {name} must be one it knows, not {key!r}; {what}")
    bound = tuple((p.name, p.bind(parameters.get(p.name, p.default))) for p in legal)
    return _define(name, bool(gradient), bound)


@lru_cache(maxsize=256)
def _define(name: str, gradient: bool, bound: tuple[tuple[str, Fraction], ...]) -> FunctionSpec:
    defaults = tuple((p.name, p.default) for p in parameters_of(name))
    function: FunctionSpec = _module(name).define(**dict(bound))
    function = replace(function, arguments=bound, defaults=defaults)
    return function.gradient() if gradient else function


def from_expression(text: str, name: str | None = None) -> FunctionSpec:
    """A function from a formula such as ``x*sigmoid(1.702*x)``; see `hwact.functions.parse`.

    Symmetry, asymptotes and monotonicity are detected. Without a name it is called ``custom``.
    """
    expression = parse(text)
    left, right = asymptotes_of(expression)
    return FunctionSpec(
        name=name or "custom",
        summary="User's expression",
        formula=text.strip(),
        expression=expression,
        symmetry=symmetry_of(expression),
        left=left,
        right=right,
        monotonic=is_monotonic(expression),
    )
