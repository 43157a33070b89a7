# SPDX-License-Identifier: Apache-2.0
"""What the tests of parallel runs share: a Dask cluster of this machine, and jobs that end in many ways."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hwact.errors import ArgumentError
from tests.commands import ROOT

LIMIT_S = 60


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, f"{what} must happen within {LIMIT_S} s"
        time.sleep(0.02)


@dataclass(frozen=True)
class Cluster:
    """A Dask scheduler and its worker processes."""

    address: str
    workers: tuple[subprocess.Popen[bytes], ...]


@contextmanager
def cluster(folder: Path, workers: int = 2) -> Iterator[Cluster]:
    """A scheduler on a port of the system's choice, with workers of one thread and an empty cache each."""
    described = folder / "scheduler.json"
    started = []
    try:
        started.append(_start(folder, "scheduler", "--port", "0", "--scheduler-file", str(described)))
        until(described.exists, "the scheduler's start")
        until(lambda: described.read_text(encoding="utf-8").endswith("}"), "the scheduler's description")
        address = json.loads(described.read_text(encoding="utf-8"))["address"]
        for _ in range(workers):
            started.append(
                _start(folder, "worker", address, "--nthreads", "1", "--no-nanny", "--death-timeout", "9")
            )
        yield Cluster(address, tuple(started[1:]))
    finally:
        for process in started[::-1]:
            process.kill()
            process.wait()


def _start(folder: Path, what: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *arguments]
    variables = {
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "TMPDIR": str(folder),
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
    }
    with (folder / f"{what}.log").open("ab") as log:
        return subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--no-dashboard"],
            cwd=folder,
            env=os.environ | variables,
            stdout=log,
            stderr=log,
        )


# What other processes run, found there by name.


def square(number: int) -> int:
    time.sleep(0.1 * (number % 2))  # the order of the ends is not that of the starts
    return number * number


def square_but_three(number: int) -> int:
    if number == 3:
        raise ArgumentError(f"a number must be another one, not {number!r}")
    return square(number)


def square_or_die(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return square(number)


def note(folder: str) -> str:
    """Say that a job runs and who runs it; take a while; say that it is done."""
    (Path(folder) / f"begun-{os.getpid()}").touch()
    time.sleep(0.5)
    (Path(folder) / f"done-{os.getpid()}").touch()
    return folder


def rest(folder: str) -> None:
    """Take longer than any test, with a child process that does the same."""
    try:
        with subprocess.Popen(["sleep", "600"]) as child:
            (Path(folder) / f"begun-{os.getpid()}-{child.pid}").touch()
            try:
                child.wait()
            finally:
                child.kill()
    finally:
        (Path(folder) / "tidy").touch()
