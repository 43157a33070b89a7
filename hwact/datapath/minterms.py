# SPDX-License-Identifier: Apache-2.0
"""What synthesis makes of a table: look-up tables for its leaves, and multiplexers."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt


@lru_cache(maxsize=4096)
def minterm_luts(table: tuple[int, ...], lut_inputs: int) -> float:
    """Estimated look-up tables of a table that is left to synthesis.

    These are the distinct leaf functions of every output bit, and the multiplexers that join them.

    Parameters
    ----------
    table : tuple of int
        Its words; the last one counts for all addresses beyond.
    lut_inputs : int
        4 or 6.
    """
    depth = max(lut_inputs, (len(table) - 1).bit_length())
    entries = np.array(table + (table[-1],) * ((1 << depth) - len(table)))
    word = np.dtype(f"u{(1 << lut_inputs) // 8}")
    total = 0.0
    for bit in range(int(max(entries.max(), ~entries.min())).bit_length() + 1):
        leaves = np.packbits((entries >> bit & 1).astype(np.bool_), bitorder="little").view(word)
        functions = np.unique(np.where(leaves & 1, ~leaves, leaves))  # a complement is free
        leaf, join = (1, 1) if lut_inputs == 4 or functions.size == 1 else (1.5, 0.3)  # as Yosys finds them
        total += np.count_nonzero(functions) * leaf + _multiplexers(leaves) * join
    return total


def _multiplexers(blocks: npt.NDArray[np.unsignedinteger[Any]]) -> float:
    """Distinct pairs of different blocks in the binary tree above the leaves; half, where one is constant."""
    constant, numbers = np.unique(blocks, return_inverse=True)
    constant = (constant == 0) | (constant == np.iinfo(blocks.dtype).max)
    count = 0.0
    while numbers.size > 1:
        pairs, numbers = np.unique(numbers.reshape(-1, 2), axis=0, return_inverse=True)
        differ = pairs[:, 0] != pairs[:, 1]
        count += float((differ * (1 - 0.5 * constant[pairs].any(axis=1))).sum())
        constant = constant[pairs[:, 0]] & ~differ
        numbers = numbers.reshape(-1)
    return count
