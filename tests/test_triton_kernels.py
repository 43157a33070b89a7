# SPDX-License-Identifier: Apache-2.0
"""The kernels of a GPU, without one: run on all codes, compiled for GPUs, and which of them is taken."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import hwact
from hwact import gluon_kernels, triton_kernels
from hwact import torch as hwact_torch
from hwact.torch import Activation
from tests.gluon import Codes, run

INTERPRETED = """
import torch, hwact
from hwact import triton_kernels
from hwact.torch import Activation
triton_kernels._gpu = lambda index: triton_kernels._Gpu(3, 0)
checked = 0
for width, dtype in ((16, torch.int16), (8, torch.int8), (8, torch.int64)):
    module = Activation(hwact.build("gelu", width=width))
    codes = torch.arange(-(1 << width - 1), (1 << width - 1) - 1).to(dtype)  # no whole number of blocks
    for given in (codes, codes[::3], codes[:0], codes[:1]):
        result = triton_kernels.evaluate(given, module.table, dtype)
        assert result.dtype == dtype
        assert torch.equal(result, module.evaluate(given))
        checked += given.numel()
print(checked)
"""
COMPILED = """
import sys, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.experimental.gluon._runtime import GluonASTSource
from hwact import gluon_kernels, triton_kernels
capability, code, table, entries, count, aligned = sys.argv[1:]
types = {"codes": f"*{code}", "table": f"*{table}", "results": f"*{code}", "count": count}
types |= {"entries": "constexpr", "block": "constexpr"}
divisible = {(i,): [["tt.divisibility", 16]] for i in range(3) if aligned == "True"}
for source, module in ((ASTSource, triton_kernels), (GluonASTSource, gluon_kernels)):
    given = source(module.look_up, types, {"entries": int(entries), "block": module.BLOCK}, divisible)
    target = GPUTarget("cuda", int(capability), 32)
    made = triton.compile(given, target=target, options={"num_warps": module.WARPS})
    streams = [line for line in made.asm["ptx"].splitlines() if ".global." in line and "evict_first" in line]
    wide = sum("v4.b32" in line or "v2.b64" in line for line in streams)
    print(made.metadata.shared, len(streams), wide, made.asm["cubin"][1:4].decode())
"""

LAUNCHED = """
import torch, triton
from triton.backends.compiler import GPUTarget
from hwact import gluon_kernels, triton_kernels

class Gpu:
    utils = property(lambda self: self)
    get_current_target = lambda self: GPUTarget("cuda", 90, 32)
    get_current_device = get_current_stream = lambda self, *device: 0
    get_device_properties = lambda self, device: {"multiprocessor_count": 132, "max_shared_mem": 232448}

triton.runtime.driver.set_active(Gpu())
run = triton.JITFunction.run
kernels = set()
def launch(self, *given, grid, warmup, **options):
    made = run(self, *given, grid=grid, warmup=True, **options)
    kernels.add(made)
    print(self is gluon_kernels.look_up, *grid, made.metadata.num_warps, made.metadata.shared)
triton.JITFunction.run = launch
for entries in (1 << 16, 1 << 17):
    for count in (10**7, 65537, 16, 1, 0):
        codes, table = torch.zeros(count, dtype=torch.int16), torch.zeros(entries, dtype=torch.int16)
        triton_kernels.evaluate(codes, table, torch.int16)
print(len(kernels))
"""


def output(script: str, *arguments: object, **variables: str) -> str:
    """What a script prints: Triton looks at the environment when it is imported."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    environment = {**os.environ, **variables}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_kernel_of_any_gpu_in_tritons_interpreter() -> None:
    """All codes; three programs share them, so that each goes through several blocks."""
    assert int(output(INTERPRETED, TRITON_INTERPRET="1")) == 65535 + 21845 + 1 + 2 * (255 + 85 + 1)


