# SPDX-License-Identifier: Apache-2.0
"""Bad input on the command line: one clear line, its exit code, and nothing written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.commands import Run, assert_refused, contents

pytestmark = pytest.mark.usefixtures("here")


# What is refused: a command, and what must then stand on stderr.

_FORMAT = r"a format must look like SQ4\.12, UQ0\.8, .*, int8:0\.05:-3 or uint8:0\.05f, not {}"
_WIDTH = r"width must be an integer from 2 to 64, not {}; it stands for the format SQ4\.\(width-4\)"
_BETA = "beta must be a finite number and above 0, not '{}'; it is half the width .*"
_ACCURACY = "accuracy must be correct, faithful, max_ulp=N or mse=N with N above 0, not '{}'; N is at most .*"
_NAME = "a unit's name must be 1 to 100 letters, digits and underscores after a first letter, not '{}'; .*"
_NUMBER = r"a number must be a finite value such as -1\.5 or a code such as 0x1000, not '{}'"
_OUT = "the output folder must be one that can be written, not '{}' .*; choose another with --out"
_INPUT = r"inputs must be a \.npy file of numbers, not '{}' \(.*\); write one with numpy\.save"
_ARRAY = r"inputs must be integers \(codes\) or floats \(values\), not '{}' in '.*'; convert .*"
_SAVE = r"the output must be a file that can be written, not '{}' \([^/]*\); choose another with --output"

GENERATE: list[tuple[str, str]] = [
    ("geluu --width 6", r"the function must be .*, not 'geluu'; did you mean gelu or elu or gsmelu\?"),
    ("GELU --width 6", r"the function must be .*, not 'GELU'; did you mean gelu or .*\?"),
    ("qqqq --width 6", "the function must be .*, not 'qqqq'; choose from celu, elu, .*, trelu"),
    ("relu nope --width 6", "the function must be one of the catalogue, not 'nope'; .*"),
    ("gelu", "a width or an input format must be given, not neither; say width=16, .*"),
    ("gelu --width 0", _WIDTH.format(0)),
    ("gelu --width 1", _WIDTH.format(1)),
    ("gelu --width -3", _WIDTH.format(-3)),
    ("gelu --width 200", _WIDTH.format(200)),
    ("gelu --width 40", r"the input format must have at most 32 bits, not 40 in 'SQ4\.36'; choose .*"),
    ("gelu --width six", "Invalid value for '--width': 'six' is not a valid integer."),
    ("gelu --input-format Q4.12", _FORMAT.format("'Q4.12'")),
    ("gelu --input-format SQ4.99999", _FORMAT.format(r"'SQ4\.99999'")),
    ("gelu --input-format SQ0.0", r"a format must have 1 to 64 bits in all, not 0 in 'SQ0\.0'; choose .*"),
    ("gelu --width 6 --output-format x", _FORMAT.format("'x'")),
    (
        "gelu --width 6 --input-format SQ4.2 --output-format SQ4.2",
        "width must stand for a format that is not given, not be 6 beside both formats; leave it out",
    ),
    ("smelu --width 6 --beta 0", _BETA.format(0)),
    ("smelu --width 6 --beta -1", _BETA.format(-1)),
    ("smelu --width 6 --beta nan", _BETA.format("nan")),
    ("smelu --width 6 --beta inf", _BETA.format("inf")),
    ("smelu --width 6 --beta wide", _BETA.format("wide")),
    ("smelu --width 6 --beta 1/0", _BETA.format("1/0")),
    ("smelu --width 6 --beta 1e999999999", _BETA.format("1e999999999")),
    ("gelu --width 6 --beta 1", "a parameter of gelu must be one it knows, not 'beta'; it takes none"),
    (
        "leaky_relu --width 6 --beta 1",
        "a parameter of leaky_relu must be one it knows, not 'beta'; it takes negative_slope",
    ),
    (
        "gelu --width 6 --accuracy max_ulp=0.1",
        r"accuracy must be one that auto .* for gelu from SQ4\.2 to SQ4\.2, not 'max_ulp=0\.1'; ask for .*",
    ),
    ("gelu --width 6 --accuracy best", _ACCURACY.format("best")),
    ("gelu --width 6 --accuracy max_ulp", _ACCURACY.format("max_ulp")),
    ("gelu --width 6 --accuracy max_ulp=0", _ACCURACY.format("max_ulp=0")),
    ("gelu --width 6 --accuracy max_ulp=nan", _ACCURACY.format("max_ulp=nan")),
    ("gelu --width 6 --accuracy max_ulp=1e300", _ACCURACY.format("max_ulp=1e300")),
    ("gelu --width 6 --accuracy max_ulp=1e999999999", _ACCURACY.format("max_ulp=1e999999999")),
    ("gelu --width 6 --architecture magic", "architecture must be auto or one of .*table, not 'magic'"),
    (
        "gelu --width 6 --architecture quadratic",
        "accuracy must be one that quadratic architectures reach for gelu .*, not 'correct'; ask for .*",
    ),
    ("gelu --width 6 --target moon", "target must be one of xc7, .*, not 'moon'"),
    ("gelu --width 6 --interface wires", "interface must be one of stream, .*bare, not 'wires'"),
    ("gelu --width 6 --rounding up", "rounding must be one of half_up, .*, toward_zero, not 'up'"),
    ("gelu --width 6 --overflow clip", "overflow must be one of saturate, wrap, not 'clip'"),
    ("gelu --width 6 --latency -1", "latency must be an integer from 0 to 64, not -1; 0 is combinational"),
    ("gelu --width 6 --latency 65", "latency must be an integer from 0 to 64, not 65; 0 is combinational"),
    ("gelu --width 6 --lanes 0", "lanes must be an integer from 1 to 64, not 0"),
    ("gelu --width 6 --lanes 65", "lanes must be an integer from 1 to 64, not 65"),
    ("gelu --width 6 --out file", _OUT.format("file/gelu_sq4_2")),
    ("gelu --width 6 --out file/below", _OUT.format("file/below/gelu_sq4_2")),
    (
        "--expression __import__('os') --name evil --width 6",
        "an expression must be made of known functions, not '__import__'; choose from abs, .*, tanh",
    ),
    (
        "--expression x.__class__ --name evil --width 6",
        r"an expression must be made of numbers, .*, not 'x\.__class__'; known are .*",
    ),
    (
        "--expression x**x --name evil --width 6",
        "an expression must be free of exponents .*, not 'x'; use .*",
    ),
    ("--expression ( --name evil --width 6", r"an expression must be a formula in x, not '\('; write .*"),
    ("--expression= --name evil --width 6", "an expression must be a text of 1 to .*, not ''; write .*"),
    ("--expression y --name evil --width 6", "an expression must be in x alone, .*, not 'y'; rename .*"),
    (
        "--expression 1/x --name evil --width 6",
        r"evil must have a finite value .*, not at x = 0\.0; choose .*",
    ),
    ("--expression x --width 6", "an expression must be given a name, not none; add --name"),
    ("--expression= --width 6", "an expression must be given a name, not none; add --name"),
    (
        "gelu --expression x --name both --width 6",
        r"an expression stands in place of functions, not beside \('gelu',\)",
    ),
    (
        "--expression x --name a --width 6 --beta 2",
        r"an expression takes no parameters, not \['beta'\]; write them into it",
    ),
    (
        "gelu --width 6 --name module",
        "a unit's name must not be a SystemVerilog keyword, not 'module'; choose another",
    ),
    ("gelu --width 6 --name 8bit", _NAME.format("8bit")),
    ("gelu --width 6 --name ../up", _NAME.format(r"\.\./up")),
    ("gelu --width 6 --name=", _NAME.format("")),
    ("relu gelu --width 6 --name a", "a name must be given to one unit, not 2; generate them one by one"),
    ("gelu --widht 6", "No such option '--widht'.*--width.*"),
    ("gelu --width", "Option '--width' requires an argument."),
]
EVAL: list[tuple[str, str]] = [
    ("gelu --width 8", r"numbers or --input must be given, one of the two, not \(\) and None"),
    (
        "gelu --width 8 --input x.npy 1.0",
        r"numbers or --input must be given, one of the two, not \('1.0',\) and .*",
    ),
    ("gelu --width 8 --output y.npy 1.0", "--output must come with --input, not 'y.npy' alone"),
    ("gelu --width 8 nan", _NUMBER.format("nan")),
    ("gelu --width 8 -- -inf", _NUMBER.format("-inf")),
    ("gelu --width 8 1e400", _NUMBER.format("1e400")),
    ("gelu --width 8 1.0 one", _NUMBER.format("one")),
    ("gelu --width 8 1/0", _NUMBER.format("1/0")),
    ("gelu --width 8 0xzz", _NUMBER.format("0xzz")),
    ("gelu --width 8 -- -0x10", _NUMBER.format("-0x10")),
    ("gelu --width 8 0x100", r"a code of SQ4\.4 must have at most 8 bits, not '0x100'"),
    ("gelu --width 8 -1.5", r"No such option '-1'\. Put -- before negative numbers\."),
    ("nope --width 8 1.0", "the function must be one of the catalogue, not 'nope'; .*"),
    ("gelu --width 8 --input missing.npy", _INPUT.format(r"missing\.npy")),
    ("gelu --width 8 --input .", _INPUT.format(r"\.")),
    ("gelu --width 8 --input file", _INPUT.format("file")),
    ("gelu --width 8 --input object.npy", _INPUT.format(r"object\.npy")),
    ("gelu --width 8 --input complex.npy", _ARRAY.format("complex128")),
    ("gelu --width 8 --input text.npy", _ARRAY.format("<U1")),
    ("gelu --width 8 --input bool.npy", _ARRAY.format("bool")),
    (
        "gelu --width 8 --input archive.npz",
        "inputs must be a .npy file of one array, not an archive 'archive.npz'; .*",
    ),
    (
        "gelu --width 8 --input nan.npy --output y.npy",
        "inputs must be finite, not nan at index 1 of 'nan.npy'; remove or replace such values",
    ),
    (
        "gelu --width 8 --input wide.npy --output y.npy",
        r"codes of SQ4\.4 must be in -128\.\.127, not 128; saturate or wrap them first",
    ),
    (
        "gelu --width 8 --input x.npy --output nowhere/y.npy",
        _SAVE.format(r"nowhere/y\.npy"),
    ),
    (
        "gelu --width 8 --input x.npy --output .",
        _SAVE.format(r"\."),
    ),
]
OTHER: list[tuple[str, str]] = [
    ("frobnicate", "No such command 'frobnicate'.*"),
    ("--frobnicate", "No such option '--frobnicate'.*"),
    ("list gelu", r"Got unexpected extra argument \(gelu\)"),
    ("verify", r"Missing argument 'FOLDER\.\.\.'\."),
    (
        "verify nowhere",
        r"the folder must be a bundle with a manifest nowhere\.json, not 'nowhere'; .* generate writes one",
    ),
    ("verify file", r"the folder must be a bundle with a manifest file\.json, not 'file'; .*"),
    ("verify file --seed -1", "seed must be an integer of at least 0, not -1"),
]
REFUSED = {
    **{f"generate {line}": pattern for line, pattern in GENERATE},
    **{f"eval {line}": pattern for line, pattern in EVAL},
    **dict(OTHER),
}
RECORDED: dict[str, Any] = {
    "x": np.array([1.0]),
    "object": np.array([{}], dtype=object),
    "complex": np.array([1j]),
    "text": np.array(["a"]),
    "bool": np.array([True]),
    "nan": np.array([0.5, np.nan]),
    "wide": np.array([1, 128]),
}


@pytest.mark.parametrize("line", REFUSED)
def test_bad_input_is_refused_and_leaves_nothing(line: str, run: Run, here: Path) -> None:
    for name, array in RECORDED.items():
        np.save(f"{name}.npy", array)
    np.savez("archive.npz", a=np.ones(2))
    (here / "file").write_text("mine", encoding="utf-8")
    before = contents(here)
    assert_refused(run(*line.split()), REFUSED[line])
    assert contents(here) == before


def test_no_case_of_bad_input_hides_another() -> None:
    assert len(REFUSED) == len(GENERATE) + len(EVAL) + len(OTHER)
