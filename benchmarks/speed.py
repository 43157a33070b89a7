# SPDX-License-Identifier: Apache-2.0
"""How fast hwact is, against its bars and against PyTorch, in one run on one machine.

Times are those of whole commands, Python's start included, each in a new folder with an empty
cache. The golden model and PyTorch take turns on the same codes, so that a busy machine slows
both. Run ``python benchmarks/speed.py``; ``--markdown`` prints the README's table.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import hwact
from hwact.formats import Codes
from hwact.unit import Unit

MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured quantity: all its samples, and the bar that their median must reach."""

    what: str
    unit: str
    samples: tuple[float, ...]
    bar: float | None = None
    at_least: bool = False

    @property
    def median(self) -> float:
        """The middle sample, which is what the bar is about."""
        return statistics.median(self.samples)

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the bar; None where there is none."""
        if self.bar is None:
            return None
        return self.median >= self.bar if self.at_least else self.median < self.bar

    def cells(self) -> tuple[str, ...]:
        """The row as it is printed."""
        bar = "" if self.bar is None else f"{'at least' if self.at_least else 'below'} {self.bar:g}"
        met = {None: "", True: "yes", False: "no"}[self.met]
        spread = f"{min(self.samples):.3g} to {max(self.samples):.3g}"
        return f"{self.what} [{self.unit}]", f"{self.median:.3g}", spread, bar, met


def seconds(call: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def run_cli(folder: Path, *arguments: str) -> None:
    """Run one hwact command in a folder that also holds its cache."""
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    command = [sys.executable, "-m", "hwact", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(
            f"{' '.join(command[1:])} must succeed, not return {done.returncode}:\n{done.stderr}"
        )


def time_generate(width: int) -> float:
    """Seconds to generate the three default units with nothing cached."""
    with tempfile.TemporaryDirectory() as folder:
        return seconds(lambda: run_cli(Path(folder), "generate", "--width", str(width), "--out", "build"))


def time_verify(width: int) -> tuple[float, float]:
    """Seconds to verify one unit from nothing, and again with the simulator build reused."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_cli(folder, "generate", "gelu", "--width", str(width), "--name", "unit", "--out", "build")
        verify = partial(run_cli, folder, "verify", "build/unit")
        return seconds(verify), seconds(verify)


def extra_memory(call: Callable[[], npt.NDArray[Any]]) -> float:
    """Most MiB in use at once during a call beyond what was there before and the array that it returns.

    NumPy reports its arrays to tracemalloc, so temporaries inside a call are seen.
    """
    tracemalloc.start()
    try:
        result = call()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return (peak - result.nbytes) / MIB


def golden_rows(width: int, count: int, repeats: int) -> Iterator[Row]:
    """Golden model against PyTorch's float32 GELU on the same number of codes."""
    torch.set_num_threads(1)
    unit = hwact.build("gelu", width=width)
    fmt = unit.input_format
    codes = np.random.default_rng(1).integers(fmt.min_code, fmt.max_code + 1, count, dtype=fmt.dtype)
    values = torch.from_numpy(codes.astype(np.float32) * np.float32(fmt.ulp))
    memory = extra_memory(lambda: unit.evaluate(codes))  # the first call, so whatever it prepares counts
    torch.nn.functional.gelu(values)
    ours, theirs = [], []
    for _ in range(repeats):
        ours.append(seconds(lambda: unit.evaluate(codes)))
        theirs.append(seconds(lambda: torch.nn.functional.gelu(values)))
    ratios = tuple(their / our for our, their in zip(ours, theirs, strict=True))
    millions = f"{count / 1e6:g} million"
    yield Row(what=f"golden model, {millions} {width}-bit codes", unit="s", samples=tuple(ours))
    yield Row(what=f"PyTorch float32 GELU, {millions}, one thread", unit="s", samples=tuple(theirs))
    yield Row(what="golden model, times as fast as PyTorch", unit="x", samples=ratios, bar=2, at_least=True)
    yield Row(what="golden model, memory beyond input and output", unit="MiB", samples=(memory,), bar=64)


