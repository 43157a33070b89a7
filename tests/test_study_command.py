# SPDX-License-Identifier: Apache-2.0
"""The command `study`: what it prints and writes, and what it refuses."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from hwact import studies
from hwact.studies import surface
from hwact.studies.activations import RELU, smelus
from tests.commands import Run, assert_refused, contents, rows, start

pytestmark = pytest.mark.usefixtures("here")
NAMES = ("batch", "depth", "reproducibility", "surface", "vanishing")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest study of surfaces, of two activations."""
    few = (RELU, *smelus(1))
    plan = surface.Plan(seeds=2, widths=(8,), loss_points=5, output_points=7, steps=3, images=20)
    for name, value in {"LOSS_CHOICES": few, "OUTPUT_CHOICES": few, "QUICK": plan}.items():
        monkeypatch.setattr(surface, name, value)
    monkeypatch.setattr(surface, "DRAWN_LABELS", tuple(choice.label for choice in few))


@pytest.mark.usefixtures("tiny")
def test_a_study_prints_a_table_and_its_claims(run: Run) -> None:
    done = run("study", "surface", "--quick", "--width", "6")
    assert (done.code, done.err) == (0, "")
    table = rows(done.out)
    assert len(table) == 2 * 2 * 2
    assert table[0][:3] == ["loss", "relu", "float"]
    assert table[-1][:3] == ["output", "smelu 1", "6 bits"]
    assert " ± " in table[0][3]
    assert done.out.count("smelu 1 has a smoother surface than ReLU (") == 4


@pytest.mark.usefixtures("tiny")
def test_json_and_files_are_the_same_every_time(run: Run, here: Path) -> None:
    options = ("study", "surface", "--quick", "--width", "6", "--seeds", "3", "--out", "found", "--json")
    first = run(*options).json()
    files = contents(here / "found")
    assert set(files) == {"surface.json", "surface.svg"}
    assert json.loads(files["surface.json"]) == first
    assert first["plan"]["seeds"] == 3
    assert first["plan"]["widths"] == [6]
    assert run(*options).json() == first
    assert contents(here / "found") == files


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sleep",), f"the study must be one of {', '.join(NAMES)}, not 'sleep'"),
        (("surface", "--seeds", "1"), "seeds must be an integer from 2 to 256, not 1"),
        (("surface", "--width", "8,x"), "widths must be numbers .*, not '8,x'"),
        (("surface", "--width", "40"), r"widths must be integers from 5 to 24, not \[40\]"),
        (("surface", "--device", "abacus"), "the device must be one .*, not 'abacus'; leave it out .*"),
        (("surface", "--out", "file"), "--out must be a folder, not the file 'file'; choose another"),
    ],
)
def test_bad_arguments_are_refused(run: Run, here: Path, words: tuple[str, ...], message: str) -> None:
    (here / "file").write_text("")
    assert_refused(run("study", *words), message)
    assert set(contents(here)) == {"file"}


@pytest.mark.parametrize(
    ("module", "library"),
    [("torch", "PyTorch"), ("numba", "Numba"), ("sklearn", "scikit-learn"), ("scipy", "SciPy")],
)
def test_a_missing_library_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, module: str, library: str
) -> None:
    studies.catalogue.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    message = rf'studies need {library}, not found here; install it: pip install "hwact\[studies\]"'
    assert_refused(run("study", "surface"), message, code=3)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_quick_study_takes_less_than_a_minute(name: str, here: Path) -> None:
    before = os.times()
    process = start("study", name, "--quick", "--out", "found", "--json", cwd=here, stdout=-1)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    after = os.times()
    seconds = after.children_user - before.children_user + after.children_system - before.children_system
    assert seconds < 60, "of one core, as the study has one thread"
    results = json.loads(out)
    assert results["study"] == name
    assert {f"{name}.json", f"{name}.svg"} == set(contents(here / "found"))
