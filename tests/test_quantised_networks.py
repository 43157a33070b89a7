# SPDX-License-Identifier: Apache-2.0
"""Units beside the quantized references of PyTorch and ONNX Runtime, on all codes.

Both dequantize, compute and quantize in float32. Where that cannot matter the codes must be equal; where it
does, every difference must lie at a boundary between two codes.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import hwact
from hwact import functions
from hwact.exact import ExactValues
from hwact.formats import Codes, Format, Rounding
from hwact.reference import exact_values

pytestmark = pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")

OPERATORS = {
    "relu": ["Relu"],
    "leaky_relu": ["LeakyRelu"],
    "sigmoid": ["Sigmoid"],
    "tanh": ["Tanh"],
    "gelu": ["Gelu"],
    "silu": ["Sigmoid", "Mul"],
    "hardswish": ["HardSwish"],
    "softplus": ["Softplus"],
    "elu": ["Elu"],
    "mish": ["Mish"],
}
CODES = 256
TIES = 1846  # of them all, at an output scale of twice the input scale


def by_torch(name: str, source: Format, target: Format) -> Codes:
    """Dequantize, function, ``quantize_per_tensor``."""
    codes = torch.from_numpy(source.codes().astype(source.dtype))
    x = torch._make_per_tensor_quantized_tensor(codes, float(source.ulp), source.zero_point).dequantize()
    y = functions.get(name).torch_form(x)
    kind = torch.qint8 if target.signed else torch.quint8
    done = torch.quantize_per_tensor(y, float(target.ulp), target.zero_point, kind)
    return np.asarray(done.int_repr().numpy(), dtype=np.int64)


def by_onnx_runtime(name: str, source: Format, target: Format) -> Codes:
    """DequantizeLinear, operator, QuantizeLinear."""
    constants = {"s1": np.float32(source.ulp), "s2": np.float32(target.ulp)}
    zeros = {"z1": source.dtype.type(source.zero_point), "z2": target.dtype.type(target.zero_point)}
    *first, last = OPERATORS[name]
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s1", "z1"], ["x"]),
        *(helper.make_node(operator, ["x"], ["gate"]) for operator in first),
        helper.make_node(last, ["x", "gate"] if first else ["x"], ["y"]),
        helper.make_node("QuantizeLinear", ["y", "s2", "z2"], ["out"]),
    ]
    kinds = [TensorProto.INT8 if each.signed else TensorProto.UINT8 for each in (source, target)]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("q", kinds[0], [CODES])],
        [helper.make_tensor_value_info("out", kinds[1], [CODES])],
        [numpy_helper.from_array(np.array(value), key) for key, value in {**constants, **zeros}.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (done,) = session.run(None, {"q": source.codes().astype(source.dtype)})
    return np.asarray(done, dtype=np.int64)


REFERENCES = {"torch": by_torch, "onnxruntime": by_onnx_runtime}


def formats(seed: int, ratio: Fraction | None = None) -> tuple[Format, Format]:
    """8-bit formats with float32 scales; both signs, any zero point."""
    random = np.random.default_rng(seed)
    signs = bool(seed & 1), bool(seed & 2)
    zeros = [int(random.integers(-128, 128)) + 128 * (not sign) for sign in signs]
    first, second = (float(np.float32(random.uniform(*span))) for span in ((0.01, 0.1), (0.005, 0.05)))
    source = Format.affine(signs[0], 8, first, zeros[0])
    scale = Fraction(second) if ratio is None else Fraction(first) * ratio
    return source, Format.affine(signs[1], 8, scale, zeros[1])


@pytest.mark.parametrize("reference", REFERENCES.values(), ids=REFERENCES)
@pytest.mark.parametrize("name", OPERATORS)
def test_all_codes_are_equal_at_any_scale(name: str, reference: Callable[..., Codes]) -> None:
    checked = 0
    for seed in range(6):
        source, target = formats(seed)
        due = hwact.reference.codes(name, source, target)
        assert np.array_equal(reference(name, source, target), due), (name, source, target)
        checked += due.size
    assert checked == 6 * CODES


def doubled(zero: int) -> tuple[Format, Format]:
    """Scales that are powers of two, the output's twice the input's: half of ReLU's codes are ties."""
    return Format.affine(True, 8, 0.03125, -zero), Format.affine(True, 8, 0.0625, zero)


def ties(exact: ExactValues) -> npt.NDArray[np.bool_]:
    half = 1 << exact.guard_bits - 1
    found: npt.NDArray[np.bool_] = (exact.floor & 2 * half - 1 == half) & ~exact.inexact
    return found


@pytest.mark.parametrize(("reference", "zeros"), [("onnxruntime", (-3, 0, 8)), ("torch", (-4, 0, 8))])
@pytest.mark.parametrize("name", ["relu", "hardswish", "elu"])
def test_ties_are_equal_where_float32_is_exact(name: str, reference: str, zeros: tuple[int, ...]) -> None:
    found = 0
    for source, target in map(doubled, zeros):
        found += int(ties(exact_values(functions.get(name), source, target)).sum())
        unit = hwact.build(name, input_format=source, output_format=target)
        assert np.array_equal(unit.evaluate(source.codes()), REFERENCES[reference](name, source, target))
    assert found >= 48


def test_pytorch_adds_an_odd_zero_point_before_it_rounds() -> None:
    """Its ties go to even codes, those of ONNX to even multiples of the scale."""
    source, target = doubled(-3)
    exact = exact_values(functions.get("relu"), source, target)
    got, due = by_torch("relu", source, target), exact.rounded(Rounding.HALF_EVEN)
    assert np.array_equal(got != due, ties(exact))
    assert np.array_equal(got, np.rint(exact.floor / 2.0**exact.guard_bits))
    assert ties(exact).sum() == 62


@pytest.mark.parametrize("reference", REFERENCES)
def test_differences_are_ties_that_float32_misses(reference: str) -> None:
    """Scales of 24 bits, the output's exactly twice the input's: float32 rounds what it dequantizes."""
    checked = different = tied = 0
    for seed in range(40):
        source, target = formats(seed, Fraction(2))
        exact = exact_values(functions.get("relu"), source, target)
        due = exact.rounded(Rounding.HALF_EVEN)
        got = REFERENCES[reference]("relu", source, target)
        assert ties(exact)[got != due].all(), "a difference must be a tie"
        assert np.abs(got - due).max() <= 1
        checked, different = checked + due.size, different + int((got != due).sum())
        tied += int(ties(exact).sum())
    assert (checked, tied) == (40 * CODES, TIES)
    assert 0 < different < tied
