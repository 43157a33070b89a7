# SPDX-License-Identifier: Apache-2.0
"""A unit: a design behind an interface, with its golden model and its manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from hwact import bundle, functions, naming
from hwact.architectures.constraints import parse
from hwact.architectures.problem import Accuracy, Parameters, UnitSpec, correct_by_default
from hwact.datapath import cost
from hwact.datapath.schedule import Schedule, check_clock, check_cycles, cycles, schedule
from hwact.description import Description
from hwact.design import Design, choose
from hwact.errors import ArgumentError, BundleError
from hwact.formats import MAX_LISTED_WIDTH, Format, Overflow, Rounding, member
from hwact.functions.spec import FunctionSpec
from hwact.golden import TABLE_BITS, Golden
from hwact.hardware import HardwareUnit, describing_a_unit, json_number
from hwact.interfaces import check_interface
from hwact.output import Array, Output
from hwact.pairs import choose_pair, datapath_of, gradient_spec, joined, rebuilt_gradient
from hwact.runtime import PARAMETER, SETTING, check_alone, family


@dataclass(frozen=True, eq=False)
class Unit(HardwareUnit, Output):
    """A hardware unit that computes an activation function, and its golden model.

    Made by :func:`build` and :func:`from_manifest`. As an output it is that of the function; its gradient's,
    where the unit has it, is ``gradient``.
    """

    name: str
    schedule: Schedule
    interface: str
    lanes: int
    expression: str | None = None
    clock: float | None = None
    gradient: Output | None = None

    @property
    def outputs(self) -> dict[str, Output]:
        """All outputs, by name and in the datapath's order."""
        return {"y": self} | ({"gradient": self.gradient} if self.gradient else {})

    @property
    def formats(self) -> tuple[dict[str, Format], dict[str, Format]]:
        """Formats of the inputs and of the outputs, by name."""
        inputs = {"x": self.input_format}
        if self.setting_format:
            inputs[SETTING] = self.setting_format
        return inputs, {name: each.output_format for name, each in self.outputs.items()}

    def quantise(self, values: npt.ArrayLike) -> Array:
        """Input codes of values, in the unit's rounding and overflow modes; same shape, int64."""
        return self.input_format.quantise_array(values, self.spec.rounding, self.spec.overflow)

    def __call__(
        self, values: npt.ArrayLike, log2_beta: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.float64]:
        """Values in, values out: quantise, evaluate, dequantise; any shape, float64."""
        return self.output_format.values(self.evaluate(self.quantise(values), log2_beta))

    def manifest_facts(self) -> dict[str, Any]:
        """The manifest without the digest of the Verilog."""
        spec, said = self.spec, self.facts()
        more = {key: said[key] for key in ("runtime_beta",) if key in said}
        more |= {"gradient_output": self.gradient.facts()} if self.gradient else {}
        return {
            "name": self.name,
            "function": self.function.name,
            "expression": self.expression,
            "parameters": self._parameters(),
            "gradient": self.function.is_gradient,
            "input_format": str(spec.input_format),
            "output_format": said["output_format"],
            "rounding": spec.rounding.value,
            "overflow": spec.overflow.value,
            "requested_accuracy": said["requested_accuracy"],
            "constraints": [str(each) for each in spec.constraints],
            "target": spec.target.name,
            "multipliers": spec.target.multipliers,
            "architecture": said["architecture"],
            "architecture_parameters": said["architecture_parameters"],
            **self.interface_facts(),
            "accuracy": said["accuracy"],
            "golden_sha256": said["golden_sha256"],
            **more,
            "files": bundle.file_names(self.name, list(self.outputs)),
            "hwact_version": version("hwact"),
        }

    def _parameters(self) -> dict[str, int | float | str]:
        """The function's parameters that do not come with the codes."""
        arguments = dict(self.function.arguments)
        if self.setting_format:
            del arguments[PARAMETER]
        return {key: json_number(value) for key, value in arguments.items()}

    def origin(self, facts: Mapping[str, Any]) -> tuple[str, ...]:
        """The lines at the top of every file, without comment marks."""
        return bundle.origin(facts)

    def description(self) -> Description:
        """What the files of the bundle are made from."""
        manifest = self.manifest()
        origin = self.origin(manifest)
        names = bundle.golden_names(self.name, list(self.outputs))
        models = [
            Golden(
                name,
                each.input_format,
                each.output_format,
                self.setting_format,
                each.design.datapath,
                each.table if each.input_format.width <= TABLE_BITS else np.empty(0, np.int64),
                origin,
            )
            for name, each in zip(names, self.outputs.values(), strict=True)
        ]
        listed = self.input_format.width <= MAX_LISTED_WIDTH
        return Description(
            manifest=manifest,
            verilog=self.verilog,
            origin=origin,
            formats=self.formats,
            models=models,
            readme=bundle.readme(manifest, self.output_format.dtype.name),
            digested=f"the output codes over {'all' if listed else '65536'} input codes",
        )


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
    multipliers: str = "luts",
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
    default = "correct" if correct_by_default(spec_function, *formats) else "faithful"
    return UnitSpec(
        function=spec_function,
        input_format=formats[0],
        output_format=formats[1],
        rounding=member(Rounding, "rounding", rounding),
        overflow=member(Overflow, "overflow", overflow),
        accuracy=Accuracy.parse(default if accuracy is None else accuracy),
        constraints=parse(constraints),
        target=cost.target(target, multipliers),
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
    multipliers: str = "luts",
    interface: str = "stream",
    latency: int | None = None,
    clock: float | None = None,
    lanes: int = 1,
    gradient: bool = False,
    with_gradient: bool = False,
    gradient_format: str | Format | None = None,
    runtime_beta: bool = False,
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
    multipliers : str
        ``luts``: products are made of look-up tables. ``dsp``: in the target's DSP blocks, where these save
        many look-up tables.
    latency : int
        Cycles; 0 is combinational; chosen from the target's delays unless given.
    clock : float
        MHz that the target is to reach by its delays, in place of a latency: the design of the smallest
        area with its registers, in the fewest cycles for that clock.
    gradient : bool
        The derivative instead of the function.
    with_gradient : bool
        The derivative beside the function, as a second output of the same latency.
    gradient_format : str or Format
        Of that output. Unless given: the function's where it is fixed point and holds the whole derivative,
        else the signed format of as many bits that does.
    runtime_beta : bool
        SmeLU with log2(beta) as an input that comes with each code, correctly rounded for every setting.
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
        multipliers=multipliers,
        gradient=gradient,
        expression=expression,
        name=name,
        **parameters,
    )
    check_interface(interface, lanes)
    check_clock(clock, latency)
    slope = gradient_spec(spec, with_gradient, gradient_format, accuracy)
    if slope and architecture_parameters is not None:
        raise ArgumentError(
            "architecture_parameters must be of one output, not given with with_gradient=True; leave them out"
        )
    unit_name = (
        naming.checked(name)
        if name is not None
        else naming.default(
            spec.function,
            spec.input_format,
            spec.output_format,
            slope.output_format if slope else None,
            runtime=(PARAMETER,) if runtime_beta else (),
        )
    )
    if not isinstance(runtime_beta, bool):
        raise ArgumentError(f"runtime_beta must be True or False, not {runtime_beta!r}")
    if runtime_beta:
        check_alone(
            with_gradient=with_gradient,
            architecture=architecture != "auto" or architecture_parameters is not None,
            accuracy=accuracy is not None and spec.accuracy.kind != "correct",
            constraints=bool(spec.constraints),
            beta=PARAMETER in parameters,
        )
        designs: tuple[Design, ...] = (family(spec),)
    elif slope:
        designs = choose_pair((spec, slope), architecture)
    elif architecture_parameters is not None:
        designs = (Design.build(spec, architecture, architecture_parameters),)
    else:
        designs = (choose(spec, architecture, clock),)
    both = joined(designs)
    if latency is None:
        latency = cycles(datapath_of(both), spec.target, clock)
    return of_designs(unit_name, both, latency, interface, lanes, expression, clock)


