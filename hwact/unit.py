# SPDX-License-Identifier: Apache-2.0
"""A unit: a design behind an interface, with its golden model and its manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hwact import bundle, functions, naming
from hwact.accuracy import AccuracyReport, spread_codes
from hwact.architectures.constraints import parse
from hwact.architectures.problem import Accuracy, Parameters, UnitSpec
from hwact.datapath import cost
from hwact.datapath.evaluate import evaluate
from hwact.datapath.schedule import Schedule, check_clock
from hwact.datapath.verilog import convert
from hwact.design import Design, choose
from hwact.errors import ArgumentError, BundleError
from hwact.formats import Format, Overflow, Rounding, member
from hwact.functions.spec import FunctionSpec
from hwact.golden import TABLE_BITS, Golden
from hwact.interfaces import INTERFACES, UnitComponent, check_interface, port_records

Array = npt.NDArray[Any]
CORRECT_UP_TO = 10
DIGESTED_CODES = 1 << 16  # of an input of more than 24 bits
_BLOCK = 1 << 14


@dataclass(frozen=True, eq=False)
class Unit:
    """A hardware unit that computes an activation function, and its golden model.

    Made by :func:`build` and :func:`from_manifest`.
    """

    name: str
    design: Design
    schedule: Schedule
    interface: str
    lanes: int
    expression: str | None = None
    clock: float | None = None

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
    def latency(self) -> int:
        """Cycles from an input word to its output word, when not stalled; 0 is combinational."""
        return self.schedule.latency

    @property
    def accuracy(self) -> AccuracyReport:
        """The error over all input codes."""
        return self.design.accuracy

    @cached_property
    def _table(self) -> Array:
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
        if not self.spec.listed:
            result[:] = evaluate(self.design.datapath, flat.astype(np.int64))
            return result.reshape(array.shape)
        table, mask = self._table.astype(result.dtype), self._table.size - 1
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

    def quantise(self, values: npt.ArrayLike) -> Array:
        """Input codes of values, in the unit's rounding and overflow modes; same shape, int64."""
        return self.input_format.quantise_array(values, self.spec.rounding, self.spec.overflow)

    def __call__(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Values in, values out: quantise, evaluate, dequantise; any shape, float64."""
        return self.output_format.values(self.evaluate(self.quantise(values)))

    def component(self) -> UnitComponent:
        """A fresh Amaranth component."""
        return INTERFACES[self.interface](self.schedule, self.input_format, self.output_format, self.lanes)

    @cached_property
    def verilog(self) -> str:
        """The unit as one Verilog-2001 module, with a note of its origin."""
        component = self.component()
        module = convert(component, self.name, component.ports(self.latency))
        return "".join(f"// {line}\n" for line in bundle.origin(self.manifest_facts())) + module

    def manifest_facts(self) -> dict[str, Any]:
        """The manifest without the digest of the Verilog."""
        spec, report = self.spec, self.accuracy
        return {
            "name": self.name,
            "function": self.function.name,
            "expression": self.expression,
            "parameters": {key: json_number(value) for key, value in self.function.arguments},
            "gradient": self.function.is_gradient,
            "input_format": str(spec.input_format),
            "output_format": str(spec.output_format),
            "rounding": spec.rounding.value,
            "overflow": spec.overflow.value,
            "requested_accuracy": str(spec.accuracy),
            "constraints": [str(each) for each in spec.constraints],
            "target": spec.target.name,
            "architecture": self.design.architecture,
            "architecture_parameters": dict(self.design.parameters),
            "interface": self.interface,
            "lanes": self.lanes,
            "latency": self.latency,
            "requested_clock_mhz": None if self.clock is None else json_number(Fraction(str(self.clock))),
            "initiation_interval": 1,
            "ports": port_records(
                self.interface, self.latency, spec.input_format, spec.output_format, self.lanes
            ),
            "accuracy": report.as_dict(),
            "golden_sha256": self.golden_sha256,
            "files": bundle.file_names(self.name),
            "hwact_version": version("hwact"),
        }

    def manifest(self) -> dict[str, Any]:
        """The facts of the unit under stable keys, ready for JSON."""
        return {**self.manifest_facts(), "verilog_sha256": hashlib.sha256(self.verilog.encode()).hexdigest()}

    @cached_property
    def golden_sha256(self) -> str:
        """Digest of the output codes over all input codes, little-endian in the smallest type.

        Where the input has more than 24 bits: over 65 536 of them, :func:`hwact.accuracy.spread_codes`.
        """
        dtype = self.output_format.dtype.newbyteorder("<")
        codes = self.design.codes if self.spec.listed else self.evaluate(self.digested_codes)
        return hashlib.sha256(codes.astype(dtype).tobytes()).hexdigest()

    @property
    def digested_codes(self) -> Array:
        """The input codes that the digest is over, in its order."""
        given = self.input_format
        return given.codes() if self.spec.listed else spread_codes(given, DIGESTED_CODES)

    def write(self, out: str | Path) -> Path:
        """Write the bundle into ``<out>/<name>``; returns that folder."""
        manifest = self.manifest()
        golden = Golden(
            self.name,
            self.input_format,
            self.output_format,
            self.design.datapath,
            self._table if self.input_format.width <= TABLE_BITS else np.empty(0, np.int64),
            bundle.origin(manifest),
        )
        return bundle.write(Path(out), self.name, bundle.files(manifest, self.verilog, golden))


def json_number(value: Fraction) -> int | float | str:
    """A JSON number where one is exact, else text."""
    if value.denominator == 1:
        return int(value)
    return float(value) if Fraction(repr(float(value))) == value else naming.number(value)


def specification(
    function: str | None = None,
    *,
    width: int | None = None,
    input_format: str | Format | None = None,
    output_format: str | Format | None = None,
    rounding: str | None = None,
    overflow: str = "saturate",
    accuracy: str | None = None,
    constraints: Iterable[str] = (),
    target: str = "xc7",
    gradient: bool = False,
    expression: str | None = None,
    name: str | None = None,
    **parameters: object,
) -> UnitSpec:
    """What a unit must compute, from the arguments of :func:`build`."""
    spec_function = _function(function, expression, name, gradient, parameters)
    formats = _formats(width, input_format, output_format)
    if rounding is None:
        rounding = formats[1].default_rounding
    default = "correct" if _correct_by_default(spec_function, *formats) else "faithful"
    return UnitSpec(
        function=spec_function,
        input_format=formats[0],
        output_format=formats[1],
        rounding=member(Rounding, "rounding", rounding),
        overflow=member(Overflow, "overflow", overflow),
        accuracy=Accuracy.parse(default if accuracy is None else accuracy),
        constraints=parse(constraints),
        target=cost.target(target),
    )


def build(
    function: str | None = None,
    *,
    width: int | None = None,
    input_format: str | Format | None = None,
    output_format: str | Format | None = None,
    rounding: str | None = None,
    overflow: str = "saturate",
    accuracy: str | None = None,
    constraints: Iterable[str] = (),
    architecture: str = "auto",
    architecture_parameters: Parameters | None = None,
    target: str = "xc7",
    interface: str = "stream",
    latency: int | None = None,
    clock: float | None = None,
    lanes: int = 1,
    gradient: bool = False,
    expression: str | None = None,
    name: str | None = None,
    **parameters: object,
) -> Unit:
    """Make the cheapest unit that meets a specification.

    Parameters
    ----------
    function : str
        A name of the catalogue; or none, with ``expression`` and ``name`` instead.
    width : int
        Stands for the format SQ4.(width-4) where a format is not given.
    input_format, output_format : str or Format
        The output's is the input's unless given.
    rounding : str
        ``half_up`` unless given, or ``half_even`` for an affine output.
    accuracy : str
        ``correct``, ``faithful``, ``max_ulp=N`` or ``mse=N``. Unless given: correct for formats of at most
        10 bits and for piecewise polynomials such as SmeLU, else faithful.
    constraints : iterable of str
        Of ``monotonic``, ``symmetric``, ``zero`` and ``tails``: :mod:`hwact.architectures.constraints`.
    architecture_parameters : mapping
        Those of one architecture's one design; the best are searched unless given.
    latency : int
        Cycles; 0 is combinational; chosen from the target's delays unless given.
    clock : float
        MHz that the target is to reach by its delays, in place of a latency: the design of the smallest
        area with its registers, in the fewest cycles for that clock.
    gradient : bool
        The derivative instead of the function.
    **parameters
        The function's parameters; a float stands for the decimal that is written.

    Raises
    ------
    ArgumentError
        An argument is outside what is possible; `UnreachableError` when no design meets the accuracy, or
        reaches the clock.
    """
    spec = specification(
        function,
        width=width,
        input_format=input_format,
        output_format=output_format,
        rounding=rounding,
        overflow=overflow,
        accuracy=accuracy,
        constraints=constraints,
        target=target,
        gradient=gradient,
        expression=expression,
        name=name,
        **parameters,
    )
    check_interface(interface, lanes)
    check_clock(clock, latency)
    unit_name = (
        naming.checked(name)
        if name is not None
        else naming.default(spec.function, spec.input_format, spec.output_format)
    )
    given = architecture_parameters
    design = choose(spec, architecture, clock) if given is None else Design.build(spec, architecture, given)
    plan = design.plan(design.cycles(clock) if latency is None else latency)
    return Unit(unit_name, design, plan, interface, lanes, expression, clock)


def from_manifest(manifest: Mapping[str, Any]) -> Unit:
    """The unit that a manifest describes, built again from its parameters; its codes have the digest stated.

    Raises
    ------
    BundleError
        The manifest does not describe a unit, or describes one of other codes.
    """
    unit = rebuilt(manifest)
    if manifest.get("golden_sha256") != unit.golden_sha256:
        raise BundleError(
            f"golden_sha256 must be {unit.golden_sha256!r}, the digest of the unit's codes, "
            f"not {manifest.get('golden_sha256')!r}; generate it again"
        )
    return unit


def rebuilt(manifest: Mapping[str, Any]) -> Unit:
    """Like :func:`from_manifest`, but without a look at the digest."""
    try:
        facts = dict(manifest)
        function = None if facts["expression"] else facts["function"]
        spec_function = _function(
            function, facts["expression"], facts["function"], facts["gradient"], facts["parameters"]
        )
        spec = UnitSpec(
            function=spec_function,
            input_format=Format.parse(facts["input_format"]),
            output_format=Format.parse(facts["output_format"]),
            rounding=member(Rounding, "rounding", facts["rounding"]),
            overflow=member(Overflow, "overflow", facts["overflow"]),
            accuracy=Accuracy.parse(facts["requested_accuracy"]),
            constraints=parse(facts["constraints"]),
            target=cost.target(facts["target"]),
        )
        check_interface(facts["interface"], facts["lanes"])
        design = Design.build(spec, facts["architecture"], facts["architecture_parameters"])
        plan = design.plan(facts["latency"])
        clock = facts["requested_clock_mhz"]
        check_clock(clock)
        name = naming.checked(facts["name"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        missing = isinstance(error, KeyError)
        reason = f"without the key {error}" if missing else f"that fails with {str(error)!r}"
        raise BundleError(f"a manifest must describe a unit, not one {reason}; generate it again") from error
    return Unit(name, design, plan, facts["interface"], facts["lanes"], facts["expression"], clock)


def _function(
    function: str | None,
    expression: str | None,
    name: str | None,
    gradient: bool,
    parameters: Mapping[str, object],
) -> FunctionSpec:
    if (function is None) == (expression is None):
        raise ArgumentError(
            f"exactly one of a function and an expression must be given, not {function!r} and {expression!r}"
        )
    if not isinstance(gradient, bool):
        raise ArgumentError(f"gradient must be True or False, not {gradient!r}")
    if expression is None:
        assert function is not None
        return functions.get(function, gradient=gradient, **parameters)
    if parameters:
        raise ArgumentError(
            f"an expression takes no parameters, not {sorted(parameters)!r}; write them into it"
        )
    spec = functions.from_expression(expression, naming.checked(name) if name is not None else None)
    return spec.gradient() if gradient else spec


def _formats(
    width: int | None, input_format: str | Format | None, output_format: str | Format | None
) -> tuple[Format, Format]:
    if input_format is None and width is None:
        raise ArgumentError(
            "a width or an input format must be given, not neither; say width=16, for example"
        )
    if width is not None and input_format is not None and output_format is not None:
        raise ArgumentError(
            f"width must stand for a format that is not given, not be {width!r} beside both formats; "
            "leave it out"
        )
    given = Format.of_width(width) if width is not None else None
    first = Format.parse(input_format) if input_format is not None else given
    assert first is not None
    second = Format.parse(output_format) if output_format is not None else given or first
    return first, second


def _correct_by_default(function: FunctionSpec, input_format: Format, output_format: Format) -> bool:
    narrow = max(input_format.width, output_format.width) <= CORRECT_UP_TO
    pieces = function.piecewise_polynomial()
    return narrow or (pieces is not None and all(len(piece.coefficients) <= 3 for piece in pieces))
