# SPDX-License-Identifier: Apache-2.0
"""The parts of `verify` that need no simulator: plans, claims, recorded inputs, the third witness."""

from __future__ import annotations

import json
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hwact
from hwact.errors import BundleError
from hwact.formats import Format
from hwact.unit import Unit
from hwact.verify.claims import false_claims, golden_claim, golden_sha256, read_bundle, rebuild
from hwact.verify.plan import PATTERNS, Plan, from_bits, to_bits
from hwact.verify.process import benches
from hwact.verify.witness import torch_witness


@pytest.fixture(scope="module")
def unit() -> Unit:
    return hwact.build("gelu", input_format="SQ3.5", output_format="SQ2.6", name="bundle")


@pytest.fixture
def folder(unit: Unit, tmp_path: Path) -> Path:
    return unit.write(tmp_path)


def plan(text: str, **changes: Any) -> Plan:
    fields: dict[str, Any] = {
        "interface": "stream",
        "latency": 2,
        "lanes": 1,
        "seed": 0,
        "samples": 1000,
        "thorough": False,
        "recorded": None,
    }
    return Plan(number_format=Format.parse(text), **(fields | changes))


def codes_of(made: Plan, *, under_gaps_or_stalls: bool) -> list[int]:
    phases = [p for p in made.phases if (p.gaps, p.stalls) != ("none", "none")]
    phases = phases if under_gaps_or_stalls else [p for p in made.phases if p.name == "in_order"]
    return sorted(c for p in phases for c in made.all_codes[p.start : p.stop].tolist())


@pytest.mark.parametrize(("text", "times"), [("SQ4.4", 8), ("UQ2.10", 8), ("SQ4.12", 1)])
def test_every_code_meets_gaps_or_stalls(text: str, times: int) -> None:
    made = plan(text)
    every = made.number_format.codes().tolist()
    assert codes_of(made, under_gaps_or_stalls=False) == every
    assert codes_of(made, under_gaps_or_stalls=True) == sorted(every * times)
    assert {(p.gaps, p.stalls) for p in made.phases} == set(product(PATTERNS, PATTERNS))
    assert min(p.stop - p.start for p in made.phases if p.kind == "words") >= len(every) // 8
    assert ("shared" in made.coverage) == (times == 1)


@pytest.mark.parametrize(("text", "latency", "sizes"), [("SQ4.4", 2, [256] * 4), ("SQ4.4", 0, [256] * 2)])
def test_bare_units_get_every_code_at_each_enable(text: str, latency: int, sizes: list[int]) -> None:
    made = plan(text, interface="bare", latency=latency)
    assert [p.stop - p.start for p in made.phases] == sizes


def test_wide_bare_units_share_the_codes_among_the_gaps() -> None:
    made = plan("SQ4.12", interface="bare")
    assert codes_of(made, under_gaps_or_stalls=True) == made.number_format.codes().tolist()
    assert "half of them with random" in made.coverage
    assert len(plan("SQ4.12", interface="bare", thorough=True).all_codes) == 4 * 65_536
    assert len(plan("SQ4.12", interface="bare", latency=0).all_codes) == 2 * 65_536


def test_thorough_sends_every_code_through_each_pairing() -> None:
    made = plan("SQ4.12", thorough=True)
    assert [p.stop - p.start for p in made.phases if p.kind == "words"] == [65_536] * 10
    assert "each of the 9 pairings" in made.coverage


