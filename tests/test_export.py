# SPDX-License-Identifier: Apache-2.0
"""Exports: what a receiver makes of the files, by its own rules, and the error that was stated."""

from __future__ import annotations

import json
import re
import subprocess
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hwact
from benchmarks import export as benchmark
from benchmarks.readme import with_section
from hwact import accuracy
from hwact.errors import ArgumentError
from hwact.export import catalogue, get, nvdla_lut, tflite_int16
from hwact.export.fit import Chain
from hwact.export.nvdla_sdp import Converter, Priorities, Program, Ranges, Slope, Table
from hwact.export.source import Export, Source
from hwact.formats import Codes
from tests import receivers
from tests.commands import Run, assert_refused, contents, rows

TARGETS = ["coe", "mem", "npy", "nvdla-lut", "tflite-int16", "threshold"]
TANH = {"input_format": "SQ4.12", "output_format": "SQ1.15"}


def write(export: Export, folder: Path) -> Path:
    """The files as a receiver finds them; the path of the first."""
    for name, content in export.files.items():
        (folder / name).write_bytes(content)
    return folder / next(iter(export.files))


def stated(export: Export, received: np.ndarray[Any, Any]) -> int:
    """Assert that the receiver's codes are the export's, and its error the one stated; how many codes."""
    assert np.array_equal(received, export.codes)
    assert accuracy.report(export.spec, received.astype(np.int64)) == export.accuracy
    return received.size


def test_the_targets_are_found() -> None:
    assert list(catalogue()) == TARGETS


# Whole tables.

TABLES = [
    ("gelu", {"width": 8}),
    ("tanh", {"input_format": "SQ3.4", "output_format": "SQ1.9"}),
    ("exp", {"input_format": "UQ1.5", "output_format": "UQ3.10"}),
    ("leaky_relu", {"width": 6, "overflow": "wrap", "rounding": "floor"}),
]


def of_address(source: Source, words: list[int]) -> np.ndarray[Any, Any]:
    """Output codes over all input codes, from words by the input's bits."""
    inside, outside = source.formats
    first = inside.min_code
    found = [words[code % len(words)] for code in range(first, first + len(words))]
    return np.array([word - (word > outside.max_code) * 2**outside.width for word in found])


@pytest.mark.parametrize(("function", "options"), TABLES)
def test_a_memory_holds_every_code_at_its_address(
    function: str, options: dict[str, Any], tmp_path: Path
) -> None:
    source = Source.of_function(function, **options)
    path = write(get("coe").export(source), tmp_path)
    words = receivers.coe(path, source.spec.output_format.width)
    assert stated(get("coe").export(source), of_address(source, words)) == len(words)
    assert len(words) == 2**source.spec.input_format.width
    lines = write(get("mem").export(source), tmp_path).read_text(encoding="ascii").splitlines()
    assert [int(line, 16) for line in lines] == words
    table = np.load(write(get("npy").export(source), tmp_path))
    assert np.array_equal(table[source.spec.input_format.codes()], of_address(source, words))
    words[3] ^= 1
    assert not np.array_equal(of_address(source, words), source.codes)


def test_verilog_reads_the_memory(tmp_path: Path) -> None:
    source = Source.of_function("gelu", width=8)
    write(get("mem").export(source), tmp_path)
    (tmp_path / "t.v").write_text(
        "module t; reg [7:0] m [0:255]; integer i; initial begin "
        f'$readmemh("{source.name}.mem", m); '
        'for (i = 0; i < 256; i = i + 1) $display("%0d", m[i]); end endmodule'
    )
    subprocess.run(["iverilog", "-o", "t.vvp", "t.v"], cwd=tmp_path, check=True)
    done = subprocess.run(["vvp", "t.vvp"], cwd=tmp_path, check=True, capture_output=True, text=True)
    words = [int(line) for line in done.stdout.split()]
    assert stated(get("mem").export(source), of_address(source, words)) == 256


# Thresholds.

MONOTONIC = [
    ("relu", {"width": 8}, 256),
    ("sigmoid", {"width": 8}, 256),
    ("tanh", {"input_format": "SQ3.4", "output_format": "SQ1.9"}, 128),
    ("exp", {"input_format": "UQ1.5", "output_format": "UQ3.10"}, 64),
    ("hardtanh", {"width": 8, "output_format": "SQ2.3"}, 256),
    ("smelu", {"width": 16}, 65536),
    (None, {"expression": "exp(-x)", "width": 8, "name": "falling"}, 256),
]


