# SPDX-License-Identifier: Apache-2.0
"""Area by Yosys: counts known by hand, the same every time, kept under all that they depend on."""

from __future__ import annotations

import dataclasses
import errno
import gzip
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import gettempdir

import pytest

import hwact
from hwact.errors import ArgumentError
from hwact.synth import TARGETS, Options, Record, Source, area, measure
from hwact.synth.cache import Cache, digest
from hwact.synth.liberty import Liberty
from hwact.synth.measure import steps_sha256
from tests.synthesis import BLOCKS, GATES, MIXED, TEMPTING, TINY_LIBRARY, counts, no_process, source

AREA_ONLY = Options(place=False)
TINY = Options(place=False, liberty=Liberty.read(TINY_LIBRARY))
ADDER = "module adder(input [3:0] a, b, output [3:0] y); assign y = a + b; endmodule"
RELU = hwact.build("relu", width=8, interface="bare", latency=0)


@pytest.fixture
def kept(tmp_path: Path) -> Cache:
    """An empty cache."""
    return Cache(tmp_path / "kept")


# Look-up tables, carry cells, multiplexers, flip-flops, DSP blocks, memory blocks.
@pytest.mark.parametrize(
    ("target", "expected", "size", "depth"),
    [
        ("xc7", (5, 2, 0, 3, 0, 0), 5, 3),
        ("ecp5", (4, 3, 3, 3, 0, 0), 10, 3),
        ("ice40", (7, 4, 0, 3, 0, 0), 7, 4),
    ],
)
def test_counts_are_those_known_by_hand(
    target: str, expected: tuple[int, ...], size: float, depth: int, kept: Cache
) -> None:
    record = measure(source(MIXED), target, AREA_ONLY, kept)
    assert counts(record) == expected
    assert (record.area, record.area_unit, record.depth) == (size, TARGETS[target].area_unit, depth)
    assert record.f_max is None
    assert record.latency_ns is None


@pytest.mark.parametrize(
    ("target", "dsp", "ram", "blocks"),
    [
        ("xc7", False, False, (0, 0)),
        ("xc7", True, True, (1, 1)),
        ("ecp5", False, False, (0, 0)),
        ("ecp5", True, False, (1, 0)),
        ("ecp5", False, True, (0, 1)),
        ("ice40", False, False, (0, 0)),
        ("ice40", True, False, (1, 0)),
        ("ice40", False, True, (0, 4)),
    ],
)
def test_blocks_are_used_only_where_they_may(
    target: str, dsp: bool, ram: bool, blocks: tuple[int, int], kept: Cache
) -> None:
    record = measure(source(BLOCKS), target, Options(place=False, dsp=dsp, ram=ram), kept)
    assert (record.dsps, record.block_rams) == blocks
    assert record.flip_flops == (0 if ram else 16)
    assert (record.luts == 0) == (dsp and ram)


@pytest.mark.parametrize(
    ("target", "size", "cells"),
    [
        ("xc7", 7.0, {"LUT2": 7}),
        ("ecp5", 7.0, {"LUT4": 7}),
        ("ice40", 7.0, {"SB_LUT4": 7}),
        ("asic", 10.5, {"$_NOR_": 7, "$_NOT_": 7}),  # 4 and 2 transistors
    ],
)
def test_relu_has_this_area(target: str, size: float, cells: dict[str, int], kept: Cache) -> None:
    record = measure(Source.of(RELU), target, AREA_ONLY, kept)
    assert (record.area, record.cells) == (size, cells)
    assert record.source_sha256 == RELU.manifest()["verilog_sha256"]
    assert Record.from_dict(record.as_dict()) == record


def test_depth_ends_at_registers(kept: Cache) -> None:
    chain = """module chain(input clk, input [3:0] x, output reg y); reg [2:0] s; reg t;
      always @(posedge clk) begin s <= {^x, x[1:0]}; t <= &s; y <= t | s[0]; end endmodule"""
    assert [measure(source(chain), t, AREA_ONLY, kept).depth for t in ("ecp5", "ice40")] == [1, 1]


def test_wires_have_no_area(kept: Cache) -> None:
    wires = source("module wires(input [3:0] x, output [3:0] y); assign y = {x[0], x[3:1]}; endmodule")
    for options in (AREA_ONLY, TINY):
        record = measure(wires, "asic", options, kept)
        assert (record.area, record.cells) == (0, {})
    assert measure(wires, "ice40", AREA_ONLY, kept).depth == 0


