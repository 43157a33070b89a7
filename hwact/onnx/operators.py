# SPDX-License-Identifier: Apache-2.0
"""What a group of nodes computes: their formula in x, and the catalogue's function with the same values."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from hwact import functions
from hwact.errors import ArgumentError
from hwact.functions.parse import parse
from hwact.functions.spec import FunctionSpec
from hwact.onnx.graph import STANDARD, Graph, Node, UnmatchedError

# Formulas of hwact.functions.parse; {0}, {1} are the inputs, names are attributes.
LINEAR = {
    "Add": "({0}+{1})",
    "Sub": "({0}-{1})",
    "Mul": "({0}*{1})",
    "Div": "({0}/{1})",
    "Neg": "(-{0})",
    "Identity": "{0}",
    "Cast": "{0}",
}
PARTS = {
    "Pow": "({0}**{1})",
    "Sqrt": "sqrt({0})",
    "Log": "log({0})",
    "Reciprocal": "(1/{0})",
    "Abs": "abs({0})",
    "Min": "min({0},{1})",
    "Max": "max({0},{1})",
    "Clip": "clip({0},{1},{2})",
    "Exp": "exp({0})",
}
ACTIVATIONS = {
    "Relu": "relu({0})",
    "LeakyRelu": "(relu({0})-{alpha}*relu(-{0}))",
    "PRelu": "(relu({0})-{1}*relu(-{0}))",
    "ThresholdedRelu": None,
    "Elu": "(relu({0})+{alpha}*expm1(min({0},0)))",
    "Celu": "(relu({0})+{alpha}*expm1(min({0},0)/{alpha}))",
    "Selu": "({gamma}*(relu({0})+{alpha}*expm1(min({0},0))))",
    "Sigmoid": "sigmoid({0})",
    "HardSigmoid": "clip({alpha}*{0}+{beta},0,1)",
    "HardSwish": "hardswish({0})",
    "Tanh": "tanh({0})",
    "Softplus": "softplus({0})",
    "Softsign": "({0}/(1+abs({0})))",
    "Mish": "mish({0})",
    "Swish": "({0}*sigmoid({alpha}*{0}))",
    "Gelu": "gelu({0})",
    "FastGelu": "gelu_tanh({0})",
    "QuickGelu": "({0}*sigmoid({alpha}*{0}))",
    "Erf": "erf({0})",
    "Shrink": None,
    "Softmax": None,
    "LogSoftmax": None,
    "Hardmax": None,
}
OF_MORE_THAN_ONE_INPUT = ("Softmax", "LogSoftmax", "Hardmax")
_DEFAULTS = {
    "LeakyRelu": {"alpha": 0.01},
    "Elu": {"alpha": 1.0},
    "Celu": {"alpha": 1.0},
    "Selu": {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875},
    "HardSigmoid": {"alpha": 0.2, "beta": 0.5},
    "Swish": {"alpha": 1.0},
    "QuickGelu": {"alpha": 1.702},
}
COPIES = ("Identity", "Cast")
DOMAINS = (*STANDARD, "com.microsoft")

MAX_FORMULAS = 1024
_MAX_INPUTS = 3
_MAX_NODES = 24
_MAX_PLACES = 12
_MAX_TEXT = 400
_PLACE = re.compile(r"\{(\d)\}")
_SAMPLES = np.concatenate((np.linspace(-12.0, 12.0, 97), [-29.3, -21.7, 19.1, 27.4]))
_TOLERANCE = 1e-5  # constants of float32; the two forms of GELU differ by 4.7e-4
_TOLERANCE_OF_HALVES = 2e-3


class Group:
    """The nodes between a tensor x and a node, read as a formula.

    Members
    -------
    x : str
        The tensor's name.
    nodes : set of Node
        What was read.
    constants : list of str
        The numbers among them, as decimals.
    halves : bool
        Whether one of them is of 16 bits.
    formula : str
    """

    def __init__(self, graph: Graph, root: Node, x: str) -> None:
        self._graph, self.x = graph, x
        self._known: dict[str, str] = {}
        self.nodes: set[Node] = set()
        self.constants: list[str] = []
        self.halves = False
        self.formula = self._node(root)

    def _name(self, name: str) -> str:
        if self._graph.alike(name) == self.x:
            return "x"
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def _read(self, name: str) -> str:
        if name in self._graph.constants:
            return self._spelled(self._graph.number(name, f"constant {name!r}"))
        node = self._graph.producers.get(name)
        if node is None:
            raise UnmatchedError(f"it also depends on {name!r}")
        return self._node(node)

    def _node(self, node: Node) -> str:
        template = formula_of(node)
        if template is None or len(self.nodes) >= _MAX_NODES:
            raise UnmatchedError(f"it also depends on {node.name!r}")
        self.nodes.add(node)
        operands = [self._name(name) for name in node.inputs if name]
        if len(operands) != len(set(_PLACE.findall(template))):
            raise UnmatchedError(f"{node.operator} has {len(operands)} inputs")
        values = dict(_DEFAULTS.get(node.operator, {}))
        values |= {key: node.attributes[key].f for key in values if key in node.attributes}
        text = template.format(*operands, **{key: self._spelled(value) for key, value in values.items()})
        if len(text) > _MAX_TEXT:
            raise UnmatchedError("its formula is too long")
        return text

    def _spelled(self, number: Any) -> str:
        """A number as the shortest decimal that its type reads back."""
        halves = isinstance(number, np.float16)
        self.halves |= halves
        with np.errstate(over="ignore"):
            rounded = number if halves else np.float32(number)
        if not math.isfinite(rounded):
            raise UnmatchedError(f"one of its constants is {float(number)!r}")
        text = f"{rounded!s}".removesuffix(".0")
        self.constants.append(text)
        return f"({text})" if text.startswith("-") else text


def formula_of(node: Node) -> str | None:
    """The formula of one operator; none where it has none."""
    if node.domain not in DOMAINS or len(node.inputs) > _MAX_INPUTS:
        return None
    if node.operator == "Gelu" and "approximate" in node.attributes:
        return {b"none": "gelu({0})", b"tanh": "gelu_tanh({0})"}.get(node.attributes["approximate"].s)
    if node.operator == "Clip":
        return _clip(node)
    return LINEAR.get(node.operator) or PARTS.get(node.operator) or ACTIVATIONS.get(node.operator)


def _clip(node: Node) -> str:
    """``Clip`` with either bound left out, or as an attribute."""
    text, position = "{0}", 1
    for index, (name, limit) in enumerate((("min", "max"), ("max", "min")), start=1):
        if name in node.attributes:
            text = f"{limit}({text},({np.float32(node.attributes[name].f)!s}))"
        elif len(node.inputs) > index and node.inputs[index]:
            text = f"{limit}({text},{{{position}}})"
            position += 1
    return text


def groups(graph: Graph, root: Node) -> Iterator[Group]:
    """The formulas that end with a node, by where x may be: nearest first; linear ones are none."""
    names = [name for name in root.inputs if name and name not in graph.constants]
    for name in itertools.islice(_ancestors(graph, names), _MAX_PLACES):
        try:
            group = Group(graph, root, graph.alike(name))
        except UnmatchedError:
            continue
        if any(node.operator not in LINEAR for node in group.nodes):
            yield group


def _ancestors(graph: Graph, names: list[str]) -> Iterator[str]:
    """Tensors by their distance from a node, as far as formulas reach."""
    seen = dict.fromkeys(names)
    while names:
        yield (name := names.pop(0))
        node = graph.producers.get(name)
        if node is not None and formula_of(node) is not None:
            more = [n for n in node.inputs if n and n not in graph.constants and n not in seen]
            seen |= dict.fromkeys(more)
            names += more


def function_of(group: Group) -> FunctionSpec | None:
    """The catalogue's function with the values of a formula, else none."""
    operators = frozenset(node.operator.lower() for node in group.nodes)
    return _named(group.formula, tuple(dict.fromkeys(group.constants)), operators, group.halves)


