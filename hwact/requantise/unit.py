# SPDX-License-Identifier: Apache-2.0
"""Requantisation and activation as one hardware unit, with its golden model and its manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from hwact import bundle, naming
from hwact.datapath import cost
from hwact.datapath import evaluate as golden
from hwact.datapath.graph import Datapath
from hwact.datapath.schedule import Schedule, check_clock, check_cycles, cycles, schedule
from hwact.description import Description
from hwact.errors import ArgumentError
from hwact.formats import Codes, Format, Overflow, Rounding, member
from hwact.functions.spec import FunctionSpec
from hwact.hardware import HardwareUnit, describing_a_unit
from hwact.interfaces import check_interface
from hwact.requantise import files
from hwact.requantise.channel import ACCUMULATOR_BITS, Channel
from hwact.requantise.datapaths import comparisons, multiplied, word_format
from hwact.requantise.golden import LayerGolden
from hwact.requantise.multiplier import Requantiser
from hwact.requantise.thresholds import Thresholds
from hwact.unit import Unit, stated_function
from hwact.unit import rebuilt as rebuilt_unit

Array = npt.NDArray[Any]
MAX_CHANNELS = 4096
_ACTIVATION_KEYS = (
    *(
        "name",
        "function",
        "expression",
        "parameters",
        "gradient",
        "input_format",
        "output_format",
        "rounding",
    ),
    *(
        "overflow",
        "requested_accuracy",
        "constraints",
        "target",
        "multipliers",
        "architecture",
        "architecture_parameters",
        "interface",
    ),
    *("lanes", "latency", "requested_clock_mhz", "golden_sha256"),
)


@dataclass(frozen=True, eq=False)
class Scaled:
    """A unit behind a multiplier, a bias and a shift for each channel.

    Parameters
    ----------
    stage : Requantiser
        Of the unit's input format and rounding.
    activation : Unit
        One that saturates.
    """

    stage: Requantiser
    activation: Unit

    @classmethod
    def of(cls, channels: Sequence[Channel], activation: Unit, *, multiplier_bits: int = 24) -> Scaled:
        """The stage of some channels ahead of a unit."""
        if activation.spec.overflow is not Overflow.SATURATE:
            raise ArgumentError(
                f"a unit must saturate to follow a multiplier, not {str(activation.spec.overflow)!r}; "
                "build it with overflow='saturate'"
            )
        if activation.gradient or activation.setting_format:
            raise ArgumentError(
                f"a unit must have one input and one output to follow a multiplier, not be "
                f"{activation.name!r}; build it without gradient and run-time beta"
            )
        mode = activation.spec.rounding
        stage = Requantiser.of(
            channels, activation.input_format, rounding=mode, multiplier_bits=multiplier_bits
        )
        return cls(stage, activation)

    @property
    def function(self) -> FunctionSpec:
        """The exact function."""
        return self.activation.function

    @property
    def output_format(self) -> Format:
        """That of the unit."""
        return self.activation.output_format

    @property
    def rounding(self) -> Rounding:
        """That of the unit."""
        return self.activation.spec.rounding

    @property
    def channels(self) -> tuple[Channel, ...]:
        """What the accumulators stand for."""
        return self.stage.channels

    @property
    def bits(self) -> int:
        """Of the accumulator."""
        return self.stage.bits

    @property
    def starts(self) -> tuple[Codes, ...]:
        """For each channel the accumulators from which on an input code of the unit holds."""
        return self.stage.starts

    @cached_property
    def codes(self) -> tuple[Codes, ...]:
        """For each channel the output codes from those accumulators on."""
        rows = (self.stage.channel_codes(channel, row) for channel, row in enumerate(self.starts))
        return tuple(self.activation.evaluate(row) for row in rows)

    def datapath(self) -> Datapath:
        """The whole as a datapath."""
        return multiplied(self.stage, self.activation.design.datapath)

    def evaluate(self, accumulators: npt.ArrayLike, axis: int = -1) -> Array:
        """The output codes of accumulators; arguments as of :meth:`Thresholds.evaluate`."""
        return self.activation.evaluate(self.stage.evaluate(accumulators, axis))


Form = Thresholds | Scaled


@dataclass(frozen=True, eq=False)
class RequantisingUnit(HardwareUnit):
    """A hardware unit from accumulators to output codes, and its golden model.

    Made by :func:`build` and :func:`rebuilt`. An input word holds an accumulator in its low bits and the
    channel above it; constants of the channels are tables. A channel beyond the last acts as the last.

    Parameters
    ----------
    name : str
    form : Thresholds or Scaled
    datapath : Datapath
        The golden model; the schedule may hold another form of it.
    schedule : Schedule
    interface : str
    lanes : int
        Words side by side, each with its own channel.
    target : Target
    expression : str, optional
        The function's text, where it is none of the catalogue's.
    clock : float, optional
        MHz that was asked for.
    """

    name: str
    form: Form
    datapath: Datapath
    schedule: Schedule
    interface: str
    lanes: int
    target: cost.Target
    expression: str | None = None
    clock: float | None = None

    @property
    def function(self) -> FunctionSpec:
        """The exact function."""
        return self.form.function

    @cached_property
    def input_format(self) -> Format:
        """Format of the input words, as integers."""
        return word_format(self.form.bits, len(self.form.channels))

    @property
    def output_format(self) -> Format:
        """Format of the output codes."""
        return self.form.output_format

    @property
    def outputs(self) -> dict[str, RequantisingUnit]:
        """All outputs, by name: the one."""
        return {"y": self}

    @property
    def formats(self) -> tuple[dict[str, Format], dict[str, Format]]:
        """Formats of the inputs and of the outputs, by name."""
        return {"x": self.input_format}, {"y": self.output_format}

    def words(self, accumulators: npt.ArrayLike, axis: int = -1) -> Codes:
        """Input words of accumulators, of the same shape; the axis is that of the channels."""
        array = np.asarray(accumulators, dtype=np.int64)
        count, bits = len(self.form.channels), self.form.bits
        if not array.ndim or array.shape[axis] != count:
            raise ArgumentError(f"axis {axis} must have {count} channels, not the shape {array.shape!r}")
        if count == 1:
            return array
        shape = [count if place == axis % array.ndim else 1 for place in range(array.ndim)]
        return (np.arange(count).reshape(shape) << bits) | (array & ((1 << bits) - 1))

    def fields(self, words: npt.ArrayLike) -> tuple[Codes, Codes]:
        """Channels, at most the last one, and accumulators of input words, each of their shape."""
        array, bits = np.asarray(words, dtype=np.int64), self.form.bits
        if len(self.form.channels) == 1:
            return np.zeros_like(array), array
        sign = np.int64(1) << (bits - 1)
        accumulators = ((array & ((1 << bits) - 1)) ^ sign) - sign
        return np.minimum(array >> bits, len(self.form.channels) - 1), accumulators

    def evaluate(self, words: npt.ArrayLike) -> Array:
        """The golden model: input words to output codes, bit-exact with the hardware; of the same shape."""
        array = np.asarray(words)
        self.check_range(array)
        codes = golden.evaluate(self.datapath, array.astype(np.int64))
        return codes.astype(self.output_format.dtype)

    def check_range(self, words: Array) -> None:
        """Refuse what are no input words."""
        low, high = self.input_format.min_code, self.input_format.max_code
        if words.dtype.kind not in "iu" or (words.size and not low <= words.min() <= words.max() <= high):
            raise ArgumentError(
                f"input words must be integers in {low}..{high}, the channel above the accumulator, "
                f"not {words.dtype.name} up to {words.max()}; make them with words()"
            )

    def exact_value(self, word: int) -> float:
        """The function's value for an input word, in float64."""
        (channel,), (accumulator,) = self.fields([word])
        value = self.form.channels[channel].value(int(accumulator))
        return float(self.function.float_form(np.array([value]))[0])

    def input_text(self, word: int) -> str:
        """An input word for a reader."""
        (channel,), (accumulator,) = self.fields([word])
        return f"0x{self.input_format.to_bits(word):x} (channel {channel}, accumulator {accumulator})"

    def steps(self) -> Codes:
        """The input words on both sides of every step of every channel, and the ends.

        The channels beyond the last are there as one: where they are, its words come once more.
        """
        ends = [-(1 << (self.form.bits - 1)), (1 << (self.form.bits - 1)) - 1]
        rows = [np.concatenate([row[1:] - 1, row, ends]) for row in self.form.starts]
        if len(rows) == 1:
            return np.unique(rows[0])
        beyond = 1 << (self.input_format.width - self.form.bits)
        rows += [rows[-1]] * (beyond > len(rows))
        mask = (1 << self.form.bits) - 1
        return np.concatenate([np.unique((k << self.form.bits) | (row & mask)) for k, row in enumerate(rows)])

    @cached_property
    def accuracy(self) -> dict[str, Any]:
        """The difference to the correctly rounded codes, over all accumulators of all channels.

        Exact: both are constant between the steps of either.
        """
        form, worst, differing = self.form, 0, 0
        if isinstance(form, Scaled):
            exact = Thresholds.of(
                form.function, form.channels, form.output_format, rounding=form.rounding, bits=form.bits
            )
            for channel, starts in enumerate(form.starts):
                places = np.union1d(starts, exact.starts[channel])
                mine = form.codes[channel][np.searchsorted(starts, places, side="right") - 1]
                apart = np.abs(mine.astype(np.int64) - exact.channel_codes(channel, places))
                lengths = np.diff(np.append(places, 1 << (form.bits - 1)))
                worst, differing = max(worst, int(apart.max())), differing + int(lengths[apart > 0].sum())
        return {
            "class": "correct" if worst == 0 else f"max_difference={worst}",
            "max_difference": worst,
            "differing": differing,
            "checked": len(form.channels) << form.bits,
        }

    def manifest_facts(self) -> dict[str, Any]:
        """The manifest without the digest of the Verilog."""
        form = self.form
        facts = {
            "name": self.name,
            "function": form.function.name,
            "expression": self.expression,
            "parameters": {key: naming.number(value) for key, value in form.function.arguments},
            "gradient": form.function.is_gradient,
            "form": "thresholds" if isinstance(form, Thresholds) else "multiplier",
            "channels": [[str(number) for number in channel.numbers] for channel in form.channels],
            "accumulator_bits": form.bits,
            "input_format": str(self.input_format),
            "output_format": str(form.output_format),
            "rounding": form.rounding.value,
            "overflow": Overflow.SATURATE.value,
            "target": self.target.name,
            **self.interface_facts(),
            "accuracy": self.accuracy,
            "golden_sha256": self.golden_sha256,
            "files": bundle.file_names(self.name, list(self.outputs)),
            "hwact_version": version("hwact"),
        }
        if isinstance(form, Thresholds):
            return facts
        activation = form.activation.manifest_facts()
        return facts | {
            "activation": {key: activation[key] for key in _ACTIVATION_KEYS},
            "multiplier_bits": form.stage.multiplier_bits,
            "stage_error_ulp": max(form.stage.bounds),
        }

    @cached_property
    def golden_sha256(self) -> str:
        """Digest of every channel's accumulators at which the code changes and the codes from there on."""
        digest = hashlib.sha256()
        for starts, codes in zip(self.form.starts, self.form.codes, strict=True):
            changes = np.flatnonzero(np.diff(codes, prepend=codes[0] - 1))
            for row in (starts[changes], codes[changes]):
                digest.update(row.astype("<i8").tobytes())
        return digest.hexdigest()

    def origin(self, facts: Mapping[str, Any]) -> tuple[str, ...]:
        """The lines at the top of every file, without comment marks."""
        return files.origin(facts)

    def description(self) -> Description:
        """What the files of the bundle are made from."""
        manifest, count, bits = self.manifest(), len(self.form.channels), self.form.bits
        origin = self.origin(manifest)
        channel = Format(False, self.input_format.width - bits, 0) if count > 1 else None
        return Description(
            manifest=manifest,
            verilog=self.verilog,
            origin=origin,
            formats=self.formats,
            models=[LayerGolden(self.name, count, bits, self.output_format, self.datapath, origin)],
            readme=files.readme(manifest),
            digested="the accumulators at which codes change, and of the codes",
            fields={"channel": channel, "accumulator": Format(True, bits, 0)} if channel else {},
            steps=self.steps(),
            which="the codes on both sides of every step of every channel",
            constants={"CHANNELS": count},
        )


