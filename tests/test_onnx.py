# SPDX-License-Identifier: Apache-2.0
"""The activations of ONNX models: patterns, quantizers, and units that equal the reference."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

import hwact
from hwact import functions
from hwact.formats import Format, Rounding
from hwact.onnx import Activation, Listing, listing
from tests.commands import Run, rows
from tests.onnx_models import GELU_BY_DIV, PATTERNS, QONNX, SILU, constant, nodes, one, save

EIGHT = Format.parse("SQ4.4")
SCALES = [constant("s", 0.05), constant("z", -3, np.int8), constant("t", 0.02), constant("u", 9, np.uint8)]
SOURCE = Format.affine(True, 8, float(np.float32(0.05)), -3)
TARGET = Format.affine(False, 8, float(np.float32(0.02)), 9)


def found_in(path: Path) -> Listing:
    return listing(path, input_format=EIGHT, output_format=EIGHT)


def reasons(found: Listing) -> list[tuple[str, str]]:
    return [(each.operator, each.reason) for each in found.unmatched]


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.float64])
@pytest.mark.parametrize("name", PATTERNS)
def test_every_pattern_is_one_activation(name: str, kind: type, tmp_path: Path) -> None:
    steps, attributes, function, parameters = PATTERNS[name]
    found = found_in(save(tmp_path / "model.onnx", nodes(steps, **attributes), kind=kind))
    ((activation, places),) = found.activations.items()
    assert (places, found.unmatched) == (["y"], [])
    expected = functions.get(function, gradient=False, **parameters)
    if kind is np.float16 and name == "quick_gelu":
        expected = functions.get("swish", beta="1.702")
    assert activation == Activation(expected, EIGHT, EIGHT, Rounding.HALF_UP)


def test_a_chain_of_all_patterns_is_told_apart(tmp_path: Path) -> None:
    """Each pattern's x is the last one's y, with copies and linear steps between them."""
    body, x = [], "x"
    for name, (steps, attributes, _, _) in PATTERNS.items():
        names = {"x": x} | {out: f"{name}_{out}" for _, _, out in steps}
        renamed = [(op, [names.get(n, n) for n in ins], names[out]) for op, ins, out in steps]
        body += nodes(renamed, **attributes)
        body += nodes(
            [("Identity", [f"{name}_y"], f"{name}_i"), ("Mul", [f"{name}_i", "quick"], f"{name}_m")]
        )
        x = f"{name}_m"
    found = found_in(save(tmp_path / "model.onnx", body, results=[x]))
    assert not found.unmatched
    assert sorted(place for places in found.activations.values() for place in places) == sorted(
        f"{name}_y" for name in PATTERNS
    )
    assert len(found.activations) == len({(f, *p.items()) for _, _, f, p in PATTERNS.values()}) == 21


def test_a_sigmoid_that_is_read_elsewhere_counts_too(tmp_path: Path) -> None:
    found = found_in(save(tmp_path / "model.onnx", nodes(SILU), results=["y", "a"]))
    assert [(each.function.name, places) for each, places in found.activations.items()] == [
        ("sigmoid", ["a"]),
        ("silu", ["y"]),
    ]


def qdq(steps: list[tuple[str, list[str], str]], *, twice: bool = False) -> list[Any]:
    """Steps from x to y between a dequantizer and a quantizer; x dequantized twice, as some exporters do."""
    renamed = [(op, ["x2" if twice and n == "x" and op == "Mul" else n for n in i], o) for op, i, o in steps]
    ahead = nodes([("DequantizeLinear", ["q", "s", "z"], "x"), ("DequantizeLinear", ["q", "s", "z"], "x2")])
    behind = nodes([("QuantizeLinear", ["y", "t", "u"], "p"), ("DequantizeLinear", ["p", "t", "u"], "out")])
    return [*ahead, *nodes(renamed), *behind]


@pytest.mark.parametrize("twice", [False, True])
def test_formats_come_from_qdq(twice: bool, tmp_path: Path) -> None:
    body = qdq([*SILU], twice=twice)
    path = save(tmp_path / "model.onnx", body, SCALES, inputs=["q"], results=["out"])
    found = listing(path)
    due = Activation(functions.get("silu"), SOURCE, TARGET, Rounding.HALF_EVEN)
    assert (found.activations, found.unmatched) == ({due: ["y"]}, [])
    assert next(iter(listing(path, rounding=Rounding.HALF_AWAY).activations)).rounding == "half_away"


def quant(name: str, source: str, width: str, **attributes: Any) -> Any:
    options: dict[str, Any] = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND", **attributes}
    return helper.make_node("Quant", [source, "s", "zero", width], [name], domain=QONNX, **options)


def test_formats_come_from_qonnx(tmp_path: Path) -> None:
    body = [
        quant("a", "x", "four"),
        *nodes(one("Relu", ["a"])),
        quant("b", "y", "six", signed=0, rounding_mode="FLOOR"),
    ]
    path = save(tmp_path / "model.onnx", body, [SCALES[0], constant("four", 4.0)], results=["b"])
    found = listing(path)
    scale = Fraction(float(np.float32(0.05)))
    formats = Format.affine(True, 4, scale), Format.affine(False, 6, scale)
    assert list(found.activations) == [Activation(functions.get("relu"), *formats, Rounding.FLOOR)]
    for attributes, reason in (
        ({"narrow": 1}, "its quantizer leaves out the most negative code (narrow)"),
        ({"rounding_mode": "CEIL"}, "its quantizer's rounding is 'CEIL'"),
    ):
        body[-1] = quant("b", "y", "four", **attributes)
        save(path, body, [SCALES[0], constant("four", 4.0)], results=["b"])
        assert reasons(listing(path)) == [("Relu", reason)]


def test_what_has_no_unit_is_said_with_its_reason(tmp_path: Path) -> None:
    vector = [constant("v", [0.1, 0.2]), constant("w", [0, 0], np.int8), *SCALES]
    body = nodes(
        [
            ("Softmax", ["x"], "softmax"),
            ("HardSigmoid", ["x"], "hardsigmoid"),
            ("ThresholdedRelu", ["x"], "thresholded"),
            ("PRelu", ["x", "v"], "prelu"),
            ("QuantizeLinear", ["x", "v", "w"], "vq"),
            ("DequantizeLinear", ["vq", "v", "w"], "vd"),
            ("Tanh", ["vd"], "per_channel"),
            ("DynamicQuantizeLinear", ["x"], "dq"),
            ("DequantizeLinear", ["dq", "x"], "dd"),
            ("Sigmoid", ["dd"], "dynamic"),
            ("DequantizeLinear", ["x", "s", "z"], "sd"),
            ("Elu", ["sd"], "two_ways"),
            ("QuantizeLinear", ["two_ways", "s", "z"], "q1"),
            ("QuantizeLinear", ["two_ways", "t", "u"], "q2"),
            ("Celu", ["x"], "bare"),
        ]
    )
    body.append(helper.make_node("Mystery", ["x"], ["mystery"], domain="example"))
    results = ["softmax", "hardsigmoid", "thresholded", "prelu", "per_channel", "dynamic", "q1", "mystery"]
    path = save(tmp_path / "model.onnx", body, vector, results=[*results, "bare"])
    found = listing(path, output_format=EIGHT)
    assert not found.activations
    many = "its quantizer's scale is not one number for all channels, but 2"
    assert reasons(found) == [
        ("Softmax", "each output depends on many inputs"),
        ("HardSigmoid", "no function of the catalogue is clip(0.2*x+0.5,0,1); generate it with --expression"),
        ("ThresholdedRelu", "it is no function of one tensor"),
        ("PRelu", "it is no function of one tensor"),
        ("Tanh", many),
        ("Sigmoid", "its quantizer's scale is computed at run time"),
        ("Elu", "its output goes to more than one quantizer, or also on without one"),
        ("Celu", "no quantizer before it, and no --input-format or --width"),
        ("Mystery", "operators of the domain 'example' are not known"),
    ]


def test_graphs_within_nodes_and_functions_of_the_model_are_read(tmp_path: Path) -> None:
    ends = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    inner = helper.make_graph(nodes(GELU_BY_DIV), "inner", [], ends)
    own = helper.make_function("own", "Gate", ["x"], ["y"], nodes(SILU), [helper.make_opsetid("", 24)])
    body = [
        helper.make_node("If", ["c"], ["branch"], then_branch=inner, else_branch=inner),
        helper.make_node("Gate", ["branch"], ["out"], domain="own"),
    ]
    constants = [constant("root2", 2**0.5), constant("one", 1.0), constant("half", 0.5)]
    path = save(tmp_path / "model.onnx", body, constants, inputs=["x", "c"], results=["out"], functions=[own])
    found = found_in(path)
    counts = {each.function.name: len(places) for each, places in found.activations.items()}
    assert (counts, found.unmatched) == ({"gelu": 2, "silu": 1}, [])


def test_the_command_makes_units_that_equal_the_reference(here: Path, run: Run) -> None:
    body = [*qdq([*SILU]), *nodes([("Gelu", ["out"], "gelu"), ("Softmax", ["gelu"], "soft[max]")])]
    save(here / "model.onnx", body, SCALES, inputs=["q"], results=["soft[max]"])
    done = run("onnx", "model.onnx", "--output-format", "SQ4.2", "--lanes", "2", "--json").json()
    checked = 0
    for facts in done["units"]:
        unit = hwact.from_manifest(facts)
        formats = facts["input_format"], facts["output_format"]
        due = hwact.reference.codes(facts["function"], *formats, facts["rounding"])
        assert np.array_equal(unit.evaluate(unit.input_format.codes()), due)
        assert (unit.lanes, (here / "build" / unit.name / f"{unit.name}.v").exists()) == (2, True)
        checked += due.size
    assert checked == 2 * 256
    assert [facts["nodes"] for facts in done["units"]] == [["y"], ["gelu"]]
    (missing,) = done["unmatched"]
    assert (missing["node"], missing["operator"]) == ("soft[max]", "Softmax")


def test_the_command_shows_what_it_made_and_what_it_could_not(here: Path, run: Run) -> None:
    save(
        here / "model.onnx", nodes([("Relu", ["x"], "y[/b]"), ("Softmax", ["y[/b]"], "[b]")]), results=["[b]"]
    )
    shown = run("onnx", "model.onnx", "--width", "4", "--out", "other")
    assert (shown.code, shown.err) == (0, "")
    made, missing = ([row for row in rows(shown.out) if row[0] == name] for name in ("relu_sq4_0", "[b]"))
    assert made[0][-2:] == ["y[/b]", "other/relu_sq4_0"]
    assert missing == [["[b]", "Softmax", "each output depends on many inputs"]]
    assert [path.name for path in (here / "other").iterdir()] == ["relu_sq4_0"]


@pytest.mark.parametrize(("module", "name"), [(torch.nn.GELU(), "gelu"), (torch.nn.SiLU(), "silu")])
def test_a_quantized_network_gives_the_codes_of_onnx(
    module: torch.nn.Module, name: str, tmp_path: Path
) -> None:
    """The unit's codes are what dequantizing, PyTorch's module and quantizing give."""
    body = qdq([*(GELU_BY_DIV if name == "gelu" else SILU)])
    path = save(tmp_path / "model.onnx", body, SCALES, inputs=["q"], results=["out"])
    ((activation, _),) = listing(path).activations.items()
    unit = hwact.build(
        activation.function.name, input_format=activation.input_format, output_format=activation.output_format
    )
    codes = SOURCE.codes()
    y = module(torch.from_numpy(SOURCE.values(codes).astype(np.float32))).numpy().astype(np.float64)
    due = np.clip(np.rint(y / np.float64(np.float32(0.02))) + 9, 0, 255)
    assert np.array_equal(unit.evaluate(codes), due)