@pytest.mark.parametrize(("function", "options", "count"), MONOTONIC)
def test_thresholds_give_every_code(
    function: str | None, options: dict[str, Any], count: int, tmp_path: Path
) -> None:
    source = Source.of_function(function, **options)
    export = get("threshold").export(source)
    write(export, tmp_path)
    receiver = receivers.multi_threshold(tmp_path, source.name)
    inside = source.spec.input_format
    assert stated(export, receivers.all_codes(receiver, inside.min_code, inside.max_code)) == count
    path = tmp_path / f"{source.name}_thresholds.npy"
    thresholds = np.load(path)
    thresholds[0, 0] += 1  # one threshold wrong is one code wrong, or more
    np.save(path, np.sort(thresholds))
    receiver = receivers.multi_threshold(tmp_path, source.name)
    assert (receivers.all_codes(receiver, inside.min_code, inside.max_code) != source.codes).any()


def test_thresholds_refuse_a_function_that_turns() -> None:
    source = Source.of_function("gelu", width=12)
    with pytest.raises(ArgumentError, match="never falls or never rises, not 'gelu_sq4_8'") as refused:
        get("threshold").export(source)
    places = re.findall(r"(-?\d+) and (-?\d+)", str(refused.value))
    fall, after, rise, behind = (int(code) for pair in places for code in pair)
    codes = dict(zip(source.spec.input_format.codes().tolist(), source.codes.tolist(), strict=True))
    assert codes[after] < codes[fall]
    assert codes[behind] > codes[rise]


# TensorFlow Lite.

INT16 = [("gelu", {"width": 16}, 1.04), ("tanh", TANH, 2.24)]


@pytest.mark.parametrize(("function", "options", "bar"), INT16)
def test_tflite_computes_what_is_stated(
    function: str, options: dict[str, Any], bar: float, tmp_path: Path
) -> None:
    source = Source.of_function(function, **options)
    export = get("tflite-int16").export(source)
    path = write(export, tmp_path)
    assert stated(export, receivers.all_codes(receivers.tflite(path), -32768, 32767)) == 65536
    assert export.accuracy.max_error_ulp < bar < benchmark.own_accuracy(source).max_error_ulp
    facts = json.loads(path.read_text(encoding="utf-8"))
    assert facts["output"]["scale"] == 2.0**-source.spec.output_format.frac_bits
    facts["lut"][256] += 3
    path.write_text(json.dumps(facts))
    worse = receivers.all_codes(receivers.tflite(path), -32768, 32767)
    assert accuracy.report(source.spec, worse).max_error_ulp > export.accuracy.max_error_ulp


def test_tflite_wraps_a_step_that_is_too_high() -> None:
    table = np.full(513, -32768)
    table[256:] = 32767
    found = tflite_int16.lookup(table, np.array([-1, -64, -128, 0]))
    assert found.tolist() == [32767, -32768, -32768, 32767]


# The fit.


def linear(lower: Codes, upper: Codes, place: Codes) -> Codes:
    return lower + ((upper - lower) * place + 2 >> 2)


@pytest.mark.parametrize("seed", range(4))
def test_the_fit_is_the_best_of_all_tables(seed: int) -> None:
    random = np.random.default_rng(seed)
    segment, position = np.repeat(np.arange(3), 4), np.tile(np.arange(4), 3)
    exact = random.uniform(0, 6, 12)
    chain = Chain(size=4, segment=segment, position=position, exact=exact, interpolate=linear, low=0, high=6)

    def errors(entries: Any) -> Any:
        return np.abs(linear(entries[segment], entries[segment + 1], position) - exact)

    every = [errors(np.array(entries)) for entries in product(range(7), repeat=4)]
    assert len(every) == 2401
    best = min((float(found.max()), float(found.sum())) for found in every)
    fitted = errors(chain.fitted(np.full(4, 3)))
    assert (fitted.max(), fitted.sum()) == pytest.approx(best)


def test_the_fit_reaches_far_entries() -> None:
    segment, position = np.repeat(np.arange(8), 4), np.tile(np.arange(4), 8)
    exact = np.linspace(-1000, 2100, 32)
    chain = Chain(
        size=9, segment=segment, position=position, exact=exact, interpolate=linear, low=-9999, high=9999
    )
    guess = np.array([0, 900, -900, 0, 900, 0, -900, 900, 0])
    assert chain.fitted(guess).tolist() == list(range(-1000, 2600, 400))


