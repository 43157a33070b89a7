# SPDX-License-Identifier: Apache-2.0
"""Graphs made from graphs: several in one, and inputs as constants."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from hwact.datapath.graph import Datapath, Input, Node, as_node


def merged(*datapaths: Datapath) -> Datapath:
    """One graph of all outputs of datapaths of the same input, in which no operation is there twice."""
    shared: dict[tuple[object, ...], Node] = {}
    places: dict[Node, Node] = {}
    for node in (node for datapath in datapaths for node in datapath.nodes):
        moved = _moved(node, places)
        facts = (getattr(moved, field.name) for field in dataclasses.fields(moved) if field.name != "name")
        places[node] = shared.setdefault((type(moved), *facts), moved)
    x = places[datapaths[0].x]
    assert isinstance(x, Input)
    y, *others = (places[output] for datapath in datapaths for output in datapath.outputs)
    return Datapath(x, y, tuple(others))


def with_constant(datapath: Datapath, name: str, value: int) -> Datapath:
    """The same graph with a constant in the place of a further input."""
    places: dict[Node, Node] = {}
    for node in datapath.nodes:
        replaced = isinstance(node, Input) and node.name == name
        places[node] = as_node(value) if replaced else _moved(node, places)
    x = places[datapath.x]
    assert isinstance(x, Input)
    return Datapath(x, places[datapath.y], tuple(places[other] for other in datapath.others))


def _moved(node: Node, places: Mapping[Node, Node]) -> Node:
    """The same operation on the operands that stand in the place of its own."""
    values = {field.name: getattr(node, field.name) for field in dataclasses.fields(node)}
    operands: dict[str, Any] = {n: places[value] for n, value in values.items() if isinstance(value, Node)}
    return dataclasses.replace(node, **operands)
