# SPDX-License-Identifier: Apache-2.0
"""Running many independent jobs: on the local cores, or on a Dask cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

from hwact.errors import ArgumentError, ToolError

Argument = TypeVar("Argument")
Result = TypeVar("Result")

CONNECT_LIMIT_S = 10
LEAVE_LIMIT_S = 5


def run(
    function: Callable[[Argument], Result], arguments: Sequence[Argument], *, scheduler: str | None = None
) -> Generator[tuple[int, Result]]:
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
        The argument's position and what the function made of it, in the order in which they finish. Closing
        the generator stops all jobs.

    Raises
    ------
    ArgumentError
        There is no scheduler at that address.
    ToolError
        Dask is missing, there are no workers, or they die.
    """
    if not arguments:
        return
    with _executor(scheduler, len(arguments)) as executor:
        with _no_interrupts():
            waiting = {executor.submit(_perform, function, each): i for i, each in enumerate(arguments)}
        while waiting:
            finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in sorted(finished, key=_failed):  # what is finished counts, whatever failed beside it
                yield waiting.pop(future), future.result()


def _failed(future: Future[Any]) -> bool:
    return future.cancelled() or future.exception() is not None


def _lost() -> ToolError:
    return ToolError(
        "a worker process must live until its job is done, not be killed (out of memory?); "
        "run the command again: what was finished is kept"
    )


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back, from worker processes for good: one that is just starting would print a traceback."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _executor(scheduler: str | None, jobs: int) -> Iterator[Executor]:
    if scheduler is not None:
        with _cluster(scheduler) as cluster:
            yield cluster
        return
    workers = min(jobs, len(os.sched_getaffinity(0)))
    before = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _prepare_worker)
    try:
        yield executor
    except BrokenProcessPool:
        raise _lost() from None
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        children = set(multiprocessing.active_children()) - before
        for child in children:
            child.terminate()
        for child in children:
            child.join(LEAVE_LIMIT_S)
            child.kill()


def _prepare_worker() -> None:
    """Take a job's own child processes along when told to stop."""
    signal.signal(signal.SIGTERM, _leave)


def _leave(*_: object) -> NoReturn:
    sys.exit(1)


def _perform(function: Callable[[Argument], Result], argument: Argument) -> Result:
    try:
        return function(argument)
    except SystemExit:  # told to stop; the pool would take it for a result and go on with the next job
        os._exit(1)


@contextmanager
def _cluster(scheduler: str) -> Iterator[Executor]:
    try:
        from distributed import Client, KilledWorker
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
        try:
            client.wait_for_workers(1, timeout=CONNECT_LIMIT_S)
            yield client.get_executor(pure=False)
        except TimeoutError:
            raise ToolError(
                f"the scheduler must have a worker, not none within {CONNECT_LIMIT_S} s; "
                f"start one with dask worker {scheduler}"
            ) from None
        except (KilledWorker, CancelledError):
            raise _lost() from None
