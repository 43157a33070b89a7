# SPDX-License-Identifier: Apache-2.0
"""The number formats that quantizers give: QuantizeLinear, DequantizeLinear, and QONNX's Quant."""

from __future__ import annotations

from dataclasses import dataclass

from hwact.errors import FormatError
from hwact.formats import Format, Rounding
from hwact.onnx.graph import STANDARD, Graph, Node, UnmatchedError, exact

QONNX = ("qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas")
_QONNX_ROUNDING = {
    "ROUND": Rounding.HALF_EVEN,
    "HALF_EVEN": Rounding.HALF_EVEN,
    "HALF_UP": Rounding.HALF_AWAY,  # QONNX: half away from zero
    "FLOOR": Rounding.FLOOR,
    "ROUND_TO_ZERO": Rounding.TOWARD_ZERO,
    "DOWN": Rounding.TOWARD_ZERO,
}


@dataclass(frozen=True)
class Quantized:
    """What a quantizer says.

    Parameters
    ----------
    format : Format
        Of its codes.
    rounding : Rounding
    refused : str
        Why no unit can put out what it puts out; empty where one can.
    """

    format: Format
    rounding: Rounding = Rounding.HALF_EVEN
    refused: str = ""


def before(graph: Graph, name: str) -> Quantized | None:
    """The format in which a tensor comes; none where no quantizer makes it."""
    node = graph.producers.get(name)
    if node is None or not (_is(node, "DequantizeLinear") or is_quant(node)):
        return None
    return _read(graph, node)


def behind(graph: Graph, name: str) -> Quantized | None:
    """The format in which a tensor goes on; none where no quantizer reads it."""
    readers = graph.consumers.get(name, [])
    quantizers = [node for node in readers if _is(node, "QuantizeLinear") or is_quant(node)]
    if not quantizers:
        return None
    formats = {_read(graph, node) for node in quantizers}
    if len(formats) > 1 or len(quantizers) < len(readers) or name in graph.results:
        raise UnmatchedError("its output goes to more than one quantizer, or also on without one")
    found = formats.pop()
    if found.refused:
        raise UnmatchedError(found.refused)
    return found


def is_quant(node: Node) -> bool:
    """Whether a node is QONNX's quantizer."""
    return node.operator == "Quant" and node.domain in QONNX


def _is(node: Node, operator: str) -> bool:
    return node.operator == operator and node.domain in STANDARD


def _read(graph: Graph, node: Node) -> Quantized:
    try:
        return _quant(graph, node) if is_quant(node) else _linear(graph, node)
    except FormatError as error:
        raise UnmatchedError(f"no format fits its quantizer: {error}") from None


def _linear(graph: Graph, node: Node) -> Quantized:
    """``QuantizeLinear`` or ``DequantizeLinear``: without a zero point it is a uint8 of 0."""
    if len(node.inputs) < 2:
        raise UnmatchedError("its quantizer has no scale")
    scale = exact(graph.number(node.inputs[1], "quantizer's scale"))
    kind, zero_point = "uint8", 0
    if len(node.inputs) > 2 and node.inputs[2]:
        number = graph.number(node.inputs[2], "quantizer's zero point")
        kind = number.dtype.name
        zero_point = int(number) if "int" in kind else 0
    elif "output_dtype" in node.attributes and node.attributes["output_dtype"].i:
        from onnx import TensorProto

        numbers = {value: name.lower() for name, value in TensorProto.DataType.items()}
        kind = numbers.get(node.attributes["output_dtype"].i, "unknown")
    if not kind.removeprefix("u").removeprefix("int").isdecimal():
        raise UnmatchedError(f"its codes are of type {kind}, not integers")
    width = int(kind.removeprefix("u").removeprefix("int"))
    return Quantized(Format.affine(not kind.startswith("u"), width, scale, zero_point))


def _quant(graph: Graph, node: Node) -> Quantized:
    """QONNX's ``Quant``: x, scale, zero point and width; attributes signed, narrow, rounding_mode."""
    if len(node.inputs) != 4:
        raise UnmatchedError(f"its quantizer has {len(node.inputs)} inputs, not 4")
    numbers = [
        exact(graph.number(name, f"quantizer's {what}"))
        for name, what in zip(node.inputs[1:], ("scale", "zero point", "width"), strict=True)
    ]
    scale, zero_point, width = numbers
    if zero_point.denominator != 1 or width.denominator != 1:
        raise UnmatchedError("its quantizer's zero point and width are no integers")
    attributes = node.attributes
    signed = not ("signed" in attributes and not attributes["signed"].i)
    given = Format.affine(signed, int(width), scale, int(zero_point))
    mode = "ROUND"
    if "rounding_mode" in attributes:
        mode = attributes["rounding_mode"].s.decode(errors="replace").upper()
    rounding = _QONNX_ROUNDING.get(mode)
    if rounding is None:
        return Quantized(given, refused=f"its quantizer's rounding is {mode!r}")
    if "narrow" in attributes and attributes["narrow"].i:
        return Quantized(given, refused="its quantizer leaves out the most negative code (narrow)")
    even = rounding is Rounding.HALF_EVEN and zero_point % 2 == 0
    if zero_point and not even and rounding is not Rounding.FLOOR:
        return Quantized(given, refused=f"its quantizer rounds ({mode}) after adding its zero point")
    return Quantized(given, rounding)
