# SPDX-License-Identifier: Apache-2.0
"""Networks as Q and C maps see them: layers one behind another, and residual branches with weights.

A residual block with shortcut weight w is ``w x + sqrt(1 - w^2) branch(x)``, so squares sum to one.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from hwact.errors import ArgumentError
from hwact.functions.expr import Floats
from hwact.tailoring.maps import LocalMap

State = TypeVar("State")
MAX_LAYERS = 10**4
_MAX_NESTING = 16
_WAY_OUT = "see docs/tailoring.md"


@dataclass(frozen=True)
class Layers:
    """So many layers, each of weights and one activation."""

    count: int


@dataclass(frozen=True)
class Residual:
    """So many residual blocks, each with this branch and shortcut weight."""

    branch: Network
    shortcut: float
    repeat: int = 1


@dataclass(frozen=True)
class Network:
    """Parts one behind another."""

    parts: tuple[Layers | Residual, ...]

    @property
    def layers(self) -> int:
        """How many activations there are, over all branches."""
        return sum(
            part.count if isinstance(part, Layers) else part.repeat * part.branch.layers
            for part in self.parts
        )

    def through(
        self, state: State, step: Callable[[State], State], mix: Callable[[float, State, State], State]
    ) -> State:
        """Send a state through.

        Parameters
        ----------
        step : callable
            What a layer does to it.
        mix : callable
            (w^2, state of the shortcut, state of the branch) -> state of the sum.
        """
        for part in self.parts:
            if isinstance(part, Layers):
                for _ in range(part.count):
                    state = step(state)
            else:
                for _ in range(part.repeat):
                    state = mix(part.shortcut**2, state, part.branch.through(state, step, mix))
        return state

    def subnetworks(self) -> list[Network]:
        """The network and, nested, its branches; all others are parts of these and reach no higher."""
        inner = [s for p in self.parts if isinstance(p, Residual) for s in p.branch.subnetworks()]
        return [self, *inner]

    def peak(self, start: float, step: Callable[[float], float]) -> float:
        """The largest number that any subnetwork makes of ``start``, where sums are weighted means."""
        return max(n.through(start, step, weighted) for n in self.subnetworks())

    def maps(self, local: LocalMap, c: Floats, q: float = 1.0) -> tuple[float, Floats]:
        """Global Q and C maps: the second moment and the correlations at the end; c of any shape."""
        return self.through((q, np.asarray(c, dtype=np.float64)), lambda s: local(*s), _sum)


def weighted(square: float, shortcut: float, branch: float) -> float:
    """The mean with weights w^2 and 1 - w^2."""
    return square * shortcut + (1 - square) * branch


def _sum(square: float, shortcut: tuple[float, Floats], branch: tuple[float, Floats]) -> tuple[float, Floats]:
    q = weighted(square, shortcut[0], branch[0])
    return q, (square * shortcut[0] * shortcut[1] + (1 - square) * branch[0] * branch[1]) / q


def plain(depth: int) -> Network:
    """So many layers without shortcuts."""
    return Network((Layers(_count("the depth", depth)),))


def read(path: str | Path) -> Network:
    """A network from a description, ``.json`` or ``.toml``.

    The key ``network`` holds a list of ``{layers = N}`` and of
    ``{branch = [...], shortcut = w, repeat = N}``, nested as deep as need be.
    """
    path = Path(path)
    if path.suffix not in (".json", ".toml"):
        raise ArgumentError(f"a description must be .json or .toml, not {str(path)!r}; {_WAY_OUT}")
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise ArgumentError(
            f"a description must be a file that can be read, not {str(path)!r} ({error}); {_WAY_OUT}"
        ) from None
    if not isinstance(found, Mapping) or set(found) != {"network"}:
        raise ArgumentError(f"a description must hold the key 'network' alone, not {found!r}; {_WAY_OUT}")
    return _checked(_network(found["network"], _MAX_NESTING))


def _checked(network: Network) -> Network:
    if not 1 <= network.layers <= MAX_LAYERS:
        raise ArgumentError(f"a network must have 1 to {MAX_LAYERS} layers, not {network.layers!r}")
    return network


def _network(items: Any, nesting: int) -> Network:
    if not isinstance(items, list) or not items or not nesting:
        raise ArgumentError(
            f"a network must be a list of parts, at most {_MAX_NESTING} deep, not {items!r}; {_WAY_OUT}"
        )
    return Network(tuple(_part(item, nesting - 1) for item in items))


def _part(item: Any, nesting: int) -> Layers | Residual:
    match item:
        case {"layers": count, **rest} if not rest:
            return Layers(_count("layers", count))
        case {"branch": branch, "shortcut": weight, **rest} if not set(rest) - {"repeat"}:
            repeat = _count("repeat", rest.get("repeat", 1))
            return Residual(_network(branch, nesting), _weight(weight), repeat)
    raise ArgumentError(
        f"a part must be layers alone, or branch, shortcut and perhaps repeat, not {item!r}; {_WAY_OUT}"
    )


def _count(what: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_LAYERS:
        raise ArgumentError(f"{what} must be an integer from 1 to {MAX_LAYERS}, not {value!r}")
    return value


def _weight(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ArgumentError(f"a shortcut weight must be at least 0 and below 1, not {value!r}")
    return float(value)


def from_module(module: Any) -> Network:
    """A network from a PyTorch module.

    ``Sequential`` is followed; each activation counts as a layer; linear, convolution, flattening and
    dropout stand for the weights between them. A module with the attributes ``branch`` (a module) and
    ``shortcut`` (a number) is a residual block.

    Raises
    ------
    ArgumentError
        Any other module: normalisation by batch statistics, for one, excludes tailoring.
    """
    return _checked(Network(tuple(_module_parts(module))))


def _module_parts(module: Any) -> list[Layers | Residual]:
    from torch import nn

    branch, shortcut = getattr(module, "branch", None), getattr(module, "shortcut", None)
    if isinstance(branch, nn.Module) and shortcut is not None:
        inner = Network(tuple(_module_parts(branch)))
        return [Residual(inner, _weight(float(shortcut)))]
    if isinstance(module, nn.Sequential):
        return [part for child in module for part in _module_parts(child)]
    if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Flatten | nn.Dropout):
        return []
    if type(module).__module__ == "torch.nn.modules.activation":
        return [Layers(1)]
    raise ArgumentError(
        "a module must be made of Sequential, Linear, Conv, Flatten, Dropout, activations and residual "
        f"blocks with `branch` and `shortcut`, not {type(module).__name__!r}; describe the network in a file"
    )
