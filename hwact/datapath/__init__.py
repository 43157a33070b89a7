# SPDX-License-Identifier: Apache-2.0
"""The datapath graph and its readings."""

from hwact.datapath.graph import Datapath, Input, Node

__all__ = ["Datapath", "Input", "Node"]
