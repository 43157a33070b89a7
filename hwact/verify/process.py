# SPDX-License-Identifier: Apache-2.0
"""Running cocotb's tools in a process group that can be stopped whole."""

from __future__ import annotations

import importlib.resources
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hwact.errors import ToolError
from hwact.tools import Simulator, run_group

# Settings of somebody else's bench, or of a make or pytest around us, must not reach ours: RESOLVE_X alone
# would turn every X into a number.
FOREIGN = ("COCOTB_", "GPI_", "PYGPI_", "VERILATOR_", "SIM_CMD_", "MAKE", "MFLAGS", "PYTEST_", "WAVES", "GUI")


def benches() -> Path:
    """The folder of the cocotb benches: installed as hwact.sim, beside hwact in a checkout."""
    try:
        folder = Path(str(importlib.resources.files("hwact.sim")))
    except ModuleNotFoundError:
        folder = Path(__file__).parents[2] / "sim"
    if not (folder / "launch.py").is_file():
        raise ToolError(
            f"the benches must lie in hwact.sim, not be missing from {str(folder)!r}; install hwact again"
        )
    return folder


@contextmanager
def work_folder() -> Iterator[Path]:
    """A temporary folder in which a simulator finds the benches as package ``sim``, and its tools."""
    with tempfile.TemporaryDirectory(prefix="hwact-verify-") as name:
        work = Path(name)
        for folder in ("bin", "results", "benches"):
            (work / folder).mkdir()
        (work / "benches" / "sim").symlink_to(benches(), target_is_directory=True)
        yield work


def run_job(
    simulator: Simulator,
    work: Path,
    action: str,
    arguments: Mapping[str, Any],
    limit_s: float,
    extra: Mapping[str, str] | None = None,
) -> int | None:
    """Do one job of ``sim/launch.py`` and return its exit status; None when it ran past the limit.

    Its own output goes to ``<work>/<action>.out``. Nothing that it started is left when this returns
    or raises.
    """
    job = {
        "action": action,
        "simulator": simulator.name,
        "arguments": dict(arguments),
        "benches": str(work / "benches"),
    }
    path = work / f"{action}.job.json"
    path.write_text(json.dumps(job), encoding="utf-8")
    command = [sys.executable, "-P", str(work / "benches" / "sim" / "launch.py"), str(path)]
    # A compiler that is stopped leaves its own temporary files: they shall go with the rest.
    environment = _environment(simulator, work / "bin") | {"TMPDIR": str(work)} | dict(extra or {})
    output = work / f"{action}.out"
    return run_group(command, cwd=work, output=output, limit_s=limit_s, environment=environment)


def _environment(simulator: Simulator, links: Path) -> dict[str, str]:
    for name, target in simulator.links.items():
        if not (links / name).is_symlink():
            (links / name).symlink_to(target)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
    path = os.pathsep.join([str(links), kept.get("PATH", os.defpath)])
    return kept | {"PATH": path, "COCOTB_ANSI_OUTPUT": "0", **simulator.environment}
