# SPDX-License-Identifier: Apache-2.0
"""Architectures: each module of this package with a ``NAME`` builds datapaths one way.

An architecture has ``NAME``, ``candidates(spec)`` (parameters worth trying, in a fixed order) and
``build(spec, parameters)`` (a datapath whose every output code meets the specification, or
:class:`hwact.architectures.problem.InfeasibleError`).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Protocol

from hwact.architectures.problem import Parameters, UnitSpec
from hwact.datapath import Datapath
from hwact.discovery import modules_with
from hwact.errors import ArgumentError


class Architecture(Protocol):
    """What a module of this package offers."""

    NAME: str

    def candidates(self, spec: UnitSpec) -> Iterator[Parameters]:
        """Parameters worth trying."""
        ...

    def build(self, spec: UnitSpec, parameters: Parameters) -> Datapath:
        """A datapath that meets the specification."""
        ...


@cache
def catalogue() -> dict[str, Architecture]:
    """All architectures by name."""
    return {module.NAME: module for module in modules_with("NAME", __name__).values()}


def get(name: str) -> Architecture:
    """The architecture of a name, or a clear error."""
    if name not in catalogue():
        raise ArgumentError(f"architecture must be auto or one of {', '.join(catalogue())}, not {name!r}")
    return catalogue()[name]
