# SPDX-License-Identifier: Apache-2.0
"""Running many independent jobs: on the local cores, or on a Dask cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import NoReturn, TypeVar

from hwact.errors import ArgumentError, ToolError

Argument = TypeVar("Argument")
Result = TypeVar("Result")

CONNECT_LIMIT_S = 10


def run(
    function: Callable[[Argument], Result], arguments: Sequence[Argument], *, scheduler: str | None = None
) -> Iterator[tuple[int, Result]]:
    """Apply a function to every argument, in parallel.

    Parameters
    ----------
    function : callable
        Importable by name, since other processes run it.
    scheduler : str, optional
        Address of a Dask scheduler such as ``tcp://127.0.0.1:8786``; the local cores unless given. A job
        whose Dask worker dies goes to another one.

    Yields
    ------
    int, result
        The argument's position and what the function made of it, in the order in which they finish.
    """
    if not arguments:
        return
    with _executor(scheduler, len(arguments)) as executor:
        positions = {executor.submit(function, argument): i for i, argument in enumerate(arguments)}
        try:
            for future in as_completed(positions):
                yield positions[future], future.result()
        except BrokenProcessPool:
            raise ToolError(
                "a worker process must live until its job is done, not be killed (out of memory?); "
                "run the command again: what was finished is kept"
            ) from None
        finally:
            executor.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _executor(scheduler: str | None, jobs: int) -> Iterator[Executor]:
    if scheduler is not None:
        with _cluster(scheduler) as cluster:
            yield cluster
        return
    workers = min(jobs, len(os.sched_getaffinity(0)))
    before = set(multiprocessing.active_children())
    try:
        yield ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _prepare_worker)
    finally:
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()


def _prepare_worker() -> None:
    """Leave Ctrl-C to the parent, and take a job's own child processes along when told to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)


def _leave(*_: object) -> NoReturn:
    sys.exit(1)


@contextmanager
def _cluster(scheduler: str) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError:
        raise ToolError(
            'Dask must be installed for a scheduler, not missing; run python -m pip install "hwact[dask]"'
        ) from None
    try:
        client = Client(scheduler, timeout=CONNECT_LIMIT_S)
    except (OSError, TimeoutError, ValueError) as error:
        raise ArgumentError(
            f"the scheduler must be the address of a running Dask scheduler, not {scheduler!r} ({error}); "
            "start one with dask scheduler"
        ) from None
    with client:
        yield client.get_executor()
