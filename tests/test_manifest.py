# SPDX-License-Identifier: Apache-2.0
"""Manifests as input: the unit that one describes, and what is wrong with one."""

from __future__ import annotations

from typing import Any

import pytest

import hwact
from hwact.errors import BundleError

ROUND_TRIPS: list[dict[str, Any]] = [
    {"function": "gelu", "width": 6},
    {
        "function": "smelu",
        "input_format": "SQ2.4",
        "output_format": "UQ2.3",
        "beta": "1/3",
        "interface": "bare",
    },
    {"function": "tanh", "width": 9, "accuracy": "faithful", "architecture": "piecewise", "lanes": 2},
    {"function": "tanh", "width": 8, "accuracy": "max_ulp=1.5", "rounding": "floor", "overflow": "wrap"},
    {"function": "swish", "width": 6, "beta": 1.7, "gradient": True, "latency": 0, "name": "slope"},
    {"function": "gelu", "width": 7, "accuracy": "mse=1e-2", "constraints": ["symmetric", "tails"]},
    {"expression": "x*x/4", "width": 6},
    {"expression": "x*x/8", "width": 6, "gradient": True, "name": "parabola", "target": "ecp5"},
]


@pytest.fixture(scope="module")
def gelu() -> hwact.Unit:
    return hwact.build("gelu", width=6)


def all_of(unit: hwact.Unit) -> list[int]:
    """The golden model's output over all input codes."""
    return [int(code) for code in unit.evaluate(unit.input_format.codes())]


@pytest.mark.parametrize("options", ROUND_TRIPS, ids=repr)
def test_a_manifest_gives_the_unit_back(options: dict[str, Any]) -> None:
    unit = hwact.build(**options)
    again = hwact.from_manifest(unit.manifest())
    assert all_of(again) == all_of(unit)
    assert again.verilog == unit.verilog
    assert again.manifest() == unit.manifest()


@pytest.mark.parametrize(
    "key",
    [
        "name", "function", "expression", "parameters", "gradient", "input_format", "output_format",
        "rounding", "overflow", "requested_accuracy", "constraints", "target", "architecture",
        "architecture_parameters", "interface", "lanes", "latency",
    ],
)  # fmt: skip
def test_a_manifest_without_a_key_is_refused(key: str, gelu: hwact.Unit) -> None:
    manifest = gelu.manifest_facts()
    del manifest[key]
    with pytest.raises(BundleError, match=f"must describe a unit, not one without the key '{key}'; generate"):
        hwact.from_manifest(manifest)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("function", "gelou", "not 'gelou'; did you mean gelu"),
        ("function", 5, "the catalogue, not 5"),
        ("expression", 5, "expression must be a text"),
        ("parameters", [], "must be a mapping, not list"),
        ("parameters", {"beta": 1}, "must be one it knows, not 'beta'"),
        ("gradient", "false", "gradient must be True or False, not 'false'"),
        ("input_format", 5, "format must look like .*, not 5"),
        ("output_format", "SQ4", "format must look like .*, not 'SQ4'"),
        ("rounding", "up", "rounding must be one of .*, not 'up'"),
        ("requested_accuracy", 1, "accuracy must be .*, not 1"),
        ("constraints", "zero", "constraints must be .*, not 'zero'"),
        ("constraints", [1], "a constraint must be .*, not 1"),
        ("constraints", ["zero", "monotonic"], "monotonic must be asked of"),
        ("target", [], "unhashable"),
        ("architecture", "magic", "architecture must be .*, not 'magic'"),
        ("architecture_parameters", None, "'NoneType'"),
        ("architecture_parameters", {}, "without the key 'folding'"),
        ("interface", "axi", "interface must be .*, not 'axi'"),
        ("lanes", "1", "lanes must be .*, not '1'"),
        ("latency", "1", "latency must be .*, not '1'"),
        ("latency", None, "latency must be .*, not None"),
        ("name", "module", "keyword, not 'module'"),
    ],
)
def test_a_manifest_with_a_wrong_value_is_refused(
    key: str, value: object, message: str, gelu: hwact.Unit
) -> None:
    with pytest.raises(
        BundleError, match=f"a manifest must describe a unit, not one .*{message}.*; generate"
    ):
        hwact.from_manifest({**gelu.manifest_facts(), key: value})


@pytest.mark.parametrize("manifest", [None, 5, "text", [], {}])
def test_what_is_no_manifest_is_refused(manifest: Any) -> None:
    with pytest.raises(BundleError, match="a manifest must describe a unit, not one "):
        hwact.from_manifest(manifest)


@pytest.mark.parametrize(
    "change",
    [{"golden_sha256": "0" * 64}, {"golden_sha256": None}, {"rounding": "floor"}, {"function": "silu"}],
)
def test_a_manifest_of_other_codes_is_refused(change: dict[str, Any], gelu: hwact.Unit) -> None:
    with pytest.raises(
        BundleError, match=r"golden_sha256 must be '[0-9a-f]{64}', .*, not .*; generate it again"
    ):
        hwact.from_manifest({**gelu.manifest_facts(), **change})
