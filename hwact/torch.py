# SPDX-License-Identifier: Apache-2.0
"""Units in PyTorch networks: a module that is bit-exact with the golden model, and its gradient.

The module is made of PyTorch's own operations on a table of output codes, so that it runs on every device,
and `torch.compile` and `torch.export` see through it. Without these a tensor on a processor goes through
loops of Numba's, and codes on a GPU through one kernel of Triton's. Needs the extra ``hwact[torch]``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hwact import numba_kernels
from hwact.errors import ArgumentError
from hwact.formats import Codes, Format, Overflow
from hwact.numba_kernels import ROUNDINGS, Numbers
from hwact.unit import Unit

TABLE_BITS = 24  # widest input whose output codes fit a table; its codes are exact in float32, too
SCALE_BITS = 26  # a value of 24 bits over such a scale, rounded to float64, stays on its side of every tie
AGREEMENT = 1e-6  # how near a module must be to a unit's function to be replaced; of the value, at least of 1

_POINTS = 1 << 16
_INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64)

AnyModule = TypeVar("AnyModule", bound=nn.Module)


class Activation(nn.Module):
    """A unit as a module: floats in, floats out, through the unit's golden model.

    Every value is quantised, looked up and dequantised as by the unit itself, on any device; the result has
    the type of the input, and is exact in it where it has as many bits as an output code. A NaN stays a NaN.
    Infinities saturate; where the unit wraps, they and values of 2**62 ulp or more become NaN. Affine formats
    are computed in float64: the result is the value rounded to the input's type; a float64 input that is
    within 2**-52 of itself of the boundary of two codes may get either.

    Parameters
    ----------
    unit : Unit
        Its input has at most 24 bits.
    backward : {"exact", "straight_through"} or Unit
        The slope at each input code: the exact function's derivative there; or 1; or what a unit of the
        same input format puts out as derivative: one of the derivative alone (``gradient=True``), or beside
        the function (``with_gradient=True``), such as ``unit`` itself. In all of them it is 0 where the
        unit saturates: at the first and the last input code, and where the exact value is outside the output
        format. A unit that wraps has no such codes.

    Attributes
    ----------
    table : integer tensor, shape ``(2**width,)``
        Output codes by the input's bits. Like `slopes` it moves with the module, but is no part of its state.
    slopes : int32 tensor, shape ``(2**width,)``
        The bits of the slopes, float32, so that `half` and the like leave them as they are.
    """

    table: Tensor
    slopes: Tensor

    def __init__(self, unit: Unit, backward: str | Unit = "exact") -> None:
        super().__init__()
        source, sink = unit.input_format, unit.output_format
        if source.width > TABLE_BITS:
            raise ArgumentError(
                f"a unit's input must have at most {TABLE_BITS} bits to be a module, not {source.width!r}"
            )
        if not _is_short(source.ulp):
            raise ArgumentError(
                f"the input's scale must be a ratio of odd numbers of at most {SCALE_BITS} bits, times a "
                f"power of two, to be a module, not {source}; take the next float32: append f"
            )
        self.name = unit.name
        self.formats = f"{source} to {sink}"
        self.backward = backward if isinstance(backward, str) else backward.name
        self.numbers = _numbers(unit)
        codes = source.codes()
        order = np.argsort(source.to_bits(codes))
        table = torch.from_numpy(unit.evaluate(codes)[order])
        slopes = torch.from_numpy(_slopes(unit, backward)[order].astype(np.float32))
        self.register_buffer("table", table.to(_smallest(sink)), persistent=False)
        self.register_buffer("slopes", slopes.view(torch.int32), persistent=False)

    def extra_repr(self) -> str:
        return f"{self.name}, {self.formats}, backward={self.backward}"

    def forward(self, values: Tensor) -> Tensor:
        """Floats to floats, of the same shape and type."""
        if not values.dtype.is_floating_point:
            raise ArgumentError(f"values must be floats, not {values.dtype}; pass codes to evaluate()")
        if torch.is_grad_enabled() and values.requires_grad:
            result, index = self._look_up(values.detach(), keep=True)
            apply: Callable[..., Tensor] = _Slope.apply
            return apply(values, result, self.slopes.view(torch.float32)[index])
        return self._look_up(values)[0]

    def evaluate(self, codes: Tensor) -> Tensor:
        """The golden model: input codes to output codes, integers of any shape.

        Only the low bits of an integer count, as many as the input format has: nothing is checked. The result
        has the type of the codes where it holds the output format, else the smallest signed one that does.
        """
        table = self.table
        if _is_plain(codes):
            dtype = _kept_result_type(codes.dtype, table.dtype)
            return numba_kernels.evaluate(codes, table, self.numbers.mask, dtype)
        dtype = _result_type(codes.dtype, table.dtype)
        if codes.is_cuda and not torch.compiler.is_compiling() and (kernels := _triton_kernels()):
            result: Tensor = kernels.evaluate(codes, table, dtype)
            return result
        return table[codes.to(torch.int32) & self.numbers.mask].to(dtype)

    def _look_up(self, values: Tensor, *, keep: bool = False) -> tuple[Tensor, Tensor | None]:
        """The results and, to `keep`, the bits of the input codes."""
        n = self.numbers
        exact = values.dtype == torch.float64 or n.affine or not 1 <= n.to_parts <= 2.0**100
        wide = values.to(torch.float64 if exact else torch.float32)
        if _is_plain(wide):
            result, index = numba_kernels.apply(wide, self.table, n, keep=keep)
            return result.to(values.dtype), index
        parts = _parts(wide * n.to_parts / n.divisor, n)
        whole = parts.to(torch.int32 if n.saturates else torch.int64)
        rounding = ROUNDINGS[n.rounding]
        index = ((((whole + rounding.bias(whole)) >> rounding.parts - 1) + n.zero) & n.mask).to(torch.int32)
        steps = self.table[index].to(wide.dtype) - n.zero_out
        result = torch.where(parts.isnan(), torch.nan, steps * n.numerator / n.denominator)
        return result.to(values.dtype), index


@cache
def _triton_kernels() -> Any:
    """The module of Triton kernels; none without Triton. A compiler makes one kernel by itself."""
    try:
        from hwact import triton_kernels
    except ImportError:
        return None
    return triton_kernels


class _Slope(torch.autograd.Function):
    """A result that is known already; the gradient takes the slope at each input code."""

    @staticmethod
    def forward(ctx: Any, *given: Tensor) -> Tensor:
        _, result, slope = given
        ctx.save_for_backward(slope)
        return result.view_as(result)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        return (gradient * slope).to(gradient.dtype), None, None


def _parts(scaled: Tensor, n: Numbers) -> Tensor:
    """Whole parts of an ulp within the input format, as floats; NaN where there are none.

    Where the unit wraps, the integers still are to be cut to the code's bits.
    """
    rounding = ROUNDINGS[n.rounding]
    if n.saturates:
        scaled = scaled.clip(n.low, n.high)
    else:
        scaled = torch.where(scaled.abs() < rounding.parts * 2.0**62, scaled, torch.nan)
    return rounding.whole(scaled)


def _is_plain(source: Tensor) -> bool:
    """Whether loops may go through a tensor's memory; a compiler makes its own."""
    plain = type(source) in (Tensor, nn.Parameter) and source.is_cpu
    return plain and not torch.compiler.is_compiling()


