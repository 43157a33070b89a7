# SPDX-License-Identifier: Apache-2.0
"""A NumPy array: every output code, by the input's bits."""

from __future__ import annotations

import io

import numpy as np

from hwact.export.source import Export, Source

NAME = "npy"


def export(source: Source) -> Export:
    """The whole table in the output format's smallest type, little-endian.

    A negative input code is an index from the end, so that ``table[codes]`` works as it is.
    """
    table = source.table()
    return Export(
        {f"{source.name}.npy": array(table)},
        f"{table.size} codes, {table.dtype.name}",
        "table[code]",
        source.spec,
        source.codes,
    )


def array(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> bytes:
    """A ``.npy`` file."""
    content = io.BytesIO()
    np.save(content, values.astype(values.dtype.newbyteorder("<")))
    return content.getvalue()
