# SPDX-License-Identifier: Apache-2.0
"""The README's commands run as shown, and its table and picture are what hwact makes today."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Fragment

import hwact
from benchmarks import readme
from hwact import report
from hwact.compare import FAMILY

ROOT = readme.ROOT
TEXT = readme.README.read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (python .*)$", TEXT, re.MULTILINE)
INSTALL = "python -m pip install"
STALE = "must be current; run python benchmarks/readme.py"


def test_the_search_finds_the_commands() -> None:
    assert len(COMMANDS) == TEXT.count("\n    python ") == 25
    assert len([command for command in COMMANDS if INSTALL in command]) == 2


def test_ci_runs_the_commands_that_install_and_the_slow_tests() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "python -m pytest -m slow" in script
    for command in COMMANDS:
        assert INSTALL not in command or f"'{command}'" in script


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a user stands after cloning, as far as the commands see it."""
    made = tmp_path_factory.mktemp("clone")
    (made / "examples").symlink_to(ROOT / "examples")
    return made


def run(command: str, folder: Path) -> str:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_every_command_runs_in_the_order_shown(folder: Path) -> None:
    printed = {}
    for command in COMMANDS:
        shown = command.split(" && ")[-1] if INSTALL in command else command
        if shown != "python -m pytest":
            printed[shown] = run(shown, folder)
    assert len(printed) == len(COMMANDS) - 1
    assert "verify build/smelu_sq4_12" in printed["python -m hwact generate --width 16"]
    built = {path.name for path in (folder / "build").iterdir()}
    named = {"smelu_sq4_12", "gelu_sq4_12", "swish_sq4_12", "smelu_beta0_5_sq4_12", "softplus_sq4_8"}
    named |= {"mish_sq4_8", "tanh_sq4_12_sq1_15", "gelu_grad_sq4_12", "quickgelu", "digits", "report.html"}
    named |= {"gelu_int8_0_05f_m3_int8_0_02f_m100"}
    named |= {"trelu_negative_slope0_4375_sq4_4", "smelu_runtime_beta_sq4_4"}
    named |= {"gelu_sq4_4", "gelu_with_grad_sq4_4", "steady"}
    assert built == named


def test_the_python_block_does_what_its_comments_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    script = tmp_path / "block.py"
    script.write_text(block, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path(str(script))
    assert np.array_equal(names["codes"], names["values"] * 4096)
    assert names["report"].codes_checked == 65536
    assert names["folder"] == Path("build/gelu_sq4_12")
    assert names["exact"].shape == (65536,)
    assert Fragment.get(names["component"], None)


def test_the_units_and_their_picture_are_current() -> None:
    made = {width: readme.units(width) for width in readme.WIDTHS}
    table = readme.unit_table([unit for width in readme.WIDTHS for unit in made[width]])
    assert readme.with_section(TEXT, "units", table) == TEXT, f"README.md's table {STALE}"
    picture = readme.UNITS_PICTURE.read_text(encoding="utf-8")
    assert readme.digests(made[readme.PICTURED]) in picture, f"{readme.UNITS_PICTURE.name} {STALE}"


def test_the_picture_of_areas_shows_the_table() -> None:
    shown = re.findall(r"^\| `(\w+)` \| \S+ \| (\d+) ", TEXT.split("<!-- areas 16:")[1], re.MULTILINE)
    areas = {name: float(area) for name, area in shown[: len(FAMILY)]}
    assert readme.described(areas) in readme.AREAS_PICTURE.read_text(encoding="utf-8")


def test_a_stale_table_would_be_seen() -> None:
    assert readme.with_section(TEXT, "units", "| other |") != TEXT
    with pytest.raises(SystemExit, match=r"must have one section 'rows', not 0"):
        readme.with_section(TEXT, "rows", "")


def test_the_picture_is_the_same_every_time() -> None:
    unit = hwact.build("smelu", width=6)
    first, second = (report.svg(report.error_figure(readme.pictured([unit])), "d") for _ in range(2))
    assert first == second
    assert "<text" in first
