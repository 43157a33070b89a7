# SPDX-License-Identifier: Apache-2.0
"""Hostile model files: one line and exit code 2, no hang, and no look outside the file."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from hwact.formats import Format
from hwact.onnx import activations, graph, listing, units
from tests.commands import Run, assert_refused
from tests.onnx_models import GELU_BY_DIV, constant, nodes, one, save

SECONDS = 20


def truncated(path: Path) -> None:
    save(path, nodes(GELU_BY_DIV))
    path.write_bytes(path.read_bytes()[:-7])


def cyclic(path: Path) -> None:
    save(path, nodes([("Relu", ["b"], "a"), ("Relu", ["a"], "b")]))


def twice(path: Path) -> None:
    save(path, nodes([("Relu", ["x"], "a"), ("Tanh", ["x"], "a")]))


def dangling(path: Path) -> None:
    save(path, nodes([("Relu", ["nowhere\x1b[31m\n"], "a")]))


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(graph.MAX_BYTES + 1)


def deep(path: Path) -> None:
    body = b""
    for _ in range(200):  # graph > node > attribute > graph
        for tag in (0x32, 0x2A, 0x0A):
            size, length = len(body), b""
            while size >= 0x80:
                length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
            body = bytes([tag]) + length + bytes([size]) + body
    path.write_bytes(b"\x3a" + bytes([0xFF, 0xFF, 0x03]) + body)


def many(path: Path) -> None:
    save(path, nodes([("Relu", ["x"], f"r{i}") for i in range(601)]))


def formulas(path: Path) -> None:
    numbers = [constant(f"c{i}", 1.5 + i) for i in range(41)]
    steps = [("PRelu", ["x", f"c{i}"], f"r{i}") for i in range(len(numbers))]
    save(path, nodes(steps), numbers)


def many_units(path: Path) -> None:
    numbers = [constant(f"c{i}", 0.1 + i) for i in range(10)]
    steps = [
        step
        for i in range(len(numbers))
        for step in (("DequantizeLinear", ["x", f"c{i}"], f"d{i}"), ("Relu", [f"d{i}"], f"r{i}"))
    ]
    save(path, nodes(steps), numbers)


WHOLE = r"a model must be a whole ONNX file, not 'model\.onnx' \({}\); export it again"
FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, WHOLE.format("there is no such file")),
    "folder": (Path.mkdir, WHOLE.format("there is no such file")),
    "pipe": (os.mkfifo, WHOLE.format("there is no such file")),
    "empty": (Path.touch, WHOLE.format("there is no graph in it")),
    "noise": (lambda path: path.write_bytes(bytes(range(256)) * 9), WHOLE.format("its bytes do not decode")),
    "truncated": (truncated, WHOLE.format("its bytes do not decode")),
    "no_nodes": (lambda path: save(path, []), WHOLE.format("there is no graph in it")),
    "deep": (deep, WHOLE.format("its bytes do not decode")),
    "cyclic": (cyclic, "a node's inputs must be made before it, not 'b' of 'a' nowhere or later; .*"),
    "dangling": (dangling, r"a node's inputs must be made before it, not 'nowhere\?\[31m\?' of 'a' .*"),
    "twice": (twice, "every name must be made once, not 'a' again by 'a'; export the model again"),
    "huge": (sparse, r"a model must have at most 536870912 bytes, not 536870913 in .*; save its weights .*"),
    "many_nodes": (many, "a model must have at most 600 nodes, not 601; split it"),
    "many_formulas": (formulas, "a graph must have at most 40 different formulas, not 41; split it"),
    "many_units": (many_units, "a model must need at most 9 units, not 10; split it"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_refused(name: str, here: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    make, message = FILES[name]
    monkeypatch.setattr(graph, "MAX_NODES", 600)
    monkeypatch.setattr(activations, "MAX_FORMULAS", 40)
    monkeypatch.setattr(units, "MAX_UNITS", 9)
    make(here / "model.onnx")
    started = time.monotonic()
    assert_refused(run("onnx", "model.onnx", "--width", "6"), message)
    assert time.monotonic() - started < SECONDS
    assert {path.name for path in here.iterdir()} <= {"model.onnx"}


@pytest.mark.parametrize("place", ["/etc/passwd", "../secret.bin", "beside.bin"])
def test_external_data_is_never_read(place: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "beside.bin").write_bytes(np.float32(0.05).tobytes())
    scale = TensorProto(name="s", data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    scale.external_data.add(key="location", value=place)
    path = save(
        here / "model.onnx", nodes([("DequantizeLinear", ["x", "s"], "d"), ("Relu", ["d"], "y")]), [scale]
    )
    opened: list[object] = []
    read = Path.read_bytes

    def seen(self: Path) -> bytes:
        opened.append(self)
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", seen)
    monkeypatch.setattr("builtins.open", lambda *given, **_: opened.append(given))
    found = listing(path, output_format=Format.of_width(6))
    assert [each.reason for each in found.unmatched] == ["its quantizer's scale is outside the model's file"]
    assert opened == [path]


def tensor(**fields: object) -> TensorProto:
    return TensorProto(name="s", **fields)  # type: ignore[arg-type]


NONE = [
    (tensor(data_type=TensorProto.FLOAT), "its quantizer's scale cannot be read as a number: .*"),
    (tensor(data_type=99), "its quantizer's scale cannot be read as a number: .*"),
    (tensor(data_type=TensorProto.STRING, string_data=[b"x"]), "its quantizer's scale cannot .*"),
    (tensor(dims=[1 << 40], data_type=TensorProto.FLOAT), ".* not one number .* but 1099511627776"),
    (tensor(dims=[-1, -1], data_type=TensorProto.FLOAT, raw_data=b"1234"), ".* cannot be read .*"),
    (constant("s", 0.0), "no format fits its quantizer: a scale must be from 1e-30 to 1e30, not 0.0; .*"),
    (constant("s", -1.0), "no format fits its quantizer: a scale must be .*, not -1.0; .*"),
    (constant("s", np.inf), "one of its constants is inf"),
    (constant("s", np.nan), "one of its constants is nan"),
]


@pytest.mark.parametrize(("scale", "reason"), NONE, ids=range(len(NONE)))
def test_a_scale_that_is_none(scale: TensorProto, reason: str, tmp_path: Path) -> None:
    steps = [("DequantizeLinear", ["x", "s"], "d"), ("Relu", ["d"], "y")]
    path = save(tmp_path / "model.onnx", nodes(steps), [scale])
    (each,) = listing(path, output_format=Format.of_width(6)).unmatched
    assert re.fullmatch(reason, each.reason), each.reason


def test_nodes_without_what_they_need(tmp_path: Path) -> None:
    body = [
        helper.make_node("Relu", [], ["a"]),
        helper.make_node("Relu", ["x"], []),
        helper.make_node("DequantizeLinear", ["x"], ["d"]),
        helper.make_node("Tanh", ["d"], ["b"]),
        helper.make_node("Add", ["x", "x", "x"], ["c"]),
        helper.make_node("Constant", [], ["e"]),
        helper.make_node("PRelu", ["x", "e"], ["f"]),
        helper.make_node("Identity", [], ["g"]),
        helper.make_node("", ["x"], ["h"]),
    ]
    six = Format.of_width(6)
    found = listing(save(tmp_path / "model.onnx", body), input_format=six, output_format=six)
    assert not found.activations
    assert [each.reason for each in found.unmatched] == [
        "it is no function of one tensor",
        "its quantizer has no scale",
        "it is no function of one tensor",
    ]


def test_long_chains_take_seconds(tmp_path: Path) -> None:
    """Copies, one reader after another, and products that double with each node."""
    steps = []
    for i in range(1000):
        before = f"m{i - 1}" if i else "x"
        steps += [("Identity", ["i" if not i else f"i{i - 1}"], f"i{i}"), ("Mul", [before, before], f"m{i}")]
        steps += [("Relu", [f"i{i}"], f"r{i}"), ("Exp", [f"m{i}"], f"e{i}")]
    path = save(tmp_path / "model.onnx", nodes(steps), inputs=["x", "i"])
    started = time.monotonic()
    six = Format.of_width(6)
    found = listing(path, input_format=six, output_format=six)
    assert time.monotonic() - started < SECONDS
    assert sum(map(len, found.activations.values())) == 2000
    assert ModelProto.FromString(path.read_bytes()).graph.node[0].op_type == one("Identity")[0][0]


def test_without_the_package(here: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    save(here / "model.onnx", nodes(GELU_BY_DIV))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    message = r"the Python package onnx must be installed to read a model, not missing; .*hwact\[onnx\].*"
    assert_refused(run("onnx", "model.onnx", "--width", "6"), message, 3)