def _result_type(codes: torch.dtype, table: torch.dtype) -> torch.dtype:
    """Of :meth:`Activation.evaluate`."""
    if codes.is_floating_point or codes.is_complex or codes == torch.bool:
        raise ArgumentError(f"codes must be integers, not {codes}; call the module to pass values")
    mine, theirs = torch.iinfo(table), torch.iinfo(codes)
    return codes if theirs.min <= mine.min and mine.max <= theirs.max else table


_kept_result_type = cache(_result_type)  # a compiler would warn of the cache


def _numbers(unit: Unit) -> Numbers:
    source, sink = unit.input_format, unit.output_format
    rounding = unit.spec.rounding.value
    parts = ROUNDINGS[rounding].parts
    fixed = source.scale is None
    ulp = Fraction(1) if fixed else source.ulp
    out = (sink.ulp, Fraction(1)) if sink.scale is None else (sink.scale.numerator, sink.scale.denominator)
    return Numbers(
        to_parts=parts * 2.0**source.frac_bits * float(ulp.denominator),
        divisor=float(ulp.numerator),
        low=parts * (source.min_code - source.zero_point),
        high=parts * (source.max_code - source.zero_point),
        zero=source.zero_point,
        mask=(1 << source.width) - 1,
        saturates=unit.spec.overflow is Overflow.SATURATE,
        rounding=rounding,
        zero_out=sink.zero_point,
        numerator=float(out[0]),
        denominator=float(out[1]),
        affine=not fixed or sink.scale is not None,
    )