def test_plans_follow_the_seed() -> None:
    first, again, other = (plan("SQ4.4", seed=seed).all_codes for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("text", ["SQ8.16", "UQ0.24", "SQ4.60", "UQ4.60", "SQ9.8"])
def test_wide_formats_are_sampled_with_their_edges(text: str) -> None:
    made = plan(text)
    last = min(made.number_format.max_code, 2**63 - 1)
    assert {made.number_format.min_code, 0, 1, last} <= set(made.codes.tolist())
    assert len(made.codes) > 1000
    assert "NOT all codes" in made.coverage


def test_words_are_filled_up_for_lanes() -> None:
    assert all((p.stop - p.start) % 3 == 0 for p in plan("SQ4.4", lanes=3).phases)


@pytest.mark.parametrize("text", ["SQ1.0", "UQ1.0", "SQ4.12", "UQ0.8", "SQ4.60"])
def test_bits_and_codes_are_one_to_one(text: str) -> None:
    number_format = Format.parse(text)
    codes = np.array([number_format.min_code, 0, number_format.max_code], dtype=np.int64)
    bits = to_bits(codes, number_format)
    assert bits.tolist() == [code % (1 << number_format.width) for code in codes.tolist()]
    assert np.array_equal(from_bits(bits, number_format), codes)


def edited(folder: Path, key: str, value: object) -> list[str]:
    """The failures of a manifest in which one key has another value."""
    path = folder / f"{folder.name}.json"
    manifest = json.loads(path.read_text())
    place, _, last = key.rpartition(".")
    (manifest[place] if place else manifest)[last] = value
    path.write_text(json.dumps(manifest))
    bundle = read_bundle(folder, check_digest=False)
    built = rebuild(bundle)
    return [*false_claims(bundle.manifest, built), *golden_claim(bundle.manifest, built)]


def test_true_claims_pass(folder: Path) -> None:
    assert edited(folder, "name", "bundle") == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("accuracy.max_error_ulp", 0.25),
        ("accuracy.mean_error_ulp", 0.0),
        ("accuracy.correctly_rounded_fraction", 1),
        ("accuracy.class", "exact"),
        ("accuracy.monotonic", True),
        ("accuracy.codes_checked", 255),
        ("golden_sha256", "0" * 64),
        ("verilog_sha256", "0" * 64),
        ("hwact_version", "0.0.0"),
        ("initiation_interval", 2),
        ("ports", []),
        ("remark", "not ours"),
    ],
)
def test_an_edited_claim_is_named_with_both_values(folder: Path, key: str, value: object) -> None:
    failures = edited(folder, key, value)
    assert failures[0].startswith(f"manifest key {key!r} must be ")
    assert failures[0].endswith(f"not {value!r}")


def test_the_golden_digest_is_computed_here_too(unit: Unit) -> None:
    assert golden_sha256(unit) == unit.golden_sha256
    assert "digest of the golden model's codes" in next(golden_claim({"golden_sha256": "0"}, unit))


def test_folders_that_are_no_bundles(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"must be a bundle with a manifest nowhere\.json, not '.*nowhere'"):
        read_bundle(tmp_path / "nowhere")
    renamed = folder.rename(tmp_path / "renamed")
    (renamed / "bundle.json").rename(renamed / "renamed.json")
    with pytest.raises(BundleError, match="must be the manifest of 'renamed', not 'bundle'"):
        read_bundle(renamed)
    for text in ("{", "[1]", "\xff"):
        (renamed / "renamed.json").write_text(text, encoding="latin-1")
        with pytest.raises(BundleError, match="must be"):
            read_bundle(renamed)


def test_a_bundle_without_verilog(folder: Path) -> None:
    (folder / "bundle.v").unlink()
    with pytest.raises(BundleError, match=r"must hold bundle\.v, not 'No such file or directory'"):
        read_bundle(folder)


@pytest.mark.parametrize("key", ["function", "latency", "accuracy", "input_format", "architecture"])
def test_a_manifest_that_lacks_a_key(folder: Path, key: str) -> None:
    path = folder / "bundle.json"
    manifest = json.loads(path.read_text())
    del manifest[key]
    path.write_text(json.dumps(manifest))
    bundle = read_bundle(folder)
    if key == "accuracy":
        assert any("'accuracy.class'" in line for line in false_claims(manifest, rebuild(bundle)))
    else:
        with pytest.raises(BundleError, match="must describe a unit"):
            rebuild(bundle)


def test_benches_are_found_in_a_checkout_too(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {path.name for path in benches().iterdir()}
    monkeypatch.setitem(sys.modules, "hwact.sim", None)
    assert benches() == Path(__file__).parents[1] / "sim"
    assert {"launch.py", "stream.py", "bare.py"} <= names & {path.name for path in benches().iterdir()}


@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
def test_torch_agrees_within_the_claim(overflow: str) -> None:
    unit = hwact.build("softplus", input_format="SQ5.4", output_format="SQ3.5", overflow=overflow)
    codes = unit.input_format.codes()
    record, note = torch_witness(unit, unit.manifest(), codes, unit.evaluate(codes))
    assert record.passed, record.failures
    assert record.codes_checked == 512
    assert "largest error 0.49" in note


def test_torch_sees_a_wrong_code_and_a_bold_claim(unit: Unit) -> None:
    codes, manifest = unit.input_format.codes(), unit.manifest()
    wrong = unit.evaluate(codes)
    wrong[0] += 1
    record, _ = torch_witness(unit, manifest, codes, wrong)
    assert record.failures[0].startswith("code -128 (value -4.0): the error against PyTorch's")
    bold = {"accuracy": {"max_error_ulp": manifest["accuracy"]["max_error_ulp"] * 0.999}}
    assert not torch_witness(unit, bold, codes, unit.evaluate(codes))[0].passed
    assert not torch_witness(unit, manifest, codes, wrong[:5])[0].passed
