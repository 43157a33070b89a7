# SPDX-License-Identifier: Apache-2.0
"""The command `tailor`: from a network's depth to the constants of its activation, and to the unit."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from hwact.console import print_json, print_table, progress, say
from hwact.errors import ArgumentError
from hwact.tailoring import dks, local_map, plain, read, tailored_rectifier, tat
from hwact.tailoring.networks import Network
from hwact.tailoring.report import GlobalMaps, Rounded, rounded, roundings
from hwact.tailoring.solve import Tailored
from hwact.unit import Unit, build

_DEFAULTS = {"eta": 0.9, "tau": 0.3, "zeta": 1.5}


@click.command()
@click.argument("base", required=False, metavar="[FUNCTION]")
@click.option("--depth", type=int, help="Layers of a network without shortcuts.")
@click.option("--network", "description", type=click.Path(path_type=Path), help="Or its description.")
@click.option("--eta", type=float, help="TReLU: the largest C(0), 0.9 unless given.")
@click.option("--tau", type=float, help="TAT of FUNCTION: the largest C''(1), 0.3 unless given.")
@click.option("--zeta", type=float, help="DKS of FUNCTION: the largest C'(1), 1.5 unless given.")
@click.option("--method", default="tat", show_default=True, help="tat or dks.")
@click.option("--digits", type=int, help="Signed digits of each constant; the fewest unless given.")
@click.option(
    "--tolerance", default=0.01, show_default=True, help="What rounding constants may move Q and C."
)
@click.option("--width", type=int, help="Also make the unit; bits, stands for SQ4.(width-4).")
@click.option("--input-format", metavar="FORMAT", help="Also make the unit.")
@click.option("--output-format", metavar="FORMAT", help="The input format unless given.")
@click.option("--name", help="Name of the unit.")
@click.option("--out", default="build", show_default=True, type=click.Path(path_type=Path), help="Folder.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def tailor(
    base: str | None,
    depth: int | None,
    description: Path | None,
    method: str,
    digits: int | None,
    tolerance: float,
    out: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Fit an activation to a deep network: TReLU, or FUNCTION such as tanh, softplus or smelu."""
    if (depth is None) == (description is None):
        raise ArgumentError(
            f"one of --depth and --network must be given, not {depth!r} and {str(description)!r}"
        )
    network = plain(depth) if depth is not None else read(description or "")
    goal = {key: options.pop(key) for key in _DEFAULTS}
    with progress.status("tailoring"):
        exact = _tailored(base, network, method, goal)
        rows = roundings(exact, network, tolerance) if digits is None else [rounded(exact, network, digits)]
    chosen = rows[-1].tailored
    given = {key: value for key, value in options.items() if value is not None}
    unit = _unit(chosen, given)
    facts = {
        "layers": network.layers,
        "constants": exact.constants,
        "maps": GlobalMaps.of(network, exact.local).as_dict(),
        "roundings": [_row_facts(row) for row in rows],
        "generate": _command(chosen),
    }
    if unit is not None:
        facts["unit"] = GlobalMaps.of(network, local_map(unit)).as_dict() | {"folder": str(unit.write(out))}
    if as_json:
        print_json(facts)
        return
    _show(facts, exact, rows, network, unit)


def _tailored(base: str | None, network: Network, method: str, goal: dict[str, float | None]) -> Tailored:
    methods = {"tat": (tat, "tau"), "dks": (dks, "zeta")}
    if method not in methods:
        raise ArgumentError(f"the method must be tat or dks, not {method!r}")
    solver, wanted = methods[method]
    if base is None and solver is dks:
        raise ArgumentError(f"the method of TReLU must be tat, not {method!r}; name a smooth function for it")
    wanted = "eta" if base is None else wanted
    for key, value in goal.items():
        if key != wanted and value is not None:
            raise ArgumentError(f"the goal must be --{wanted} here, not --{key} {value!r}; leave that out")
    given = goal[wanted]
    value = _DEFAULTS[wanted] if given is None else given
    return tailored_rectifier(network, value) if base is None else solver(base, network, value)


def _unit(tailored: Tailored, options: dict[str, Any]) -> Unit | None:
    if not set(options) & {"width", "input_format"}:
        if options:
            raise ArgumentError(
                f"a unit must have --width or --input-format, not {sorted(options)!r} alone; add one"
            )
        return None
    arguments: dict[str, Any] = {**tailored.arguments, **options}
    with progress.status("building the unit"):
        return build(arguments.pop("function", None), **arguments)


def _command(tailored: Tailored) -> str:
    arguments = tailored.arguments
    function = [arguments.pop("function")] if "function" in arguments else []
    flags = [text for key, value in arguments.items() for text in (f"--{key.replace('_', '-')}", value)]
    return shlex.join(["python", "-m", "hwact", "generate", *function, *flags, "--width", "8"])


def _row_facts(row: Rounded) -> dict[str, Any]:
    maps = row.maps.as_dict()
    error = row.error if maps["q"] is not None else None
    return {"digits": row.digits, "constants": row.tailored.constants, "maps": maps, "error": error}


def _show(
    facts: dict[str, Any], exact: Tailored, rows: list[Rounded], network: Network, unit: Unit | None
) -> None:
    names = list(exact.constants)
    columns = ("constants", *names, "Q(1)", "largest C(0)", "C(0.9)", "C(0.99) - C(0)")
    table = [_cells("exact", exact, GlobalMaps.of(network, exact.local))]
    table += [
        _cells(f"{row.digits} signed digit{'s' * (row.digits != 1)}", row.tailored, row.maps) for row in rows
    ]
    if unit is not None:
        maps = GlobalMaps.of(network, local_map(unit))
        table.append(_cells(unit.name, rows[-1].tailored, maps))
    print_table(columns, table, title=f"{facts['layers']} layers")
    say(f"rounding the constants moves Q and C of the network by up to {rows[-1].error:.6f}")
    if unit is not None:
        say(f"next: python -m hwact verify {facts['unit']['folder']}")
    else:
        say(f"next: {facts['generate']}")


def _cells(what: str, tailored: Tailored, maps: GlobalMaps) -> tuple[str, ...]:
    numbers = [f"{value:.12g}" for value in tailored.constants.values()]
    reached = (maps.q, maps.peak, maps.at(0.9), maps.span)
    return what, *numbers, *(f"{value:.6f}" for value in reached)
