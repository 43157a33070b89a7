# SPDX-License-Identifier: Apache-2.0
"""Polynomial segments of truncated rows: arrays and nodes say the same, and every design is faithful."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import hwact
from hwact import synth
from hwact.architectures import digits, rows
from hwact.architectures.problem import InfeasibleError
from hwact.architectures.table import fewest_steps
from hwact.datapath import Datapath
from hwact.datapath.cost import TARGETS
from hwact.datapath.evaluate import evaluate
from hwact.datapath.graph import Add, Input, Node
from hwact.design import Design
from hwact.formats import Codes, Format
from hwact.synth import Options
from hwact.unit import specification

BITS = 6
NUMBERS = np.arange(-(1 << (BITS - 1)), 1 << (BITS - 1), dtype=np.int64)
SHIFTS = range(-1, 6)


def test_digits_make_their_number() -> None:
    for width in range(1, BITS + 1):
        numbers = np.arange(-(1 << (width - 1)), 1 << (width - 1), dtype=np.int64)
        minimal, booth = digits.minimal_digits(numbers), digits.booth_digits(numbers, width)
        assert all(set(d.tolist()) <= {-1, 0, 1, 2} for d in minimal)
        assert all(set(d.tolist()) <= {-2, -1, 0, 1, 2} for d in booth)
        assert np.array_equal(sum(d << 2 * i for i, d in enumerate(minimal)), numbers)
        assert np.array_equal(sum(d << 2 * i for i, d in enumerate(booth)), numbers << (width & 1))


@pytest.mark.parametrize("shift", SHIFTS)
def test_rows_of_tabulated_digits_are_what_the_fit_adds_up(shift: int) -> None:
    x = Input.of(Format(True, BITS, 0))
    segment, checked = x.bits(0, BITS), 0
    by_pattern = np.roll(NUMBERS, NUMBERS.size // 2)

    def lookup(words: Codes) -> Node:
        return segment.lookup(tuple(words.tolist()))

    for a in (x, x.bits(1, 3), x.bits(2, 4, signed=True)):
        values = evaluate(Datapath(x, a), NUMBERS)
        made = digits.rows_by_number(lookup, by_pattern, a, shift)
        total = sum(evaluate(Datapath(x, row), NUMBERS) for row in made)
        assert np.array_equal(total, digits.sum_by_number(NUMBERS, values, shift))
        checked += NUMBERS.size
    assert checked == 3 * 64


@pytest.mark.parametrize("width", [BITS, BITS - 1])
@pytest.mark.parametrize("shift", SHIFTS)
def test_rows_by_booth_are_what_the_fit_adds_up(shift: int, width: int) -> None:
    x = Input.of(Format(True, BITS, 0))
    number = x.bits(0, width, signed=True)
    numbers = evaluate(Datapath(x, number), NUMBERS)
    made = digits.rows_by_booth(number, width, x, shift)
    total = sum(evaluate(Datapath(x, row), NUMBERS) for row in made)
    assert np.array_equal(total, digits.sum_by_booth(numbers, NUMBERS, width, shift))


UNITS = (
    ("gelu", "SQ4.5", "SQ4.5", "faithful", "saturate"),
    ("tanh", "SQ4.6", "SQ1.9", "faithful", "saturate"),
    ("sigmoid", "SQ4.5", "UQ0.8", "correct", "saturate"),
    ("silu", "SQ3.6", "SQ2.6", "max_ulp=2", "saturate"),
    ("mish", "SQ4.5", "SQ3.5", "faithful", "wrap"),
    ("softplus", "UQ3.6", "UQ4.5", "faithful", "saturate"),
    ("elu", "SQ3.9", "SQ3.9", "faithful", "saturate"),
)


@pytest.mark.parametrize(("name", "inside", "outside", "accuracy", "overflow"), UNITS)
def test_every_candidate_meets_its_accuracy(
    name: str, inside: str, outside: str, accuracy: str, overflow: str
) -> None:
    spec = specification(
        name, input_format=inside, output_format=outside, accuracy=accuracy, overflow=overflow
    )
    built = [Design.build(spec, rows.NAME, parameters) for parameters in rows.candidates(spec)]  # none fails
    assert built
    for design in built:
        assert spec.permits(design.codes)
        again = Design.build(spec, rows.NAME, design.parameters)
        assert np.array_equal(again.codes, design.codes)
        assert again.estimated_area == design.estimated_area


@pytest.mark.parametrize(
    ("name", "outside", "kinds"),
    [
        ("tanh", "SQ1.9", {"odd", "magnitude", "plain"}),
        ("sigmoid", "UQ0.10", {"odd", "magnitude", "plain"}),
        ("gelu", "SQ4.6", {"magnitude", "plain"}),
        ("elu", "SQ4.6", {"plain"}),
    ],
)
def test_symmetric_functions_share_one_side(name: str, outside: str, kinds: set[str]) -> None:
    spec = specification(name, width=10, output_format=outside, accuracy="faithful")
    assert {str(p["folding"]) for p in rows.candidates(spec)} == kinds


def test_parameters_that_do_not_suffice_are_refused() -> None:
    spec = specification("tanh", width=10, output_format="SQ1.9", accuracy="faithful")
    (good, *_) = rows.candidates(spec)
    with pytest.raises(
        InfeasibleError, match=r"must be faithful on all codes, not so with \{.*choose shorter"
    ):
        rows.build(spec, {**good, "segment_bits": 9})


def test_a_flipped_bit_of_a_coefficient_is_seen() -> None:
    spec = specification("gelu", width=10)
    design = min(
        (Design.build(spec, rows.NAME, p) for p in rows.candidates(spec)), key=lambda d: d.estimated_area
    )
    wrong = design.codes.copy()
    wrong[300] += 2
    assert spec.permits(design.codes)
    assert not spec.permits(wrong)


def test_a_table_takes_the_fewest_steps_that_its_bounds_permit() -> None:
    checked = 0
    for low in itertools.product(range(3), repeat=4):
        bottom = np.array(low, dtype=np.int64)
        for width in itertools.product(range(2), repeat=4):
            top = bottom + np.array(width)
            values = fewest_steps(bottom, top)
            assert ((bottom <= values) & (values <= top)).all()
            if bottom.max() <= top.min():
                assert np.unique(values).size == 1
            else:
                for half in (slice(0, 2), slice(2, 4)):
                    common = bottom[half].max() <= top[half].min()
                    assert (np.unique(values[half]).size == 1) == common
            checked += 1
    assert checked == 81 * 16


# Upper bounds: a better design may take less, none may take more. Mostly of iCE40, whose synthesis is quick.
AREAS = {
    ("sigmoid", 8, "UQ0.8", "correct", "ice40"): 61,
    ("tanh", 8, "SQ1.7", "correct", "ice40"): 46,
    ("silu", 8, "SQ4.4", "correct", "ice40"): 33,
    ("gelu", 10, "SQ4.6", "faithful", "ice40"): 43,
    ("tanh", 10, "SQ1.9", "faithful", "ice40"): 115,
    ("elu", 10, "SQ4.6", "faithful", "ecp5"): 51,
    ("elu", 12, "SQ4.8", "faithful", "ice40"): 99,
}


@pytest.mark.parametrize(("cell", "most"), AREAS.items())
def test_area_does_not_creep_up(cell: tuple[str, int, str, str, str], most: int) -> None:
    name, width, outside, accuracy, target = cell
    unit = hwact.build(
        name,
        width=width,
        output_format=outside,
        accuracy=accuracy,
        target=target,
        interface="bare",
        latency=0,
    )
    assert synth.measure(unit, target, Options(place=False)).luts <= most


@pytest.mark.parametrize(("target", "place"), [("ecp5", 1), ("xc7", 2), ("ice40", 2)])
def test_the_constant_comes_second_where_synthesis_shortens_paths(target: str, place: int) -> None:
    spec = specification("elu", width=10, target=target, accuracy="faithful")
    shape: dict[str, int | str] = {
        "folding": "plain",
        "saturate": 0,
        "degree": 1,
        "digits": "slope",
        "segment_bits": 4,
    }
    design = Design.build(spec, "rows", {**shape, "guard_bits": 1, "slope_bits": 2})
    sums = [node for node in design.datapath.nodes if isinstance(node, Add) and node.kept]
    assert len(sums) == 2
    terms = [sums[0].a, *(each.b for each in sums)]
    assert [term.name for term in terms].index("c0") == place
    assert spec.permits(design.codes)


@pytest.mark.parametrize(("target", "count", "place"), [("ecp5", 6, 1), ("ecp5", 7, 7), ("xc7", 6, 6)])
def test_the_constant_of_a_long_sum_comes_last(target: str, count: int, place: int) -> None:
    x = Input.of(Format(True, 16, 0))
    made, constant = [x.bits(0, 15 - i) for i in range(count)], x.bits(0, 16)
    terms = rows.ordered(made, constant, TARGETS[target])
    assert terms.index(constant) == place
    assert [term for term in terms if term is not constant] == made[::-1]


def test_kept_sums_are_declared_first_and_waivers_stay_with_their_signal() -> None:
    checked = 0
    for name, accuracy in (("tanh", "correct"), ("gelu", "faithful"), ("elu", "faithful")):
        unit = hwact.build(
            name, width=12, accuracy=accuracy, architecture="rows", interface="bare", latency=0, target="xc7"
        )
        lines = unit.verilog.splitlines()
        kept = [i for i, line in enumerate(lines) if "(* keep *)" in line]
        others = [i for i, line in enumerate(lines) if line.startswith(("  wire ", "  reg "))]
        assert 0 < max(kept) < min(others)
        opened = [i for i, line in enumerate(lines) if "lint_off" in line]
        assert [i + 2 for i in opened] == [i for i, line in enumerate(lines) if "lint_on" in line]
        checked += len(opened)
    assert checked > 3
