# SPDX-License-Identifier: Apache-2.0
"""The command line: results, errors and exit codes, and that nothing half-written stays."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import hwact
from hwact import cli, functions
from hwact.cli import DEFAULT_FUNCTIONS
from hwact.tools import write_at_once
from tests.commands import FILES, Done, Run, assert_refused, contents, manifest, rows, start
from tests.verifying import tiny

_OUT = "the output folder must be one that can be written, not '{}' .*; choose another with --out"
pytestmark = pytest.mark.usefixtures("here")


# list


def test_list_shows_every_function_and_every_choice(run: Run) -> None:
    done = run("list")
    assert (done.code, done.err) == (0, "")
    shown = [row[0] for row in rows(done.out) if row[0]]
    assert tuple(shown) == functions.names()
    assert len(shown) >= 24
    for key in ("architectures", "interfaces", "targets", "roundings", "overflows"):
        assert re.search(rf"^{key}: \w+(, \w+)+$", done.out, re.MULTILINE), key


def test_list_for_machines_names_the_same(run: Run) -> None:
    listed = run("list", "--json").json()
    assert set(listed) == {"functions", "architectures", "interfaces", "targets", "roundings", "overflows"}
    assert tuple(entry["name"] for entry in listed["functions"]) == functions.names()
    keys = {"name", "summary", "formula", "parameters", "monotonic"}
    assert all(set(entry) == keys for entry in listed["functions"])
    smelu = next(entry for entry in listed["functions"] if entry["name"] == "smelu")
    assert smelu["parameters"] == {"beta": 1.0}
    assert listed["roundings"] == ["half_up", "half_even", "half_away", "floor", "toward_zero"]


def test_without_a_command_help_is_shown(run: Run) -> None:
    done = run()
    assert (done.code, done.err) == (0, "")
    assert all(re.search(rf"^  {name} ", done.out, re.MULTILINE) for name in ("list", "generate", "eval"))


def test_the_version_is_that_of_the_package(run: Run) -> None:
    assert version("hwact") in run("--version").out


# generate


def test_generate_makes_three_units_unless_named(run: Run, here: Path) -> None:
    done = run("generate", "--width", "6")
    assert (done.code, done.err) == (0, "")
    table = rows(done.out)
    assert [row[0] for row in table] == [f"{name}_sq4_2" for name in DEFAULT_FUNCTIONS]
    assert {path.name for path in (here / "build").iterdir()} == {row[0] for row in table}
    for name, inside, outside, architecture, error, class_, latency, where in table:
        facts = manifest(here / where)
        assert (inside, outside) == (facts["input_format"], facts["output_format"]) == ("SQ4.2", "SQ4.2")
        assert (name, architecture) == (facts["name"], facts["architecture"])
        assert error == f"{facts['accuracy']['max_error_ulp']:.4f} ulp"
        assert class_ == facts["accuracy"]["class"]
        assert latency.split()[0] == str(facts["latency"])
        assert where == f"build/{name}"


def test_generate_says_what_to_do_next(run: Run) -> None:
    done = run("generate", "relu", "tanh", "--width", "5", "--out", "units")
    last = done.out.splitlines()[-1]
    assert last == "next: python -m hwact verify units/relu_sq4_1 units/tanh_sq4_1"


def test_generate_for_machines_prints_the_manifests_alone(run: Run, here: Path) -> None:
    printed = run("generate", "gelu", "mish", "--width", "6", "--json").json()
    assert [facts["name"] for facts in printed] == ["gelu_sq4_2", "mish_sq4_2"]
    assert [manifest(here / "build" / facts["name"]) for facts in printed] == printed


def test_progress_goes_to_stderr(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "progress", Console(stderr=True, force_terminal=True))
    done = run("generate", "relu", "--width", "4", "--json")
    assert "building relu" in done.err
    assert len(json.loads(done.out)) == 1


def test_generating_again_gives_the_same_bytes(run: Run, here: Path) -> None:
    command = ["generate", "swish", "--width", "6", "--beta", "1.5"]
    first = run(*command)
    before = contents(here)
    assert len(before) == 2 + len(FILES)
    assert run(*command) == first
    assert contents(here) == before


# The options of each, what the manifest must then say, and the unit's name.
OPTIONS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "softplus_sq4_8": (["softplus", "--width", "12"], {"latency": 2, "architecture": "rows"}),
    "mish_sq4_8": (["mish", "--width", "12"], {"requested_accuracy": "faithful"}),
    "smelu_beta0_5_sq4_4": (["smelu", "--width", "8", "--beta", "0.5"], {"parameters": {"beta": 0.5}}),
    "smelu_beta1_3_sq4_2": (["smelu", "--width", "6", "--beta", "1/3"], {"parameters": {"beta": "1/3"}}),
    "gelu_grad_sq4_2": (["gelu", "--width", "6", "--gradient"], {"gradient": True}),
    "quickgelu": (
        ["--expression", "x*sigmoid(1.702*x)", "--name", "quickgelu", "--width", "6"],
        {"expression": "x*sigmoid(1.702*x)", "function": "quickgelu"},
    ),
    "relu_sq4_2": (
        ["relu", "--width", "6", "--interface", "bare", "--latency", "0", "--lanes", "2"],
        {"interface": "bare", "latency": 0, "lanes": 2},
    ),
    "tanh_sq3_3": (["tanh", "--input-format", "SQ3.3", "--latency", "5"], {"latency": 5}),
    "mine": (
        ["tanh", "--name", "mine", "--input-format", "ap_fixed<6,3>", "--output-format", "UQ0.5"],
        {"name": "mine", "input_format": "SQ3.3", "output_format": "UQ0.5"},
    ),
    "gelu_sq4_2_sq4_3": (
        [
            *("gelu", "--width", "6", "--output-format", "SQ4.3", "--rounding", "half_even"),
            *("--overflow", "wrap", "--accuracy", "max_ulp=0.75"),
            *("--architecture", "table", "--target", "ecp5"),
        ],
        {
            "rounding": "half_even",
            "overflow": "wrap",
            "requested_accuracy": "max_ulp=0.75",
            "architecture": "table",
            "target": "ecp5",
        },
    ),
    "leaky_relu_negative_slope0_25_sq4_2": (
        ["leaky_relu", "--negative-slope", "0.25", "--width", "6"],
        {"parameters": {"negative_slope": 0.25}},
    ),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_of_generate_reach_the_unit(name: str, run: Run, here: Path) -> None:
    options, expected = OPTIONS[name]
    (printed,) = run("generate", *options, "--out", "deep/er", "--json").json()
    assert {key: printed[key] for key in expected} == expected
    assert printed["name"] == name
    assert manifest(here / "deep" / "er" / name) == printed


def test_a_bound_that_was_asked_for_stays_exact(run: Run) -> None:
    (printed,) = run("generate", "gelu", "--width", "6", "--accuracy", "max_ulp=0.50000001", "--json").json()
    assert printed["requested_accuracy"] == "max_ulp=0.50000001"
    assert hwact.from_manifest(printed).manifest() == printed


# eval


def test_eval_shows_values_and_codes_with_the_exact_result(run: Run) -> None:
    done = run("eval", "smelu", "--width", "8", "--", "-0.5", "0x10", "0xf0", "100")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("smelu_sq4_4")
    # SmeLU is (x + 1)^2 / 4 between -1 and 1: 0.0625 and 1; -1 gives 0, and 100 saturates.
    assert rows(done.out) == [
        ["-0.5", "-8", "0xf8", "0.0625", "0.0625", "1", "0x01", "0.000000"],
        ["1", "16", "0x10", "1", "1", "16", "0x10", "0.000000"],
        ["-1", "-16", "0xf0", "0", "0", "0", "0x00", "0.000000"],
        ["7.9375", "127", "0x7f", "7.9375", "7.9375", "127", "0x7f", "0.000000"],
    ]


def test_eval_for_machines_states_the_error_of_each_number(run: Run) -> None:
    printed = run("eval", "gelu", "--width", "8", "--json", "--", "-1.5", "0x04").json()
    unit = hwact.build("gelu", width=8)
    assert [row["code"] for row in printed] == [-24, 4]
    assert [row["result_code"] for row in printed] == unit.evaluate([-24, 4]).tolist()
    for row, exact in zip(printed, (-0.10021080, 0.14967657), strict=True):  # Phi(-1.5) = 0.0668072
        assert row["exact"] == pytest.approx(exact, abs=1e-7)
        assert row["error_ulp"] == pytest.approx(abs(row["result"] - exact) * 16, abs=1e-5)
        assert Fraction(row["result"]) == Fraction(row["result_code"], 16)


def test_eval_takes_an_expression_without_a_name(run: Run, here: Path) -> None:
    printed = run("eval", "--expression", "x*x", "--width", "8", "--json", "0.5", "1.5").json()
    assert [row["result"] for row in printed] == [0.25, 2.25]
    assert contents(here) == {}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_eval_of_a_recorded_tensor_of_values_gives_values(dtype: str, run: Run) -> None:
    values = np.linspace(-10, 10, 60, dtype=dtype).reshape(3, 4, 5)
    np.save("x.npy", values)
    summary = run("eval", "tanh", "--width", "8", "--input", "x.npy", "--output", "y.npy", "--json").json()
    result = np.load("y.npy")
    assert result.dtype == np.float64
    assert np.array_equal(result, hwact.build("tanh", width=8)(values))
    assert (summary["numbers"], summary["kind"], summary["output"]) == (60, "values", "y.npy")
    assert summary["values_outside_the_input_format"] == int((values < -8).sum() + (values > 7.9375).sum())
    assert 0 < summary["max_error_ulp"] <= 0.5


@pytest.mark.parametrize("dtype", ["int8", "int64"])
def test_eval_of_a_recorded_tensor_of_codes_gives_codes(dtype: str, run: Run) -> None:
    codes = np.arange(-128, 128, dtype=dtype).reshape(16, 16)
    np.save("x.npy", codes)
    summary = run("eval", "tanh", "--width", "8", "--input", "x.npy", "--output", "y.npy", "--json").json()
    result, unit = np.load("y.npy"), hwact.build("tanh", width=8)
    assert result.dtype == dtype
    assert np.array_equal(result.reshape(-1), unit.design.codes)
    assert (summary["numbers"], summary["kind"]) == (256, "codes")
    assert summary["max_error_ulp"] == unit.accuracy.max_error_ulp


def test_eval_of_a_tensor_is_summed_up_in_words(run: Run) -> None:
    np.save("x.npy", np.array([0.5, -20.0]))
    done = run("eval", "relu", "--width", "8", "--input", "x.npy")
    assert done.code == 0
    assert re.search(r"^numbers +2$", done.out, re.MULTILINE)
    assert re.search(r"^values outside the input format +1$", done.out, re.MULTILINE)
    assert "None" not in done.out


# verify


def test_verify_passes_a_good_bundle(run: Run) -> None:
    run("generate", "tanh", "--width", "6")
    done = run("verify", "build/tanh_sq4_2", "--simulator", "icarus")
    assert done.code == 0, done.err
    assert "all 64 input codes" in done.out
    assert re.search(r"^passed: \d{3,} codes", done.out, re.MULTILINE)


def test_verify_of_edited_verilog_is_refused(run: Run, here: Path) -> None:
    verilog = tiny("bare", here) / "tiny_bare.v"
    verilog.write_text(verilog.read_text(encoding="utf-8") + "// mine\n", encoding="utf-8")
    pattern = r"the sha256 of tiny_bare\.v must be .*, not '[0-9a-f]{64}': the file was edited; generate .*"
    assert_refused(run("verify", "tiny_bare"), pattern)
    assert not (here / "tiny_bare" / "verify").exists()


def test_verify_exits_with_1_when_a_check_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Report:
        def __init__(self, folder: Path, **options: object) -> None:
            self.passed = folder.name == "good"

        def text(self) -> str:
            return f"passed: {self.passed}"

    monkeypatch.setattr("hwact.verify.verify", Report)
    assert run("verify", "good") == Done(0, "passed: True\n", "")
    assert run("verify", "bad", "good") == Done(1, "passed: False\npassed: True\n", "")


@pytest.mark.parametrize(
    ("simulator", "pattern"),
    [
        ("verilator", r"a C\+\+ compiler .* must be on PATH for Verilator, not missing; install .*"),
        ("icarus", "iverilog must be on PATH for Icarus Verilog, not missing; install .*"),
        ("auto", "a simulator must be installed, not none: .*"),
    ],
)
def test_verify_without_its_tools_exits_with_3(
    simulator: str, pattern: str, run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny("bare", here)
    before = contents(here)
    monkeypatch.setenv("PATH", str(here / "empty"))
    assert_refused(run("verify", "tiny_bare", "--simulator", simulator), pattern, code=3)
    assert contents(here) == before


# Interruptions


def interrupt(*_: object, **__: object) -> None:
    """Stand in for a function during which Ctrl-C is pressed."""
    raise KeyboardInterrupt


def test_ctrl_c_while_building_leaves_nothing(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "build", interrupt)
    done = run("generate", "relu", "--width", "4")
    assert (done.code, done.out, done.err.strip()) == (130, "", "error: interrupted")
    assert contents(here) == {}


INTERRUPTED = """\
from hwact import cli
def build(*_, **__):
    exec("raise KeyboardInterrupt")