def build(
    form: Form,
    *,
    name: str | None = None,
    interface: str = "stream",
    latency: int | None = None,
    clock: float | None = None,
    lanes: int = 1,
    target: str = "xc7",
    expression: str | None = None,
) -> RequantisingUnit:
    """A unit of thresholds, or of a multiplier ahead of an activation.

    Parameters
    ----------
    form : Thresholds or Scaled
    name : str
        ``requantise_<function>_<formats>`` unless given.
    interface, latency, clock, lanes, target
        As of `hwact.build`.
    expression : str
        The text of a function that is none of the catalogue's; that of a `Scaled` one is known.

    Raises
    ------
    ArgumentError
        An argument is outside what is possible; `UnreachableError` when the clock is.
    """
    check_clock(clock, latency)
    check_interface(interface, lanes)
    if len(form.channels) > MAX_CHANNELS:
        raise ArgumentError(f"a unit must have at most {MAX_CHANNELS} channels, not {len(form.channels)!r}")
    if form.bits > ACCUMULATOR_BITS:
        raise ArgumentError(
            f"a unit's accumulator must have at most {ACCUMULATOR_BITS} bits, not {form.bits!r}"
        )
    hardware = cost.target(target)
    if isinstance(form, Scaled):
        datapath, default = form.datapath(), form.activation.name
        expression = form.activation.expression
    else:
        datapath = comparisons(form)
        default = naming.default(form.function, form.output_format, form.output_format)
    given = naming.checked(f"requantise_{default}" if name is None else name)
    plan = schedule(datapath, hardware, cycles(datapath, hardware, clock) if latency is None else latency)
    return RequantisingUnit(given, form, datapath, plan, interface, lanes, hardware, expression, clock)


def rebuilt(manifest: Mapping[str, Any]) -> RequantisingUnit:
    """The unit that a manifest describes, built again from its numbers.

    Raises
    ------
    BundleError
        The manifest does not describe such a unit.
    """
    with describing_a_unit():
        facts = dict(manifest)
        channels = [Channel(*map(Fraction, numbers)) for numbers in facts["channels"]]
        choices = {key: facts[key] for key in ("name", "interface", "latency", "lanes", "target")}
        if facts["form"] == "multiplier":
            activation = rebuilt_unit(facts["activation"])
            form: Form = Scaled.of(channels, activation, multiplier_bits=facts["multiplier_bits"])
        else:
            form = Thresholds.of(
                stated_function(facts),
                channels,
                Format.parse(facts["output_format"]),
                rounding=member(Rounding, "rounding", facts["rounding"]),
                bits=facts["accumulator_bits"],
            )
        unit = build(form, **choices, expression=facts["expression"])
        clock = facts["requested_clock_mhz"]
        check_cycles(unit.datapath, unit.target, unit.latency, clock)
        return replace(unit, clock=clock)