# NVDLA.

NVDLA = [
    ("gelu", {"width": 16}, 0.99),
    ("sigmoid", {"input_format": "SQ4.6", "output_format": "SQ1.9"}, 0.51),
    ("relu", {"width": 10}, 0.001),
    ("exp", {"input_format": "UQ1.8", "output_format": "UQ3.6"}, 0.51),
    ("swish", {"width": 8}, 0.5),
]


@pytest.mark.parametrize(("function", "options", "bar"), NVDLA)
def test_nvdla_computes_what_is_stated(
    function: str, options: dict[str, Any], bar: float, tmp_path: Path
) -> None:
    source = Source.of_function(function, **options)
    export = get("nvdla-lut").export(source)
    path = write(export, tmp_path)
    inside = source.spec.input_format
    received = receivers.all_codes(receivers.nvdla(path), inside.min_code, inside.max_code)
    assert stated(export, received) == 2**inside.width
    assert export.accuracy.max_error_ulp < bar


def a_table(entries: int, start: int, random: np.random.Generator) -> Table:
    def slope() -> Slope:
        return Slope(scale=int(random.integers(-200, 200)), shift=int(random.integers(0, 6)))

    return Table(
        ranges=Ranges(entries=entries, start=start, select=int(random.integers(0, 3))),
        entries=random.integers(-32768, 32768, entries),
        underflow=slope(),
        overflow=slope(),
    )


@pytest.mark.parametrize("bits", range(8))
def test_nvdla_chooses_between_its_tables(bits: int, tmp_path: Path) -> None:
    random = np.random.default_rng(bits)
    x = np.arange(-600, 600)
    path = tmp_path / "program.json"
    for le_start, lo_start in ((-500, -100), (100, -300), (-100, 0), (0, 0)):
        program = Program(
            le=a_table(65, le_start, random),
            lo=a_table(257, lo_start, random),
            priorities=Priorities(underflow=bool(bits & 1), overflow=bool(bits & 2), hybrid=bool(bits & 4)),
            converter=Converter(offset=int(random.integers(-999, 999)), shift=bits % 3),
        )
        path.write_text(json.dumps(nvdla_lut.contents(program)))
        assert np.array_equal(receivers.all_codes(receivers.nvdla(path), -600, 599), program.codes(x))


@pytest.fixture(scope="module")
def programmed() -> Export:
    return get("nvdla-lut").export(Source.of_function("gelu", width=10, output_format="SQ4.8"))


@pytest.mark.parametrize(
    ("register", "flipped"), [("S_LUT_CFG", 0x20), ("S_LUT_LO_START", 0x10), ("S_LUT_INFO", 0x10000)]
)
def test_a_wrong_register_is_seen(programmed: Export, register: str, flipped: int, tmp_path: Path) -> None:
    path = write(programmed, tmp_path)
    facts = json.loads(path.read_text(encoding="utf-8"))
    one = facts["registers"][f"SDP_{register}"]
    one["value"] = hex(int(one["value"], 16) ^ flipped)
    path.write_text(json.dumps(facts))
    received = receivers.all_codes(receivers.nvdla(path), -512, 511)
    assert not np.array_equal(received, programmed.codes)


def test_every_register_is_written_with_its_fields(programmed: Export, tmp_path: Path) -> None:
    facts = json.loads(write(programmed, tmp_path).read_text(encoding="utf-8"))
    assert len(facts["registers"]) == 14
    assert facts["registers"]["SDP_S_LUT_CFG"]["fields"]["LUT_LE_FUNCTION"] == 1


# The command.


@pytest.mark.usefixtures("here")
def test_a_function_is_exported(run: Run) -> None:
    done = run("export", "sigmoid", "--width", "8", "--to", "coe, mem,npy,threshold,nvdla-lut")
    assert (done.code, done.err) == (0, "")
    lines = rows(done.out)
    assert [line[0] for line in lines] == ["coe", "mem", "npy", "threshold", "nvdla-lut"]
    assert {tuple(line[3:]) for line in lines} == {("0.4994 ulp", "0.1726 ulp", "correct")}
    suffixes = [".coe", ".mem", ".npy", "_nvdla_lut.json", "_threshold.json", "_thresholds.npy"]
    names = [
        "build/",
        "build/sigmoid_sq4_4/",
        *(f"build/sigmoid_sq4_4/sigmoid_sq4_4{end}" for end in suffixes),
    ]
    assert sorted(contents(Path())) == sorted(names)


