# SPDX-License-Identifier: Apache-2.0
"""Graphs made from graphs: several in one, one behind another, and inputs as constants."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from hwact.datapath.graph import Datapath, Input, Node, as_node
from hwact.errors import ArgumentError


def merged(*datapaths: Datapath) -> Datapath:
    """One graph of all outputs of datapaths of the same input, in which no operation is there twice."""
    shared: dict[tuple[object, ...], Node] = {}
    places: dict[Node, Node] = {}
    for node in (node for datapath in datapaths for node in datapath.nodes):
        copy = moved(node, places)
        facts = (getattr(copy, field.name) for field in dataclasses.fields(copy) if field.name != "name")
        places[node] = shared.setdefault((type(copy), *facts), copy)
    x = places[datapaths[0].x]
    assert isinstance(x, Input)
    y, *others = (places[output] for datapath in datapaths for output in datapath.outputs)
    return Datapath(x, y, tuple(others))


def with_constant(datapath: Datapath, name: str, value: int) -> Datapath:
    """The same graph with a constant in the place of a further input."""
    (replaced,) = (node for node in datapath.inputs if node.name == name)
    return with_outputs(datapath, _rebuilt(datapath, {replaced: as_node(value)}))


def with_outputs(datapath: Datapath, places: Mapping[Node, Node]) -> Datapath:
    """The graph of what stands in the place of every node."""
    x = places[datapath.x]
    assert isinstance(x, Input)
    return Datapath(x, places[datapath.y], tuple(places[other] for other in datapath.others))


def fed_by(datapath: Datapath, node: Node) -> Node:
    """The output of a datapath whose input is another graph's node; its range must lie in the input's."""
    if node.low < datapath.x.low or node.high > datapath.x.high:
        raise ArgumentError(
            f"what feeds a datapath must be in {datapath.x.low}..{datapath.x.high}, "
            f"not {(node.low, node.high)!r}"
        )
    return _rebuilt(datapath, {datapath.x: node})[datapath.y]


def _rebuilt(datapath: Datapath, given: Mapping[Node, Node]) -> dict[Node, Node]:
    """What stands in the place of every node, with some that are given."""
    places = dict(given)
    for node in datapath.nodes:
        if node not in places:
            places[node] = moved(node, places)
    return places


def moved(node: Node, places: Mapping[Node, Node]) -> Node:
    """The same operation on what stands in the place of its operands; itself where that is the same."""
    changed: dict[str, Any] = {
        field.name: places[value]
        for field in dataclasses.fields(node)
        if isinstance(value := getattr(node, field.name), Node) and places.get(value, value) is not value
    }
    return dataclasses.replace(node, **changed) if changed else node
