# SPDX-License-Identifier: Apache-2.0
"""A model's nodes, the names between them and the single numbers among its constants."""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from hwact.errors import ArgumentError
from hwact.tools import require_module

MAX_BYTES = 1 << 29
MAX_NODES = 50_000
STANDARD = ("", "ai.onnx")


class UnmatchedError(Exception):
    """Why something in a model cannot become a unit."""


@dataclass(frozen=True, eq=False)
class Node:
    """One operator; `inputs` and `outputs` are names, an input that is left out is empty."""

    name: str
    operator: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(eq=False)
class Graph:
    """The nodes of a graph, a subgraph or a function of a model.

    Members
    -------
    nodes : list of Node
        Each after those that make its inputs.
    producers : dict
        The node that makes a name.
    consumers : dict
        The nodes that read a name.
    constants : mapping
        ONNX tensors by name; those of the graphs around it too.
    results : set of str
        Names that leave the graph.
    functions : set of (domain, name)
        The model's own functions, which are graphs of their own.
    """

    constants: ChainMap[str, Any]
    functions: set[tuple[str, str]]
    results: set[str]
    nodes: list[Node] = field(default_factory=list)
    producers: dict[str, Node] = field(default_factory=dict)
    consumers: dict[str, list[Node]] = field(default_factory=dict)
    _aliases: dict[str, str] = field(default_factory=dict)
    _dequantizers: dict[tuple[str, ...], str] = field(default_factory=dict)

    def add(self, node: Node) -> None:
        """Append a node."""
        self.nodes.append(node)
        for name in filter(None, node.outputs):
            self.producers[name] = node
        for name in dict.fromkeys(filter(None, node.inputs)):
            self.consumers.setdefault(name, []).append(node)
        if not node.outputs or not node.inputs or node.domain not in STANDARD:
            return
        if node.operator == "Identity":
            self._aliases[node.outputs[0]] = self.alike(node.inputs[0])
        elif node.operator == "DequantizeLinear":
            first = self._dequantizers.setdefault(node.inputs, node.outputs[0])
            self._aliases[node.outputs[0]] = first

    def alike(self, name: str) -> str:
        """The first name of what this name also means: copies, and equal dequantizers, count as one."""
        return self._aliases.get(name, name)

    def number(self, name: str, what: str) -> Any:
        """The one number of a constant, as a NumPy scalar.

        Raises
        ------
        UnmatchedError
            It is no constant, not one number, or outside the model's file.
        """
        tensor = self.constants.get(name)
        if tensor is None:
            raise UnmatchedError(f"its {what} is computed at run time")
        count = math.prod(tensor.dims)
        if count != 1:
            raise UnmatchedError(f"its {what} is not one number for all channels, but {count}")
        if tensor.data_location == type(tensor).EXTERNAL or tensor.external_data:
            raise UnmatchedError(f"its {what} is outside the model's file")
        from onnx import numpy_helper

        try:
            number = numpy_helper.to_array(tensor).reshape(-1)[0]
            float(number)
        except (ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
            raise UnmatchedError(f"its {what} cannot be read as a number: {error}") from None
        return number


def read(path: Path) -> list[Graph]:
    """The graphs of a model's file: the main one, those within its nodes, and its functions.

    Raises
    ------
    ArgumentError
        It is no file of a model, too large, or its names do not fit together.
    """
    require_module("onnx", "to read a model", "python -m pip install 'hwact[onnx]' brings it")
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.ModelProto.FromString(_content(path))
    except (OSError, DecodeError) as error:
        raise _unreadable(path, getattr(error, "strerror", None) or "its bytes do not decode") from None
    if not model.HasField("graph") or not model.graph.node:
        raise _unreadable(path, "there is no graph in it")
    reader = _Reader({(function.domain, function.name) for function in model.functions})
    reader.graph(model.graph, ChainMap(), ChainMap())
    for function in model.functions:
        reader.function(function)
    return reader.graphs


def _content(path: Path) -> bytes:
    if not path.is_file():  # a pipe would never end
        raise _unreadable(path, "there is no such file")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ArgumentError(
            f"a model must have at most {MAX_BYTES} bytes, not {size!r} in {str(path)!r}; "
            "save its weights as external data"
        )
    return path.read_bytes()


def _unreadable(path: Path, why: str) -> ArgumentError:
    return ArgumentError(f"a model must be a whole ONNX file, not {str(path)!r} ({why}); export it again")


class _Reader:
    """Collects the graphs of a model; `known` are the names that a node may read."""

    def __init__(self, functions: set[tuple[str, str]]) -> None:
        self.graphs: list[Graph] = []
        self._functions = functions
        self._count = 0

    def graph(self, proto: Any, constants: ChainMap[str, Any], known: ChainMap[str, None]) -> None:
        """A graph, and what is known of the graphs around it."""
        own = {tensor.name: tensor for tensor in proto.initializer}
        names = [*own, *(tensor.values.name for tensor in proto.sparse_initializer)]
        names += [value.name for value in proto.input]
        results = {value.name for value in proto.output}
        graph = Graph(constants.new_child(own), self._functions, results)
        self._fill(graph, proto.node, known.new_child(dict.fromkeys(names)))

    def function(self, proto: Any) -> None:
        """A function of the model: the names that go in are its inputs."""
        graph = Graph(ChainMap(), self._functions, set(proto.output))
        self._fill(graph, proto.node, ChainMap(dict.fromkeys(proto.input)))

    def _fill(self, graph: Graph, protos: Sequence[Any], known: ChainMap[str, None]) -> None:
        self.graphs.append(graph)
        self._count += len(protos)
        if self._count > MAX_NODES:
            raise ArgumentError(f"a model must have at most {MAX_NODES} nodes, not {self._count!r}; split it")
        for proto in protos:
            node = Node(
                name=proto.name or (proto.output[0] if proto.output else ""),
                operator=proto.op_type,
                domain=proto.domain,
                inputs=tuple(proto.input),
                outputs=tuple(proto.output),
                attributes={attribute.name: attribute for attribute in proto.attribute},
            )
            _check(node, known)
            for inner in _subgraphs(node):
                self.graph(inner, graph.constants, known)
            graph.add(node)
            known.maps[0].update(dict.fromkeys(filter(None, node.outputs)))
            tensor = _constant(node)
            if tensor is not None:
                graph.constants[node.outputs[0]] = tensor


def _check(node: Node, known: ChainMap[str, None]) -> None:
    for name in filter(None, node.inputs):
        if name not in known:
            raise ArgumentError(
                f"a node's inputs must be made before it, not {shown(name)!r} of {shown(node.name)!r} "
                "nowhere or later; export the model again"
            )
    for name in filter(None, node.outputs):
        if name in known.maps[0]:
            raise ArgumentError(
                f"every name must be made once, not {shown(name)!r} again by {shown(node.name)!r}; "
                "export the model again"
            )


def _constant(node: Node) -> Any:
    """The tensor of a ``Constant`` node, else none."""
    if node.operator != "Constant" or node.domain not in STANDARD or not node.outputs:
        return None
    from onnx import helper

    for name, attribute in node.attributes.items():
        if name == "value":
            return attribute.t
        if name in ("value_float", "value_int"):
            kind = np.float32 if name == "value_float" else np.int64
            value = attribute.f if name == "value_float" else attribute.i
            return helper.make_tensor(name, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), (), [value])
    return None


def _subgraphs(node: Node) -> Iterator[Any]:
    for attribute in node.attributes.values():
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def exact(number: Any) -> Fraction:
    """A constant's exact value."""
    value = float(number)
    if not math.isfinite(value):
        raise UnmatchedError(f"one of its constants is {value!r}")
    return Fraction(value)


def shown(name: str, longest: int = 60) -> str:
    """A name from a model as it can be printed anywhere."""
    text = "".join(c if c.isprintable() else "?" for c in name[: longest + 1])
    return text if len(text) <= longest else text[: longest - 3] + "..."