@pytest.mark.usefixtures("here")
def test_a_bundle_is_exported_with_its_golden_model(run: Run) -> None:
    unit = hwact.build("gelu", width=12, accuracy="max_ulp=1.5", architecture="piecewise")
    folder = unit.write("build")
    (entry,) = run("export", str(folder), "--to", "npy", "--json").json()
    assert entry["files"] == [str(folder / "gelu_sq4_8.npy")]
    table = np.load(folder / "gelu_sq4_8.npy")
    codes = unit.input_format.codes()
    assert np.array_equal(table[codes], unit.evaluate(codes))
    assert (table[codes] != hwact.reference.codes("gelu", "SQ4.8", "SQ4.8")).any()
    assert entry["accuracy"] == unit.accuracy.as_dict()


REFUSED = [
    ("gelu --width 8", r"Missing option '--to'\."),
    ("gelu --width 8 --to csv", f"--to must be one of {', '.join(TARGETS)}, not 'csv'"),
    ("gelu --width 8 --to ,", f"--to must name at least one of {', '.join(TARGETS)}, not ','"),
    ("geluu --width 8 --to coe", "the function must be .*, not 'geluu'; did you mean .*"),
    ("build/gelu --to coe", "the folder must be a bundle with a manifest gelu.json, not 'build/gelu'; .*"),
    ("gelu --to coe", "a width or an input format must be given, not neither; .*"),
    ("--to coe", "exactly one of a function and an expression must be given, not None and None"),
    (
        "gelu --width 21 --to mem",
        r"a whole table must have at most 20 input bits, not 21 in SQ4\.17; choose a narrower input format",
    ),
    (
        "gelu --width 8 --to tflite-int16",
        r"tflite-int16 must be given signed 16-bit formats .*, zero point 0, not 'SQ4\.4'; choose .*",
    ),
    (
        "gelu --width 16 --overflow wrap --to tflite-int16",
        "tflite-int16 must be given an output that saturates, not 'wrap'; choose coe, mem or npy",
    ),
    (
        "gelu --width 17 --to nvdla-lut",
        r"nvdla-lut must be given formats whose codes fit an int16, not 'SQ4\.13'; choose .*",
    ),
    (
        "gelu --width 8 --overflow wrap --to nvdla-lut",
        "nvdla-lut must be given an output that saturates, not 'wrap'; choose coe, mem or npy",
    ),
    (
        "gelu --width 8 --to coe,threshold",
        "threshold must be given a function that never falls .*; choose .*",
    ),
]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("command", "pattern"), REFUSED)
def test_bad_input_is_refused(run: Run, command: str, pattern: str) -> None:
    assert_refused(run("export", *command.split()), pattern)
    assert contents(Path()) == {}


@pytest.mark.usefixtures("here")
def test_a_bundle_takes_no_options(run: Run) -> None:
    folder = hwact.build("relu", width=6).write("build")
    before = contents(folder)
    done = run("export", str(folder), "--to", "coe", "--rounding", "floor")
    assert_refused(done, "a bundle must stand without options, not with '--rounding'; leave it out")
    assert contents(folder) == before


def test_an_output_folder_that_cannot_be_made_is_refused(run: Run, here: Path) -> None:
    (here / "file").write_text("")
    done = run("export", "relu", "--width", "6", "--to", "coe", "--out", "file")
    assert_refused(done, "the output folder must be one that can be written, not '.*' .*; choose another .*")
    assert contents(here) == {"file": b""}


# The page.

PAGE = benchmark.PAGE.read_text(encoding="utf-8")


def test_the_page_tells_the_errors() -> None:
    report = get("tflite-int16").export(benchmark.source("gelu")).accuracy
    assert f"| `gelu` | SQ4.12 | 2.071 (mean 0.345) | {report.max_error_ulp:.3f} (mean" in PAGE
    assert all(f"| `{target}` |" in PAGE for target in TARGETS)


@pytest.mark.slow
def test_the_pages_table_is_current() -> None:
    assert with_section(PAGE, "errors", benchmark.table()) == PAGE


@pytest.mark.slow
def test_the_pages_commands_run(here: Path, run: Run) -> None:
    hwact.build("gelu", width=16).write("build")
    commands = re.findall(r"^    python -m hwact (.*)$", PAGE, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        assert run(*command.split()).code == 0
    assert {path.name for path in (here / "build").iterdir()} == {"gelu_sq4_12", "tanh_sq4_12_sq1_15"}
