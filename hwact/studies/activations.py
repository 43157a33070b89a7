# SPDX-License-Identifier: Apache-2.0
"""The activations of a study, in float or as units with their gradient units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from torch import Tensor

from hwact.torch import Activation
from hwact.unit import Unit, build, specification

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Choice:
    """An activation by its label and the arguments of :func:`hwact.build`."""

    label: str
    arguments: tuple[tuple[str, str | float], ...]

    @classmethod
    def of(cls, function: str, **parameters: float) -> Choice:
        """A function of the catalogue, labelled by its name and parameters."""
        label = " ".join([function, *(f"{value:g}" for value in parameters.values())])
        return cls(label, (("function", function), *parameters.items()))

    def units(self, width: int) -> tuple[Unit, Unit]:
        """The unit and its gradient unit."""
        return _unit(self.arguments, width, False), _unit(self.arguments, width, True)

    def at(self, width: int | None, device: str) -> Function:
        """PyTorch's float function; or the bit-exact unit, with its gradient unit in the backward pass."""
        if width is None:
            return specification(width=8, **dict(self.arguments)).function.torch_form  # type: ignore[arg-type]
        return Activation(*self.units(width)).to(device)


@cache
def _unit(arguments: tuple[tuple[str, str | float], ...], width: int, gradient: bool) -> Unit:
    return build(width=width, gradient=gradient, **dict(arguments))  # type: ignore[arg-type]


RELU = Choice.of("relu")
SMOOTH = (Choice.of("swish"), Choice.of("gelu"), Choice.of("softplus"))


def smelus(*betas: float) -> tuple[Choice, ...]:
    """SmeLU with each beta."""
    return tuple(Choice.of("smelu", beta=beta) for beta in betas)
