# SPDX-License-Identifier: Apache-2.0
"""What is exported, and what an export is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwact import accuracy, naming
from hwact.accuracy import AccuracyReport
from hwact.architectures.problem import UnitSpec
from hwact.errors import ArgumentError
from hwact.formats import Codes, Format, Overflow
from hwact.unit import from_manifest, specification

MAX_TABLE_BITS = 20


@dataclass(frozen=True, eq=False)
class Source:
    """A function between formats, and its output codes.

    Parameters
    ----------
    name : str
        Of the files.
    spec : UnitSpec
        Function, formats, rounding and overflow.
    codes : int64 array, shape (2**input width,)
        Output codes over all input codes, from the most negative.
    """

    name: str
    spec: UnitSpec
    codes: Codes

    @classmethod
    def of_function(cls, function: str | None, **options: object) -> Source:
        """A function's correctly rounded codes; arguments as in :func:`hwact.unit.specification`."""
        spec = specification(function, **options)  # type: ignore[arg-type]
        name = options.get("name")
        own = naming.default(spec.function, spec.input_format, spec.output_format)
        return cls(
            naming.checked(str(name)) if name is not None else own, spec, spec.exact.rounded(spec.rounding)
        )

    @classmethod
    def of_bundle(cls, folder: Path) -> Source:
        """The golden model's codes of a bundle.

        Raises
        ------
        BundleError
            The folder is no bundle, or not a whole one.
        """
        from hwact.verify.claims import read_bundle  # the simulators' libraries take a while to load

        bundle = read_bundle(folder)
        unit = from_manifest(bundle.manifest)
        if unit.setting_format:
            raise ArgumentError(
                f"a bundle must be of one function to be exported, not {bundle.name!r} of run-time beta; "
                "generate one with beta as a number"
            )
        return cls(bundle.name, unit.spec, unit.design.codes)

    def table(self) -> npt.NDArray[np.integer]:
        """Output codes by the input's bits, in the output format's smallest type.

        Raises
        ------
        ArgumentError
            The input has more than 20 bits.
        """
        given = self.spec.input_format
        if given.width > MAX_TABLE_BITS:
            raise ArgumentError(
                f"a whole table must have at most {MAX_TABLE_BITS} input bits, "
                f"not {given.width!r} in {given}; choose a narrower input format"
            )
        table = np.empty(self.codes.size, dtype=self.spec.output_format.dtype)
        table[given.to_bits(given.codes())] = self.codes
        return table

    def words(self) -> list[str]:
        """The table in hexadecimal, each word with all digits of the output width."""
        width = self.spec.output_format.width
        bits = self.spec.output_format.to_bits(self.table().astype(np.int64))
        return [f"{int(word):0{-(-width // 4)}x}" for word in bits]

    @property
    def formats(self) -> tuple[Format, Format]:
        """Input and output format."""
        return self.spec.input_format, self.spec.output_format

    def refuse_wrapping(self, target: str) -> None:
        """Refuse an output that wraps, which no interpolation follows."""
        mode = self.spec.overflow
        require(target, "an output that saturates", holds=mode is Overflow.SATURATE, given=mode.value)


def require(target: str, what: str, *, holds: bool, given: str) -> None:
    """Refuse what a target's format cannot hold."""
    if not holds:
        raise ArgumentError(f"{target} must be given {what}, not {given!r}; choose coe, mem or npy")


@dataclass(frozen=True, eq=False)
class Export:
    """The files for one target, and what its receiver computes from them.

    Parameters
    ----------
    files : mapping
        Content by file name.
    entries : str
        What was written.
    evaluation : str
        How the receiver gets an output from it.
    spec : UnitSpec
    codes : int64 array, shape (2**input width,)
        The receiver's output codes over all input codes, from the most negative.
    """

    files: Mapping[str, bytes]
    entries: str
    evaluation: str
    spec: UnitSpec
    codes: Codes

    @cached_property
    def accuracy(self) -> AccuracyReport:
        """The receiver's error against the exact function, over all input codes."""
        return accuracy.report(self.spec, self.codes)