def _is_short(ulp: Fraction) -> bool:
    """Whether numerator and denominator, without their powers of two, are short."""
    odd = (number // (number & -number) for number in (ulp.numerator, ulp.denominator))
    return max(odd).bit_length() <= SCALE_BITS


def _smallest(number_format: Format) -> torch.dtype:
    """The smallest signed type of PyTorch's that holds every code."""
    low, high = number_format.min_code, number_format.max_code
    return next(t for t in _INTEGERS if torch.iinfo(t).min <= low and high <= torch.iinfo(t).max)


def _slopes(unit: Unit, backward: str | Unit) -> npt.NDArray[np.float64]:
    """The slope at each input code, from the most negative."""
    codes = unit.input_format.codes()
    if isinstance(backward, Unit):
        slopes = _hardware_slopes(unit, backward, codes)
    elif backward == "exact":
        slopes = unit.function.gradient().float_form(unit.input_format.values(codes))
    elif backward == "straight_through":
        slopes = np.ones(codes.size)
    else:
        raise ArgumentError(
            "backward must be 'exact', 'straight_through' or a unit with the derivative, "
            f"not {backward!r}; build one with gradient=True or with_gradient=True"
        )
    return np.where(_saturated(unit, codes), 0.0, slopes)


def _hardware_slopes(unit: Unit, backward: Unit, codes: Codes) -> npt.NDArray[np.float64]:
    gradient = backward.gradient or backward
    if gradient.function != unit.function.gradient() or gradient.input_format != unit.input_format:
        raise ArgumentError(
            f"backward must be a unit of the derivative of {unit.function.name} from {unit.input_format}, "
            f"not {backward.name!r}; build it with gradient=True and the same function and input format"
        )
    return gradient.output_format.values(gradient.evaluate(codes))


def _saturated(unit: Unit, codes: Codes) -> npt.NDArray[np.bool_]:
    """Where an input was, or may have been, outside its format, or the exact output is outside its own."""
    if unit.spec.overflow is not Overflow.SATURATE:
        return np.zeros(codes.size, dtype=bool)
    sink = unit.output_format
    exact = unit.function.float_form(unit.input_format.values(codes)) / float(sink.ulp) + sink.zero_point
    ends = (codes == unit.input_format.min_code) | (codes == unit.input_format.max_code)
    return ends | (exact < sink.min_code - 0.5) | (exact > sink.max_code + 0.5)


def replace(
    model: AnyModule, units: Mapping[type[nn.Module], Unit | tuple[Unit, str | Unit]]
) -> AnyModule | Activation:
    """Put units in the place of a model's activation modules, in place.

    Parameters
    ----------
    model : nn.Module
        Activations that it calls as functions (``torch.nn.functional.gelu``) are not seen.
    units : mapping of class to Unit, or to (Unit, backward)
        Every module of exactly that class is replaced by an `Activation` of its own.

    Returns
    -------
    nn.Module
        The model; or, where the model itself is of such a class, what replaces it.

    Raises
    ------
    ArgumentError
        A class occurs nowhere, or one of its modules computes another function than the unit, such as
        ``nn.GELU(approximate="tanh")`` for ``gelu``. The model is then as it was.
    """
    pairs = {kind: unit if isinstance(unit, tuple) else (unit, "exact") for kind, unit in units.items()}
    found = [(path, m) for path, m in model.named_modules(remove_duplicate=False) if type(m) in pairs]
    for kind in pairs.keys() - {type(module) for _, module in found}:
        raise ArgumentError(
            f"the model must have modules of class {kind.__name__}, not none; "
            "an activation that is called as a function cannot be replaced: make it a module"
        )
    for path, module in found:
        _check_agreement(path, module, pairs[type(module)][0])
    made = {kind: Activation(*pair) for kind, pair in pairs.items()}
    held = next((tensor.device for tensor in (*model.parameters(), *model.buffers())), None)
    for path, module in found:
        new = _copy(made[type(module)]).to(held).train(module.training)
        if not path:
            return new
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, new)
    return model


def _copy(activation: Activation) -> Activation:
    """A module of its own, with the same tables."""
    return copy.deepcopy(activation, {id(buffer): buffer for buffer in activation.buffers()})


@torch.no_grad()
def _check_agreement(path: str, module: nn.Module, unit: Unit) -> None:
    """Refuse a module that does not compute the unit's function, at the unit's inputs."""
    source = unit.input_format
    codes = np.linspace(source.min_code, source.max_code, min(_POINTS, 1 << source.width)).round()
    values = source.values(codes.astype(np.int64))
    wanted = torch.from_numpy(unit.function.float_form(values))
    got = copy.deepcopy(module).cpu().double().eval()(torch.from_numpy(values))
    near = (got - wanted).abs() <= AGREEMENT * wanted.abs().clamp(min=1)
    if not near.all():
        worst = int((~near).nonzero()[0])
        raise ArgumentError(
            f"module {path or 'model'!r} must compute {unit.function.name} ({wanted[worst]:.6g} at "
            f"{values[worst]:.6g}) to be replaced by {unit.name}, not {got[worst]:.6g} as {module!r} "
            "does; choose the unit of its function, or assign hwact.torch.Activation yourself"
        )
