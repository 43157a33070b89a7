# SPDX-License-Identifier: Apache-2.0
"""One kernel for a GPU: codes in, codes out, by a unit's table. Needs Triton.

Where the table fits a multiprocessor's shared memory and Triton can gather from there (3.7, on NVIDIA), it is
read from there; elsewhere through the caches.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 4096
WARPS = 4
_PROGRAMS_A_PROCESSOR = 4


class _Gpu(NamedTuple):
    """What a kernel's shape depends on: how many multiprocessors, and the shared memory of one, in bytes."""

    processors: int
    shared: int


class _Way(NamedTuple):
    """A kernel, how many codes a program takes at a time, its warps, and how many programs pay at most."""

    kernel: Any
    block: int
    warps: int
    programs: int


@triton.jit(do_not_specialize=["count"])  # type: ignore[untyped-decorator]
def look_up(
    codes: tl.tensor,
    table: tl.tensor,
    results: tl.tensor,
    count: tl.tensor,
    entries: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """Each program goes through many blocks, so that the table stays in its multiprocessor's cache.

    Whole blocks are not masked, so that 16 bytes are loaded and stored at a time.
    """
    lanes = tl.arange(0, block)
    first, step = tl.program_id(0).to(tl.int64) * block, tl.num_programs(0).to(tl.int64) * block
    whole = count // block * block
    for start in range(first, whole, step):
        code = tl.load(codes + start + lanes, eviction_policy="evict_first")
        found = tl.load(table + (code.to(tl.int32) & (entries - 1)), eviction_policy="evict_last")
        result = found.to(results.dtype.element_ty)
        tl.store(results + start + lanes, result, eviction_policy="evict_first")
    if first + block == step:
        inside = lanes < count - whole
        code = tl.load(codes + whole + lanes, mask=inside, other=0)
        found = tl.load(table + (code.to(tl.int32) & (entries - 1)))
        tl.store(results + whole + lanes, found.to(results.dtype.element_ty), mask=inside)


def evaluate(codes: Tensor, table: Tensor, dtype: torch.dtype) -> Tensor:
    """As :meth:`hwact.torch.Activation.evaluate`: output codes of the low bits of the codes.

    Parameters
    ----------
    codes : integer tensor, any shape
    table : integer tensor, shape ``(2**width,)``
        Output codes by the input's bits, on the same device.
    dtype : torch.dtype
        Of the result.
    """
    flat = codes.contiguous()
    count, entries = flat.numel(), table.numel()
    results = torch.empty(flat.shape, dtype=dtype, device=flat.device)
    if count:
        way = _way(_gpu(flat.device.index), entries * table.element_size())
        programs = min(max(1, count // way.block), way.programs)
        with torch.cuda.device_of(flat):
            way.kernel[(programs,)](flat, table, results, count, entries, way.block, num_warps=way.warps)
    return results


def _way(gpu: _Gpu, table: int) -> _Way:
    """The kernel for a table of so many bytes."""
    near = _gluon_kernels()
    if near and table <= gpu.shared:
        return _Way(near.look_up, near.BLOCK, near.WARPS, gpu.processors)
    return _Way(look_up, BLOCK, WARPS, _PROGRAMS_A_PROCESSOR * gpu.processors)


@cache
def _gpu(index: int) -> _Gpu:
    properties = triton.runtime.driver.active.utils.get_device_properties(index)
    return _Gpu(properties["multiprocessor_count"], 0 if torch.version.hip else properties["max_shared_mem"])


@cache
def _gluon_kernels() -> Any:
    """The module of the kernel for shared memory; none where Triton cannot."""
    try:
        from hwact import gluon_kernels
    except ImportError:
        return None
    return gluon_kernels
