# SPDX-License-Identifier: Apache-2.0
"""Makes the table of errors in docs/export.md: ``python -m benchmarks.export``.

Deterministic; tests/test_export.py compares a part of it, and all of it where slow tests are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.readme import ROOT, markdown, with_section
from hwact import accuracy
from hwact.accuracy import AccuracyReport
from hwact.export import get, tflite_int16
from hwact.export.source import Source
from hwact.formats import Codes

Floats = npt.NDArray[np.floating]

PAGE = ROOT / "docs" / "export.md"
FUNCTIONS = ("smelu", "gelu", "swish", "softplus", "mish", "sigmoid", "tanh", "gelu_grad")
NARROW = ("sigmoid", "tanh")  # their values stay within -1..1
HEADER = ("function", "output", "TFLite's own table", "`tflite-int16`", "`nvdla-lut`")


def source(function: str) -> Source:
    """A function from SQ4.12, at 16 bits; a gradient has _grad behind its name."""
    name = function.removesuffix("_grad")
    formats = {"input_format": "SQ4.12", "output_format": "SQ1.15" if function in NARROW else "SQ4.12"}
    return Source.of_function(name, gradient=name != function, **formats)


def own_table(given: Source) -> Codes:
    """TensorFlow Lite's own 513 entries: samples in float32, each moved by half the error at the middle."""
    f32 = np.float32
    inside, outside = given.formats
    low, high = (f32(code * float(inside.ulp)) for code in (inside.min_code, inside.max_code))
    step = (high - low) / f32(512)
    inverse = f32(65536) / f32((outside.max_code - outside.min_code) * float(outside.ulp))
    index = np.arange(512, dtype=f32)

    def scaled(x: Floats) -> Floats:
        return given.spec.function.float_form(x.astype(np.float64)).astype(f32) * inverse

    here, middle = scaled(low + index * step), scaled(low + index * step + step / f32(2))
    behind = scaled(low + (index + f32(1)) * step)
    sample = _rounded(here)
    error = _rounded((behind + sample) / f32(2)) - _rounded(middle)
    entries = np.append(sample - _rounded(error / f32(2)), _rounded(scaled(np.array([high]))))
    return np.clip(entries, -32768, 32767).astype(np.int64)


def _rounded(values: Floats) -> Floats:
    """To the nearest, ties away from zero, as C's round."""
    return np.copysign(np.floor(np.abs(values) + 0.5), values)


def own_accuracy(given: Source) -> AccuracyReport:
    """The error that TensorFlow Lite makes with its own table."""
    codes = tflite_int16.lookup(own_table(given), given.spec.input_format.codes())
    return accuracy.report(given.spec, codes)


def line(function: str) -> tuple[str, ...]:
    """A function's row: largest and mean error, in ulp of the output."""
    given = source(function)
    fitted = (get(name).export(given).accuracy for name in ("tflite-int16", "nvdla-lut"))
    cells = (_cell(report) for report in (own_accuracy(given), *fitted))
    return f"`{function}`", str(given.spec.output_format), *cells


def _cell(report: AccuracyReport) -> str:
    faithful = ", faithful" if report.class_ == "faithful" else ""
    return f"{report.max_error_ulp:.3f} (mean {report.mean_error_ulp:.3f}){faithful}"


def table(functions: Sequence[str] = FUNCTIONS) -> str:
    """The rows in Markdown."""
    return markdown(HEADER, [line(function) for function in functions])


def main() -> None:
    """Write the table into the page."""
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_section(text, "errors", table()), encoding="utf-8")


if __name__ == "__main__":
    main()
