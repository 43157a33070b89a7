# SPDX-License-Identifier: Apache-2.0
"""Every activation of a model: what it computes, between which formats, or why it cannot become a unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hwact.errors import ArgumentError
from hwact.formats import Format, Rounding
from hwact.functions.spec import FunctionSpec
from hwact.onnx import quantizers
from hwact.onnx.graph import Graph, Node, UnmatchedError, read, shown
from hwact.onnx.operators import (
    ACTIVATIONS,
    COPIES,
    DOMAINS,
    MAX_FORMULAS,
    OF_MORE_THAN_ONE_INPUT,
    Group,
    function_of,
    groups,
)


@dataclass(frozen=True)
class Activation:
    """What a unit must compute; equal for all nodes that one unit serves.

    Parameters
    ----------
    function : FunctionSpec
    input_format, output_format : Format
    rounding : Rounding
    """

    function: FunctionSpec
    input_format: Format
    output_format: Format
    rounding: Rounding


@dataclass(frozen=True)
class Unmatched:
    """A node that no unit serves, and why."""

    node: str
    operator: str
    reason: str


@dataclass
class Listing:
    """What was found.

    Members
    -------
    activations : dict
        The names of the nodes at which each activation ends, in the model's order.
    unmatched : list of Unmatched
    """

    activations: dict[Activation, list[str]] = field(default_factory=dict)
    unmatched: list[Unmatched] = field(default_factory=list)


def listing(
    path: str | Path,
    *,
    input_format: Format | None = None,
    output_format: Format | None = None,
    rounding: Rounding | None = None,
) -> Listing:
    """The activations of a model's file.

    Parameters
    ----------
    path : str or Path
        An ONNX file of at most 512 MiB and 50 000 nodes; nothing else is read.
    input_format, output_format : Format, optional
        Where the model has no quantizers; without them such an activation is unmatched.
    rounding : Rounding, optional
        The same for all units; else that of the quantizer, or the format's default.

    Raises
    ------
    ArgumentError
        The file is not a model whose names fit together.
    ToolError
        The package ``onnx`` is missing.
    """
    found = Listing()
    for graph in read(Path(path)):
        for node, match in _matches(graph):
            try:
                if isinstance(match, str):
                    raise UnmatchedError(match)
                source = quantizers.before(graph, match.x)
                target = quantizers.behind(graph, match.y)
                activation = Activation(
                    match.function,
                    _either(source, input_format, "before it, and no --input-format or --width"),
                    _either(target, output_format, "behind it, and no --output-format or --width"),
                    rounding or _rounding(target, output_format),
                )
                found.activations.setdefault(activation, []).append(shown(node.name))
            except UnmatchedError as error:
                what = shown(node.name), shown(node.operator)
                found.unmatched.append(Unmatched(*what, shown(str(error), 200)))
    return found


def _either(quantized: quantizers.Quantized | None, given: Format | None, missing: str) -> Format:
    if quantized is None and given is None:
        raise UnmatchedError(f"no quantizer {missing}")
    return quantized.format if quantized is not None else given  # type: ignore[return-value]


def _rounding(target: quantizers.Quantized | None, given: Format | None) -> Rounding:
    if target is not None:
        return target.rounding
    return given.default_rounding if given is not None else Rounding.HALF_EVEN


@dataclass(frozen=True)
class _Match:
    """A function of the catalogue between two tensors."""

    function: FunctionSpec
    x: str
    y: str


def _matches(graph: Graph) -> Iterator[tuple[Node, _Match | str]]:
    """The nodes at which activations end, in order, each with its match or why it has none."""
    results: list[tuple[Node, _Match | str]] = []
    taken: set[Node] = set()
    formulas: set[str] = set()
    for node in reversed(graph.nodes):
        if node in taken or node.operator in COPIES or not any(node.outputs[:1]):
            continue
        match, group = _match(graph, node, formulas)
        if match is not None:
            results.append((node, match))
        if group is not None:
            taken |= _inside(graph, group, node)
    yield from reversed(results)


def _match(graph: Graph, node: Node, formulas: set[str]) -> tuple[_Match | str | None, Group | None]:
    """The match that ends at a node, or why an activation has none; and the nodes that it took."""
    known = node.domain in DOMAINS or quantizers.is_quant(node)
    if not known and (node.domain, node.operator) not in graph.functions:
        return f"operators of the domain {node.domain!r} are not known", None
    if node.operator in OF_MORE_THAN_ONE_INPUT:
        return "each output depends on many inputs", None
    nearest: Group | None = None
    for group in groups(graph, node):
        nearest = nearest or group
        formulas.add(group.formula)
        if len(formulas) > MAX_FORMULAS:
            count = len(formulas)
            raise ArgumentError(
                f"a graph must have at most {MAX_FORMULAS} different formulas, not {count!r}; split it"
            )
        function = function_of(group)
        if function is not None:
            return _Match(function, group.x, node.outputs[0]), group
    if node.operator not in ACTIVATIONS or node.domain not in DOMAINS:
        return None, None
    if nearest is None:
        return "it is no function of one tensor", None
    return f"no function of the catalogue is {nearest.formula}; generate it with --expression", None


def _inside(graph: Graph, group: Group, root: Node) -> set[Node]:
    """The nodes of a group whose results nothing else needs."""
    inner = group.nodes - {root}
    while True:
        whole = {*inner, root}
        left = {
            node
            for node in inner
            for name in node.outputs
            if name in graph.results or any(reader not in whole for reader in graph.consumers.get(name, []))
        }
        if not left:
            return inner
        inner -= left
