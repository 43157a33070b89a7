# SPDX-License-Identifier: Apache-2.0
"""Requantising units: datapath, C and Verilog against the integer models of thresholds and multiplier."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import hwact
from hwact import functions
from hwact.datapath.evaluate import evaluate
from hwact.datapath.graph import Lookup
from hwact.errors import ArgumentError, BundleError
from hwact.formats import Codes, Format, Rounding
from hwact.requantise import (
    Channel,
    Requantiser,
    RequantisingUnit,
    Scaled,
    Thresholds,
    build,
    channels,
    rebuilt,
)
from hwact.requantise.datapaths import comparisons, multiplied
from hwact.verify.claims import false_claims
from tests import compiled
from tests.commands import Run, assert_refused, rows
from tests.requantising import (
    NORM,
    OUT,
    SCALE,
    UNITS,
    activation,
    by_multiplier,
    by_thresholds,
    few_bits,
    single,
    wrong_constants,
)
from tests.verifying import failing, prove

MAIN = """
#include <stdio.h>
#include "NAME_golden.h"
static int32_t in[1 << 16];
static TYPE out[1 << 16];
int main(void) {
  size_t n = fread(in, sizeof in[0], 1 << 16, stdin);
  for (size_t i = 0; i + 1 < n; i += 2) {
    int32_t code = NAME_golden(in[i], (uint32_t)in[i + 1]);
    fwrite(&code, sizeof code, 1, stdout);
  }
  n = n / NAME_CHANNELS * NAME_CHANNELS;
  NAME_golden_array(in, out, n / NAME_CHANNELS);
  for (size_t i = 0; i < n; i++) {
    int32_t code = out[i];
    fwrite(&code, sizeof code, 1, stdout);
  }
  return 0;
}
"""


def due_of(unit: RequantisingUnit, words: Codes) -> Codes:
    """Output codes from the integer models, channel by channel."""
    which, accumulators = unit.fields(words)
    every = unit.form.evaluate(np.stack([accumulators] * len(unit.form.channels)), axis=0)
    return every[which, np.arange(words.size)]


def test_datapaths_equal_the_integer_models_on_every_word_of_small_accumulators() -> None:
    """The last of four channels is beyond the third, and acts as it."""
    bits, checked = 10, 0
    words = np.arange(1 << (bits + 2))
    accumulators = ((words & 1023) ^ 512) - 512
    which = np.minimum(words >> bits, 2)
    made = channels(SCALE * 400, **NORM)

    def check(got: Codes, all_channels: Codes) -> int:
        assert np.array_equal(got, all_channels[which, np.arange(words.size)])
        return words.size

    for name in ("gelu", "relu", "sigmoid"):
        form = Thresholds.of(functions.get(name), made, OUT, bits=bits)
        due = form.evaluate(np.stack([accumulators] * 3), axis=0)
        checked += check(evaluate(comparisons(form), words), due)
    unit = activation()
    for rounding, width in product(Rounding, (3, 5, 24)):
        first = Channel(Fraction(1, 5) * 2 ** (width - 1))
        steep = (first, *channels([0.003, 0.02]))  # the first channel's shift is 0
        for layer in (made, steep):
            stage = Requantiser.of(
                layer, unit.input_format, rounding=rounding, multiplier_bits=width, bits=bits
            )
            assert (min(stage.shifts) == 0) == (layer is steep)
            due = unit.evaluate(stage.evaluate(np.stack([accumulators] * 3), axis=0))
            checked += check(evaluate(multiplied(stage, unit.design.datapath), words), due)
            for channel, starts in enumerate(stage.starts):
                codes = stage.channel_codes(channel, np.arange(-512, 512))
                changes = np.flatnonzero(np.diff(codes, prepend=codes[0] - 1)) - 512
                assert np.array_equal(starts, changes)
    assert checked == 33 * 4096


def test_tables_of_many_channels_are_divided() -> None:
    """So that none has more than 2**16 words, whatever the thresholds are."""
    random, count = np.random.default_rng(1), 600
    inner = np.sort(random.integers(-(2**31), 2**31, (count, 127)))
    starts = tuple(np.hstack([np.full((count, 1), -(2**31)), inner]))
    codes = tuple(random.integers(-128, 128, (count, 128)))
    made, target = channels(np.full(count, 0.1)), Format.parse("int8:0.1")
    form = Thresholds(starts, codes, functions.get("gelu"), made, target, Rounding.HALF_EVEN, 32)
    datapath = comparisons(form)
    tables = [len(node.table) for node in datapath.nodes if isinstance(node, Lookup)]
    assert (max(tables), sum(tables)) == (1 << 16, 1024 * (127 + 128))
    accumulators = np.array([random.choice(row, 64) - random.integers(0, 2, 64) for row in starts])
    accumulators = accumulators.clip(-(2**31), None).T
    words = (np.arange(count) << 32) | (accumulators & 0xFFFFFFFF)
    got = evaluate(datapath, words.ravel()).reshape(64, count)
    assert np.array_equal(got, form.evaluate(accumulators))
    assert got.size == 64 * 600


@pytest.mark.parametrize("name", UNITS)
def test_32_bits_at_both_sides_of_every_step(name: str) -> None:
    """Between steps both models are constant: the integer model, and the order-keeping datapath."""
    unit = UNITS[name]()
    steps = unit.steps()
    starts = [row for row in unit.form.starts for _ in (0, 1)]
    assert len(steps) >= sum(map(len, starts)) - len(unit.form.channels)
    assert all(row[0] == -(2**31) for row in unit.form.starts)
    low, high = unit.input_format.min_code, unit.input_format.max_code
    random = np.random.default_rng(1).integers(low, high, 100_000, endpoint=True)
    words = np.concatenate([steps, [low, high], random])
    assert np.array_equal(unit.evaluate(words), due_of(unit, words))
    if name == "multiplier":
        assert isinstance(unit.form, Scaled)
        for channel, row in enumerate(unit.form.starts):
            codes = unit.form.stage.channel_codes(channel, row)
            assert (np.abs(np.diff(codes)) == 1).all()  # no code is left out: none is between two starts
        assert unit.accuracy["max_difference"] == 1
        assert 0 < unit.accuracy["differing"] < 1e-4 * unit.accuracy["checked"]
    else:
        assert unit.accuracy["class"] == "correct"
    assert unit.accuracy["checked"] == len(unit.form.channels) << 32


def test_differences_to_correct_codes_are_counted_exactly() -> None:
    """Over a window around the steps, accumulator by accumulator."""
    unit = by_multiplier()
    exact = Thresholds.of(functions.get("gelu"), unit.form.channels, OUT)
    window = np.arange(-100_000, 100_000)
    apart = unit.form.evaluate(np.stack([window] * 3), axis=0) != exact.evaluate(
        np.stack([window] * 3), axis=0
    )
    assert not apart[:, [0, -1]].any()
    assert int(apart.sum()) == unit.accuracy["differing"]


def test_words_and_fields() -> None:
    unit = by_thresholds()
    sums = np.array([[-1, 5, -(2**31)], [7, -8, 2**31 - 1]])
    words = unit.words(sums)
    assert words[0].tolist() == [0xFFFFFFFF, (1 << 32) + 5, (2 << 32) + 2**31]
    which, accumulators = unit.fields(words)
    assert np.array_equal(accumulators, sums)
    assert which.tolist() == [[0, 1, 2]] * 2
    assert np.array_equal(unit.words(sums.T, axis=0), words.T)
    assert unit.fields([3 << 32])[0].tolist() == [2]
    assert np.array_equal(single().words([[5], [-5]]), [[5], [-5]])
    with pytest.raises(ArgumentError, match=r"axis -1 must have 3 channels, not the shape \(2,\)"):
        unit.words([1, 2])
    with pytest.raises(ArgumentError, match=r"integers in 0\.\.17179869183, .* not int64 up to 17179869184"):
        unit.evaluate([1 << 34])


@pytest.mark.parametrize("name", UNITS)
def test_c_equals_the_golden_model(name: str, tmp_path: Path) -> None:
    unit = UNITS[name]()
    folder = unit.write(tmp_path)
    suffixes = (".json", ".v", "_golden.c", "_golden.h", "_pkg.sv", "_tb.sv", ".core", ".f")
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["README.md", *(f"{name}{suffix}" for suffix in suffixes)]
    )
    assert sorted(unit.manifest()["files"]) == sorted(path.name for path in folder.iterdir())
    steps = unit.steps()
    which, accumulators = unit.fields(steps)
    pairs = np.stack([accumulators, which], axis=1).astype(np.int32)
    pairs[-1, 1] = -1  # far beyond the last channel
    got = by_c(folder, "uint8_t" if name == "single" else "int8_t", pairs)
    count = len(unit.form.channels)
    whole = pairs.ravel()[: pairs.size // count * count].reshape(-1, count)
    due = np.concatenate([unit.evaluate(steps), unit.form.evaluate(whole).ravel()])
    assert np.array_equal(got, due)
    assert got.size > 2 * len(steps)


@pytest.mark.parametrize("count", [1, 3])
def test_c_takes_the_low_bits_of_short_accumulators(count: int, tmp_path: Path) -> None:
    """Sign-extended ones, and with other bits above them."""
    unit = few_bits(count)
    words = unit.words(np.repeat(np.arange(-512, 512)[:, None], count, axis=1)).ravel()
    which, accumulators = unit.fields(words)
    pairs = np.stack([accumulators, which], axis=1).astype(np.int32)
    dirty = pairs ^ np.array([0x5A5A5A5A << 10 & 0x7FFFFFFF, 0], dtype=np.int32)
    folder, due = unit.write(tmp_path), unit.evaluate(words)
    for given in (pairs, dirty):
        got = by_c(folder, "int8_t", given)[: words.size]
        assert np.array_equal(got, due)
    assert words.size == count << 10


def by_c(folder: Path, output: str, pairs: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Results of `MAIN` for pairs of accumulator and channel."""
    name = folder.name
    text = MAIN.replace("NAME_CHANNELS", f"{name.upper()}_CHANNELS").replace("NAME", name)
    main = folder / "main.c"
    main.write_text(text.replace("TYPE", output), encoding="utf-8")
    program = compiled.build(folder, folder / f"{name}_golden.c", main)
    return np.frombuffer(compiled.run(program, pairs.tobytes()), np.int32)


