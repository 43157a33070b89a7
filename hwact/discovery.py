# SPDX-License-Identifier: Apache-2.0
"""The modules of a package that make a catalogue: a new one is one new file."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any


def modules_with(attribute: str, package: str) -> dict[str, Any]:
    """A package's modules that have an attribute, by their own names, sorted."""
    path = importlib.import_module(package).__path__
    names = sorted(found.name for found in pkgutil.iter_modules(path))
    modules = {name: importlib.import_module(f"{package}.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, attribute)}