def test_kept_hierarchy_is_flattened(kept: Cache) -> None:
    text = """(* keep_hierarchy *) module inner(input a, b, output y); assign y = a ^ b; endmodule
      module outer(input a, b, c, output y); wire z; inner i(a, b, z); assign y = z & c; endmodule"""
    assert measure(source(text, "outer"), "ice40", AREA_ONLY, kept).cells == {"SB_LUT4": 1}
    assert all(
        kind.startswith("$_") for kind in measure(source(text, "outer"), "asic", AREA_ONLY, kept).cells
    )


def test_values_at_power_up_do_not_matter_to_standard_cells(kept: Cache) -> None:
    text = """module initial_values(input clk, d, output reg q, r); initial begin q = 0; r = 1; end
      always @(posedge clk) begin q <= d; r <= ~d; end endmodule"""
    assert measure(source(text), "asic", AREA_ONLY, kept).flip_flops == 2
    assert measure(source(text), "asic", TINY, kept).flip_flops == 2


def test_the_same_unit_has_the_same_figures_every_time(tmp_path: Path) -> None:
    units = [hwact.build(name, width=8, interface="bare", latency=0) for name in ("gelu", "smelu")]
    sources = [Source.of(unit) for unit in units]

    def figures(number: int) -> Record:
        return measure(sources[number % 2], "ice40", AREA_ONLY, Cache(tmp_path / str(number)))

    with ThreadPoolExecutor(2) as workers:
        together = list(workers.map(figures, range(2)))
    one_by_one = [figures(number) for number in (2, 3, 4)]
    assert one_by_one == [*together, together[0]]
    assert len(list(tmp_path.glob("*/*.json"))) == 5, "each must have been synthesised"


def test_tiny_library_has_the_area_added_by_hand(kept: Cache) -> None:
    record = measure(source(GATES), "asic", TINY, kept)
    assert record.cells == {"NAND2": 1, "NOR2": 1, "INV": 1, "DFF": 1}
    assert (record.area, record.area_unit, record.flip_flops) == (3.0 + 5.0 + 2.0 + 10.0, "um2", 1)
    assert record.path_ns == pytest.approx(0.1)


def test_cells_to_be_kept_out_are_never_used(kept: Cache) -> None:
    assert TINY.liberty
    assert TINY.liberty.kept_out == ["ISO_AND2", "XOR2"]
    cells = measure(source(TEMPTING), "asic", TINY, kept).cells
    assert set(cells) <= {"INV", "NAND2", "NOR2"}
    allowed = Liberty("tiny", TINY.liberty.text.replace("dont_use", "dont_mind"))
    tempted = measure(source(TEMPTING), "asic", dataclasses.replace(TINY, liberty=allowed), kept).cells
    assert tempted["XOR2"] == 1


def test_a_library_on_one_line_is_read_too(tmp_path: Path) -> None:
    assert TINY.liberty
    (tmp_path / "one.lib").write_text(" ".join(TINY.liberty.text.split()))
    (tmp_path / "packed.lib.gz").write_bytes(gzip.compress(TINY_LIBRARY.read_bytes()))
    for name in ("one.lib", "packed.lib.gz"):
        read = Liberty.read(tmp_path / name)
        assert (read.name, read.kept_out, read.flip_flops) == ("tiny", ["ISO_AND2", "XOR2"], {"DFF"})
        assert list(read.cells) == ["BUF", "INV", "NAND2", "NOR2", "ISO_AND2", "XOR2", "DFF"]


PACKED = gzip.compress(TINY_LIBRARY.read_bytes())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"can be read, not '.*cells.lib' \(No such file or directory\); name a"),
        (PACKED[:200], r"can be read, not '.*cells.lib' \(Compressed file ended .*\); name a"),
        (PACKED[:40] + bytes(40) + PACKED[80:], r"can be read, not '.*cells.lib' \(.+\); name a"),
        (b"\x1f\x8b\x00", r"can be read, not '.*cells.lib' \(.+\); name a"),
        (bytes(range(256)), r"hold a library of cells, not be '.*cells.lib'; name the"),
        (b"", r"hold a library of cells, not be '.*cells.lib'; name the"),
        (b"module t; endmodule", r"hold a library of cells, not be '.*cells.lib'; name the"),
        (b"library (none) {\n}\n", r"hold a library of cells, not be '.*cells.lib'; name the"),
    ],
    ids=["none", "cut", "damaged", "header", "binary", "empty", "verilog", "no cells"],
)
def test_what_is_no_liberty_file_is_refused(content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "cells.lib").write_bytes(content)
    with pytest.raises(ArgumentError, match=f"the Liberty file must (be one that )?{message}"):
        Liberty.read(tmp_path / "cells.lib")


