# SPDX-License-Identifier: Apache-2.0
"""What the tests of the command line share: what a command leaves behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FILES = {"README.md", "{}.v", "{}.json", "{}.core", "{}.f"}
FILES |= {"{}_golden.c", "{}_golden.h", "{}_pkg.sv", "{}_tb.sv"}


@dataclass(frozen=True)
class Done:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert (self.code, self.err) == (0, ""), self
        return json.loads(self.out)


Run = Callable[..., Done]


def start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start a command as a process of its own."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": paths, **options.pop("variables", {})}
    return subprocess.Popen(
        [sys.executable, "-m", "hwact", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=environment,
        **options,
    )


def contents(folder: Path) -> dict[str, bytes]:
    """Files below a folder, hidden ones too; folders with a slash."""
    return {
        f"{path.relative_to(folder)}{'/' * path.is_dir()}": b"" if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
    }


def manifest(folder: Path) -> Any:
    """The manifest of a whole bundle."""
    assert {path.name for path in folder.iterdir()} == {file.format(folder.name) for file in FILES}
    return json.loads((folder / f"{folder.name}.json").read_text(encoding="utf-8"))


def rows(table: str) -> list[list[str]]:
    """The rows of a table that has no folded cells."""
    lines = [line for line in table.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def assert_refused(done: Done, pattern: str, code: int = 2) -> None:
    """One line on stderr that the pattern describes whole, and nothing on stdout."""
    assert re.fullmatch(rf"error: {pattern}\n", done.err), done.err
    assert "\n" not in done.err[:-1]
    assert (done.code, done.out) == (code, "")
