# SPDX-License-Identifier: Apache-2.0
"""A beta that comes with the codes: every setting, code and reading; and any beta that does not."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hwact
from hwact import synth
from hwact.errors import ArgumentError, BundleError
from hwact.export.source import Source
from hwact.formats import Format, Rounding, round_fraction
from hwact.synth import Options
from hwact.unit import Unit
from tests.commands import Run
from tests.compiled import build, run
from tests.test_component import simulate
from tests.verifying import failing, flip_table_bit, prove


def exact(x: Fraction, beta: Fraction) -> Fraction:
    """SmeLU by its definition."""
    if abs(x) >= beta:
        return max(x, Fraction(0))
    return (x + beta) ** 2 / (4 * beta)


FORMATS: list[dict[str, Any]] = [
    {"width": 8},
    {"width": 9, "rounding": "floor"},
    {"width": 8, "rounding": "half_away"},
    {"width": 8, "rounding": "toward_zero", "output_format": "SQ4.2"},
    {"input_format": "SQ3.3", "output_format": "SQ3.7"},
    {"input_format": "SQ3.5", "output_format": "SQ4.1"},
    {"input_format": "SQ3.3", "output_format": "SQ2.3"},
    {"input_format": "SQ3.3", "output_format": "UQ2.3", "overflow": "wrap"},
    {"input_format": "UQ3.3", "output_format": "UQ3.5"},
    {"input_format": "SQ6.-2", "output_format": "SQ6.1"},
    {"input_format": "SQ2.0", "output_format": "SQ2.4"},
]


@pytest.mark.parametrize("options", FORMATS, ids=repr)
def test_every_setting_is_correctly_rounded_on_every_code(options: dict[str, Any]) -> None:
    unit = hwact.build("smelu", runtime_beta=True, **options)
    source, sink, port = unit.input_format, unit.output_format, unit.setting_format
    assert port is not None
    least, most = -source.frac_bits, source.integer_bits - source.signed
    checked = 0
    for setting in port.codes().tolist():
        beta = Fraction(2) ** min(max(setting, least), most)
        for code, got in zip(source.codes().tolist(), unit.evaluate(source.codes(), setting), strict=True):
            due = round_fraction(exact(source.value(code), beta) / sink.ulp, unit.spec.rounding)
            assert got == sink.fit(due, unit.spec.overflow), (setting, code)
            checked += 1
    assert checked == 1 << source.width + port.width
    assert (unit.accuracy.class_, unit.accuracy.correctly_rounded_fraction) == ("correct", 1)
    assert unit.accuracy.codes_checked == (most - least + 1) << source.width


@pytest.fixture(scope="module")
def settable() -> Unit:
    return hwact.build("smelu", width=6, runtime_beta=True, name="settable", latency=2)


def test_settings_broadcast_and_are_codes_of_the_port(settable: Unit) -> None:
    assert (settable.name, str(settable.setting_format)) == ("settable", "SQ3.0")
    codes = np.arange(-8, 8).reshape(4, 4)
    rows = settable.evaluate(codes, [[-2], [-1], [0], [3]])
    for row, given, setting in zip(rows, codes, (-2, -1, 0, 3), strict=True):
        assert (row == settable.at(setting).evaluate(given)).all()
    assert settable([0.0, 0.0], [0, 3]).tolist() == [0.25, 2.0]
    for wrong in (4, -5, 0.5):
        with pytest.raises(
            ArgumentError, match=r"log2_beta must be integers in -4\.\.3, as on the port, not"
        ):
            settable.evaluate(codes, wrong)
    with pytest.raises(ArgumentError, match="log2_beta must be given with a run-time beta, not None"):
        settable.evaluate(codes)
    with pytest.raises(ArgumentError, match="log2_beta must be left out without a run-time beta, not 0"):
        hwact.build("smelu", width=6).evaluate(codes, 0)
    with pytest.raises(ArgumentError, match="log2_beta must be left out without a run-time beta, not 0"):
        hwact.build("smelu", width=6).at(0)


def test_the_manifest_has_the_accuracy_of_every_setting(settable: Unit) -> None:
    manifest = settable.manifest()
    assert manifest["parameters"] == {}
    said = manifest["runtime_beta"]
    assert (said["format"], list(said["settings"])) == ("SQ3.0", ["-2", "-1", "0", "1", "2", "3"])
    for setting, claims in said["settings"].items():
        beta = f"{2 ** int(setting)}" if int(setting) >= 0 else f"1/{2 ** -int(setting)}"
        alone = hwact.build("smelu", width=6, beta=beta)
        assert claims == {"accuracy": alone.accuracy.as_dict(), "golden_sha256": alone.golden_sha256}
    each = [claims["accuracy"] for claims in said["settings"].values()]
    mean = sum(accuracy["mean_squared_error"] for accuracy in each) / 6
    assert manifest["accuracy"]["mean_squared_error"] == pytest.approx(mean, rel=1e-12)
    assert manifest["accuracy"]["max_error_ulp"] == max(accuracy["max_error_ulp"] for accuracy in each)
    assert (manifest["accuracy"]["codes_checked"], manifest["accuracy"]["proof"]) == (384, "exhaustive")
    again = hwact.from_manifest(manifest)
    assert (again.verilog, again.manifest()) == (settable.verilog, manifest)
    with pytest.raises(BundleError, match="golden_sha256 must be"):
        hwact.from_manifest(manifest | {"golden_sha256": "0" * 64})


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "another function": ("swish", {}, r"must belong to a function of the form .* not to 'swish'; give beta"),
    "no beta": ("gelu", {}, "must belong to smelu, not to 'gelu'; leave runtime_beta out"),
    "a gradient": ("smelu", {"gradient": True}, "not to 'the gradient of smelu'"),
    "beta as well": ("smelu", {"beta": 1}, "runtime_beta must stand without beta, not beside it"),
    "a pair": ("smelu", {"with_gradient": True}, "must stand without with_gradient"),
    "another accuracy": ("smelu", {"accuracy": "mse=1e-9"}, "must stand without accuracy, not beside it"),
    "constraints": ("smelu", {"constraints": ["monotonic"]}, "must stand without constraints"),
    "an architecture": ("smelu", {"architecture": "table"}, "must stand without architecture"),
    "ties to even": (
        "smelu",
        {"rounding": "half_even"},
        "rounding must be one of half_up, .* not 'half_even'",
    ),
    "affine": (
        "smelu",
        {"output_format": "int8:0.05"},
        "needs fixed-point formats, not 'SQ4.2' and 'int8:0.05'",
    ),
    "wide": ("smelu", {"width": 17}, "needs an input of 2 to 16 bits, not 17; give beta"),
    "narrow": ("smelu", {"width": None, "input_format": "SQ1.0"}, "needs an input of 2 to 16 bits, not 1"),
    "no truth": ("smelu", {"runtime_beta": 1}, "runtime_beta must be True or False, not 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_run_time_beta_is_refused(case: str) -> None:
    function, options, message = REFUSED[case]
    with pytest.raises(ArgumentError, match=message):
        hwact.build(function, **{"width": 6, "runtime_beta": True} | options)


MAIN = """
#include <stdio.h>
#include "{name}_golden.h"
static {kind} codes[{count}], results[{count}];
static int32_t answers[2][{count}];
int main(void) {{
  for (int32_t i = 0; i < {count}; i++) codes[i] = ({kind})(i - {count} / 2);
  for (int32_t setting = {low}; setting <= {high}; setting++) {{
    {name}_golden_array(codes, setting, results, {count});
    for (int32_t i = 0; i < {count}; i++) {{
      answers[0][i] = results[i];
      answers[1][i] = {name}_golden(codes[i] ^ (int32_t)0x{above:x}, setting ^ (int32_t)0x5a5a5a00);
    }}
    fwrite(answers, sizeof answers, 1, stdout);
  }}
  return 0;
}}
"""


@pytest.mark.parametrize("width", [8, pytest.param(16, marks=pytest.mark.slow)])
def test_c_equals_the_golden_model_at_every_setting(width: int, tmp_path: Path) -> None:
    unit = hwact.build("smelu", width=width, runtime_beta=True, name="beta")
    port, codes = unit.setting_format, unit.input_format.codes()
    assert port is not None
    folder, count = unit.write(tmp_path), codes.size
    ends = {"low": port.min_code, "high": port.max_code, "above": 0x7FFFFFFF >> width << width}
    text = MAIN.format(name="beta", count=count, kind=unit.input_format.dtype.name + "_t", **ends)
    (folder / "main.c").write_text(text, encoding="utf-8")
    said = run(build(folder, folder / "main.c", folder / "beta_golden.c"))
    got = np.frombuffer(said, dtype=np.int32).reshape(-1, 2, count)
    assert got.size == 2 << width + port.width
    for setting, rows in zip(port.codes().tolist(), got, strict=True):
        assert (rows == unit.evaluate(codes, setting)).all(), setting


def test_the_setting_travels_with_its_word(settable: Unit) -> None:
    """All pairs of code and setting, shuffled, one a cycle through an Amaranth stream."""
    numbers = np.random.default_rng(5).permutation(1 << 9)
    codes, settings = (numbers & 63) - 32, (numbers >> 6) - 4
    due, came = (settable.evaluate(codes, settings) & 63).tolist(), []
    dut = settable.component()

    async def bench(ctx: Any) -> None:
        ctx.set(dut.o.ready, 1)
        for cycle in range(numbers.size + settable.latency):
            place = min(cycle, numbers.size - 1)
            ctx.set(dut.i.payload, int(codes[place]))
            ctx.set(dut.i_log2_beta, int(settings[place]))
            ctx.set(dut.i.valid, cycle < numbers.size)
            if ctx.get(dut.o.valid):
                came.append(ctx.get(dut.o.payload) & 63)
            await ctx.tick()

    simulate(dut, bench)
    assert len(came) == 512
    assert came == due


@pytest.mark.parametrize(
    "interface", ["stream", *(pytest.param(i, marks=pytest.mark.slow) for i in ("bare", "axis"))]
)
def test_the_bench_sends_every_setting_with_every_code(interface: str, tmp_path: Path) -> None:
    lanes = 2 if interface == "axis" else 1
    made: dict[str, Any] = {"interface": interface, "lanes": lanes, "latency": 1, "name": "beta"}
    unit = hwact.build("smelu", input_format="SQ3.2", runtime_beta=True, **made)
    folder = unit.write(tmp_path)
    report = prove(folder)
    assert report.passed, report.failures
    assert {phase.name: phase.codes_checked for phase in report.phases}["in_order"] == 256
    assert "all 256 input codes with their settings in order" in report.coverage
    if interface != "stream":
        return
    verilog, path = (folder / "beta.v").read_text(encoding="utf-8"), tmp_path / "broken.v"
    path.write_text(flip_table_bit(verilog, 1), encoding="utf-8")
    broken = prove(folder, verilog=path)
    assert "in_order" in failing(broken)
    assert ") with 0x" in broken.failures[0]
    for option in ({"inputs": "x.npy"}, {"against": "torch"}):
        with pytest.raises(
            ArgumentError, match=f"{next(iter(option))} must be left out for a unit with run-time"
        ):
            prove(folder, **option)


def test_its_bundle_is_no_export(settable: Unit, tmp_path: Path) -> None:
    with pytest.raises(
        ArgumentError, match="must be of one function to be exported, not 'settable' of run-time"
    ):
        Source.of_bundle(settable.write(tmp_path))


@pytest.mark.slow
def test_sixteen_bits(tmp_path: Path) -> None:
    unit = hwact.build("smelu", width=16, runtime_beta=True)
    assert unit.accuracy.codes_checked == 1 << 20
    report = prove(unit.write(tmp_path), "verilator")
    assert report.passed, report.failures
    assert "NOT all codes with their settings" in report.coverage
    assert {phase.name: phase.codes_checked for phase in report.phases}["in_order"] > 125_000


@pytest.mark.slow
def test_one_unit_costs_less_than_one_for_every_setting() -> None:
    def luts(**options: Any) -> int:
        unit = hwact.build("smelu", width=16, interface="bare", latency=0, **options)
        return synth.measure(unit, "xc7", Options(place=False)).luts

    assert (luts(runtime_beta=True), luts()) == (276, 122)  # docs/beta.md


def test_the_command_line_makes_one(run: Run, here: Path) -> None:
    done = run("generate", "smelu", "--runtime-beta", "--width", "6", "--json").json()
    assert done[0]["name"] == "smelu_runtime_beta_sq4_2"
    assert (here / "build" / "smelu_runtime_beta_sq4_2" / "smelu_runtime_beta_sq4_2.v").is_file()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("function", "beta"), [("swish", "1.702"), ("softplus", "0.3"), ("swish", "0.01")])
def test_any_beta_of_the_others(function: str, beta: str, run: Run) -> None:
    """Swish and softplus with a beta that is no power of two, in hardware for it alone."""
    made = run("generate", function, "--beta", beta, "--width", "8", "--json").json()[0]
    assert (made["name"], made["parameters"]) == (
        f"{function}_beta{beta.replace('.', '_')}_sq4_4",
        {"beta": float(beta)},
    )
    assert (made["accuracy"]["class"], made["accuracy"]["codes_checked"]) == ("correct", 256)
    source = Format.parse("SQ4.4")
    x = source.values(source.codes())
    values = (
        x / (1 + np.exp(-float(beta) * x))
        if function == "swish"
        else np.logaddexp(0, float(beta) * x) / float(beta)
    )
    due = source.quantise_array(values, Rounding.HALF_UP, hwact.formats.Overflow.SATURATE)
    assert (hwact.from_manifest(made).evaluate(source.codes()) == due).all()
