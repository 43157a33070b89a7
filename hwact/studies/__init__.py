# SPDX-License-Identifier: Apache-2.0
"""Studies of training on hardware activations: each module of this package with a ``NAME`` is one.

A study has ``NAME``, ``SUMMARY``, ``FULL`` and ``QUICK`` (its plans), ``COLUMNS`` (what a table shows of its
rows), ``run(plan, device, progress)``, whose results are ready for JSON, and ``figure(results)``. The same
plan gives the same results on one machine. Needs the extra ``hwact[studies]``.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from hwact.discovery import modules_with
from hwact.errors import ArgumentError, ToolError
from hwact.studies.plan import Plan, Progress, Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # which takes a while to load

_NEEDED = {"torch": "PyTorch", "numba": "Numba", "sklearn": "scikit-learn", "scipy": "SciPy"}


class Study(Protocol):
    """What a module of this package offers."""

    NAME: str
    SUMMARY: str
    FULL: Any
    QUICK: Any
    COLUMNS: tuple[str, ...]

    def run(self, plan: Plan, device: str, progress: Progress) -> Results:
        """Train and measure."""
        ...

    def figure(self, results: Results) -> Figure:
        """The picture of results."""
        ...


@cache
def catalogue() -> dict[str, Study]:
    """All studies by name.

    Raises
    ------
    ToolError
        A library of the extra ``hwact[studies]`` is missing.
    """
    for module, library in _NEEDED.items():
        try:
            importlib.import_module(module)
        except ImportError:
            raise ToolError(
                f'studies need {library}, not found here; install it: pip install "hwact[studies]"'
            ) from None
    return {module.NAME: module for module in modules_with("NAME", __name__).values()}


def get(name: str) -> Study:
    """The study of a name, or a clear error."""
    if name not in catalogue():
        raise ArgumentError(f"the study must be one of {', '.join(catalogue())}, not {name!r}")
    return catalogue()[name]
