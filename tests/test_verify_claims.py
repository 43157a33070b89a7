# SPDX-License-Identifier: Apache-2.0
"""What a bundle claims is checked: manifest, digests, error beside PyTorch; bad folders are refused."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hwact
from hwact import cli, recordings
from hwact.errors import ArgumentError, BundleError
from hwact.verify import verify
from hwact.verify.claims import false_claims, golden_claim, read_bundle, rebuild
from tests.verifying import broken_table, by_hand, edit, failing, prove, table, tiny

ZEROS = "0" * 64


def claim(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    """A change of one key, with dots between its levels."""

    def change(manifest: dict[str, Any]) -> None:
        *levels, key = path.split(".")
        for level in levels:
            manifest = manifest[level]
        manifest[key] = value

    return change


def lies(bundle: Path) -> list[str]:
    """What is wrong with a manifest, without a simulation."""
    try:
        found = read_bundle(bundle)
        return list(false_claims(found.manifest, rebuild(found)))
    except BundleError as error:
        return [str(error)]


@pytest.mark.parametrize(
    ("key", "value", "true"),
    [
        ("accuracy.max_error_ulp", 0.25, "0.75"),
        ("accuracy.max_error_ulp", 0, "0.75"),
        ("accuracy.class", "exact", "'correct'"),
        ("accuracy.codes_checked", 31, "32"),
        ("accuracy.monotonic", 1, "True"),
        ("initiation_interval", True, "1"),
        ("licence", "mine", "absent"),
    ],
)
def test_a_false_claim_is_found_with_both_values(key: str, value: object, true: str, tmp_path: Path) -> None:
    bundle = tiny("combinational", tmp_path)
    edit(bundle, claim(key, value))
    assert lies(bundle) == [f"manifest key {key!r} must be {true}, as in the rebuilt unit, not {value!r}"]


@pytest.mark.parametrize(("key", "value"), [("accuracy.max_error_ulp", 0.25), ("golden_sha256", ZEROS)])
def test_a_false_claim_fails_the_run(key: str, value: object, tmp_path: Path) -> None:
    bundle = tiny("combinational", tmp_path)
    edit(bundle, claim(key, value))
    report = prove(bundle)
    assert failing(report) == {"manifest"}
    assert f"manifest: {lies(bundle)[0]}" in report.failures
    assert report.failures[0] in report.text()


def test_a_missing_claim_is_found(tmp_path: Path) -> None:
    bundle = tiny("combinational", tmp_path)
    edit(bundle, lambda manifest: manifest["accuracy"].pop("mean_error_ulp"))
    (line,) = lies(bundle)
    assert re.search(r"'accuracy.mean_error_ulp' must be 0.\d+, as in the rebuilt unit, not absent", line)


def test_the_golden_models_digest_is_counted_anew(tmp_path: Path) -> None:
    bundle = tiny("combinational", tmp_path)
    true = edit(bundle, claim("golden_sha256", ZEROS))["golden_sha256"]
    read = read_bundle(bundle)
    expected = f"golden_sha256 must be {true!r}, the digest of the golden model's codes, not {ZEROS!r}"
    assert list(golden_claim(read.manifest, rebuild(read))) == [expected]


def test_a_false_latency_is_seen_in_simulation(tmp_path: Path) -> None:
    bundle = tiny("stream", tmp_path)
    edit(bundle, claim("latency", 2))
    report = prove(bundle)
    assert failing(report) >= {"manifest", "in_order"}
    assert any("latency must be 2 cycles, not 3" in line for line in report.failures)


def test_a_false_interface_is_seen_in_the_ports(tmp_path: Path) -> None:
    bundle = tiny("wires", tmp_path)
    edit(bundle, claim("interface", "bare"))
    report = prove(bundle)
    assert "the module must have an input x, not none" in "\n".join(report.failures)


JUNK: tuple[Any, ...] = (None, "", "?", -1, 10**6, 2.5, [], {}, {"": ""}, True)


@pytest.mark.parametrize("key", sorted(hwact.build("smelu", width=5).manifest()))
def test_no_junk_in_a_manifest_passes(key: str, tmp_path: Path) -> None:
    clock = 500 if key == "requested_clock_mhz" else None
    bundle = hwact.build("smelu", width=5, clock=clock).write(tmp_path)
    assert not lies(bundle)
    for junk in JUNK[clock is not None :]:  # none stands for a latency that was given, and may be any
        true = edit(bundle, claim(key, junk))[key]
        if type(junk) is not type(true) or junk != true:
            assert lies(bundle), f"{key}: {junk!r} passed for {true!r}"
        edit(bundle, claim(key, true))


def test_an_edited_verilog_is_refused_but_can_be_put_under_test(tmp_path: Path) -> None:
    bundle = table(tmp_path)
    path = bundle / f"{bundle.name}.v"
    path.write_bytes(broken_table(bundle, tmp_path).read_bytes())
    with pytest.raises(
        BundleError, match=rf"was edited; .* put it under test with --verilog {re.escape(str(path))}"
    ):
        verify(bundle, simulator="icarus")
    report = prove(bundle, verilog=path)
    assert "in_order" in failing(report)
    assert report.verilog == path


def test_an_edited_verilog_with_its_digest_edited_too_is_caught(tmp_path: Path) -> None:
    bundle = table(tmp_path)
    path = bundle / f"{bundle.name}.v"
    path.write_bytes(broken_table(bundle, tmp_path).read_bytes())
    with pytest.raises(BundleError) as caught:
        verify(bundle, simulator="icarus")
    match = re.search(r"not '(\w{64})'", str(caught.value))
    assert match is not None
    edit(bundle, claim("verilog_sha256", match[1]))
    assert "in_order" in failing(prove(bundle))


def damaged(change: Callable[[Path], object]) -> Callable[[Path], Path]:
    """A bundle of which something was changed."""

    def make(out: Path) -> Path:
        bundle = tiny("bare", out)
        changed = change(bundle)
        return changed if isinstance(changed, Path) else bundle

    return make


def with_manifest(content: bytes) -> Callable[[Path], Path]:
    """A bundle with these bytes as manifest."""
    return damaged(lambda bundle: (bundle / "tiny_bare.json").write_bytes(content))


NO_BUNDLES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "nothing": (lambda out: out / "none", "the folder must be a bundle with a manifest none.json, not "),
    "empty": (lambda out: out, r"the folder must be a bundle with a manifest \w+.json, not "),
    "file": (
        damaged(lambda bundle: bundle / "tiny_bare.v"),
        "must be a bundle with a manifest tiny_bare.v.json",
    ),
    "cut": (with_manifest(b'{"name": "tiny_bare", '), "tiny_bare.json must be JSON, not broken"),
    "no text": (with_manifest(b"\xff\xfe{}"), "tiny_bare.json must be JSON, not broken"),
    "list": (with_manifest(b"[1]"), r"must be the manifest of 'tiny_bare', not \[1\]"),
    "name": (with_manifest(b'{"name": "gelu"}'), "must be the manifest of 'tiny_bare', not 'gelu'; keep the"),
    "deep": (with_manifest(b"[" * 100_000), "tiny_bare.json must be JSON, not broken"),
    "renamed": (
        damaged(lambda bundle: shutil.move(bundle, bundle.with_name("other"))),
        "a manifest other.json",
    ),
    "no Verilog": (
        damaged(lambda bundle: (bundle / "tiny_bare.v").unlink()),
        "a bundle must hold tiny_bare.v, not",
    ),
    "no key": (damaged(lambda bundle: edit(bundle, lambda manifest: manifest.pop("rounding"))), "'rounding'"),
    "no function": (damaged(lambda bundle: edit(bundle, claim("function", "gellu"))), "gellu"),
}


@pytest.mark.parametrize("kind", NO_BUNDLES)
def test_a_folder_that_is_no_bundle_is_refused(kind: str, tmp_path: Path) -> None:
    make, text = NO_BUNDLES[kind]
    with pytest.raises(BundleError, match=text):
        verify(make(tmp_path), simulator="icarus")


def test_pytorch_agrees_with_a_good_unit(tmp_path: Path) -> None:
    report = prove(table(tmp_path), against="torch")
    assert report.passed, report.failures
    witness = report.phases[-1]
    assert (witness.name, witness.codes_checked) == ("against_torch", 256)
    assert report.notes[0].startswith("PyTorch float64: largest error 0.497644 ulp at code ")
    assert "claimed 0.497644" in report.text()
    assert "PyTorch float64" in report.junit.read_text(encoding="utf-8")


def test_pytorch_sees_a_wrong_table(tmp_path: Path) -> None:
    bundle = table(tmp_path)
    report = prove(bundle, against="torch", verilog=broken_table(bundle, tmp_path))
    assert "against_torch" in failing(report)
    lines = [line for line in report.failures if line.startswith("against_torch: ")]
    assert len(lines) == 1
    assert re.search(r"code -27 .* must be at most the manifest's 0.497\d+ ulp, not 1.23\d+: got 0", lines[0])


def test_pytorch_bounds_what_the_manifest_claims(tmp_path: Path) -> None:
    bundle = table(tmp_path)
    edit(bundle, claim("accuracy.max_error_ulp", 0.25))
    report = prove(bundle, against="torch")
    assert failing(report) == {"manifest", "against_torch"}


def test_pytorch_compares_nothing_that_did_not_come(tmp_path: Path) -> None:
    report = prove(
        tiny("stream", tmp_path), against="torch", verilog=by_hand("stream", tmp_path, "NEVER_VALID")
    )
    assert (
        "against_torch: all 32 codes must come out in order before they can be compared, not 0"
        in report.failures
    )


GOOD_INPUTS: dict[str, tuple[np.ndarray[Any, Any], list[int]]] = {
    "codes": (np.array([[-16, 15], [0, 3]], dtype=np.int8), [-16, 15, 0, 3]),
    "unsigned codes": (np.array([0, 15], dtype=np.uint64), [0, 15]),
    "floor of values": (np.array([-0.01, 0.124, 0.126, -2.0]), [-1, 0, 1, -16]),
    "saturated values": (np.array([-100, 100, 1e308, -1e308]), [-16, 15, 15, -16]),
    "below a code": (np.array([0.125 * (1 - 2**-53), -(2**-1074)]), [0, -1]),
    "half precision": (np.array([1.875, -1], dtype=np.float16), [15, -8]),
    "one value": (np.array(0.5), [4]),
    "big-endian": (np.array([1, 2], dtype=">i2"), [1, 2]),
}


@pytest.mark.parametrize("kind", GOOD_INPUTS)
def test_recorded_inputs_become_codes(kind: str, tmp_path: Path) -> None:
    data, codes = GOOD_INPUTS[kind]
    np.save(tmp_path / "x.npy", data)
    unit = hwact.build("relu", input_format="SQ2.3", rounding="floor")
    recorded = recordings.read(tmp_path / "x.npy")
    assert recordings.codes_of(recorded, unit, "x.npy").ravel().tolist() == codes


class Boom:
    """Must never be made when a file is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("the file was unpickled",))


