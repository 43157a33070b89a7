# SPDX-License-Identifier: Apache-2.0
"""The C golden model: strict C99 without undefined behaviour, equal to Python's on every code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hwact
from hwact import architectures
from hwact.architectures import horner
from hwact.errors import UnreachableError
from hwact.unit import Unit
from tests.compiled import SANITIZERS, WARNINGS, answers, build, run

UNITS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "smelu16": ("smelu", {"width": 16}),
    "gelu16": ("gelu", {"width": 16}),
    "swish16": ("swish", {"width": 16}),
    "gradient": ("gelu", {"width": 12, "gradient": True}),
    "even": ("smelu", {"width": 9, "rounding": "half_even"}),
    "away": ("smelu", {"width": 9, "rounding": "half_away"}),
    "toward_zero": ("leaky_relu", {"width": 9, "rounding": "toward_zero", "negative_slope": 0.25}),
    "floor": ("hardswish", {"width": 9, "rounding": "floor"}),
    "without_sign": ("softplus", {"input_format": "UQ3.4", "output_format": "UQ3.2"}),
    "all_32_bits": ("relu", {"input_format": "UQ4.4", "output_format": "UQ4.28"}),
    "most_negative": (
        "leaky_relu",
        {"input_format": "SQ4.2", "output_format": "SQ4.28", "negative_slope": 1},
    ),
    "wraps": ("relu", {"input_format": "SQ5.2", "output_format": "SQ2.4", "overflow": "wrap"}),
    "wraps_unsigned": ("softplus", {"input_format": "SQ4.3", "output_format": "UQ1.4", "overflow": "wrap"}),
    "one_bit": ("relu", {"input_format": "SQ1.0", "output_format": "UQ1.0"}),
    "two_bits": ("tanh", {"input_format": "SQ2.0", "output_format": "SQ1.2"}),
    "seventeen": ("hardtanh", {"input_format": "SQ5.12", "output_format": "SQ2.15"}),
    "beyond_64_bits": (
        "hardswish",
        {"input_format": "SQ3.14", "output_format": "SQ4.28", "accuracy": "correct"},
    ),
    "constant": ("sigmoid", {"input_format": "UQ2.2", "output_format": "SQ1.0"}),
}


def check(unit: Unit, folder: Path) -> int:
    """Compare all four ways into the C with the golden model; the number of codes."""
    got = answers(folder, unit.input_format, unit.output_format)
    due = unit.evaluate(unit.input_format.codes())
    for way in range(4):
        wrong = np.flatnonzero(got[:, way] != due)
        assert not wrong.size, (way, unit.input_format.codes()[wrong[0]], due[wrong[0]], got[wrong[0], way])
    return len(got)


@pytest.mark.parametrize("name", UNITS)
def test_c_equals_the_golden_model_on_every_code(name: str, tmp_path: Path) -> None:
    function, options = UNITS[name]
    unit = hwact.build(function, name=name, **options)
    folder = unit.write(tmp_path)
    assert check(unit, folder) == 1 << unit.input_format.width
    wide = max(node.width for node in unit.design.datapath.nodes) > 64
    text = (folder / f"{name}_golden.c").read_text(encoding="utf-8")
    assert ("wide_add" in text) == wide == (name == "beyond_64_bits")
    assert "double" not in text
    assert "float" not in text


@pytest.mark.parametrize("name", architectures.catalogue())
def test_every_architecture_has_a_reading(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(horner, "MIN_INPUT_WIDTH", 8)
    checked = 0
    for function in ("gelu", "smelu"):
        try:
            options: dict[str, Any] = {"architecture": name, "name": f"{name}_{function}"}
            options["multipliers"] = "dsp" if name == "linear" else "luts"
            options["constraints"] = ["symmetric"] if name == "mirrored" else []
            options["with_gradient"] = name == "joint"
            width = 11 if name == "joint" else 9
            unit = hwact.build(function, width=width, accuracy="faithful", **options)
        except UnreachableError:
            continue
        checked += check(unit, unit.write(tmp_path))
    assert checked >= 512


def test_the_c_is_also_cpp(tmp_path: Path) -> None:
    """Verilator compiles it with its C++ compiler."""
    for name in ("gelu16", "beyond_64_bits", "all_32_bits"):
        function, options = UNITS[name]
        folder = hwact.build(function, name=name, **options).write(tmp_path)
        source = folder / f"{name}_golden.c"
        main = folder / "main.cpp"
        call = f"{name}_golden_array(nullptr, nullptr, 0); return int({name}_golden(0));"
        main.write_text(f'#include "{source.with_suffix(".h").name}"\nint main() {{ {call} }}\n')
        run(build(folder, source, main, flags=("-std=c++11", *WARNINGS, *SANITIZERS), command="g++"))


def test_a_wrong_word_is_seen(tmp_path: Path) -> None:
    unit = hwact.build("gelu", width=6, architecture="table", name="wrong")
    folder = unit.write(tmp_path)
    source = folder / "wrong_golden.c"
    text = source.read_text(encoding="utf-8")
    for table in ("_table", "outputs"):
        start = text.index("{", text.index(table)) + 2
        source.write_text(text[:start] + "9" + text[start + 1 :], encoding="utf-8")
        with pytest.raises(AssertionError):
            check(unit, folder)
    source.write_text(text, encoding="utf-8")
    assert check(unit, folder) == 64


def test_undefined_behaviour_is_seen(tmp_path: Path) -> None:
    """The strict flags do catch what the generator must never write."""
    unit = hwact.build("smelu", width=6, architecture="quadratic", name="undefined")
    folder = unit.write(tmp_path)
    source = folder / "undefined_golden.c"
    text = source.read_text(encoding="utf-8")
    source.write_text(text.replace("  return result;", "  return result + (x << 31);"), encoding="utf-8")
    assert "x << 31" in source.read_text(encoding="utf-8")
    with pytest.raises(AssertionError, match="left shift"):
        check(unit, folder)


def test_files_are_the_same_every_time_and_listed(tmp_path: Path) -> None:
    folders = [hwact.build("gelu", width=8, lanes=2).write(tmp_path / part) for part in ("a", "b")]
    names = sorted(path.name for path in folders[0].iterdir())
    assert names == sorted(json.loads((folders[0] / "gelu_sq4_4.json").read_text(encoding="utf-8"))["files"])
    for name in names:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
        assert str(tmp_path).encode() not in (folders[0] / name).read_bytes()
