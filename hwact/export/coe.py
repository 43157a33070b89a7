# SPDX-License-Identifier: Apache-2.0
"""AMD's memory initialisation file (COE): every output code, by the input's bits."""

from __future__ import annotations

from hwact.export.source import Export, Source

NAME = "coe"


def export(source: Source) -> Export:
    """The whole table in hexadecimal, for block and distributed memory generators."""
    words = source.words()
    text = "memory_initialization_radix=16;\nmemory_initialization_vector=\n" + ",\n".join(words) + ";\n"
    return Export(
        {f"{source.name}.coe": text.encode()},
        f"{len(words)} words of {source.spec.output_format.width} bits",
        "word at the address of the input's bits",
        source.spec,
        source.codes,
    )
