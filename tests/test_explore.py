# SPDX-License-Identifier: Apache-2.0
"""The Pareto front: the same whoever computes it, whole after an interruption, and true."""

from __future__ import annotations

import dataclasses
import io
import multiprocessing
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import hwact
from hwact import architectures, jobs
from hwact.entries import Job
from hwact.explore import SLACK, Candidate, Search, explore, promising
from hwact.synth import Options, Source, measure
from hwact.synth.cache import Cache
from tests.clusters import cluster, until
from tests.commands import Run, assert_refused, rows, start

SEARCH = Search(spec={"function": "tanh", "width": 4}, target="asic", limit=3, options=Options(place=False))
COMMAND = ["explore", "tanh", "--width", "4", "--target", "asic", "--limit", "3", "--no-place"]
MEASURED = SEARCH.limit * len(SEARCH.latencies)
pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture(scope="module")
def local() -> list[Any]:
    """What the local cores find."""
    return list(explore(SEARCH))


@pytest.fixture
def own_cache(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(here / "cache"))
    return here / "cache" / "hwact"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of all jobs that are started; they run in this process."""
    seen: list[Any] = []

    def here_and_now(
        function: Callable[[Any], Any], wanted: Sequence[Any], **_: object
    ) -> Iterator[tuple[int, Any]]:
        for position in reversed(range(len(wanted))):
            seen.append(wanted[position])
            yield position, function(wanted[position])

    monkeypatch.setattr(jobs, "run", here_and_now)
    return seen


# The same whoever computes it


@pytest.mark.usefixtures("own_cache")
def test_one_core_finds_the_same(local: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert explore(SEARCH) == local


@pytest.mark.usefixtures("own_cache", "started")
def test_this_process_finds_the_same_from_the_last_to_the_first(local: list[Any]) -> None:
    assert explore(SEARCH) == local


@pytest.mark.usefixtures("own_cache")
def test_a_cluster_that_loses_a_worker_finds_the_same(
    local: list[Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seen = []
    with cluster(tmp_path) as own:

        def lose_one(what: str, done: int, total: int) -> None:
            seen.append((what, done, total))
            if (what, done) == ("measuring", 1):
                own.workers[0].kill()

        assert explore(SEARCH, scheduler=own.address, progress=lose_one) == local
        assert [worker.poll() for worker in own.workers] == [-signal.SIGKILL, None]
    assert [done for what, done, _ in seen if what == "measuring"] == list(range(MEASURED + 1))
    assert capfd.readouterr() == ("", "")


# True


def test_the_front_is_what_nothing_beats(local: list[Any]) -> None:
    goals = [
        (row["area"], row["max_error_ulp"], row["latency"] if row["latency"] > 1 else 1) for row in local
    ]
    front = [
        not any(all(a <= b for a, b in zip(other, own, strict=True)) and other != own for other in goals)
        for own in goals
    ]
    # Generic cells have no delays: only cycles count, and these as nothing where nobody knows their length.
    assert all(row["depth"] is None and row["path_ns"] is None for row in local)
    assert [row["front"] for row in local if row["front"]]
    assert all(row["front"] for row, kept in zip(local, front, strict=True) if kept)
    assert [row["area"] for row in local] == sorted(row["area"] for row in local)


def test_every_design_meets_its_accuracy_and_costs_what_it_says(local: list[Any]) -> None:
    assert 1 <= len(local) <= MEASURED
    assert len({row["source_sha256"] for row in local}) == len(local)
    for row in local:
        assert row["max_error_ulp"] <= 0.5 if row["class"] == "correct" else row["max_error_ulp"] < 1
        unit = hwact.build(
            "tanh",
            width=4,
            target="asic",
            interface="bare",
            accuracy=row["class"],
            architecture=row["architecture"],
            architecture_parameters=row["parameters"],
            latency=row["latency"],
        )
        record = measure(Source.of(unit), "asic", SEARCH.options)
        assert (record.source_sha256, record.area) == (row["source_sha256"], row["area"])
        assert unit.accuracy.max_error_ulp == row["max_error_ulp"]


def candidate(area: float, error: float, name: str = "table") -> Candidate:
    return Candidate(
        accuracy="faithful", architecture=name, parameters={}, estimated_area=area, max_error_ulp=error
    )


def test_promising_are_those_not_far_above_the_best_at_their_error() -> None:
    best, close, far = candidate(10, 0.5), candidate(10 * SLACK, 0.5), candidate(10 * SLACK + 1, 0.9)
    exact = candidate(100, 0.0)
    assert promising([far, exact, close, best]) == [best, close, exact]
    assert promising([best, exact]) == promising([exact, best]) == [best, exact]
    assert promising([]) == []


def test_equals_have_one_order() -> None:
    one, two = candidate(10, 0.5, "piecewise"), candidate(10, 0.5, "table")
    assert promising([one, two]) == promising([two, one])


def test_the_limit_counts_different_designs(started: list[Any], own_cache: Path) -> None:
    found = explore(dataclasses.replace(SEARCH, limit=2, latencies=(0,)))
    measured = [job for job in started if isinstance(job, Job)]
    assert len(measured) == 2
    assert measured[0].unit["architecture_parameters"] != measured[1].unit["architecture_parameters"]
    assert 1 <= len(found) <= 2
    assert len(list((own_cache / "entries").iterdir())) == 2


# Whole after an interruption


@pytest.mark.parametrize("where", ["enumerating", "measuring"])
def test_an_interrupted_run_goes_on_where_it_was(
    where: str, started: list[Any], own_cache: Path, local: list[Any]
) -> None:
    def press(what: str, done: int, _: int) -> None:
        if (what, done) == (where, 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explore(SEARCH, progress=press)
    total = len(SEARCH.accuracies) * len(architectures.catalogue()) + MEASURED
    before = len(started)
    assert before == 2 + (total - MEASURED if where == "measuring" else 0)
    assert explore(SEARCH) == local
    assert len(started) == total
    assert explore(SEARCH) == local
    assert len(started) == total
    assert len(list((own_cache / "entries").iterdir())) == MEASURED


@pytest.mark.usefixtures("own_cache")
def test_no_process_is_left_while_an_interruption_is_told() -> None:
    def press(_: str, done: int, __: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explore(SEARCH, progress=press)
    assert not multiprocessing.active_children()


def group(number: int) -> list[str]:
    """The processes of a group, by its number."""
    listed = subprocess.run(["ps", "-eo", "pgid=,args="], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if line.split()[0] == str(number)]


@pytest.mark.parametrize("done", ["0", "[1-4]"])
def test_a_process_stops_at_ctrl_c_and_its_cache_is_whole(done: str, own_cache: Path) -> None:
    options = {"stdout": subprocess.PIPE, "start_new_session": True}
    with start(*COMMAND, "--json", **options, variables={"FORCE_COLOR": "1"}) as process:
        assert isinstance(process.stderr, io.TextIOBase)
        seen = ""
        while not re.search(rf"measuring [^/]*m{done}/{MEASURED}", seen):
            seen += process.stderr.read(1) or pytest.fail(f"no progress was shown: {seen}")
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (130, "")
        assert err.endswith("error: interrupted\n")
        assert "Traceback" not in err
        until(lambda: not group(process.pid), "the end of all processes")
    kept = list((own_cache / "entries").iterdir()) if (own_cache / "entries").exists() else []
    assert (done != "0") <= len(kept) < MEASURED
    assert all(Cache(path.parent).get(path.stem) for path in kept)


# The command


def test_the_command_prints_the_front(run: Run, local: list[Any]) -> None:
    assert run(*COMMAND, "--json").json() == local
    done = run(*COMMAND)
    front = [row for row in local if row["front"]]
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0].strip() == "tanh_sq4_0, standard cells"
    assert [row[0] for row in rows(done.out) if row[0]] == [f"{row['area']:.4g}" for row in front]
    assert done.out.splitlines()[-1] == f"{len(front)} of {len(local)} measured designs are on the front"


_ONE = "exactly one of a function and an expression must be given, not"
_NUMBERS = "latencies must be numbers with commas between them, not '{}'.*"
REFUSED = {
    "tanh --width 4 --limit 0": "the limit must be at least 1 design, not 0",
    "tanh --width 4 --target moon": "a synthesis target must be one of xc7, .*, asic, not 'moon'",
    "tanh --width 4 --latencies x": _NUMBERS.format("x"),
    "tanh --width 4 --latencies 0,-1": _NUMBERS.format("-1"),
    "tanh --width 4 --latencies ,": r"latencies must be at least one, not \(\)",
    "tanh --width 4 --accuracies ,": r"accuracies must be at least one, not \(\)",
    "tanh --width 4 --accuracies best": "accuracy must be correct, faithful, max_ulp=N .*, not 'best'; .*",
    "tanh --width 4 --accuracies max_ulp=0.01": r"accuracies must hold .*, not \['max_ulp=0\.01'\]; ask .*",
    "tanh --width 4 --seeds 0": "seeds must be at least 1, not 0; or say --no-place",
    "tanh --width 4 --interface wires": "interface must be one of stream, .*bare.*, not 'wires'",
    "tanh --width 4 --latencies 65 --limit 1": "latency must be an integer from 0 to 64, not 65; .*",
    "tanh --width 4 --beta 2": "a parameter of tanh must be one it knows, not 'beta'; it takes none",
    "tanh --width 4 --expression x --name both": f"{_ONE} 'tanh' and 'x'",
    "tanh": "a width or an input format must be given, not neither; say width=16, .*",
    "geluu --width 4": "the function must be .*, not 'geluu'; did you mean gelu .*",
    "--width 4": f"{_ONE} None and None",
}


@pytest.mark.usefixtures("started", "own_cache")
@pytest.mark.parametrize("line", REFUSED)
def test_bad_input_is_refused(line: str, run: Run, here: Path) -> None:
    command = line if "--target" in line else f"{line} --target asic"
    assert_refused(run("explore", *command.split()), REFUSED[line])
    assert {path.name for path in here.iterdir()} <= {"cache"}


def test_a_wrong_scheduler_is_refused(run: Run, own_cache: Path) -> None:
    pattern = "the scheduler must be the address of a running Dask scheduler, not 'nowhere' .*; start one .*"
    assert_refused(run(*COMMAND, "--scheduler", "nowhere"), pattern)
    assert not own_cache.exists()
