# SPDX-License-Identifier: Apache-2.0
"""Running many independent jobs: on the local cores, or on a Dask cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

from hwact.errors import ArgumentError, ToolError

Argument = TypeVar("Argument")
Result = TypeVar("Result")
Submit = Callable[..., Future[Any]]

CONNECT_LIMIT_S = 10
LEAVE_LIMIT_S = 5
RETRY_S = 0.05


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
    with _submitting(scheduler, len(arguments)) as submit:
        with _no_interrupts():
            waiting = {submit(function, each): i for i, each in enumerate(arguments)}
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
    """Hold Ctrl-C back, from worker processes for good: one that is just starting would print a traceback.

    A mask is its thread's own, and another one may take the signal, such as that of a progress display.
    """
    taken: list[int] = []
    handler = signal.getsignal(signal.SIGINT)
    is_ours = handler is not None and threading.current_thread() is threading.main_thread()
    if is_ours:
        signal.signal(signal.SIGINT, lambda number, _: taken.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if is_ours:
            signal.signal(signal.SIGINT, handler)
        if taken:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def _submitting(scheduler: str | None, jobs: int) -> Iterator[Submit]:
    if scheduler is not None:
        with _cluster(scheduler) as submit:
            yield submit
        return
    workers = min(jobs, len(os.sched_getaffinity(0)))
    before = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))
    try:
        yield lambda function, argument: executor.submit(_perform, function, argument)
    except BrokenProcessPool:
        raise _lost() from None
    finally:
        children = set(multiprocessing.active_children()) - before
        for child in children:
            child.terminate()
        for child in children:
            child.join(LEAVE_LIMIT_S)
            child.kill()
        executor.shutdown()


def _perform(function: Callable[[Argument], Result], argument: Argument) -> Result:
    """Do a job; when told to stop, take its own child processes along.

    Between jobs a worker just ends: an exception there could leave half a message to the next worker.
    """
    try:
        signal.signal(signal.SIGTERM, _leave)
        try:
            return function(argument)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
    except SystemExit:  # the pool would take it for a result and go on with the next job
        os._exit(1)


def _leave(*_: object) -> NoReturn:
    sys.unraisablehook = _leave_later
    sys.exit(1)


def _leave_later(_: object) -> None:
    """Try again: inside a finalizer the exception that leaves would be printed, and forgotten."""
    main = threading.main_thread().ident
    threading.Timer(RETRY_S, signal.pthread_kill, [main, signal.SIGTERM]).start()


@contextmanager
def _cluster(scheduler: str) -> Iterator[Submit]:
    try:
        from distributed import Client, KilledWorker
        from distributed.comm.addressing import get_address_host_port
    except ImportError:
        raise ToolError(
            'Dask must be installed for a scheduler, not missing; run python -m pip install "hwact[dask]"'
        ) from None
    try:
        get_address_host_port(scheduler, strict=False)  # a client that is told nonsense hangs when collected
        client = Client(scheduler, timeout=CONNECT_LIMIT_S, set_as_default=False)
    except (OSError, OverflowError, TypeError, ValueError) as error:
        raise ArgumentError(
            f"the scheduler must be the address of a running Dask scheduler, not {scheduler!r} ({error}); "
            "start one with dask scheduler"
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_LIMIT_S)
        except TimeoutError:
            raise ToolError(
                f"the scheduler must have a worker, not none within {CONNECT_LIMIT_S} s; "
                f"start one with dask worker {scheduler}"
            ) from None
        try:
            yield client.get_executor(pure=False).submit
        except (KilledWorker, CancelledError):
            raise _lost() from None
