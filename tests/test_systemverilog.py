# SPDX-License-Identifier: Apache-2.0
"""The package, its bench by DPI-C, and the FuseSoC core: linted, built and run with Verilator."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hwact
from hwact import functions
from hwact.datapath.graph import Lookup
from hwact.formats import Format
from hwact.requantise import RequantisingUnit, Thresholds, build, channels
from tests.compiled import verilator_environment
from tests.requantising import UNITS, few_bits, wrong_constants
from tests.verifying import flip_table_bit

Verilate = Callable[..., subprocess.CompletedProcess[str]]
FAST = (
    "-CFLAGS",
    "-std=c++20",
    "--output-split",
    "0",
    "-MAKEFLAGS",
    "OPT_FAST=-O0",
    "-MAKEFLAGS",
    "OPT_GLOBAL=-O0",
)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return verilator_environment(tmp_path_factory.mktemp("bin"))


@pytest.fixture(scope="module")
def verilate(environment: dict[str, str]) -> Verilate:
    def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["verilator", "-Wall", *arguments]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    return call


def lint(verilate: Verilate, folder: Path) -> str:
    """What Verilator has to say about the files of a bundle."""
    name = folder.name
    plain = verilate(folder, "--lint-only", "-F", f"{name}.f", "--top-module", name)
    bench = ("-F", f"{name}.f", f"{name}_tb.sv", "--top-module", f"{name}_tb")
    timed = verilate(folder, "--lint-only", "--timing", *bench)
    assert (plain.returncode, timed.returncode) == (0, 0), plain.stderr + timed.stderr
    return plain.stderr + timed.stderr


INTERFACES = [("bare", 0), ("bare", 2), ("stream", 0), ("stream", 2), ("axis", 0), ("axis", 2)]


@pytest.mark.parametrize(
    ("interface", "latency", "lanes"), [(*i, lanes) for i, lanes in product(INTERFACES, (1, 3))]
)
def test_every_interface_lints_without_a_warning(
    interface: str, latency: int, lanes: int, verilate: Verilate, tmp_path: Path
) -> None:
    formats: dict[str, Any] = {"input_format": "SQ3.2", "output_format": "UQ2.1"}
    unit = hwact.build("gelu", interface=interface, latency=latency, lanes=lanes, name="linted", **formats)
    assert lint(verilate, unit.write(tmp_path)) == ""


@pytest.mark.parametrize(("interface", "lanes"), [*product(("bare", "stream", "axis"), (1, 3))])
def test_a_pair_lints_without_a_warning(
    interface: str, lanes: int, verilate: Verilate, tmp_path: Path
) -> None:
    formats: dict[str, Any] = {"input_format": "SQ3.2", "gradient_format": "UQ1.6"}
    unit = hwact.build(
        "gelu", interface=interface, latency=1, lanes=lanes, with_gradient=True, name="linted", **formats
    )
    assert lint(verilate, unit.write(tmp_path)) == ""


@pytest.mark.parametrize(("interface", "lanes"), [("bare", 3), ("stream", 1), ("axis", 3)])
def test_a_run_time_beta_lints_without_a_warning(
    interface: str, lanes: int, verilate: Verilate, tmp_path: Path
) -> None:
    unit = hwact.build(
        "smelu", width=5, runtime_beta=True, interface=interface, latency=1, lanes=lanes, name="linted"
    )
    assert lint(verilate, unit.write(tmp_path)) == ""


LAYERS: list[tuple[str, dict[str, Any]]] = [
    ("thresholds", {"interface": "axis", "latency": 2, "lanes": 3}),
    ("thresholds", {"interface": "bare", "latency": 0}),
    ("multiplier", {"interface": "stream", "latency": 2, "lanes": 3}),
    ("multiplier", {"interface": "axis", "latency": 0}),
    ("single", {"interface": "stream", "latency": 0, "lanes": 3}),
    ("single", {"interface": "axis", "latency": 1}),
    ("single", {"interface": "bare", "latency": 1, "lanes": 3}),
]


@pytest.mark.parametrize(("form", "options"), LAYERS)
def test_a_requantising_unit_lints_without_a_warning(
    form: str, options: dict[str, Any], verilate: Verilate, tmp_path: Path
) -> None:
    assert lint(verilate, UNITS[form](**options).write(tmp_path)) == ""


@pytest.mark.parametrize(("count", "lanes"), [*product((1, 3), (1, 3))])
def test_short_accumulators_lint_without_a_warning(
    count: int, lanes: int, verilate: Verilate, tmp_path: Path
) -> None:
    assert lint(verilate, few_bits(count, lanes=lanes, latency=1).write(tmp_path)) == ""


def steps_of(text: str) -> list[int]:
    """The words that a bench lists; their count is stated."""
    (count,) = re.findall(r"localparam int STEPS = (\d+);", text)
    (listed,) = re.findall(r"STEP\[STEPS\] = '\{([^}]+)\}", text)
    words = [int(word, 16) for word in re.findall(r"\d+'h([0-9a-f]+)", listed)]
    assert len(words) == int(count)
    return words


@pytest.mark.parametrize("form", UNITS)
def test_the_bench_of_a_layer_lists_both_sides_of_every_step(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = UNITS[form]()
    bench = unit.write(tmp_path) / f"{form}_tb.sv"
    due = unit.input_format.to_bits(unit.steps()).tolist()
    assert steps_of(bench.read_text(encoding="utf-8")) == due
    bits = unit.form.bits
    for channel, starts in enumerate(unit.form.starts):
        sides = {int(side) % (1 << bits) | channel << bits for start in starts for side in (start - 1, start)}
        assert sides <= set(due)  # below the first start is the most positive end
    monkeypatch.setattr("hwact.systemverilog._MAX_STEPS", len(due) // 4)
    unit.write(tmp_path)
    text = bench.read_text(encoding="utf-8")
    assert steps_of(text) == due[::5]
    assert f"// NOT all input codes, but {len(due[::5])} of the codes on both sides" in text


def test_a_warning_would_be_seen(verilate: Verilate, tmp_path: Path) -> None:
    folder = hwact.build("gelu", width=5, name="warned").write(tmp_path)
    path = folder / "warned_pkg.sv"
    path.write_text(
        re.sub(r"/\* verilator lint_o\w+ UNUSEDPARAM \*/.*", "", path.read_text(encoding="utf-8"))
    )
    with pytest.raises(AssertionError, match="UNUSEDPARAM"):
        lint(verilate, folder)


def run_bench(verilate: Verilate, folder: Path) -> subprocess.CompletedProcess[str]:
    name = folder.name
    built = verilate(
        folder, "--binary", *FAST, "-F", f"{name}.f", f"{name}_tb.sv", "--top-module", f"{name}_tb"
    )
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    return subprocess.run([folder / "obj_dir" / f"V{name}_tb"], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_bench_of_512_channels(verilate: Verilate, tmp_path: Path) -> None:
    """Its codes are a table of 2**17 words, of which Verilator would nest branches that deep."""
    made = channels(np.geomspace(1e-3, 5e-3, 512), gamma=np.linspace(-1.5, 1.5, 512).tolist())
    unit = build(Thresholds.of(functions.get("relu"), made, Format.parse("UQ4.4")), name="many")
    assert max(len(node.table) for node in unit.datapath.nodes if isinstance(node, Lookup)) == 1 << 16
    done = run_bench(verilate, unit.write(tmp_path))  # any warning of Verilator's ends it
    assert done.returncode == 0, done.stderr
    (sent,) = re.findall(r"many: passed, (\d+) codes in ", done.stdout)
    assert int(sent) > 1 << 16


@pytest.mark.slow
def test_the_bench_compares_every_code_with_the_golden_model(verilate: Verilate, tmp_path: Path) -> None:
    unit = hwact.build("gelu", width=6, architecture="table", lanes=2, latency=1, name="paired")
    folder = unit.write(tmp_path)
    done = run_bench(verilate, folder)
    assert done.returncode == 0, done.stderr
    assert "paired: passed, 128 codes in " in done.stdout
    verilog = folder / "paired.v"
    verilog.write_text(flip_table_bit(verilog.read_text(encoding="utf-8"), 5), encoding="utf-8")
    done = run_bench(verilate, folder)
    assert done.returncode != 0
    wrong = re.findall(r"word (\d+), lane (\d), input code (-?\d+): expected (-?\d+)", done.stdout)
    assert wrong, done.stdout
    for word, lane, code, expected in [map(int, groups) for groups in wrong]:
        assert (word + lane) % 64 == code % 64
        assert unit.evaluate([code])[0] == expected
    assert f"with {len(wrong)} errors" in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("interface", ["stream", "axis", "bare"])
def test_the_bench_of_a_pair_compares_both(interface: str, verilate: Verilate, tmp_path: Path) -> None:
    folder = hwact.build(
        "gelu",
        width=6,
        architecture="table",
        lanes=2,
        latency=1,
        interface=interface,
        with_gradient=True,
        name="paired",
    ).write(tmp_path)
    done = run_bench(verilate, folder)
    assert done.returncode == 0, done.stderr
    assert "paired: passed, 128 codes in " in done.stdout
    verilog = folder / "paired.v"
    text = verilog.read_text(encoding="utf-8")
    seen = []
    for row in (0, -2):  # of the first table, and of the last
        verilog.write_text(flip_table_bit(text, row), encoding="utf-8")
        done = run_bench(verilate, folder)
        assert done.returncode != 0
        seen.append("expected gradient " in done.stdout)
    assert sorted(seen) == [False, True]


@pytest.mark.slow
@pytest.mark.parametrize(("interface", "lanes", "width"), [("stream", 1, 16), ("axis", 3, 8), ("bare", 2, 8)])
def test_the_bench_sends_every_setting_with_every_code(
    interface: str, lanes: int, width: int, verilate: Verilate, tmp_path: Path
) -> None:
    unit = hwact.build(
        "smelu", width=width, runtime_beta=True, interface=interface, lanes=lanes, latency=3, name="settable"
    )
    folder, port = unit.write(tmp_path), unit.setting_format
    assert port is not None
    done = run_bench(verilate, folder)
    assert done.returncode == 0, done.stderr
    assert f"settable: passed, {lanes << width + port.width} codes in " in done.stdout
    verilog = folder / "settable.v"
    verilog.write_text(flip_table_bit(verilog.read_text(encoding="utf-8"), 1), encoding="utf-8")
    done = run_bench(verilate, folder)
    assert done.returncode != 0
    assert re.search(r"input code -?\d+, setting -?\d+: expected ", done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("thresholds", {"interface": "stream", "lanes": 2, "latency": 3}),
        ("multiplier", {"interface": "axis", "lanes": 2}),
        ("single", {"interface": "bare", "latency": 1}),
    ],
)
def test_the_bench_of_a_layer_passes_and_sees_a_wrong_constant(
    form: str, options: dict[str, Any], verilate: Verilate, tmp_path: Path
) -> None:
    unit = UNITS[form](**options)
    folder = unit.write(tmp_path)
    done = run_bench(verilate, folder)
    assert done.returncode == 0, done.stderr
    sent = unit.lanes * (len(unit.steps()) + (1 << 16))
    assert f"{form}: passed, {sent} codes in " in done.stdout
    verilog = folder / f"{form}.v"
    verilog.write_text(wrong_constants(verilog.read_text(encoding="utf-8"))[0], encoding="utf-8")
    done = run_bench(verilate, folder)
    assert done.returncode != 0
    line = r"word \d+, lane (\d), accumulator (-?\d+), channel (\d): expected (-?\d+) \(0x\w+\), got 0x(\w+)"
    wrong = re.findall(line, done.stdout)
    assert wrong, done.stdout
    for lane, accumulator, channel, expected, got in wrong:
        sums = np.full(len(unit.form.channels), int(accumulator))
        assert unit.form.evaluate(sums)[int(channel)] == int(expected)
        assert int(got, 16) != unit.output_format.to_bits(int(expected))
        assert int(lane) < unit.lanes


@pytest.mark.slow
def test_the_bench_sends_every_word_of_short_accumulators(verilate: Verilate, tmp_path: Path) -> None:
    unit = few_bits(3, lanes=2, latency=1)
    done = run_bench(verilate, unit.write(tmp_path))
    assert done.returncode == 0, done.stderr
    assert f"few_bits: passed, {2 << unit.input_format.width} codes in " in done.stdout


def test_the_package_states_the_manifest(tmp_path: Path) -> None:
    unit = hwact.build(
        "tanh", input_format="SQ3.2", output_format="UQ1.9", interface="axis", lanes=4, name="told"
    )
    folder = unit.write(tmp_path)
    manifest = json.loads((folder / "told.json").read_text(encoding="utf-8"))
    text = (folder / "told_pkg.sv").read_text(encoding="utf-8")
    found = dict(re.findall(r"localparam \S+(?: \[255:0\])? (\w+) =\s+(?:\d+'[bh])?([0-9a-f]+);", text))
    widths = {port["name"]: port["width"] for port in manifest["ports"]}
    told: dict[str, Any] = {
        "INPUT_WIDTH": 5,
        "INPUT_FRAC_BITS": 2,
        "INPUT_SIGNED": 1,
        "INPUT_LANE_BITS": widths["s_axis_tdata"] // 4,
        "OUTPUT_WIDTH": 10,
        "OUTPUT_FRAC_BITS": 9,
        "OUTPUT_SIGNED": 0,
        "OUTPUT_LANE_BITS": widths["m_axis_tdata"] // 4,
        "LANES": manifest["lanes"],
        "LATENCY": manifest["latency"],
        "GOLDEN_SHA256": manifest["golden_sha256"],
    }
    assert found == {key: str(value) for key, value in told.items()}


def fusesoc(folder: Path, environment: dict[str, str], target: str) -> subprocess.CompletedProcess[str]:
    work = folder.parent / f"work_{target}"
    settings = {
        key: str(folder.parent / key.lower())
        for key in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")
    }
    command = [sys.executable, "-m", "fusesoc.main", "--cores-root", str(folder), "run", "--target", target]
    command += ["--work-root", str(work), f"hwact:units:{folder.name}"]
    variables = environment | settings | {"MAKEFLAGS": "OPT_FAST=-O0 OPT_GLOBAL=-O0"}
    return subprocess.run(
        command, cwd=folder.parent, env=variables, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.parametrize("form", ["function", "thresholds"])
def test_fusesoc_lints_builds_and_runs_the_core(
    form: str, environment: dict[str, str], tmp_path: Path
) -> None:
    if form == "function":
        unit: hwact.Unit | RequantisingUnit = hwact.build(
            "gelu", input_format="SQ3.2", output_format="SQ3.7", interface="axis", lanes=3, name="cored"
        )
        sent = 96
    else:
        unit = UNITS[form](interface="axis", lanes=2)
        sent = 2 * (len(unit.steps()) + (1 << 16))
    folder = unit.write(tmp_path)
    done = fusesoc(folder, environment, "lint")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "%Warning" not in done.stdout + done.stderr
    done = fusesoc(folder, environment, "sim")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "%Warning" not in done.stdout + done.stderr
    assert f"{folder.name}: passed, {sent} codes in " in done.stdout + done.stderr
    verilog = folder / f"{folder.name}.v"
    text = verilog.read_text(encoding="utf-8")
    verilog.write_text(text.replace("endmodule", "  wire unread;\nendmodule"), encoding="utf-8")
    done = fusesoc(folder, environment, "lint")
    assert done.returncode != 0
    assert "UNUSEDSIGNAL" in done.stdout + done.stderr