@pytest.mark.parametrize(
    ("width", "kind", "block", "programs"),
    [
        (16, np.int16, gluon_kernels.BLOCK, 2),
        (16, np.int16, 1 << 12, 3),
        (8, np.int8, 16, 7),
        (8, np.int64, 64, 1),
        (8, np.int8, gluon_kernels.BLOCK, 1),
    ],
)
def test_the_kernel_with_the_table_in_shared_memory(
    width: int, kind: type, block: int, programs: int
) -> None:
    """All codes, in no, few and many whole blocks, and a rest."""
    table = Activation(hwact.build("gelu", width=width)).table.numpy()
    codes: Codes = np.arange(-(1 << width - 1), 1 << width - 1).astype(kind)
    checked = 0
    for given in (codes, codes[:-1], codes[::3], codes[:1]):
        due = table[given.astype(np.int64) & (table.size - 1)].astype(kind)
        got = run(gluon_kernels.look_up, gluon_kernels.WARPS, given, table, block, programs)
        np.testing.assert_array_equal(got, due)
        checked += given.size
    assert checked == codes.size * 2 + -(-codes.size // 3)


@pytest.mark.parametrize(
    ("capability", "code", "table", "entries", "count", "aligned"),
    [
        (75, "i8", "i8", 256, "i32", True),
        (80, "i16", "i16", 1 << 16, "i32", True),
        (90, "i16", "i16", 1 << 16, "i32", True),
        (90, "i16", "i16", 1 << 16, "i64", True),
        (90, "i16", "i16", 1 << 16, "i32", False),
        (90, "i64", "i8", 2, "i32", True),
        (90, "u8", "i16", 64, "i32", True),
        (100, "i16", "i16", 1 << 16, "i32", True),
    ],
)
def test_both_kernels_compile_for_gpus(
    capability: int, code: str, table: str, entries: int, count: str, aligned: bool
) -> None:
    """To machine code, without a GPU; whole blocks move by 16 bytes, and the table is where it should be."""
    lines = output(COMPILED, capability, code, table, entries, count, aligned).splitlines()
    cached, near = (line.split() for line in lines)
    assert (cached[0], int(near[0])) == ("0", entries * (int(table[1:]) // 8))
    for _, streams, wide, magic in (cached, near):
        assert magic == "ELF"
        assert int(streams) > 0
        assert int(wide) == (int(streams) if aligned else 0)


def test_kernels_are_launched_as_they_are_made() -> None:
    """Up to the launch, which needs a GPU; one kernel serves all counts."""
    *launches, kernels = output(LAUNCHED).splitlines()
    near = [f"True {programs} 32 131072" for programs in (132, 4, 1, 1)]
    assert launches == near + [f"False {programs} 4 0" for programs in (528, 16, 1, 1)]
    assert kernels == "2"


def test_the_kernel_depends_on_the_table_and_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    hopper, consumer = triton_kernels._Gpu(132, 232448), triton_kernels._Gpu(128, 101376)
    near, cached = gluon_kernels.look_up, triton_kernels.look_up
    ways = [triton_kernels._way(*given) for given in ((hopper, 1 << 17), (hopper, 1 << 8), (hopper, 1 << 18))]
    ways += [triton_kernels._way(consumer, 1 << 17)]
    assert [way.kernel for way in ways] == [near, near, cached, cached]
    assert [way.programs for way in ways] == [132, 132, 528, 512]
    monkeypatch.setattr(triton_kernels, "_gluon_kernels", lambda: None)
    assert triton_kernels._way(hopper, 1 << 17).kernel is cached


def test_codes_on_a_gpu_go_through_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as it can be told without a GPU: which way is taken, with Triton and without."""

    class OnGpu(Tensor):
        is_cuda = True

    module, taken = Activation(hwact.build("gelu", width=8)), []
    codes = torch.arange(-128, 128, dtype=torch.int8)
    due = module.evaluate(codes)

    def evaluate(*given: Any) -> Tensor:
        taken.append(given[1:])
        return due

    monkeypatch.setattr(hwact_torch, "_triton_kernels", lambda: SimpleNamespace(evaluate=evaluate))
    assert torch.equal(module.evaluate(codes.as_subclass(OnGpu)), due)
    assert taken == [(module.table, torch.int8)]
    monkeypatch.setattr(hwact_torch, "_triton_kernels", lambda: None)
    assert torch.equal(module.evaluate(codes.as_subclass(OnGpu)).as_subclass(Tensor), due)
