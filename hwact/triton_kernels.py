# SPDX-License-Identifier: Apache-2.0
"""One kernel for a GPU: codes in, codes out, by a unit's table. Needs Triton."""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 4096
_PROGRAMS_A_PROCESSOR = 4


@triton.jit  # type: ignore[untyped-decorator]
def _look_up(codes: Any, table: Any, results: Any, count: Any, mask: Any, block: tl.constexpr) -> None:
    """Each program goes through many blocks, so that the table stays in its multiprocessor's cache."""
    step = tl.num_programs(0).to(tl.int64) * block
    first = tl.program_id(0).to(tl.int64) * block
    for start in range(first, count, step):
        places = start + tl.arange(0, block)
        inside = places < count
        code = tl.load(codes + places, mask=inside, other=0, eviction_policy="evict_first")
        index = code.to(tl.int32) & mask
        found = tl.load(table + index, eviction_policy="evict_last")
        tl.store(results + places, found.to(results.dtype.element_ty), mask=inside)


def evaluate(codes: Tensor, table: Tensor, mask: int, dtype: torch.dtype) -> Tensor:
    """As :meth:`hwact.torch.Activation.evaluate`: output codes of the low bits of the codes.

    Parameters
    ----------
    codes : integer tensor, any shape
    table : integer tensor
        Output codes by the input's bits, on the same device.
    mask : int
        Selects the input's bits.
    dtype : torch.dtype
        Of the result.
    """
    flat = codes.contiguous()
    results = torch.empty(flat.shape, dtype=dtype, device=flat.device)
    programs = min(triton.cdiv(flat.numel(), _BLOCK), _most_programs(flat.device))
    if programs:
        with torch.cuda.device_of(flat):
            _look_up[(programs,)](flat, table, results, flat.numel(), mask, block=_BLOCK)
    return results


def _most_programs(device: torch.device) -> int:
    """As many as keep a GPU busy, and few enough that each reads the table once for many codes."""
    return int(torch.cuda.get_device_properties(device).multi_processor_count) * _PROGRAMS_A_PROCESSOR
