# SPDX-License-Identifier: Apache-2.0
"""How fast `hwact.torch.Activation` is, against PyTorch's own float32 GELU on the CPU, in one run.

All of them take turns on as many values and with as many threads, so that a busy machine slows each. Where
there is a GPU, also the fraction of the copy bandwidth that codes to codes reach on it. Run
``python -m benchmarks.torch_activation``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import torch

import hwact
from benchmarks.speed import Row, machine, seconds
from hwact.torch import Activation

BAR = "PyTorch's GELU"


def rows(width: int, count: int, repeats: int, threads: int) -> Iterator[Row]:
    """Each way through the unit, as times PyTorch's speed."""
    torch.set_num_threads(threads)
    module = Activation(hwact.build("gelu", width=width))
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(count, generator=generator) * 3
    low, high = -(1 << (width - 1)), 1 << (width - 1)
    codes = torch.randint(low, high, (count,), generator=generator).to(module.table.dtype)
    calls: dict[str, Callable[[], object]] = {
        BAR: lambda: torch.nn.functional.gelu(values),
        "codes to codes": lambda: module.evaluate(codes),
        "floats to floats": lambda: module(values),
    }
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(repeats):
        for name, call in calls.items():
            samples[name].append(seconds(call))
    where = f"{count:,} values, {threads} threads"
    yield Row(what=f"{BAR}, {where}", unit="ms", samples=tuple(1e3 * s for s in samples[BAR]))
    for name in list(calls)[1:]:
        ratios = tuple(t / s for t, s in zip(samples[BAR], samples[name], strict=True))
        yield Row(what=f"{width}-bit unit, {name}, {where}", unit="x", samples=ratios, bar=1, at_least=True)


def gpu_rows(width: int, count: int, repeats: int) -> Iterator[Row]:
    """Codes to codes on a GPU, as a fraction of the bandwidth of copying as many bytes."""
    module = Activation(hwact.build("gelu", width=width)).cuda()
    low, high = -(1 << (width - 1)), 1 << (width - 1)
    codes = torch.randint(low, high, (count,), device="cuda").to(module.table.dtype)
    copied = torch.empty_like(codes)

    def milliseconds(call: Callable[[], object]) -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        torch.cuda.synchronize()
        return float(start.elapsed_time(end))

    calls: tuple[Callable[[], object], ...] = (
        lambda: copied.copy_(codes),
        lambda: module.evaluate(codes),
    )
    for call in calls:
        call()
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
        for count in (100_000, 10_000_000):
            for row in rows(16, count, options.repeats, threads):
                print("  ".join(row.cells()), flush=True)
    if torch.cuda.is_available():
        for row in gpu_rows(16, 100_000_000, options.repeats):
            print("  ".join(row.cells()), flush=True)
    print(machine())


if __name__ == "__main__":
    main()
