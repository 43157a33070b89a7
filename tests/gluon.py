# SPDX-License-Identifier: Apache-2.0
"""A Gluon kernel run without a GPU: its own Python, with what it takes from Gluon done by NumPy."""

from __future__ import annotations

from types import FunctionType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[Any]


class Block(Codes):
    """A tensor or a number of a kernel."""

    def to(self, kind: Any) -> Block:
        return self.astype(getattr(kind, "numpy", kind)).view(Block)


class Pointer(NamedTuple):
    """Memory of a GPU, where results were written to it, and places in it."""

    memory: Codes
    written: npt.NDArray[np.bool_]
    places: Any = 0

    @property
    def dtype(self) -> Any:
        kind = self.memory.dtype
        return SimpleNamespace(element_ty=SimpleNamespace(numpy=kind, primitive_bitwidth=8 * kind.itemsize))

    def __add__(self, places: Any) -> Pointer:
        return self._replace(places=self.places + places)

    def chosen(self, mask: Any) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        """Where the mask allows, and the places there, which must exist."""
        places = np.asarray(self.places)
        allowed = np.broadcast_to(mask, places.shape)
        inside = places[allowed]
        assert inside.size == 0 or 0 <= inside.min() <= inside.max() < self.memory.size
        return allowed, inside


class Shared:
    """Shared memory: it holds anything until it is written."""

    def __init__(self, words: Codes) -> None:
        self.words = words

    def slice(self, start: int, length: int) -> Shared:
        return Shared(self.words[start : start + length])

    def store(self, values: Block) -> None:
        self.words[:] = values

    def gather(self, index: Block, axis: int) -> Block:
        assert axis == 0
        assert 0 <= index.min() <= index.max() < self.words.size
        return self.words[index].view(Block)


def run(kernel: Any, warps: int, codes: Codes, table: Codes, block: int, programs: int) -> Codes:
    """The results of a look-up's programs, one after the other; each must be written once."""
    noise = np.random.default_rng(1)

    def anything(shape: Any, kind: Any) -> Block:
        return noise.integers(-128, 128, shape).astype(kind).view(Block)

    def number(value: int) -> Block:
        return np.array(value, np.int32).view(Block)

    def memory(words: Codes) -> Pointer:
        return Pointer(words, np.zeros(words.size, bool))

    def load(pointer: Pointer, mask: Any = True, other: int | None = None, **_: object) -> Block:
        allowed, places = pointer.chosen(mask)
        found = anything(allowed.shape, pointer.memory.dtype)
        if other is not None:
            found[:] = other
        found[allowed] = pointer.memory[places]
        return found

    def store(pointer: Pointer, values: Block, mask: Any = True, **_: object) -> None:
        allowed, places = pointer.chosen(mask)
        assert not pointer.written[places].any()
        pointer.written[places] = True
        pointer.memory[places] = values[allowed]

    language = SimpleNamespace(
        int32=np.int32,
        int64=np.int64,
        num_warps=lambda: warps,
        num_programs=lambda axis: number(programs),
        BlockedLayout=lambda *given: given,
        SwizzledSharedLayout=lambda *given: given,
        allocate_shared_memory=lambda kind, shape, layout: Shared(anything(shape, kind.numpy)),
        static_range=range,
        arange=lambda start, stop, layout: np.arange(start, stop, dtype=np.int32).view(Block),
        barrier=lambda: None,
        load=load,
        store=store,
    )
    body = FunctionType(kernel.fn.__code__, {**kernel.fn.__globals__, "gl": language})
    results = memory(np.empty_like(codes))
    for program in range(programs):
        language.program_id = lambda axis, program=program: number(program)
        body(memory(codes), memory(table), results, number(codes.size), table.size, block)
    assert results.written.all()
    return results.memory
