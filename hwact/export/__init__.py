# SPDX-License-Identifier: Apache-2.0
"""Functions in other tools' formats: each module of this package with a ``NAME`` writes one of them.

A target has ``NAME`` and ``export(source)``: the files, and the output codes that the receiver computes
from them, or :class:`hwact.errors.ArgumentError` where its format does not allow the function.
"""

from __future__ import annotations

from functools import cache
from typing import Protocol

from hwact.discovery import modules_with
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
    return {module.NAME: module for module in modules_with("NAME", __name__).values()}


def get(name: str) -> Target:
    """The target of a name, or a clear error."""
    if name not in catalogue():
        raise ArgumentError(f"--to must be one of {', '.join(catalogue())}, not {name!r}")
    return catalogue()[name]
