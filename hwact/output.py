# SPDX-License-Identifier: Apache-2.0
"""An output of a unit: a design, and its golden model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hwact.accuracy import AccuracyReport, spread_codes
from hwact.architectures.problem import UnitSpec
from hwact.datapath.evaluate import evaluate
from hwact.design import Design
from hwact.errors import ArgumentError
from hwact.formats import Format
from hwact.functions.spec import FunctionSpec
from hwact.runtime import Family

Array = npt.NDArray[Any]
DIGESTED_CODES = 1 << 16  # of an input of more than 24 bits
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

    @property
    def setting_format(self) -> Format | None:
        """Format of the settings that come with the codes, if any do."""
        return self.design.setting_format if isinstance(self.design, Family) else None

    def at(self, log2_beta: int) -> Output:
        """The output at one setting of a run-time beta; one beyond the useful ones counts as the nearest."""
        if not isinstance(self.design, Family):
            raise ArgumentError(f"log2_beta must be left out without a run-time beta, not {log2_beta!r}")
        self._check_settings(np.asarray(log2_beta))
        return Output(self.design.member(log2_beta))

    @cached_property
    def table(self) -> Array:
        """Output codes by the input's bits and, above them, the setting's; in the smallest type."""
        bits = self.input_format.to_bits(self.input_format.codes())
        table = np.empty((len(self._designs), bits.size), dtype=self.output_format.dtype)
        for row, design in zip(table, self._designs, strict=True):
            row[bits] = design.codes
        return table.reshape(-1)

    @property
    def _designs(self) -> list[Design]:
        """The designs by the setting's bits."""
        if not isinstance(self.design, Family):
            return [self.design]
        settings = self.design.setting_format.codes()
        order = np.argsort(self.design.setting_format.to_bits(settings))
        return [self.design.member(int(setting)) for setting in settings[order]]

    def evaluate(self, codes: npt.ArrayLike, log2_beta: npt.ArrayLike | None = None) -> Array:
        """The golden model: input codes to output codes, bit-exact with the hardware.

        Parameters
        ----------
        codes : integers, any shape
            Codes of the input format.
        log2_beta : integers, of a shape that broadcasts to that of the codes
            Settings of a run-time beta, which must be there for a unit that has one, and for no other.

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
        flat, start_of = array.reshape(-1), self._starts(array, log2_beta)
        fits = np.can_cast(self.output_format.dtype, array.dtype) and array.dtype.kind in "iu"
        result = np.empty(flat.size, dtype=array.dtype if fits else self.output_format.dtype)
        if not self.spec.listed:
            result[:] = evaluate(self.design.datapath, flat.astype(np.int64))
            return result.reshape(array.shape)
        table, mask = self.table.astype(result.dtype), (1 << self.input_format.width) - 1
        for start in range(0, flat.size, _BLOCK):
            block = slice(start, start + _BLOCK)
            index = flat[block].astype(np.intp) & mask
            if start_of is not None:
                index |= start_of[block]
            np.take(table, index, out=result[block], mode="wrap")
        return result.reshape(array.shape)

    def _starts(self, codes: Array, log2_beta: npt.ArrayLike | None) -> Array | None:
        """Where the part of each code's setting begins in the table."""
        if self.setting_format is None and log2_beta is None:
            return None
        if self.setting_format is None or log2_beta is None:
            needed = "be given with" if log2_beta is None else "be left out without"
            raise ArgumentError(f"log2_beta must {needed} a run-time beta, not {log2_beta!r}")
        settings = np.broadcast_to(np.asarray(log2_beta), codes.shape).reshape(-1)
        self._check_settings(settings)
        return self.setting_format.to_bits(settings.astype(np.intp)) << self.input_format.width

    def _check_settings(self, settings: Array) -> None:
        made = self.setting_format
        assert made is not None
        low, high = made.min_code, made.max_code
        kind = settings.dtype.kind in "iu"
        if settings.size and not (kind and low <= settings.min() and settings.max() <= high):
            raise ArgumentError(
                f"log2_beta must be integers in {low}..{high}, as on the port, "
                f"not {settings.ravel()[:4].tolist()!r}"
            )

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
        """Digest of the output codes over all input codes, little-endian in the smallest type.

        With a run-time beta, over those of all useful settings from the lowest. Where the input has more
        than 24 bits: over 65 536 of them, :func:`hwact.accuracy.spread_codes`.
        """
        dtype = self.output_format.dtype.newbyteorder("<")
        codes = self.design.codes if self.spec.listed else self.evaluate(self.digested_codes)
        return hashlib.sha256(codes.astype(dtype).tobytes()).hexdigest()

    @property
    def digested_codes(self) -> Array:
        """The input codes that the digest is over, in its order."""
        given = self.input_format
        return given.codes() if self.spec.listed else spread_codes(given, DIGESTED_CODES)

    def facts(self) -> dict[str, Any]:
        """What a manifest says of the output."""
        if isinstance(self.design, Family):
            settings = {
                str(setting): {"accuracy": each.accuracy.as_dict(), "golden_sha256": each.golden_sha256}
                for setting, each in ((setting, self.at(setting)) for setting in self.design.members)
            }
            said = {"runtime_beta": {"format": str(self.setting_format), "settings": settings}}
        else:
            said = {}
        return {
            "output_format": str(self.output_format),
            "requested_accuracy": str(self.spec.accuracy),
            "architecture": self.design.architecture,
            "architecture_parameters": dict(self.design.parameters),
            "accuracy": self.accuracy.as_dict(),
            "golden_sha256": self.golden_sha256,
            **said,
        }
