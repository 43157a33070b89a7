# SPDX-License-Identifier: Apache-2.0
"""How fast `hwact.torch.Activation` is, against PyTorch's own float32 GELU on the CPU, in one run.

All of them take turns on as many values and with as many threads, so that a busy machine slows each. The same
for other look-ups of 16-bit codes, those of NumPy and PyTorch. Where there is a GPU, also the fraction of the
copy bandwidth that codes to codes reach on it. Run ``python -m benchmarks.torch_activation``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import torch

import hwact
from benchmarks.speed import Row, machine, seconds
from hwact.torch import Activation

BAR = "PyTorch's GELU"
GPU_CALLS = 20


def rows(width: int, count: int, repeats: int, threads: int) -> Iterator[Row]:
    """Each way through the unit, as times PyTorch's speed."""
    torch.set_num_threads(threads)
    unit = hwact.build("gelu", width=width)
    module, source = Activation(unit), unit.input_format
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(count, generator=generator)
    normal = (values / float(source.ulp)).round().clamp(source.min_code, source.max_code)
    codes = normal.to(module.table.dtype)
    alike = torch.randint(source.min_code, source.max_code + 1, (count,), generator=generator).to(codes.dtype)
    calls: dict[str, Callable[[], object]] = {
        BAR: lambda: torch.nn.functional.gelu(values),
        "codes to codes, of normal values": lambda: module.evaluate(codes),
        "codes to codes, all alike": lambda: module.evaluate(alike),
        "floats to floats": lambda: module(values),
    }
    where = f"{count:,} values, {threads} threads"
    yield from _beside_gelu(calls, f"{width}-bit unit, ", where, count, repeats, bar=1)


def look_up_rows(count: int, repeats: int) -> Iterator[Row]:
    """Look-ups of 16-bit codes, ours and the libraries', with one thread, as times PyTorch's speed."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(count, generator=generator) * 3
    table = torch.randint(-(1 << 15), 1 << 15, (1 << 16,), generator=generator).to(torch.int16)
    codes = torch.randint(0, 1 << 16, (count,), generator=generator).to(torch.uint16)
    module = Activation(hwact.build("gelu", width=16))
    long, words, column = codes.long(), table.numpy(), table[:, None]
    bits, index, near, result = codes.numpy(), long.numpy(), (long % 1024).numpy(), np.empty(count, np.int16)
    calls: dict[str, Callable[[], object]] = {
        BAR: lambda: torch.nn.functional.gelu(values),
        "hwact's loop": lambda: module.evaluate(codes.view(torch.int16)),
        "int64 known, take(mode='wrap'), of 1024 codes": lambda: words.take(near, out=result, mode="wrap"),
        "int64 known, take(mode='wrap')": lambda: words.take(index, out=result, mode="wrap"),
        "int64 known, take(mode='clip')": lambda: words.take(index, out=result, mode="clip"),
        "int64 known, torch.index_select": lambda: torch.index_select(table, 0, long),
        "take(mode='wrap')": lambda: words.take(bits, out=result, mode="wrap"),
        "take(mode='clip')": lambda: words.take(bits, out=result, mode="clip"),
        "words[codes]": lambda: words[bits],
        "torch.index_select of int32": lambda: torch.index_select(table, 0, codes.int()),
        "torch.gather": lambda: torch.gather(table, 0, codes.long()),
        "torch.take": lambda: torch.take(table, codes.long()),
        "table[codes.int()]": lambda: table[codes.int()],
        "embedding": lambda: torch.nn.functional.embedding(codes.int(), column),
    }
    yield from _beside_gelu(calls, "16-bit codes, ", f"{count:,} codes, 1 thread", count, repeats)


def _beside_gelu(
    calls: dict[str, Callable[[], object]],
    what: str,
    where: str,
    count: int,
    repeats: int,
    bar: float | None = None,
) -> Iterator[Row]:
    """The time of the first call, and the others as times its speed; all take turns."""
    inner = max(1, 200_000 // count)
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(repeats):
        for name, call in calls.items():
            samples[name].append(seconds(lambda call=call: [call() for _ in range(inner)]) / inner)  # type: ignore[misc]
    yield Row(what=f"{BAR}, {where}", unit="ms", samples=tuple(1e3 * s for s in samples[BAR]))
    for name in list(calls)[1:]:
        ratios = tuple(t / s for t, s in zip(samples[BAR], samples[name], strict=True))
        yield Row(what=f"{what}{name}, {where}", unit="x", samples=ratios, bar=bar, at_least=True)


def gpu_rows(width: int, count: int, repeats: int) -> Iterator[Row]:
    """Codes to codes on a GPU, as a fraction of the bandwidth of copying as many bytes."""
    module = Activation(hwact.build("gelu", width=width)).cuda()
    low, high, mask = -(1 << (width - 1)), 1 << (width - 1), (1 << width) - 1
    codes = torch.randint(low, high, (count,), device="cuda").to(module.table.dtype)
    due = module.table[codes[1:].int() & mask]
    for given, expected in ((codes[1:], due), (codes[1:].clone(), due), (codes[1:100], due[:99])):
        if not torch.equal(module.evaluate(given), expected):
            raise AssertionError("the GPU's codes must be those of the table")
    copied = torch.empty_like(codes)

    def milliseconds(call: Callable[[], object]) -> float:
        """Of one of many calls that wait for the GPU, so that it does not wait for them."""
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(GPU_CALLS):
            call()
        end.record()
        torch.cuda.synchronize()
        return float(start.elapsed_time(end)) / GPU_CALLS

    calls: tuple[Callable[[], object], ...] = (
        lambda: copied.copy_(codes),
        lambda: module.evaluate(codes),
    )
    for call in calls:
        milliseconds(call)
    pairs = [tuple(milliseconds(call) for call in calls) for _ in range(repeats)]
    where = f"{count:,} values, {torch.cuda.get_device_name()}"
    bytes_moved = 2 * codes.element_size() * count
    speeds = tuple(bytes_moved / copy / 1e6 for copy, _ in pairs)
    yield Row(what=f"copying, {where}", unit="GB/s", samples=speeds)
    fractions = tuple(copy / look_up for copy, look_up in pairs)
    what = f"{width}-bit unit, codes to codes, of the copy's bandwidth, {where}"
    yield Row(what=what, unit="x", samples=fractions, bar=0.8, at_least=True)


def main() -> None:
    """Measure, and print a row for each way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=11, help="runs of each (default 11)")
    options = parser.parse_args()
    for threads in (1, 2):
        for count, width in product((10_000, 100_000, 1_000_000, 10_000_000), (8, 16)):
            for row in rows(width, count, options.repeats, threads):
                print("  ".join(row.cells()), flush=True)
    for row in look_up_rows(100_000, options.repeats):
        print("  ".join(row.cells()), flush=True)
    if torch.cuda.is_available():
        for width in (8, 16):
            for row in gpu_rows(width, 200_000_000, options.repeats):
                print("  ".join(row.cells()), flush=True)
    print(machine())


if __name__ == "__main__":
    main()