cli.build = build
cli.main()
"""


def test_ctrl_c_inside_exec_leaves_with_the_same_code(here: Path) -> None:
    """A dataclass that an import makes is such a place."""
    (here / "interrupted.py").write_text(INTERRUPTED, encoding="utf-8")
    command = [sys.executable, "-m", "interrupted", "generate", "relu", "--width", "4"]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "error: interrupted")


@pytest.mark.parametrize("whole", range(len(FILES)))
def test_ctrl_c_while_writing_leaves_no_part_of_a_bundle(
    whole: int, run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    def writes_some(path: Path, content: bytes) -> None:
        if len(written) == whole:
            raise KeyboardInterrupt
        written.append(path.name)
        write_at_once(path, content)

    monkeypatch.setattr("hwact.bundle.write_at_once", writes_some)
    assert run("generate", "relu", "--width", "4", "--out", "deep/er").code == 130
    assert len(written) == whole
    assert contents(here) == {}


def test_a_full_disk_leaves_no_part_of_a_bundle(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Path.replace

    def full(source: Path, target: Path) -> Path:
        if target.suffix == ".json":
            raise OSError(28, "No space left on device")
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", full)
    done = run("generate", "relu", "--width", "4", "--out", "new")
    assert_refused(done, _OUT.format("new/relu_sq4_0"))
    assert contents(here) == {}


# As a process of its own


def test_a_process_generates_and_says_so(here: Path) -> None:
    with start("generate", "relu", "--width", "4", "--json", stdout=subprocess.PIPE) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out) == [manifest(here / "build" / "relu_sq4_0")]


def test_a_process_refuses_without_a_traceback(here: Path) -> None:
    with start("generate", "geluu", "--width", "8", stdout=subprocess.PIPE) as process:
        out, err = process.communicate(timeout=60)
    assert_refused(Done(process.returncode, out, err), "the function must be .*, not 'geluu'; did you .*")
    assert contents(here) == {}


@pytest.mark.parametrize("line", ["list", "list --json", "generate relu --width 4", "eval relu --width 4 1"])
def test_a_reader_that_goes_away_is_no_error(line: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with start(*line.split(), stdout=writer) as process:
        os.close(writer)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="there Ctrl-C is no signal to one process")
def test_a_process_stops_at_ctrl_c(here: Path) -> None:
    # Rich shows its progress where it is told that stderr is a terminal; then the work has begun.
    command = ["generate", "gelu", "swish", "mish", "softplus", "tanh", "--width", "16"]
    with start(*command, stdout=subprocess.PIPE, variables={"FORCE_COLOR": "1"}) as process:
        assert isinstance(process.stderr, io.TextIOBase)
        seen = ""
        while "building" not in seen:
            seen += process.stderr.read(1) or pytest.fail(f"no progress was shown: {seen}")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.endswith("error: interrupted\n")
    assert "Traceback" not in err
    assert contents(here) == {}
