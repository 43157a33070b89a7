# SPDX-License-Identifier: Apache-2.0
"""Many jobs at a time: on the local cores and on a Dask cluster, whatever happens to the workers."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from hwact import jobs
from hwact.errors import ArgumentError, ToolError
from tests.clusters import Cluster, cluster, note, rest, square, square_but_three, square_or_die, until

NUMBERS = [5, 4, 3, 2, 1, 0]
SQUARES = [(0, 25), (1, 16), (2, 9), (3, 4), (4, 1), (5, 0)]
LOST = "a worker process must live until its job is done, not be killed .*; run the command again: .* is kept"


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _before_the_error(numbers: Sequence[int], scheduler: str | None = None) -> list[int]:
    """The positions that are given before the job of 3 fails."""
    results = jobs.run(square_but_three, numbers, scheduler=scheduler)
    seen: list[int] = []
    with pytest.raises(ArgumentError, match="a number must be another one, not 3"):
        seen.extend(position for position, _ in results)
    return seen


# On the local cores


def test_every_result_comes_with_its_position() -> None:
    assert sorted(jobs.run(square, NUMBERS)) == SQUARES
    assert not multiprocessing.active_children()


def test_without_arguments_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_submitting", lambda *_: pytest.fail("no executor may be made"))
    assert list(jobs.run(square, [])) == []


@pytest.mark.parametrize("cores", [1, 3])
def test_there_are_as_many_workers_as_cores(
    cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert len(list(jobs.run(note, [str(tmp_path)] * 4))) == 4
    assert 1 <= len(list(tmp_path.glob("begun-*"))) <= cores


def test_an_error_keeps_what_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert sorted(_before_the_error([0, 2, 4, 6, 3])) == [0, 1, 2, 3]
    assert not multiprocessing.active_children()


def test_what_ends_beside_an_error_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_at_once(waiting: dict[Future[int], int], **_: str) -> tuple[list[Future[int]], None]:
        until(lambda: all(future.done() for future in waiting), "the end of all jobs")
        return list(waiting), None

    monkeypatch.setattr(jobs, "wait", all_at_once)
    assert _before_the_error([3, 0, 2]) == [1, 2]


def test_a_killed_worker_is_said_so(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ToolError, match=LOST) as caught:
        list(jobs.run(square_or_die, NUMBERS))
    assert caught.value.exit_code == 3
    assert not multiprocessing.active_children()
    assert capfd.readouterr() == ("", "")


FINALIZER = """
import os, signal, sys
from hwact import jobs

class Slow:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)

def work(_):
    made = Slow()
    del made  # an exception in here is printed, and forgotten
    signal.pause()

jobs._perform(work, None)
"""


def test_a_worker_leaves_without_a_word_from_inside_a_finalizer() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FINALIZER], capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_a_consumer_that_stops_leaves_no_process(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    results = jobs.run(rest, [str(tmp_path)] * 9)
    with pytest.raises(KeyboardInterrupt):
        _interrupted_when_begun(results, tmp_path)
    results.close()
    (begun,) = {len(list(tmp_path.glob("begun-*")))}
    assert 1 <= begun <= len(os.sched_getaffinity(0)), "no further job may be begun"
    assert (tmp_path / "tidy").exists()
    for path in tmp_path.glob("begun-*"):
        assert not any(alive(int(number)) for number in path.name.split("-")[1:])
    assert not multiprocessing.active_children()
    assert capfd.readouterr() == ("", "")


def _interrupted_when_begun(results: Iterator[object], folder: Path) -> None:
    """Have Ctrl-C pressed as soon as a job runs."""

    def pressed(*_: object) -> None:
        if list(folder.glob("begun-*")):
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, pressed)
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
    try:
        next(results)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# On a Dask cluster


def test_a_cluster_gives_the_same(two_workers: Cluster, capfd: pytest.CaptureFixture[str]) -> None:
    assert sorted(jobs.run(square, NUMBERS, scheduler=two_workers.address)) == SQUARES
    assert capfd.readouterr() == ("", "")


def test_an_error_on_a_cluster_keeps_what_is_finished(two_workers: Cluster) -> None:
    for _ in range(2):  # and nothing of it stays on the cluster
        assert set(_before_the_error([0, 2, 4, 6, 3], two_workers.address)) <= {0, 1, 2, 3}
    assert sorted(jobs.run(square, NUMBERS, scheduler=two_workers.address)) == SQUARES


def test_a_job_whose_worker_dies_goes_to_another(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with cluster(tmp_path) as own:
        folder = tmp_path / "notes"
        folder.mkdir()
        results = jobs.run(note, [str(folder)] * 6, scheduler=own.address)
        seen = [next(results)[0]]
        until((folder / f"begun-{own.workers[0].pid}").exists, "a job of the first worker")
        own.workers[0].kill()
        seen += [position for position, _ in results]
    assert sorted(seen) == list(range(6))
    assert capfd.readouterr() == ("", "")


def test_a_job_that_kills_every_worker_is_an_error(tmp_path: Path) -> None:
    with cluster(tmp_path) as own, pytest.raises(ToolError, match=LOST):
        list(jobs.run(square_or_die, [3], scheduler=own.address))


def test_a_scheduler_without_workers_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "CONNECT_LIMIT_S", 2)
    with cluster(tmp_path, workers=0) as own:
        pattern = f"the scheduler must have a worker, not none .*; start one with dask worker {own.address}"
        with pytest.raises(ToolError, match=pattern):
            list(jobs.run(square, [1], scheduler=own.address))


@pytest.mark.parametrize(
    "address",
    ["tcp://127.0.0.1:1", "nowhere", "tcp://127.0.0.1", "udp://127.0.0.1:1", "tcp://127.0.0.1:99999", ""],
)
def test_a_wrong_address_is_refused(
    address: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert jobs.CONNECT_LIMIT_S <= 10
    monkeypatch.setattr(jobs, "CONNECT_LIMIT_S", 3)
    begun = time.monotonic()
    pattern = f"the scheduler must be the address of a running Dask scheduler, not '{address}' .*; start one"
    with pytest.raises(ArgumentError, match=pattern) as caught:
        list(jobs.run(square, [1], scheduler=address))
    assert time.monotonic() - begun < 8
    assert caught.value.exit_code == 2
    assert capfd.readouterr() == ("", "")


def test_a_missing_dask_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    pattern = r'Dask must be installed .*, not missing; run python -m pip install "hwact\[dask\]"'
    with pytest.raises(ToolError, match=pattern) as caught:
        list(jobs.run(square, [1], scheduler="tcp://127.0.0.1:1"))
    assert caught.value.exit_code == 3


def test_ctrl_c_waits_until_the_workers_are_started_whichever_thread_takes_it() -> None:
    """A thread that draws progress took it once: a worker that was just starting then found no input."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    done, went_on = threading.Event(), threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()

    def interrupt_the_other() -> None:
        assert other.ident is not None
        with jobs._no_interrupts():
            signal.pthread_kill(other.ident, signal.SIGINT)
            time.sleep(0.2)
            went_on.set()

    try:
        with pytest.raises(KeyboardInterrupt):
            interrupt_the_other()
        assert went_on.is_set()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        done.set()
        other.join()
        signal.signal(signal.SIGINT, before)


def test_a_handler_that_is_not_pythons_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be put back."""
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(signal, "getsignal", lambda number: None)
        with jobs._no_interrupts():
            pass
    assert signal.getsignal(signal.SIGINT) is before