BAD_INPUTS: dict[str, tuple[Any, str]] = {
    "NaN": ([0.5, np.nan], r"inputs must be finite, not nan at index 1 of '.*x.npy'; remove or replace"),
    "infinity": ([[-np.inf]], r"inputs must be finite, not -inf at index 0, 0 of "),
    "code above": ([16], r"codes of SQ2.3 must be in -16..15, not 16"),
    "code below": ([3, -17], r"codes of SQ2.3 must be in -16..15, not -17"),
    "huge code": (np.array([2**63], dtype=np.uint64), r"must be in -16..15, not 9223372036854775808"),
    "empty": (np.zeros((0, 3)), r"inputs must hold at least one number, not shape \(0, 3\)"),
    "truth": ([True], r"inputs must be integers \(codes\) or floats \(values\), not 'bool'"),
    "complex": ([1j], r"inputs must be integers .*, not 'complex128'"),
    "text": (["1"], r"inputs must be integers .*, not '<U1'"),
    "pickled": (np.array([Boom()], dtype=object), r"inputs must be a .npy file of numbers, not '.*x.npy'"),
    "no array": (b"1, 2, 3", r"inputs must be a .npy file of numbers, not '.*x.npy'"),
    "cut": (b"\x93NUMPY\x01\x00", r"inputs must be a .npy file of numbers, not '.*x.npy'"),
    "nothing": (b"", r"inputs must be a .npy file of numbers, not '.*x.npy'"),
}


