# SPDX-License-Identifier: Apache-2.0
"""The kernel for a GPU with the table in shared memory. Needs Triton 3.7, the first to gather from there."""

from __future__ import annotations

from triton.experimental import gluon
from triton.experimental.gluon import language as gl

if not hasattr(gl.shared_memory_descriptor, "gather"):
    raise ImportError("Triton must be at least 3.7 to gather from shared memory")

BLOCK = 16384
WARPS = 32  # with their registers a program fills a multiprocessor


@gluon.jit(do_not_specialize=["count"])  # type: ignore[untyped-decorator]
def look_up(
    codes: gl.tensor,
    table: gl.tensor,
    results: gl.tensor,
    count: gl.tensor,
    entries: gl.constexpr,
    block: gl.constexpr,
) -> None:
    """Each program reads the table once, then goes through many blocks, each loaded while one is looked up.

    Whole blocks are not masked, so that 16 bytes are loaded and stored at a time.
    """
    run: gl.constexpr = 128 // codes.dtype.element_ty.primitive_bitwidth
    layout: gl.constexpr = gl.BlockedLayout([run], [32], [gl.num_warps()], [0])
    words: gl.constexpr = gl.SwizzledSharedLayout(1, 1, 1, [0])
    near = gl.allocate_shared_memory(table.dtype.element_ty, [entries], words)
    piece: gl.constexpr = min(entries, block)
    for entry in gl.static_range(0, entries, piece):
        near.slice(entry, piece).store(gl.load(table + entry + gl.arange(0, piece, layout)))
    gl.barrier()
    lanes = gl.arange(0, block, layout)
    first, step = gl.program_id(0).to(gl.int64) * block, gl.num_programs(0).to(gl.int64) * block
    whole = count // block * block
    code = gl.load(codes + first + lanes, mask=first < whole, eviction_policy="evict_first")
    for start in range(first, whole, step):
        later = start + step
        following = gl.load(codes + later + lanes, mask=later < whole, eviction_policy="evict_first")
        found = near.gather(code.to(gl.int32) & (entries - 1), 0)
        result = found.to(results.dtype.element_ty)
        gl.store(results + start + lanes, result, eviction_policy="evict_first")
        code = following
    if first + block == step:
        inside = lanes < count - whole
        code = gl.load(codes + whole + lanes, mask=inside, other=0)
        found = near.gather(code.to(gl.int32) & (entries - 1), 0)
        gl.store(results + whole + lanes, found.to(results.dtype.element_ty), mask=inside)