CASES = [
    ("thresholds", {"interface": "axis", "lanes": 2, "latency": 2}),
    ("multiplier", {"interface": "bare", "latency": 0}),
    pytest.param("thresholds", {"latency": 4}, marks=pytest.mark.slow),
    pytest.param("multiplier", {}, marks=pytest.mark.slow),
    pytest.param("single", {"interface": "bare", "latency": 3}, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_verilog_at_both_sides_of_every_step(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    unit = UNITS[name](**options)
    report = prove(unit.write(tmp_path), samples=200)
    assert not report.failures
    steps = len(unit.steps())
    assert f"the {steps} at which the unit is judged" in report.coverage
    sent = {phase.name: phase.codes_checked for phase in report.phases}
    assert sent["in_order"] > steps + 200
    if options.get("lanes"):
        assert sent["in_every_lane"] == 2 * sent["in_order"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["thresholds", "multiplier"])
def test_a_wrong_constant_is_seen(name: str, tmp_path: Path) -> None:
    bundle = UNITS[name](interface="bare", latency=0).write(tmp_path)
    texts = wrong_constants((bundle / f"{name}.v").read_text(encoding="utf-8"))
    assert len(texts) >= 3
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.v"
        path.write_text(text, encoding="utf-8")
        assert "in_order" in failing(prove(bundle, verilog=path, samples=1)), number


def test_a_manifest_rebuilds_the_unit_and_false_ones_are_seen() -> None:
    for name, clock, latency in (("thresholds", None, 1), ("multiplier", 133.3, None)):
        unit = UNITS[name](interface="bare", clock=clock, latency=latency)
        manifest = json.loads(json.dumps(unit.manifest()))
        assert manifest["requested_clock_mhz"] == clock
        assert unit.latency > (clock is not None)
        assert not list(false_claims(manifest, rebuilt(manifest)))
    manifest["accuracy"]["differing"] += 1
    (claim,) = false_claims(manifest, unit)
    assert claim.startswith("manifest key 'accuracy.differing' must be")
    for change, message in (
        ({"channels": [["1/0", "0", "0", "1"]]}, "that fails with"),
        ({"channels": []}, "that fails with"),
        ({"lanes": 0}, "that fails with"),
        ({"requested_clock_mhz": -1}, "that fails with"),
    ):
        with pytest.raises(BundleError, match=message):
            rebuilt(manifest | change)
    with pytest.raises(BundleError, match="without the key 'latency'"):
        rebuilt({key: value for key, value in manifest.items() if key != "latency"})


def test_a_unit_of_more_than_one_input_or_output_does_not_follow() -> None:
    pair = hwact.build("smelu", width=6, with_gradient=True)
    settable = hwact.build("smelu", width=6, runtime_beta=True)
    for unit in (pair, settable):
        with pytest.raises(ArgumentError, match=f"one input and one output .* not be '{unit.name}'"):
            Scaled.of(channels(0.01), unit)


def test_an_accumulator_of_more_bits_than_a_word_of_c_is_refused() -> None:
    form = Thresholds.of(functions.get("relu"), channels(1.0), OUT, bits=33)
    with pytest.raises(ArgumentError, match="accumulator must have at most 32 bits, not 33"):
        build(form)


def layer(**changes: Any) -> str:
    Path("layer.json").write_text(json.dumps({"scale": [0.01, 0.02], **changes}), encoding="utf-8")
    return "layer.json"


@pytest.mark.usefixtures("here")
def test_the_command_makes_both_forms(run: Run) -> None:
    out = ("--output-format", str(OUT))
    done = run("generate", "relu", "--requantise", layer(**{**NORM, **dict.fromkeys(NORM, 0.5)}), *out)
    assert (done.code, done.err) == (0, "")
    assert rows(done.out)[0][:4] == ["requantise_relu_int6_0_2f_m20", "thresholds", "2", "0"]
    shape = ("--input-format", "int8:0.1", "--interface", "bare", "--latency", "0", "--json")
    (facts,) = run("generate", "relu", "--requantise", layer(), *shape, *out, "--rounding", "half_up").json()
    assert (facts["form"], facts["interface"], facts["latency"]) == ("multiplier", "bare", 0)
    assert facts["activation"]["rounding"] == facts["rounding"] == "half_up"
    given = ("--expression", "max(x,0)", "--name", "mine", "--requantise", layer())
    (facts,) = run("generate", *given, *out, "--json").json()
    assert (facts["name"], facts["expression"], facts["form"]) == ("mine", "max(x,0)", "thresholds")
    assert rebuilt(facts).manifest() == facts


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        ({}, [], "a layer must come with an output format, not none"),
        ({"scales": 1}, ["--width", "8"], "a layer must be a JSON object with scale, and of gamma"),
        ({"gamma": "x"}, ["--width", "8"], "gamma must be a number or a list of numbers, not 'x'"),
        ({"mean": [1, [2]]}, ["--width", "8"], r"mean must be a number or a list of numbers, not \[2\]"),
        ({"epsilon": [1]}, ["--width", "8"], r"epsilon must be one number, not \[1\]"),
        ({"variance": -1}, ["--width", "8"], "the variance with epsilon must be above 0"),
        ({}, ["--output-format", "SQ4.4", "--accuracy", "faithful"], "thresholds must be correct"),
        ({}, ["--output-format", "SQ4.4", "--overflow", "wrap"], "overflow must be saturate"),
        ({}, ["--width", "8", "--overflow", "wrap"], "a unit must saturate to follow a multiplier"),
        (
            {},
            ["--output-format", "SQ4.4", "--with-gradient"],
            "with_gradient must be left out behind a layer",
        ),
        ({}, ["--width", "8", "--gradient-format", "SQ2.6"], "gradient_format must be left out behind"),
        ({}, ["--width", "8", "--runtime-beta"], "runtime_beta must be left out behind a layer, not True"),
        ({}, ["--output-format", "SQ4.4", "--lanes", "0"], "lanes must be an integer from 1 to 64"),
        ({}, ["--output-format", "SQ4.4", "--interface", "x"], "interface must be one of"),
        ({}, ["--output-format", "SQ4.4", "--clock", "0"], "the clock must be a number of MHz above 0"),
        ({}, ["--output-format", "SQ4.4", "--clock", "9999"], r"the clock must be at most \d+ MHz on xc7"),
        (
            {},
            ["--width", "8", "--clock", "9", "--latency", "1"],
            "one of a latency and a clock must be given",
        ),
    ],
)
def test_what_the_command_refuses(run: Run, changes: Any, arguments: list[str], message: str) -> None:
    assert_refused(run("generate", "relu", "--requantise", layer(**changes), *arguments), f"{message}.*")


@pytest.mark.usefixtures("here")
def test_files_that_are_no_layer(run: Run) -> None:
    for text in ("[1]", "{", "[" * 100_000, '{"scale": []}', '{"scale": NaN}'):
        Path("bad.json").write_text(text, encoding="utf-8")
        assert_refused(run("generate", "relu", "--requantise", "bad.json", "--width", "8"), ".*must .*")
    assert_refused(run("generate", "relu", "--requantise", "none.json", "--width", "8"), ".*No such file.*")


def test_against_pytorch_is_refused(tmp_path: Path) -> None:
    bundle = single(interface="bare", latency=0).write(tmp_path)
    with pytest.raises(ArgumentError, match="against must be left out for a requantising unit"):
        prove(bundle, against="torch")
