# SPDX-License-Identifier: Apache-2.0
"""A file for Verilog's ``$readmemh``: every output code, by the input's bits."""

from __future__ import annotations

from hwact.export.source import Export, Source

NAME = "mem"


def export(source: Source) -> Export:
    """The whole table, one hexadecimal word a line."""
    words = source.words()
    return Export(
        {f"{source.name}.mem": "".join(f"{word}\n" for word in words).encode()},
        f"{len(words)} words of {source.spec.output_format.width} bits",
        "$readmemh, word at the address of the input's bits",
        source.spec,
        source.codes,
    )
