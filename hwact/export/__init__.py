# SPDX-License-Identifier: Apache-2.0
"""Functions in other tools' formats: each module of this package with a ``NAME`` writes one of them.

A target has ``NAME`` and ``export(source)``: the files, and the output codes that the receiver computes
from them, or :class:`hwact.errors.ArgumentError` where its format does not allow the function.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Protocol

from hwact.errors import ArgumentError
from hwact.export.source import Export, Source


class Target(Protocol):
    """What a module of this package offers."""

    NAME: str

    def export(self, source: Source) -> Export:
        """The files for this target."""
        ...


@cache
def catalogue() -> dict[str, Target]:
    """All targets by name."""
    modules = (
        importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
    )
    return {module.NAME: module for module in modules if hasattr(module, "NAME")}


def get(name: str) -> Target:
    """The target of a name, or a clear error."""
    if name not in catalogue():
        raise ArgumentError(f"--to must be one of {', '.join(catalogue())}, not {name!r}")
    return catalogue()[name]
