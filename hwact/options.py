# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from hwact import functions
from hwact.architectures.constraints import Constraint
from hwact.datapath.cost import MULTIPLIERS, TARGETS
from hwact.errors import ArgumentError
from hwact.formats import Overflow, Rounding
from hwact.interfaces import INTERFACES
from hwact.synth import Options
from hwact.synth.liberty import Liberty

Command = TypeVar("Command", bound=Callable[..., Any])

_CONSTRAINTS = {
    Constraint.MONOTONIC: "The output never falls, or never rises, as the function.",
    Constraint.SYMMETRIC: "The function's symmetry holds exactly: odd, even, 1 - f(x), f(x) - x.",
    Constraint.ZERO: "f(0) = 0 exactly.",
    Constraint.TAILS: "Exactly 0, x or a constant where the rounded function is.",
}


def decorated(wrapped: Command, *options: Callable[[Command], Command]) -> Command:
    """A command with options, which its help shows in this order."""
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


def _parameter_names() -> list[str]:
    return sorted({p.name for name in functions.names() for p in functions.parameters_of(name)})


def specification_options(wrapped: Command) -> Command:
    """What a unit computes; the functions' parameters come from the catalogue."""
    return decorated(
        wrapped,
        click.option("--width", type=int, help="Bits, at most 32; stands for SQ4.(width-4) in and out."),
        click.option("--input-format", metavar="FORMAT", help="Such as SQ4.12, UQ0.8 or int8:0.05:-3."),
        click.option("--output-format", metavar="FORMAT", help="The input format unless given."),
        click.option(
            "--rounding",
            help=f"One of {', '.join(Rounding)}; half_up unless given, or half_even for an affine output.",
        ),
        click.option(
            "--overflow", default="saturate", show_default=True, help=f"One of {', '.join(Overflow)}."
        ),
        click.option("--gradient", is_flag=True, help="The derivative instead of the function."),
        click.option("--expression", metavar="TEXT", help='A formula such as "x*sigmoid(1.702*x)".'),
        click.option("--name", help="Name of the unit."),
        *(
            click.option(
                f"--{name.replace('_', '-')}", name, metavar="NUMBER", help="A function's parameter."
            )
            for name in _parameter_names()
        ),
    )


def _constraint(context: click.Context, option: click.Parameter, given: bool) -> None:
    if given:
        context.params["constraints"] = (*context.params.get("constraints", ()), option.name)


def constraint_options(wrapped: Command) -> Command:
    """What a unit keeps exactly; the names reach the command together, as ``constraints``, if any."""
    return decorated(
        wrapped,
        *(
            click.option(f"--{name}", is_flag=True, expose_value=False, callback=_constraint, help=text)
            for name, text in _CONSTRAINTS.items()
        ),
    )


multipliers_option = click.option(
    "--multipliers",
    default="luts",
    show_default=True,
    help=f"One of {', '.join(MULTIPLIERS)}: products in look-up tables, or in DSP blocks, where these pay.",
)


def choice_options(wrapped: Command) -> Command:
    """The options that choose between designs."""
    return decorated(
        constraint_options(wrapped),
        click.option("--accuracy", help="correct, faithful, max_ulp=N or mse=N."),
        click.option("--architecture", default="auto", show_default=True, help="auto, or one to search."),
        click.option("--target", default="xc7", show_default=True, help=f"One of {', '.join(TARGETS)}."),
        multipliers_option,
    )


def generation_options(wrapped: Command) -> Command:
    """How units are made and where they go."""
    made = decorated(
        wrapped,
        click.option(
            "--interface", default="stream", show_default=True, help=f"One of {', '.join(INTERFACES)}."
        ),
        click.option(
            "--latency", type=int, help="Cycles; 0 is combinational; chosen from delays by default."
        ),
        click.option(
            "--clock", type=float, metavar="MHZ", help="That the target is to reach; chooses the latency."
        ),
        click.option(
            "--effort",
            default="normal",
            show_default=True,
            help="normal: by estimates; high: the best of them by synthesis.",
        ),
        click.option("--lanes", type=int, default=1, show_default=True, help="Codes a word."),
        click.option(
            "--out", default="build", show_default=True, type=click.Path(path_type=Path), help="Folder."
        ),
        click.option("--json", "as_json", is_flag=True, help="The manifests, for machines."),
    )
    return choice_options(made)


def measuring_options(wrapped: Command) -> Command:
    """How designs are measured."""
    return decorated(
        wrapped,
        click.option("--liberty", type=click.Path(path_type=Path), help="Cells for the target asic, .lib."),
        click.option("--dsp", is_flag=True, help="DSP blocks may be used."),
        click.option("--ram", is_flag=True, help="Memory blocks may be used."),
        click.option("--place/--no-place", default=True, help="Place and route for the clock."),
        click.option("--seeds", type=int, default=3, show_default=True, help="Of place and route."),
        click.option("--scheduler", metavar="ADDRESS", help="A Dask scheduler; else the local cores."),
    )


def measuring(liberty: Path | None, dsp: bool, ram: bool, place: bool, seeds: int) -> Options:
    """What the measuring options mean."""
    if seeds < 1:
        raise ArgumentError(f"seeds must be at least 1, not {seeds!r}; or say --no-place")
    cells = Liberty.read(liberty) if liberty else None
    return Options(dsp=dsp, ram=ram, liberty=cells, place=place, seeds=tuple(range(1, seeds + 1)))


def listed(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """A list with commas between its items."""
    return None if value is None else tuple(item.strip() for item in value.split(",") if item.strip())


def numbers(what: str, texts: tuple[str, ...]) -> tuple[int, ...]:
    """The numbers of a list, or a clear error."""
    if not all(text.isdecimal() and len(text) < 10 for text in texts):
        raise ArgumentError(f"{what} must be numbers with commas between them, not {','.join(texts)!r}")
    return tuple(map(int, texts))
