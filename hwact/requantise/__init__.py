# SPDX-License-Identifier: Apache-2.0
"""From 32-bit accumulators to output codes: a scale for each channel, batch normalisation, activation.

A layer's integer sum ``a`` stands for the value ``scale * a``. Behind it come, for every channel, batch
normalisation by its moving averages and the activation::

    y = f(gamma * (scale * a - mean) / sqrt(variance + epsilon) + beta)

Two forms of the whole are offered, both integer arithmetic:

- :class:`Thresholds`: the accumulators at which the output code changes. Exact: every code is y, correctly
  rounded. A comparison tree or a search in hardware.
- :class:`Requantiser`: ``(multiplier * a + bias) >> shift``, rounded into the input format of a unit of f.
  A multiplier in hardware; off by a stated bound ahead of the unit.

Both become hardware: :func:`build` makes a unit of thresholds, or of a `Requantiser` ahead of a unit of f.

Numbers of a network (scale, gamma, ...) are floats and taken exactly as they are.
"""

from hwact.requantise.channel import Channel, channels
from hwact.requantise.multiplier import Requantiser
from hwact.requantise.thresholds import Thresholds
from hwact.requantise.unit import RequantisingUnit, Scaled, build, rebuilt

__all__ = [
    "Channel",
    "Requantiser",
    "RequantisingUnit",
    "Scaled",
    "Thresholds",
    "build",
    "channels",
    "rebuilt",
]
