# SPDX-License-Identifier: Apache-2.0
"""Liberty files: what a user's standard cells are."""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hwact.errors import ArgumentError

# Whatever the layout: some libraries are one line.
_LIBRARY = re.compile(r'(?<!\w)library\s*\(\s*"?([^")\s]+)"?\s*\)\s*\{')
# A cell's name becomes part of Yosys' commands, which a semicolon would end.
_CELL = re.compile(r'(?<!\w)cell\s*\(\s*"?([^";)\s]+)"?\s*\)\s*\{')
_STATE = re.compile(r"(?<!\w)(?:ff|latch)(?:_bank)?\s*\(")
_KEPT_OUT = re.compile(r'(?<!\w)(?:is_isolation_cell|is_level_shifter|dont_use)\s*:\s*"?true')
_AREA = re.compile(r'(?<!\w)area\s*:\s*"?([\d.]+)')
_FUNCTION = re.compile(r'(?<!\w)function\s*:\s*"([^"]*)"')
_NAND2 = re.compile(r"!\((\w+)&(?!\1\b)\w+\)|\((\w+)&(?!\2\b)\w+\)'|!(\w+)\|!(?!\3\b)\w+|(\w+)'\|(?!\4')\w+'")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def _newlines(comment: re.Match[str]) -> str:
    """As many as there are, so that Yosys' messages name the user's own lines."""
    return "\n" * comment[0].count("\n")


@dataclass(frozen=True)
class Liberty:
    """A Liberty file.

    Parameters
    ----------
    name : str
        Of the library.
    text : str
        Without comments.
    """

    name: str
    text: str

    @classmethod
    def read(cls, path: Path) -> Liberty:
        """Read a ``.lib`` file, or one packed by gzip.

        Raises
        ------
        ArgumentError
            It cannot be read, or is no Liberty file.
        """
        try:
            content = path.read_bytes()
            content = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or error
            raise ArgumentError(
                f"the Liberty file must be one that can be read, not {str(path)!r} ({reason}); "
                "name a .lib or .lib.gz file"
            ) from None
        text = _COMMENT.sub(_newlines, content.decode(errors="replace"))
        library = _LIBRARY.search(text)
        if library is None or not _CELL.search(text):
            raise ArgumentError(
                f"the Liberty file must hold a library of cells, not be {str(path)!r}; "
                "name the .lib file of a standard-cell library"
            )
        return cls(library[1], text)

    @cached_property
    def sha256(self) -> str:
        """Digest of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def cells(self) -> dict[str, str]:
        """The text of every cell by its name."""
        found = list(_CELL.finditer(self.text))
        ends = [cell.start() for cell in found[1:]] + [len(self.text)]
        return {cell[1]: self.text[cell.end() : end] for cell, end in zip(found, ends, strict=True)}

    @cached_property
    def kept_out(self) -> list[str]:
        """Cells that logic must not be made of: isolation cells, level shifters, cells not to be used."""
        return [name for name, text in self.cells.items() if _KEPT_OUT.search(text)]

    @cached_property
    def nand2_area(self) -> float | None:
        """Area of the smallest NAND2, in the library's unit; none where it has none."""
        areas = [_AREA.search(text) for text in self.cells.values() if _is_nand2(text)]
        return min((float(area[1]) for area in areas if area), default=None)

    @cached_property
    def flip_flops(self) -> set[str]:
        """Cells that hold a state."""
        return {name for name, text in self.cells.items() if _STATE.search(text)}


def _is_nand2(cell: str) -> bool:
    functions = _FUNCTION.findall(cell)
    if len(functions) != 1:
        return False
    spelled = re.sub(r"\s*([!&*|+()'])\s*", r"\1", functions[0].strip()).replace("*", "&").replace("+", "|")
    spelled = spelled.replace(" ", "&")
    bare = re.sub(r"\((!\w+|\w+')\)", r"\1", spelled)
    if not any(map(_NAND2.fullmatch, (bare, bare[1:-1]))):
        return False
    return not _STATE.search(cell) and not _KEPT_OUT.search(cell)
