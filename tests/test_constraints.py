# SPDX-License-Identifier: Apache-2.0
"""What a unit keeps exactly when asked, counted anew over all codes; refused where the function does not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import hwact
from hwact.architectures import mirrored
from hwact.design import Design, designs
from hwact.errors import ArgumentError, BundleError, UnreachableError
from hwact.explore import Search, enumerated
from hwact.formats import Format
from hwact.unit import specification
from hwact.verify.claims import read_bundle, rebuild
from tests import oracles
from tests.commands import Run, assert_refused

NAMES = ("monotonic", "symmetric", "zero", "tails")
LOOSE = "max_ulp=3"  # with it, the constraints are not kept by chance


def values(unit: hwact.Unit) -> dict[int, Fraction]:
    """The output values by input code."""
    out = unit.output_format
    codes = unit.input_format.codes().tolist()
    return {x: out.value(y) for x, y in zip(codes, unit.design.codes.tolist(), strict=True)}


def assert_monotonic(unit: hwact.Unit) -> int:
    steps = [b - a for a, b in pairwise(values(unit).values())]
    assert all(step >= 0 for step in steps) or all(step <= 0 for step in steps)
    return len(steps)


def saturated(out: Format, value: Fraction) -> Fraction:
    return min(max(value, out.value(out.min_code)), out.value(out.max_code))


def assert_symmetric(unit: hwact.Unit) -> int:
    y, out, symmetry = values(unit), unit.output_format, unit.function.symmetry
    assert symmetry is not None
    checked = 0
    for code in range(1, unit.input_format.max_code + 1):
        x = unit.input_format.value(code)
        there = saturated(out, symmetry.mirror(x, y[code])) == y[-code]
        back = saturated(out, symmetry.mirror(-x, y[-code])) == y[code]
        assert there or back, (code, y[code], y[-code])
        checked += 1
    return checked


def assert_zero(unit: hwact.Unit) -> int:
    assert values(unit)[0] == 0
    return 1


def assert_tails(unit: hwact.Unit) -> int:
    """By the correctly rounded outputs of function and asymptote, from either end inwards."""
    form, out = unit.input_format, unit.output_format
    due = unit.spec.exact.rounded(unit.spec.rounding).tolist()
    sides = (
        (unit.function.left, range(form.min_code, 0)),
        (unit.function.right, range(form.max_code, 0, -1)),
    )
    checked = 0
    for line, codes in sides:
        if line is None:
            continue
        for code in codes:
            asymptote = line.slope * form.value(code) + line.intercept
            if out.quantise(asymptote, unit.spec.rounding, unit.spec.overflow) != due[code - form.min_code]:
                break
            assert unit.design.codes[code - form.min_code] == due[code - form.min_code]
            checked += 1
    return checked


CHECKS = {
    "monotonic": assert_monotonic,
    "symmetric": assert_symmetric,
    "zero": assert_zero,
    "tails": assert_tails,
}


def kept_by(function: hwact.functions.spec.FunctionSpec) -> Iterator[str]:
    """The constraints that a function itself keeps between SQ4.1 and SQ4.2."""
    if function.monotonic:
        yield "monotonic"
    symmetry = function.symmetry
    if symmetry is not None and (4 * symmetry.offset).denominator == (2 * symmetry.slope).denominator == 1:
        yield "symmetric"
    if oracles.value(function.name, function.is_gradient, Fraction(0)) == 0:
        yield "zero"
    if function.left or function.right:
        yield "tails"


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("name", hwact.functions.names())
def test_every_function_keeps_what_it_can(name: str, gradient: bool) -> None:
    options: dict[str, Any] = {"input_format": "SQ4.1", "output_format": "SQ4.2", "accuracy": LOOSE}
    kept = [*kept_by(hwact.functions.get(name, gradient=gradient))]
    for constraint in NAMES:
        if constraint not in kept:
            with pytest.raises(
                ArgumentError, match=f"^{constraint} must be asked of .*, not of '{name}' from"
            ):
                hwact.build(name, gradient=gradient, constraints=[constraint], **options)
    unit = hwact.build(name, gradient=gradient, constraints=kept, **options)
    checked = {constraint: CHECKS[constraint](unit) for constraint in kept}
    assert checked.get("monotonic", 31) == 31
    assert checked.get("symmetric", 15) == 15
    assert unit.accuracy.max_error_ulp <= 3
    assert unit.manifest()["constraints"] == kept
    assert hwact.from_manifest(unit.manifest()).verilog == unit.verilog


UNITS: tuple[tuple[str, str, str, str, tuple[str, ...], int], ...] = (
    ("gelu", "SQ4.8", "SQ4.8", "faithful", ("symmetric", "tails"), 2047 + 2000),
    ("tanh", "SQ4.6", "SQ1.9", "faithful", ("monotonic", "symmetric", "zero", "tails"), 1023 + 511 + 1 + 300),
    ("sigmoid", "SQ4.4", "UQ0.8", "faithful", ("monotonic", "symmetric"), 255 + 127),
    ("softplus", "SQ4.6", "SQ4.6", "max_ulp=1.5", ("monotonic", "symmetric"), 1023 + 511),
    ("sigmoid", "SQ4.4", "int8:1/256:-128", "faithful", ("symmetric",), 127),
    ("silu", "int8:0.05", "int8:0.05", "faithful", ("symmetric", "zero"), 127 + 1),
)


@pytest.mark.parametrize(("name", "inside", "outside", "accuracy", "constraints", "least"), UNITS)
def test_units_of_practice(
    name: str, inside: str, outside: str, accuracy: str, constraints: tuple[str, ...], least: int
) -> None:
    unit = hwact.build(
        name, input_format=inside, output_format=outside, accuracy=accuracy, constraints=constraints
    )
    assert sum(CHECKS[each](unit) for each in constraints) >= least
    assert unit.spec.permits(unit.design.codes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "outside", "constraints"),
    [
        ("gelu", "SQ4.12", ("symmetric", "zero", "tails")),
        ("silu", "SQ4.12", ("symmetric",)),
        ("smelu", "SQ4.12", ("monotonic", "symmetric", "tails")),
        ("tanh", "SQ1.15", ("monotonic", "symmetric", "zero")),
        ("sigmoid", "UQ0.16", ("monotonic", "symmetric")),
    ],
)
def test_sixteen_bits(name: str, outside: str, constraints: tuple[str, ...]) -> None:
    unit = hwact.build(
        name, width=16, output_format=outside, accuracy="faithful", constraints=constraints, interface="bare"
    )
    checked = [CHECKS[each](unit) for each in constraints]
    assert checked[constraints.index("symmetric")] == 32_767
    assert unit.accuracy.max_error_ulp < 1


def test_mirrored_halves_are_symmetric_by_construction() -> None:
    spec = specification("gelu", width=10, accuracy="faithful", constraints=["symmetric"])
    found = [Design.build(spec, mirrored.NAME, parameters) for parameters in mirrored.candidates(spec)]
    assert {str(design.parameters["half"]) for design in found} == {"rows", "table", "piecewise"}
    for design in found:
        y = design.codes.tolist()
        assert all(y[512 + x] - y[512 - x] == x for x in range(512))
    assert not [*mirrored.candidates(specification("gelu", width=8))]


def test_only_mirrored_units_need_the_most_negative_code_by_itself() -> None:
    spec = specification(expression="abs(x)", width=6, accuracy="correct", constraints=["symmetric"])
    (design, *_) = designs(spec, [mirrored.NAME])
    assert design.codes[0] == spec.output_format.max_code  # 8, saturated, and not its neighbour's 7.75
    assert design.accuracy.class_ == "correct"


def test_a_saturated_mirror_image_counts() -> None:
    unit = hwact.build("tanh", width=8, output_format="SQ1.7", constraints=["symmetric"])
    y = values(unit)
    assert (y[127], y[-127]) == (Fraction(127, 128), Fraction(-1))
    assert assert_symmetric(unit) == 127


@pytest.mark.parametrize(
    ("name", "constraint", "place", "step"),
    [
        ("tanh", "monotonic", 90, -1),
        ("gelu", "symmetric", 100, 1),
        ("tanh", "zero", 64, 1),
        ("gelu", "tails", 2, -1),
    ],
)
def test_one_code_off_is_seen(name: str, constraint: str, place: int, step: int) -> None:
    spec = specification(name, width=7, accuracy="max_ulp=3", constraints=[constraint])
    codes = spec.exact.rounded(spec.rounding)
    assert spec.permits(codes)
    wrong = codes.copy()
    wrong[place] += step
    assert not spec.permits(wrong)
    assert specification(name, width=7, accuracy="max_ulp=3").permits(wrong)


def test_what_rounding_breaks_is_unreachable() -> None:
    with pytest.raises(UnreachableError, match="not 'correct with symmetric'; ask for faithful"):
        hwact.build("gelu", width=6, rounding="toward_zero", accuracy="correct", constraints=["symmetric"])


def test_unsigned_inputs_have_no_mirror_and_may_be_monotonic() -> None:
    unit = hwact.build("gelu", input_format="UQ3.3", accuracy="faithful", constraints=["monotonic"])
    assert assert_monotonic(unit) == 63
    with pytest.raises(ArgumentError, match="symmetric must be asked of"):
        hwact.build("gelu", input_format="UQ3.3", constraints=["symmetric"])
    with pytest.raises(ArgumentError, match=r"monotonic must be asked of .*wrap"):
        hwact.build("exp", width=6, overflow="wrap", constraints=["monotonic"])


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        (["steep"], "a constraint must be one of monotonic, symmetric, zero, tails, not 'steep'"),
        ("zero", "constraints must be a sequence of names, not 'zero'"),
    ],
)
def test_other_constraints_are_refused(constraints: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)):
        hwact.build("tanh", width=6, constraints=constraints)


def test_verify_proves_the_claim_again(tmp_path: Path) -> None:
    folder = hwact.build("tanh", width=9, accuracy="faithful", output_format="SQ1.8").write(tmp_path)
    path = folder / f"{folder.name}.json"
    manifest = json.loads(path.read_text())
    assert not manifest["accuracy"]["monotonic"]
    path.write_text(json.dumps({**manifest, "constraints": ["monotonic"]}))
    with pytest.raises(
        BundleError, match="must describe a unit that this hwact can build, not one that fails"
    ):
        rebuild(read_bundle(folder))


def test_the_command_line(run: Run, here: Path) -> None:
    done = run(
        "generate", "tanh", "--width", "6", "--zero", "--monotonic", "--accuracy", "faithful", "--json"
    )
    (manifest,) = done.json()
    assert manifest["constraints"] == ["monotonic", "zero"]
    assert "| kept exactly | monotonic, zero |" in (here / "build" / "tanh_sq4_2" / "README.md").read_text()
    assert_refused(run("generate", "gelu", "--width", "6", "--monotonic"), "monotonic must be asked of .*")


def test_exploring_keeps_constraints() -> None:
    search = Search(spec={"function": "tanh", "width": 6, "constraints": ("symmetric",)}, target="xc7")
    found = enumerated({"spec": {**search.spec, "accuracy": "faithful"}, "architecture": "mirrored"})
    assert found
    assert all(facts["parameters"]["half"] for facts in found)
