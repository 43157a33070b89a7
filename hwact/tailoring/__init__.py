# SPDX-License-Identifier: Apache-2.0
"""Activations tailored to deep networks (TAT, DKS), and Q and C maps of functions and of bit-exact units."""

from hwact.tailoring.initial import edge_of_chaos, he
from hwact.tailoring.maps import local_map
from hwact.tailoring.networks import Layers, Network, Residual, from_module, plain, read
from hwact.tailoring.solve import Rectifier, Shaped, dks, tailored_rectifier, tat

__all__ = [
    "Layers", "Network", "Rectifier", "Residual", "Shaped", "dks", "edge_of_chaos",
    "from_module", "he", "local_map", "plain", "read", "tailored_rectifier", "tat",
]  # fmt: skip
