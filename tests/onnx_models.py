# SPDX-License-Identifier: Apache-2.0
"""Small ONNX models as exporters write them, for the tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

QONNX = "qonnx.custom_op.general"
NUMBERS = {
    "half": 0.5,
    "one": 1.0,
    "two": 2.0,
    "three": 3.0,
    "six": 6.0,
    "zero": 0.0,
    "root2": math.sqrt(2),
    "inverse_root2": math.sqrt(0.5),
    "cubic": 0.044715,
    "root_2_by_pi": math.sqrt(2 / math.pi),
    "quick": 1.702,
    "slope": 0.2,
}

Steps = Sequence[tuple[str, Sequence[str], str]]


def nodes(steps: Steps, prefix: str = "", **attributes: Any) -> list[NodeProto]:
    """Nodes from (operator, inputs, output); attributes are those of the last one."""
    made = [helper.make_node(op, list(inputs), [out], name=prefix + out) for op, inputs, out in steps]
    made[-1].attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
    return made


def constant(name: str, value: Any, kind: Any = np.float32) -> TensorProto:
    """A constant, of any shape."""
    return numpy_helper.from_array(np.array(value, kind), name)


def save(
    path: Path,
    body: Sequence[NodeProto],
    constants: Sequence[TensorProto] = (),
    *,
    kind: Any = np.float32,
    inputs: Sequence[str] = ("x",),
    results: Sequence[str] = ("y",),
    functions: Sequence[Any] = (),
) -> Path:
    """Write a model; of the `NUMBERS` it has those that are read."""
    read = {name for node in body for name in node.input}
    numbers = [constant(name, value, kind) for name, value in NUMBERS.items() if name in read]
    first, last = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
        for names in (inputs, results)
    )
    graph = helper.make_graph(body, "graph", first, last, [*numbers, *constants])
    domains = {node.domain for node in body} | {""}
    opsets = [helper.make_opsetid(domain, 24 if not domain else 1) for domain in sorted(domains)]
    model = helper.make_model(graph, opset_imports=opsets, functions=list(functions))
    path.write_bytes(model.SerializeToString())
    return path


GELU_BY_DIV = [
    ("Div", ["x", "root2"], "a"),
    ("Erf", ["a"], "b"),
    ("Add", ["b", "one"], "c"),
    ("Mul", ["x", "c"], "d"),
    ("Mul", ["d", "half"], "y"),
]
GELU_BY_MUL = [
    ("Mul", ["half", "x"], "d"),
    ("Mul", ["x", "inverse_root2"], "a"),
    ("Erf", ["a"], "b"),
    ("Add", ["one", "b"], "c"),
    ("Mul", ["c", "d"], "y"),
]
GELU_TANH_BY_POW = [
    ("Pow", ["x", "three"], "a"),
    ("Mul", ["a", "cubic"], "b"),
    ("Add", ["x", "b"], "c"),
    ("Mul", ["c", "root_2_by_pi"], "d"),
    ("Tanh", ["d"], "e"),
    ("Add", ["e", "one"], "f"),
    ("Mul", ["x", "half"], "g"),
    ("Mul", ["g", "f"], "y"),
]
GELU_TANH_BY_MUL = [
    ("Mul", ["x", "x"], "a"),
    ("Mul", ["a", "x"], "b"),
    ("Mul", ["cubic", "b"], "c"),
    ("Add", ["c", "x"], "d"),
    ("Mul", ["root_2_by_pi", "d"], "e"),
    ("Tanh", ["e"], "f"),
    ("Add", ["one", "f"], "g"),
    ("Mul", ["x", "g"], "h"),
    ("Div", ["h", "two"], "y"),
]
SILU = [("Sigmoid", ["x"], "a"), ("Mul", ["x", "a"], "y")]
QUICK_GELU = [("Mul", ["x", "quick"], "a"), ("Sigmoid", ["a"], "b"), ("Mul", ["x", "b"], "y")]
MISH = [("Softplus", ["x"], "a"), ("Tanh", ["a"], "b"), ("Mul", ["x", "b"], "y")]
HARDSWISH = [
    ("Add", ["x", "three"], "a"),
    ("Clip", ["a", "zero", "six"], "b"),
    ("Mul", ["x", "b"], "c"),
    ("Div", ["c", "six"], "y"),
]
RELU6 = [("Relu", ["x"], "a"), ("Min", ["a", "six"], "y")]
SOFTSIGN = [("Abs", ["x"], "a"), ("Add", ["one", "a"], "b"), ("Div", ["x", "b"], "y")]
LEAKY = [("Mul", ["x", "slope"], "a"), ("Max", ["x", "a"], "y")]


def one(operator: str, inputs: Sequence[str] = ("x",)) -> Steps:
    """A single operator."""
    return [(operator, inputs, "y")]


# name: steps, attributes of the last, the function's name, its parameters
PATTERNS: dict[str, tuple[Steps, dict[str, Any], str, dict[str, str]]] = {
    "gelu_by_div": (GELU_BY_DIV, {}, "gelu", {}),
    "gelu_by_mul": (GELU_BY_MUL, {}, "gelu", {}),
    "gelu_tanh_by_pow": (GELU_TANH_BY_POW, {}, "gelu_tanh", {}),
    "gelu_tanh_by_mul": (GELU_TANH_BY_MUL, {}, "gelu_tanh", {}),
    "gelu": (one("Gelu"), {}, "gelu", {}),
    "gelu_of_tanh": (one("Gelu"), {"approximate": "tanh"}, "gelu_tanh", {}),
    "quick_gelu": (QUICK_GELU, {}, "swish", {"beta": "1.702"}),
    "silu": (SILU, {}, "silu", {}),
    "swish_1": (one("Swish"), {}, "silu", {}),
    "swish": (one("Swish"), {"alpha": 0.3}, "swish", {"beta": "0.3"}),
    "mish_by_parts": (MISH, {}, "mish", {}),
    "mish": (one("Mish"), {}, "mish", {}),
    "hardswish_by_parts": (HARDSWISH, {}, "hardswish", {}),
    "hardswish": (one("HardSwish"), {}, "hardswish", {}),
    "hardsigmoid": (one("HardSigmoid"), {"alpha": 1 / 6}, "hardsigmoid", {}),
    "relu": (one("Relu"), {}, "relu", {}),
    "relu_by_max": (one("Max", ["x", "zero"]), {}, "relu", {}),
    "relu6": (RELU6, {}, "relu6", {}),
    "relu6_by_clip": (one("Clip", ["x", "zero", "six"]), {}, "relu6", {}),
    "leaky_relu": (one("LeakyRelu"), {"alpha": 0.01}, "leaky_relu", {}),
    "leaky_relu_by_max": (LEAKY, {}, "leaky_relu", {"negative_slope": "0.2"}),
    "prelu": (one("PRelu", ["x", "slope"]), {}, "prelu", {"weight": "0.2"}),
    "elu": (one("Elu"), {}, "elu", {}),
    "celu": (one("Celu"), {"alpha": 0.5}, "celu", {"alpha": "0.5"}),
    "selu": (one("Selu"), {}, "selu", {}),
    "sigmoid": (one("Sigmoid"), {}, "sigmoid", {}),
    "tanh": (one("Tanh"), {}, "tanh", {}),
    "softplus": (one("Softplus"), {}, "softplus", {}),
    "softsign": (one("Softsign"), {}, "softsign", {}),
    "softsign_by_parts": (SOFTSIGN, {}, "softsign", {}),
    "erf": (one("Erf"), {}, "erf", {}),
}