def without(cell: str) -> Options:
    """The tiny library without a cell."""
    text = TINY_LIBRARY.read_text()
    start = text.index(f"  cell ({cell})")
    return Options(
        place=False, liberty=Liberty("tiny", text[:start] + text[text.index("\n  }\n", start) + 5 :])
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (without("DFF"), "ERROR: FF gates.* D flip-flops are not supported"),
        (without("INV"), "ERROR: ABC"),
        (
            Options(place=False, liberty=Liberty("tiny", TINY_LIBRARY.read_text()[:2000])),
            "ERROR: Syntax error",
        ),
    ],
    ids=["no flip-flop", "no inverter", "cut"],
)
def test_a_library_that_does_not_suffice_is_named(options: Options, said: str, kept: Cache) -> None:
    message = rf"the library tiny must be one to which Yosys can map module gates, with .*, not:\n{said}"
    with pytest.raises(ArgumentError, match=message) as caught:
        measure(source(GATES), "asic", options, kept)
    assert gettempdir() not in str(caught.value)
    assert not kept.folder.exists()


BLACK_BOX = """(* blackbox *) module box(input a, output y); endmodule
  module t(input a, output y); box b(a, y); endmodule"""


@pytest.mark.parametrize("target", ["ice40", "asic"])
@pytest.mark.parametrize(
    ("verilog", "message"),
    [
        (
            "module t(input x, output y); assign y = x +; endmodule",
            r"not:\nunit.v:1: ERROR: syntax error, un",
        ),
        ("module t(output y); missing m(y); endmodule", r"not:\nERROR: Module `\\missing' referenced in"),
        ("module u(input x, output y); assign y = x; endmodule", r"not:\nERROR: Module `t' not found!"),
        (BLACK_BOX, "every cell must be one of .*, not 'box'; give all modules of the design"),
    ],
    ids=["syntax error", "missing module", "no top", "black box"],
)
def test_foreign_verilog_is_refused_in_yosys_own_words(
    verilog: str, message: str, target: str, kept: Cache
) -> None:
    with pytest.raises(ArgumentError, match=message) as caught:
        measure(source(verilog, "t"), target, AREA_ONLY, kept)
    assert "Traceback" not in str(caught.value)
    assert gettempdir() not in str(caught.value)
    assert not kept.folder.exists()


def test_unknown_targets_and_no_seeds_are_refused() -> None:
    with pytest.raises(ArgumentError, match="must be one of xc7, ecp5, ice40, asic, not 'xc9'"):
        measure(source(ADDER), "xc9")
    with pytest.raises(ArgumentError, match=r"seeds must be at least one number, not \(\)"):
        Options(seeds=())
    with pytest.raises(ArgumentError, match="a netlist must be for a device, not 'asic'"):
        area.netlist(source(ADDER), TARGETS["asic"])


def keys(kept: Cache) -> set[str]:
    """Names of all files in a cache."""
    return {path.name for path in kept.folder.iterdir()}