def compiled_golden(unit: Unit, folder: Path) -> Callable[[Codes, Codes], object]:
    """The C golden model over arrays, compiled as anybody would."""
    bundle, library = unit.write(folder), folder / "golden.so"
    source = bundle / f"{unit.name}_golden.c"
    command = ["cc", "-std=c99", "-O2", "-shared", "-fPIC", str(source), "-o", str(library)]
    subprocess.run(command, check=True)
    function = ctypes.CDLL(str(library))[f"{unit.name}_golden_array"]
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
    function.restype = None
    return lambda codes, results: function(codes.ctypes.data, results.ctypes.data, codes.size)


def c_rows(width: int, count: int, repeats: int) -> Iterator[Row]:
    """The C golden model against Python's, on the same codes; one core each."""
    unit = hwact.build("gelu", width=width)
    source, sink = unit.input_format, unit.output_format
    codes = np.random.default_rng(2).integers(source.min_code, source.max_code + 1, count, dtype=source.dtype)
    results = np.empty(count, dtype=sink.dtype)
    with tempfile.TemporaryDirectory() as folder:
        call = compiled_golden(unit, Path(folder))
    call(codes, results)
    if not np.array_equal(results, unit.evaluate(codes)):
        raise SystemExit("the C golden model must give the golden model's codes, not others")
    ours, theirs = [], []
    for _ in range(repeats):
        ours.append(seconds(lambda: call(codes, results)))
        theirs.append(seconds(lambda: unit.evaluate(codes)))
    rates = tuple(count / our / 1e9 for our in ours)
    ratios = tuple(their / our for our, their in zip(ours, theirs, strict=True))
    what = f"C golden model, {count / 1e6:g} million {width}-bit codes"
    yield Row(what=what, unit="billion a second", samples=rates, bar=1, at_least=True)
    yield Row(what="C golden model, times as fast as NumPy's", unit="x", samples=ratios)


def measure(width: int, count: int, repeats: int) -> Iterator[Row]:
    """Measure everything, row by row, as it is finished."""
    generate = tuple(time_generate(width) for _ in range(repeats))
    yield Row(what=f"generate --width {width}, three units", unit="s", samples=generate, bar=10)
    yield from golden_rows(width, count, max(repeats, 5))
    yield from c_rows(width, count, max(repeats, 5))
    cold, reused = zip(*(time_verify(width) for _ in range(repeats)), strict=True)
    yield Row(what=f"verify, one {width}-bit unit, from nothing", unit="s", samples=cold, bar=30)
    yield Row(what=f"verify, one {width}-bit unit, build reused", unit="s", samples=reused, bar=10)


def machine() -> str:
    """What the figures depend on, in words."""
    cores = len(os.sched_getaffinity(0))
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, PyTorch {torch.__version__}"
    return f"{cores} cores ({platform.machine()}), {versions}"


def markdown(rows: list[Row]) -> str:
    """The rows as the README's table."""
    header = ("measured", "median", "min to max", "bar", "met")
    lines = [header, ("---",) * len(header), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + f"\n\n{machine()}"


def main() -> None:
    """Measure, and print each row as it is finished, the chosen form at the end."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=int, default=16, help="bits of every unit (default 16)")
    parser.add_argument("--codes", type=int, default=10_000_000, help="codes for the golden model")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each command (default 3)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="print the README's table")
    form.add_argument("--json", action="store_true", help="print all samples")
    options = parser.parse_args()
    rows = []
    for row in measure(options.width, options.codes, options.repeats):
        rows.append(row)
        print("  ".join(row.cells()), file=sys.stderr if options.json or options.markdown else sys.stdout)
    if options.json:
        records = [asdict(row) | {"median": row.median, "met": row.met} for row in rows]
        print(json.dumps({"machine": machine(), "rows": records}, indent=2))
    elif options.markdown:
        print(markdown(rows))
    else:
        print(machine())


if __name__ == "__main__":
    main()