@pytest.mark.parametrize("kind", BAD_INPUTS)
def test_bad_recorded_inputs_are_refused(kind: str, tmp_path: Path) -> None:
    data, text = BAD_INPUTS[kind]
    path = tmp_path / "x.npy"
    path.write_bytes(data) if isinstance(data, bytes) else np.save(path, np.asarray(data))
    with pytest.raises(ArgumentError, match=text):
        verify(tiny("bare", tmp_path), simulator="icarus", inputs=path)


def test_recorded_inputs_must_be_one_array_in_a_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros(3))
    for name, text in (("x.npz", "not an archive"), ("y.npy", "No such file"), ("", "Is a directory")):
        with pytest.raises(ArgumentError, match=text):
            recordings.read(tmp_path / name)


def run_command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["hwact", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0)


def test_the_command_leaves_with_the_codes_that_it_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tiny("bare", tmp_path)
    icarus = ("--simulator", "icarus")
    assert run_command(monkeypatch, "verify", bundle, *icarus, "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["passed"] is True
    broken = by_hand("bare", tmp_path, "MOST_NEGATIVE")
    assert run_command(monkeypatch, "verify", bundle, *icarus, "--verilog", broken) == 1
    assert "FAILED: " in capsys.readouterr().out
    assert run_command(monkeypatch, "verify", tmp_path, *icarus) == 2
    assert "error: the folder must be a bundle" in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run_command(monkeypatch, "verify", bundle, *icarus) == 3
    assert "install the system package iverilog" in capsys.readouterr().err