@lru_cache(maxsize=MAX_FORMULAS)
def _named(
    formula: str, constants: tuple[str, ...], operators: frozenset[str], halves: bool
) -> FunctionSpec | None:
    with np.errstate(all="ignore"):
        inverses = [str(np.float32(1) / np.float32(text)) for text in constants]
        try:
            values = parse(formula).array(_SAMPLES)
        except ArgumentError:
            return None
    found = []
    numbers = (None, *dict.fromkeys([*constants, *inverses]))
    for place, (name, number) in enumerate(itertools.product(functions.names(), numbers)):
        candidate = _candidate(name, number)
        if candidate is None:
            continue
        spec, own = candidate
        worst = float(np.nan_to_num(np.abs(values - own) / np.maximum(1, np.abs(own)), nan=np.inf).max())
        if worst <= (_TOLERANCE_OF_HALVES if halves else _TOLERANCE):
            same_name = name.replace("_", "") in operators
            found.append((round(worst, 4), bool(spec.arguments), not same_name, place, spec))
    return min(found, key=lambda each: each[:4])[4] if found else None


@lru_cache(maxsize=1 << 16)
def _candidate(name: str, number: str | None) -> tuple[FunctionSpec, Any] | None:
    """A function with its defaults, or one of a single parameter with this number; and its values."""
    parameters = functions.parameters_of(name)
    if number is not None and len(parameters) != 1:
        return None
    given = {} if number is None else {parameters[0].name: number}
    try:
        spec = functions.get(name, gradient=False, **given)
    except ArgumentError:
        return None
    return spec, spec.float_form(_SAMPLES)