def test_a_record_is_kept_under_all_that_it_depends_on(kept: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []
    figures = {"area": 1.0, "area_unit": "LUT"}

    def synthesise(unit: Source, *_: object, **__: object) -> dict[str, object]:
        runs.append(unit.name)
        return figures

    monkeypatch.setattr(area, "synthesise", synthesise)
    first = source(ADDER)
    other_cells = Liberty("tiny", TINY_LIBRARY.read_text().replace("2.0", "2.5"))
    changes = [
        (first, "xc7", AREA_ONLY),
        (first, "ecp5", AREA_ONLY),
        (source(ADDER.replace("+", "-")), "xc7", AREA_ONLY),
        (source(ADDER, "another"), "xc7", AREA_ONLY),
        (first, "xc7", Options(place=False, dsp=True)),
        (first, "xc7", Options(place=False, ram=True)),
        (first, "asic", AREA_ONLY),
        (first, "asic", TINY),
        (first, "asic", dataclasses.replace(TINY, liberty=other_cells)),
    ]
    for number, change in enumerate(changes, 1):
        for _ in range(2):
            measure(*change, kept)
            assert (len(runs), len(keys(kept))) == (number, number)
    monkeypatch.setattr(area, "versions", lambda: {"yosys": "0.0"})
    measure(*changes[0], kept)
    assert len(runs) == len(changes) + 1
    monkeypatch.setattr(sys.modules["hwact.synth.measure"], "steps_sha256", lambda: "other steps")
    measure(*changes[0], kept)
    assert len(runs) == len(keys(kept)) == len(changes) + 2
    assert len(steps_sha256()) == 64


def test_a_kept_record_needs_no_process(kept: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    record = measure(source(ADDER), "ice40", AREA_ONLY, kept)
    monkeypatch.setattr(area, "run_group", no_process)
    assert measure(source(ADDER), "ice40", AREA_ONLY, kept) == record
    with pytest.raises(pytest.fail.Exception, match="no process may be started"):
        measure(source(ADDER), "ice40", AREA_ONLY, Cache(kept.folder / "other"))


KEY, VALUE = digest("a fact"), {"area": 1.5, "cells": {"LUT2": 3}}
FORGED = f'{{"key": "{KEY}", "sha256": "{digest(VALUE)}", "value": {{"area": 1.0}}}}'


@pytest.mark.parametrize(
    "damaged",
    [b"", b"{", b"[]", b"null", b"7", b"\xff\xfe", b"[" * 100_000, b'{"key": 1}', FORGED.encode()],
    ids=["empty", "cut", "list", "null", "number", "binary", "deep", "keys missing", "value changed"],
)
def test_a_damaged_entry_counts_as_absent(damaged: bytes, kept: Cache) -> None:
    assert kept.get(KEY) is None
    kept.put(KEY, VALUE)
    assert kept.get(KEY) == VALUE
    (kept.folder / f"{KEY}.json").write_bytes(damaged)
    assert kept.get(KEY) is None
    kept.put(KEY, VALUE)
    assert kept.get(KEY) == VALUE


def test_every_cut_and_every_other_key_counts_as_absent(kept: Cache) -> None:
    kept.put(KEY, VALUE)
    path = kept.folder / f"{KEY}.json"
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert kept.get(KEY) is None
    assert len(whole) > 100
    (kept.folder / f"{digest('another')}.json").write_bytes(whole)
    assert kept.get(digest("another")) is None


def test_a_file_in_the_way_of_the_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    message = r"one with room that can be written, not '.*file/kept' \(Not a directory\); set XDG_CACHE_HOME"
    with pytest.raises(ArgumentError, match=message):
        measure(source(ADDER), "asic", AREA_ONLY, Cache(tmp_path / "file" / "kept"))
    assert (tmp_path / "file").read_text() == "mine"


def test_a_full_disk_leaves_older_entries_and_nothing_half_written(
    kept: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.put(KEY, VALUE)
    before = {path: path.read_bytes() for path in kept.folder.iterdir()}
    real = os.fdopen

    def full(handle: int, mode: str) -> object:
        stream = real(handle, mode)
        stream.write(b"{")
        stream.close()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fdopen", full)
    for key in (KEY, digest("another")):
        with pytest.raises(
            ArgumentError, match=r"not '.*kept' \(No space left on device\); set XDG_CACHE_HOME"
        ):
            kept.put(key, {"area": 2.0})
    assert {path: path.read_bytes() for path in kept.folder.iterdir()} == before
    assert kept.get(KEY) == VALUE


INTERRUPTED = """
import sys
from pathlib import Path
from hwact.synth import Options, Source, measure
from hwact.synth.cache import Cache
text = Path(sys.argv[1]).read_text()
for name in ("first", "second"):
    source = Source(name=name, verilog=text, ports=(), latency=0)
    measure(source, "ice40", Options(place=False), Cache(Path(sys.argv[2])))
    print("done", flush=True)
"""
SLOW = """
module first(input a, b, output y); assign y = a & b; endmodule
module second(input [63:0] a, b, c, output [191:0] y); assign y = a * b * c; endmodule
"""


def processes_in(folder: Path) -> list[Path]:
    """Where every process works that works below a folder."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            found.append(link.readlink())
        except OSError:  # it has ended, or is not ours
            continue
    return [cwd for cwd in found if cwd.is_relative_to(folder)]


def test_an_interrupt_leaves_no_process_and_the_cache_whole(tmp_path: Path, kept: Cache) -> None:
    work, verilog = tmp_path / "work", tmp_path / "slow.v"
    work.mkdir()
    verilog.write_text(SLOW)
    running = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(verilog), str(kept.folder)],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"TMPDIR": str(work)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout
    assert running.stdout.readline() == "done\n"
    deadline = time.monotonic() + 60
    while not processes_in(work) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes_in(work), "it must be interrupted within Yosys' work"
    running.send_signal(signal.SIGINT)
    rest, errors = running.communicate(timeout=30)
    assert "KeyboardInterrupt" in errors
    assert rest == ""
    assert not processes_in(work)
    assert not list(work.iterdir())
    assert len(keys(kept)) == 1
    (name,) = keys(kept)
    assert kept.get(name.removesuffix(".json"))["luts"] == 1
