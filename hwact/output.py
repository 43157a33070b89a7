# SPDX-License-Identifier: Apache-2.0
"""An output of a unit: a design, and its golden model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hwact.accuracy import AccuracyReport
from hwact.architectures.problem import UnitSpec
from hwact.design import Design
from hwact.errors import ArgumentError
from hwact.formats import Format
from hwact.functions.spec import FunctionSpec

Array = npt.NDArray[Any]
_BLOCK = 1 << 14


@dataclass(frozen=True, eq=False)
class Output:
    """The codes that a design puts out.

    Parameters
    ----------
    design : Design
    """

    design: Design

    @property
    def spec(self) -> UnitSpec:
        """What was asked for."""
        return self.design.spec

    @property
    def function(self) -> FunctionSpec:
        """The exact function."""
        return self.spec.function

    @property
    def input_format(self) -> Format:
        """Format of the input codes."""
        return self.spec.input_format

    @property
    def output_format(self) -> Format:
        """Format of the output codes."""
        return self.spec.output_format

    @property
    def accuracy(self) -> AccuracyReport:
        """The error over all input codes."""
        return self.design.accuracy

    @cached_property
    def table(self) -> Array:
        """Output codes by the input's bits, in the smallest type."""
        bits = self.input_format.to_bits(self.input_format.codes())
        table = np.empty(bits.size, dtype=self.output_format.dtype)
        table[bits] = self.design.codes
        return table

    def evaluate(self, codes: npt.ArrayLike) -> Array:
        """The golden model: input codes to output codes, bit-exact with the hardware.

        Parameters
        ----------
        codes : integers, any shape
            Codes of the input format.

        Returns
        -------
        integer array of the same shape
            In the type the codes came in where it holds the output format, else in the smallest that
            does. Beyond input and output only blocks of a few kilobytes are needed.
        """
        array = np.asarray(codes)
        if array.dtype.kind not in "iu" and array.size:
            raise ArgumentError(
                f"codes must be integers, not {array.dtype.name!r}; call the unit itself to pass values"
            )
        self.check_range(array)
        flat = array.reshape(-1)
        fits = np.can_cast(self.output_format.dtype, array.dtype) and array.dtype.kind in "iu"
        result = np.empty(flat.size, dtype=array.dtype if fits else self.output_format.dtype)
        table, mask = self.table.astype(result.dtype), self.table.size - 1
        for start in range(0, flat.size, _BLOCK):
            block = slice(start, start + _BLOCK)
            np.take(table, flat[block].astype(np.intp) & mask, out=result[block], mode="wrap")
        return result.reshape(array.shape)

    def check_range(self, codes: Array) -> None:
        """Refuse integers that are no codes of the input format."""
        limits = np.iinfo(codes.dtype) if codes.dtype.kind in "iu" else None
        low, high = self.input_format.min_code, self.input_format.max_code
        if not codes.size or (limits and low <= limits.min and limits.max <= high):
            return
        least, most = int(codes.min()), int(codes.max())
        if least < low or most > high:
            raise ArgumentError(
                f"codes of {self.input_format} must be in {low}..{high}, "
                f"not {least if least < low else most!r}; "
                "saturate or wrap them first"
            )

    @cached_property
    def golden_sha256(self) -> str:
        """Digest of the output codes over all input codes, little-endian in the smallest type."""
        dtype = self.output_format.dtype.newbyteorder("<")
        return hashlib.sha256(self.design.codes.astype(dtype).tobytes()).hexdigest()

    def facts(self) -> dict[str, Any]:
        """What a manifest says of the output."""
        return {
            "output_format": str(self.output_format),
            "requested_accuracy": str(self.spec.accuracy),
            "architecture": self.design.architecture,
            "architecture_parameters": dict(self.design.parameters),
            "accuracy": self.accuracy.as_dict(),
            "golden_sha256": self.golden_sha256,
        }
