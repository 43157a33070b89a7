# SPDX-License-Identifier: Apache-2.0
"""The files of a generated unit: manifest, README, and Verilog that linters take."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import hwact
from hwact import architectures
from hwact.errors import ArgumentError, BundleError
from hwact.tools import find_simulator
from hwact.verify.claims import read_bundle

KEYS = {
    "name", "function", "parameters", "gradient", "input_format", "output_format", "rounding", "overflow",
    "constraints", "architecture", "architecture_parameters", "interface", "lanes", "latency",
    "initiation_interval", "requested_clock_mhz", "ports", "accuracy", "golden_sha256", "hwact_version",
}  # fmt: skip
ACCURACY_KEYS = {
    "class", "max_error_ulp", "mean_error_ulp", "mean_squared_error", "correctly_rounded_fraction",
    "codes_checked", "worst_code", "monotonic", "proof",
}  # fmt: skip

# Every architecture, interface, kind of latency, and the narrowest formats.
JOINT: dict[str, Any] = {  # beside a gradient, or its function, of the same format
    "architecture": "joint",
    "architecture_parameters": {
        "folding": "plain",
        "saturate": 0,
        "segment_bits": 5,
        "guard_bits": 2,
        "gradient_guard_bits": 2,
        "bend_bits": 4,
        "curve_bits": 2,
        "square_address": 4,
        "square_bits": 4,
        "other_format": "SQ4.7",
        "other_accuracy": "faithful",
    },
}
UNITS: list[dict[str, Any]] = [
    {"function": "gelu", "width": 6, "architecture": "table"},
    {"function": "gelu", "width": 6, "architecture": "table", "interface": "bare", "latency": 0},
    {"function": "tanh", "width": 10, "architecture": "piecewise", "accuracy": "faithful", "latency": 4},
    {"function": "mish", "width": 9, "architecture": "rows", "accuracy": "faithful", "interface": "bare"},
    {"function": "smelu", "width": 16, "beta": "0.3", "architecture": "quadratic"},
    {"function": "smelu", "width": 8, "lanes": 2, "interface": "bare", "latency": 2},
    {"function": "sigmoid", "width": 7, "lanes": 2, "latency": 0},
    {"function": "exp", "input_format": "UQ2.4", "output_format": "UQ5.3", "overflow": "wrap"},
    {"function": "gelu", "width": 8, "gradient": True, "output_format": "SQ2.9", "latency": 1},
    {"function": "smelu", "width": 8, "gradient": True, "rounding": "half_even", "interface": "bare"},
    {"expression": "x*x/4 - x", "name": "parabola", "width": 7},
    {"function": "relu", "input_format": "SQ1.0", "latency": 1},
    {
        "function": "tanh",
        "input_format": "UQ1.0",
        "output_format": "SQ2.0",
        "interface": "bare",
        "latency": 3,
    },
    {"function": "elu", "input_format": "SQ1.1", "output_format": "SQ1.2", "lanes": 3},
    {
        "function": "swish",
        "input_format": "UQ0.3",
        "output_format": "UQ1.0",
        "interface": "bare",
        "latency": 0,
    },
    {"function": "leaky_relu", "width": 4, "negative_slope": -0.25, "rounding": "toward_zero"},
    {
        "function": "sigmoid",
        "width": 7,
        "output_format": "UQ0.7",
        "architecture": "mirrored",
        "constraints": ["symmetric"],
    },
    {"function": "gelu", "width": 9, "architecture": "linear", "multipliers": "dsp"},
    {"function": "gelu", "width": 11, "accuracy": "faithful", **JOINT},
    {"function": "gelu", "width": 11, "accuracy": "faithful", "gradient": True, **JOINT},
]
LABELS = [f"{index}_{options.get('function', 'expression')}" for index, options in enumerate(UNITS)]

WRITE_TWO = """
import sys, hwact
hwact.build("mish", width=9, accuracy="faithful", architecture="piecewise").write(sys.argv[1])
hwact.build("swish", width=6, beta=1.7, lanes=2, interface="bare").write(sys.argv[1])
"""


SUFFIXES = (".v", "_golden.c", "_golden.h", "_pkg.sv", "_tb.sv", ".core", ".f", ".json")
FILES = len(SUFFIXES) + 1  # and README.md


@pytest.fixture(scope="module", params=range(len(UNITS)), ids=LABELS)
def number(request: pytest.FixtureRequest) -> int:
    """The number of a unit in the list."""
    assert isinstance(request.param, int)
    return request.param


@pytest.fixture(scope="module")
def unit(number: int) -> hwact.Unit:
    return hwact.build(**UNITS[number])


@pytest.fixture(scope="module")
def bundle(unit: hwact.Unit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unit's bundle, which no test may change."""
    return unit.write(tmp_path_factory.mktemp("unit"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that no test may change."""
    return hwact.build("tanh", input_format="SQ3.3", output_format="SQ1.4").write(
        tmp_path_factory.mktemp("kept")
    )


@pytest.fixture(scope="module")
def older() -> hwact.Unit:
    return hwact.build("gelu", width=6, name="same")


@pytest.fixture(scope="module")
def newer() -> hwact.Unit:
    """Another unit of the same name."""
    return hwact.build("tanh", width=5, name="same", interface="bare")


def manifest_of(bundle: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((bundle / f"{bundle.name}.json").read_text(encoding="utf-8"))
    return manifest


def contents(out: Path) -> dict[str, bytes]:
    """Every file below a folder by its relative path."""
    return {
        str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()
    }


def header_ports(verilog: str) -> list[tuple[str, str, int]]:
    """Name, direction and width of the module's ports, in their order."""
    header = re.search(r"^module (\w+)\((.*?)\);$", verilog, re.MULTILINE)
    assert header is not None
    declared = re.findall(r"^ +(input|output)(?: reg)?(?: \[(\d+):0\])? (\w+);$", verilog, re.MULTILINE)
    ports = {name: (direction, int(high or 0) + 1) for direction, high, name in declared}
    assert len(ports) == len(declared)
    names = header[2].split(", ")
    assert sorted(names) == sorted(ports)
    return [(name, *ports[name]) for name in names]


# The manifest


def test_the_manifest_states_the_unit(number: int, unit: hwact.Unit, bundle: Path) -> None:
    options, manifest = UNITS[number], manifest_of(bundle)
    assert set(manifest) >= KEYS
    assert set(manifest["accuracy"]) == ACCURACY_KEYS
    stated = {key: manifest[key] for key in options.keys() & manifest.keys() - {"function", "accuracy"}}
    parameters = {"beta": 0.3, "negative_slope": -0.25}
    assert stated == {key: options[key] for key in stated}
    assert set(manifest["parameters"].items()) >= {
        (key, parameters[key]) for key in parameters.keys() & options.keys()
    }
    assert manifest["name"] == unit.name
    assert manifest["function"] == options.get("function", unit.name)
    assert (manifest["latency"], manifest["lanes"]) == (unit.latency, unit.lanes)
    assert manifest["initiation_interval"] == 1
    assert manifest["accuracy"]["codes_checked"] == 2**unit.input_format.width
    assert manifest["hwact_version"] == importlib.metadata.version("hwact")


def test_the_manifests_ports_are_the_verilogs(unit: hwact.Unit, bundle: Path) -> None:
    ports = [(port["name"], port["direction"], port["width"]) for port in manifest_of(bundle)["ports"]]
    assert ports == header_ports((bundle / f"{unit.name}.v").read_text(encoding="utf-8"))
    inside, outside = unit.input_format.width * unit.lanes, unit.output_format.width * unit.lanes
    if unit.interface == "bare":
        clocked = [("clk", "input", 1), ("ce", "input", 1)]
        data = [("x", "input", inside), ("y", "output", outside)]
    else:
        clocked = [("clk", "input", 1), ("rst", "input", 1)]
        data = [("i_data", "input", inside), ("i_valid", "input", 1), ("i_ready", "output", 1)]
        data += [("o_data", "output", outside), ("o_valid", "output", 1), ("o_ready", "input", 1)]
    assert ports == clocked * (unit.latency > 0) + data


@pytest.mark.parametrize(
    ("output", "letter"),
    [
        ("SQ1.4", "b"), ("SQ1.7", "b"), ("SQ1.8", "h"), ("SQ1.15", "h"), ("SQ1.16", "i"), ("SQ1.31", "i"),
        ("UQ1.4", "B"), ("UQ0.8", "B"), ("UQ0.9", "H"), ("UQ1.16", "I"),
    ],
)  # fmt: skip
def test_the_golden_digest_is_of_little_endian_codes(output: str, letter: str) -> None:
    unit = hwact.build("tanh", input_format="SQ2.3", output_format=output, accuracy="correct")
    codes = [int(code) for code in hwact.reference.codes("tanh", "SQ2.3", output)]
    assert len(codes) == 32
    digest = hashlib.sha256(struct.pack(f"<32{letter}", *codes)).hexdigest()
    assert unit.manifest()["golden_sha256"] == digest


def test_the_verilogs_digest_is_of_its_file(folder: Path) -> None:
    verilog = (folder / f"{folder.name}.v").read_bytes()
    assert manifest_of(folder)["verilog_sha256"] == hashlib.sha256(verilog).hexdigest()


# The files


def test_a_bundle_is_a_folder_of_its_name(tmp_path: Path) -> None:
    unit = hwact.build("tanh", width=4, name="mine")
    assert unit.write(str(tmp_path / "new" / "out")) == tmp_path / "new" / "out" / "mine"
    named = {f"mine{suffix}" for suffix in SUFFIXES}
    assert set(contents(tmp_path)) == {f"new/out/mine/{file}" for file in {*named, "README.md"}}


def test_two_writes_are_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    hwact.build("tanh", input_format="SQ3.3", output_format="SQ1.4").write(tmp_path)
    assert contents(tmp_path) == contents(folder.parent)
    assert len(contents(tmp_path)) == FILES


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    for seed in ("1", "4242"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", WRITE_TWO, tmp_path / seed], env=environment, check=True)
    assert len(contents(tmp_path / "1")) == 2 * FILES
    assert contents(tmp_path / "1") == contents(tmp_path / "4242")


def test_no_file_tells_where_when_or_by_which_tools_it_was_made(folder: Path) -> None:
    for name, content in contents(folder).items():
        text = content.decode("ascii").lower()
        for place in (folder.parent, Path.home(), Path.cwd(), Path(sys.prefix), Path(hwact.__file__).parent):
            assert str(place).lower() not in text, name
        assert not re.search(r"yosys|amaranth|/tmp|\b20\d\d-\d\d|\b\d\d:\d\d:\d\d", text), name
        assert text.endswith("\n")
        assert "\r" not in text
    assert len(contents(folder)) == FILES


def test_an_older_bundle_is_replaced_and_other_files_stay(
    older: hwact.Unit, newer: hwact.Unit, tmp_path: Path
) -> None:
    older.write(tmp_path / "out")
    (tmp_path / "out" / "same" / "notes.txt").write_text("mine")
    newer.write(tmp_path / "out")
    newer.write(tmp_path / "fresh")
    expected = contents(tmp_path / "fresh") | {"same/notes.txt": b"mine"}
    assert contents(tmp_path / "out") == expected
    assert read_bundle(tmp_path / "out" / "same").name == "same"


@pytest.mark.parametrize("good", [0, 1, 2])
def test_a_write_that_fails_leaves_no_file_half_written(
    good: int, older: hwact.Unit, newer: hwact.Unit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older.write(tmp_path / "out")
    newer.write(tmp_path / "fresh")
    old, new = contents(tmp_path / "out"), contents(tmp_path / "fresh")
    replace = Path.replace
    moved: list[str] = []

    def full(source: Path, target: Path) -> Path:
        if len(moved) == good:
            raise OSError(28, "No space left on device")
        moved.append(target.name)
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(
        ArgumentError, match=r"folder must be one .* not '.*same' \(No space left on device\); "
    ):
        newer.write(tmp_path / "out")
    left = contents(tmp_path / "out")
    assert moved == ["same.v", "same_golden.c"][:good]
    assert left == old | {f"same/{name}": new[f"same/{name}"] for name in moved}


def test_a_bundle_of_two_units_is_no_bundle(older: hwact.Unit, newer: hwact.Unit, tmp_path: Path) -> None:
    bundle = older.write(tmp_path)
    (bundle / "same.v").write_text(newer.verilog)
    with pytest.raises(BundleError, match=r"same\.v"):
        read_bundle(bundle)


def test_an_output_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ArgumentError, match=r"folder must be one that can be written, not '.*'.*--out"):
        hwact.build("tanh", width=4).write(tmp_path / "file")
    assert contents(tmp_path) == {"file": b"mine"}


# The README


@pytest.mark.parametrize(
    ("options", "timing"),
    [
        ({"latency": 3}, "Latency 3 cycles when not stalled, one word a cycle."),
        ({"latency": 0}, "Combinational: valid, ready and data pass through in the same cycle."),
        ({"latency": 2, "interface": "bare"}, "Latency 2 enabled clock edges, one word an edge."),
        ({"latency": 0, "interface": "bare"}, "Combinational: y follows x."),
    ],
)
def test_the_readme_states_ports_timing_formats_and_accuracy(options: dict[str, Any], timing: str) -> None:
    unit = hwact.build("swish", input_format="SQ4.2", output_format="SQ3.3", beta=1.5, lanes=2, **options)
    manifest, text = unit.manifest(), readme(unit)
    assert text.startswith(f"# {unit.name}\n")
    assert "swish(beta=1.5): input SQ4.2, output SQ3.3, rounding `half_up`, overflow `saturate`." in text
    assert f"\n## Timing\n\n{timing}\n" in text
    assert timing in unit.verilog
    accuracy = manifest["accuracy"]
    assert "Over all 64 input codes" in text
    assert "| class | correct |" in text
    assert f"| largest error | {accuracy['max_error_ulp']:.7g} ulp of the output, first at" in text
    assert f"input code {accuracy['worst_code']} |" in text
    assert "| correctly rounded | 100.0000 % of the codes |" in text
    rows = [
        tuple(row) for row in re.findall(r"^\| `(\w+)` \| (\w+put) \| (\d+) \| .+ \|$", text, re.MULTILINE)
    ]
    assert rows == [(port["name"], port["direction"], str(port["width"])) for port in manifest["ports"]]
    assert f"    python -m hwact verify {unit.name}\n" in text


def readme(unit: hwact.Unit) -> str:
    return hwact.bundle.readme(unit.manifest(), unit.output_format.dtype.name)


def test_the_readmes_python_runs(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^    ((?:import|unit).*)$", text, re.MULTILINE)
    assert len(lines) == 3
    code = "; ".join(["codes = [-32, 0, 31]", *lines[:2], f"print({lines[2]}.tolist())"])
    command = [sys.executable, "-W", "ignore::ResourceWarning", "-c", code]
    done = subprocess.run(command, cwd=folder.parent, capture_output=True, text=True, check=True)
    expected = hwact.reference.codes("tanh", "SQ3.3", "SQ1.4")
    assert json.loads(done.stdout) == [int(expected[code]) for code in (0, 32, 63)]


# The Verilog


def verilator(path: Path) -> tuple[int, str]:
    """Exit status and output of Verilator's linter."""
    tool = find_simulator("verilator")
    command = [tool.links.get("verilator", "verilator"), "--lint-only", "-Wall", "--quiet-stats", path]
    return run(command, os.environ | tool.environment)


def icarus(path: Path) -> tuple[int, str]:
    """Exit status and output of Icarus Verilog, which reads the file as Verilog-2001."""
    find_simulator("icarus")
    return run(["iverilog", "-g2001", "-Wall", "-t", "null", path], dict(os.environ))


def run(command: list[Any], environment: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


LINTERS = {"verilator": verilator, "icarus": icarus}


def test_linters_have_nothing_to_say(bundle: Path) -> None:
    said = {name: lint(bundle / f"{bundle.name}.v") for name, lint in LINTERS.items()}
    assert said == {"verilator": (0, ""), "icarus": (0, "")}


@pytest.mark.parametrize("linter", LINTERS)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"^  wire \[.*\n", ""),
        (r"^endmodule\n", ""),
    ],
    ids=["undeclared", "unfinished"],
)
def test_linters_see_a_broken_copy(linter: str, old: str, new: str, folder: Path, tmp_path: Path) -> None:
    text = (folder / f"{folder.name}.v").read_text(encoding="utf-8")
    broken, count = re.subn(old, new, text, count=1, flags=re.MULTILINE)
    assert count == 1
    path = tmp_path / f"{folder.name}.v"
    path.write_text(text, encoding="utf-8")
    assert LINTERS[linter](path) == (0, "")
    path.write_text(broken, encoding="utf-8")
    status, said = LINTERS[linter](path)
    assert status != 0 or said


def test_verilator_sees_a_port_of_another_width(folder: Path, tmp_path: Path) -> None:
    text = (folder / f"{folder.name}.v").read_text(encoding="utf-8")
    path = tmp_path / f"{folder.name}.v"
    path.write_text(text.replace("[4:0] o_data", "[5:0] o_data"), encoding="utf-8")
    status, said = verilator(path)
    assert status != 0
    assert "WIDTH" in said


def test_icarus_reads_verilog_2001_alone(folder: Path, tmp_path: Path) -> None:
    text = (folder / f"{folder.name}.v").read_text(encoding="utf-8")
    path = tmp_path / f"{folder.name}.v"
    path.write_text(text.replace("always @*", "always_comb"), encoding="utf-8")
    assert icarus(path)[0] != 0
    assert verilator(path) == (0, "")


def test_an_input_that_nothing_needs_is_waived_with_the_reason() -> None:
    verilog = hwact.build("relu", input_format="SQ1.0", latency=1).verilog
    waived = re.findall(r"lint_off UNUSEDSIGNAL \*/  // (.*)\n  input (\w+);\n.*lint_on", verilog)
    assert waived == [("bits on which the output does not depend", "i_data")]


def test_the_units_are_varied() -> None:
    units = [hwact.build(**options) for options in UNITS]
    seen = {(unit.interface, unit.latency > 0, unit.lanes > 1) for unit in units}
    wide = {"horner"}  # for 17 bits and more; tests/test_wide.py
    assert {unit.design.architecture for unit in units} == {*architectures.catalogue()} - wide
    assert {part[:2] for part in seen} == {(name, on) for name in ("stream", "bare") for on in (False, True)}
    assert {unit.input_format.width for unit in units} >= {1, 2, 3, 4, 16}
    assert any(part[2] for part in seen)


def test_the_header_states_what_the_unit_is() -> None:
    unit = hwact.build("swish", width=6, beta=1.5, gradient=True, rounding="floor")
    first, second, third = unit.verilog.splitlines()[:3]
    assert first == f"// {unit.name}: gradient of swish(beta=1.5), SQ4.2 -> SQ4.2, floor, saturate."
    assert second.startswith(
        f"// Error over all 64 codes: at most {unit.accuracy.max_error_ulp:.6g} ulp (correct)."
    )
    assert third.startswith("// Generated by hwact ")