def of_designs(
    name: str,
    designs: tuple[Design, ...],
    latency: int,
    interface: str,
    lanes: int,
    expression: str | None,
    clock: float | None,
) -> Unit:
    """The unit of a function's design, and of its gradient's on the same nodes where that comes along."""
    plan = schedule(datapath_of(designs), designs[0].spec.target, latency)
    gradient = Output(designs[1]) if len(designs) > 1 else None
    return Unit(designs[0], name, plan, interface, lanes, expression, clock, gradient)


def from_manifest(manifest: Mapping[str, Any]) -> Unit:
    """The unit that a manifest describes, built again from its parameters; its codes have the digest stated.

    Raises
    ------
    BundleError
        The manifest does not describe a unit, or describes one of other codes.
    """
    unit = rebuilt(manifest)
    for output, said in zip(
        unit.outputs.values(), (manifest, manifest.get("gradient_output", {})), strict=False
    ):
        if said.get("golden_sha256") != output.golden_sha256:
            raise BundleError(
                f"golden_sha256 must be {output.golden_sha256!r}, the digest of the unit's codes, "
                f"not {said.get('golden_sha256')!r}; generate it again"
            )
    return unit


def rebuilt(manifest: Mapping[str, Any]) -> Unit:
    """Like :func:`from_manifest`, but without a look at the digest."""
    with describing_a_unit():
        facts = dict(manifest)
        spec = UnitSpec(
            function=stated_function(facts),
            input_format=Format.parse(facts["input_format"]),
            output_format=Format.parse(facts["output_format"]),
            rounding=member(Rounding, "rounding", facts["rounding"]),
            overflow=member(Overflow, "overflow", facts["overflow"]),
            accuracy=Accuracy.parse(facts["requested_accuracy"]),
            constraints=parse(facts["constraints"]),
            target=cost.target(facts["target"], facts["multipliers"]),
        )
        check_interface(facts["interface"], facts["lanes"])
        if "runtime_beta" in facts:
            designs: list[Design] = [family(spec)]
        else:
            designs = [Design.build(spec, facts["architecture"], facts["architecture_parameters"])]
        if "gradient_output" in facts:
            designs.append(rebuilt_gradient(spec, facts["gradient_output"]))
        both, latency, clock = joined(tuple(designs)), facts["latency"], facts["requested_clock_mhz"]
        check_cycles(datapath_of(both), spec.target, latency, clock)
        return of_designs(
            naming.checked(facts["name"]),
            both,
            latency,
            facts["interface"],
            facts["lanes"],
            facts["expression"],
            clock,
        )


def stated_function(facts: Mapping[str, Any]) -> FunctionSpec:
    """The function that a manifest states."""
    function = None if facts["expression"] else facts["function"]
    return _function(function, facts["expression"], facts["function"], facts["gradient"], facts["parameters"])


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
