# SPDX-License-Identifier: Apache-2.0
"""The command line: results to stdout, progress and errors to stderr.

Exit codes: 0 done, 1 a check failed, 2 wrong arguments, 3 a tool is missing or too old,
130 interrupted.
"""

from __future__ import annotations

import sys
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from hwact import functions
from hwact.architectures import catalogue
from hwact.commands import compare, explore, export, onnx_
from hwact.console import print_json, print_table, progress, say
from hwact.datapath.cost import TARGETS
from hwact.effort import build
from hwact.errors import ArgumentError, HwactError
from hwact.evaluation import evaluate_file, evaluate_numbers
from hwact.formats import Overflow, Rounding
from hwact.interfaces import INTERFACES
from hwact.options import choice_options, generation_options, specification_options
from hwact.output import Output
from hwact.requantise.layer import unit_of
from hwact.study import study
from hwact.tailor import tailor
from hwact.unit import Unit

DEFAULT_FUNCTIONS = ("smelu", "gelu", "swish")
INTERRUPTED = 130


def main() -> None:
    """Run the command line and leave with its exit code."""
    try:
        sys.exit(command.main(prog_name="python -m hwact", standalone_mode=False) or 0)
    except HwactError as error:
        sys.exit(_failed(str(error), error.exit_code))
    except click.ClickException as error:
        sys.exit(_failed(error.format_message() + _way_out(error), error.exit_code))
    except (KeyboardInterrupt, click.Abort):
        # One that came inside exec would end Python by the signal: what is evaluated in here makes it forget.
        namedtuple("Forgotten", ())
        sys.exit(_failed("interrupted", INTERRUPTED))


def _failed(message: str, code: int) -> int:
    click.echo(f"error: {message}", err=True)
    return code


def _way_out(error: click.ClickException) -> str:
    negative = isinstance(error, click.NoSuchOption) and error.option_name[1:2] in {*"0123456789."}
    return " Put -- before negative numbers." if negative else ""


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="hwact")
@click.pass_context
def command(context: click.Context) -> None:
    """Proven activation-function units in fixed-point hardware."""
    if context.invoked_subcommand is None:
        say(context.get_help())


def _build(function: str | None, options: dict[str, Any]) -> Unit:
    """A unit from command-line options; parameters that were not given are left out."""
    given = {key: value for key, value in options.items() if value is not None}
    with progress.status(f"building {function or options['name'] or options['expression']}"):
        return build(function, **given)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def list_(as_json: bool) -> None:
    """The functions, and what else can be chosen."""
    specs = [functions.get(name) for name in functions.names()]
    choices = {
        "architectures": list(catalogue()),
        "interfaces": list(INTERFACES),
        "targets": list(TARGETS),
        "roundings": [str(mode) for mode in Rounding],
        "overflows": [str(mode) for mode in Overflow],
    }
    if as_json:
        entries = [
            {
                "name": spec.name,
                "summary": spec.summary,
                "formula": spec.formula,
                "parameters": {p.name: float(p.default) for p in functions.parameters_of(spec.name)},
                "monotonic": spec.monotonic,
            }
            for spec in specs
        ]
        print_json({"functions": entries, **choices})
        return
    rows = [
        (spec.name, spec.formula, ", ".join(f"{key}={float(value):g}" for key, value in spec.arguments))
        for spec in specs
    ]
    print_table(("function", "formula", "parameters"), rows)
    for key, values in choices.items():
        say(f"{key}: {', '.join(values)}")


@command.command()
@click.argument("names", nargs=-1, metavar="[FUNCTION]...")
@specification_options
@click.option("--with-gradient", is_flag=True, help="The derivative beside the function, as second output.")
@click.option(
    "--gradient-format", metavar="FORMAT", help="Of that output; one that holds the derivative unless given."
)
@click.option("--runtime-beta", is_flag=True, help="SmeLU with log2(beta) as an input.")
@click.option(
    "--requantise",
    "layer",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="From 32-bit sums: JSON with scale, gamma, beta, mean, variance, epsilon of the channels.",
)
@generation_options
def generate(names: tuple[str, ...], layer: Path | None, out: Path, as_json: bool, **options: Any) -> None:
    """Make units: Verilog, manifest and README; SmeLU, GELU and Swish unless named.

    With --requantise, of a layer's sums: by thresholds, or, with --input-format, by a multiplier for each
    channel ahead of a unit from that format.
    """
    wanted: list[str | None] = list(names or DEFAULT_FUNCTIONS) if options["expression"] is None else [None]
    if options["expression"] is not None and names:
        raise ArgumentError(f"an expression stands in place of functions, not beside {names!r}")
    if options["expression"] is not None and options["name"] is None:
        raise ArgumentError("an expression must be given a name, not none; add --name")
    if options["name"] is not None and len(wanted) > 1:
        raise ArgumentError(
            f"a name must be given to one unit, not {len(wanted)!r}; generate them one by one"
        )
    if layer is not None:
        if options.pop("effort") != "normal":
            raise ArgumentError("effort must be normal with --requantise, not another; leave --effort out")
        _generate_requantising(wanted, layer, out, as_json, options)
        return
    units = [_build(function, options) for function in wanted]
    manifests = [unit.manifest() for unit in units]
    folders = [unit.write(out) for unit in units]
    if as_json:
        print_json(manifests)
        return
    rows = [row for unit, folder in zip(units, folders, strict=True) for row in _summary(unit, folder)]
    print_table(("unit", "in", "out", "architecture", "max error", "class", "latency", "where"), rows)
    say(f"next: python -m hwact verify {' '.join(map(str, folders))}")


def _generate_requantising(
    wanted: list[str | None], layer: Path, out: Path, as_json: bool, options: dict[str, Any]
) -> None:
    given = {key: value for key, value in options.items() if value is not None}
    with progress.status(f"building from {layer}"):
        units = [unit_of(function, layer, given) for function in wanted]
        manifests = [unit.manifest() for unit in units]
    folders = [unit.write(out) for unit in units]
    if as_json:
        print_json(manifests)
        return
    rows = [
        (unit.name, facts["form"], len(facts["channels"]), facts["accuracy"]["max_difference"], folder)
        for unit, facts, folder in zip(units, manifests, folders, strict=True)
    ]
    print_table(("unit", "form", "channels", "codes from correct", "where"), rows)
    say(f"next: python -m hwact verify {' '.join(map(str, folders))}")


def _summary(unit: Unit, folder: Path) -> Iterator[tuple[object, ...]]:
    """A line for the unit, and one for its gradient where it has that."""
    cycles = f"{unit.latency} cycle{'s' * (unit.latency != 1)}"
    yield unit.name, unit.input_format, *_output(unit), cycles, folder
    if unit.gradient:
        yield "and gradient", "", *_output(unit.gradient), "", ""


def _output(output: Output) -> tuple[object, ...]:
    error = f"{output.accuracy.max_error_ulp:.4f} ulp"
    return output.output_format, output.design.architecture, error, output.accuracy.class_


@command.command("eval")
@click.argument("function", required=False)
@click.argument("numbers", nargs=-1, metavar="[NUMBER]...")
@specification_options
@choice_options
@click.option("--input", "source", type=click.Path(path_type=Path), help="Recorded values or codes, .npy.")
@click.option("--output", type=click.Path(path_type=Path), help="Where the results go, .npy.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def eval_(
    function: str | None,
    numbers: tuple[str, ...],
    source: Path | None,
    output: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Run numbers or a recorded tensor through the golden model.

    A NUMBER is a value such as -1.5, or a code as the register's bits in hexadecimal such as 0x1000.
    Put -- before negative numbers.
    """
    if options["expression"] is not None and function is not None:
        numbers, function = (function, *numbers), None
    if bool(numbers) == (source is not None):
        raise ArgumentError(
            f"numbers or --input must be given, one of the two, not {numbers!r} and {source!r}"
        )
    if output is not None and source is None:
        raise ArgumentError(f"--output must come with --input, not {str(output)!r} alone")
    unit = _build(function, options)
    if source is not None:
        summary = evaluate_file(unit, source, output)
        print_json(summary) if as_json else _print_summary(summary)
        return
    rows = evaluate_numbers(unit, numbers)
    if as_json:
        print_json([vars(row) for row in rows])
        return
    columns = ("value", "code", "bits", "exact result", "result", "code", "bits", "error in ulp")
    print_table(columns, [row.cells() for row in rows], title=unit.name)


def _print_summary(summary: dict[str, Any]) -> None:
    width = max(map(len, summary))
    for key, value in summary.items():
        if value is not None:
            say(f"{key.replace('_', ' '):{width}}  {value}")


@command.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FOLDER...")
@click.option("--simulator", default="auto", show_default=True, help="auto, verilator or icarus.")
@click.option("--verilog", type=click.Path(path_type=Path), help="Another file with the same ports.")
@click.option("--inputs", type=click.Path(path_type=Path), help="Recorded codes or values as stimulus, .npy.")
@click.option("--against", help="torch: PyTorch's float64 function as third witness.")
@click.option("--waves", is_flag=True, help="Keep the waveform.")
@click.option("--thorough", is_flag=True, help="Every code under every pairing of gaps and stalls.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the shuffles.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def verify(folders: tuple[Path, ...], as_json: bool, **options: Any) -> int:
    """Prove a bundle's Verilog against its golden model, in simulation."""
    from hwact.verify import verify as run

    reports = []
    for folder in folders:
        with progress.status(f"verifying {folder}"):
            reports.append(run(folder, **options))
    if as_json:
        print_json([report.as_dict() for report in reports])
    else:
        for report in reports:
            say(report.text())
    return 0 if all(report.passed for report in reports) else 1


command.add_command(compare)
command.add_command(explore)
command.add_command(export)
command.add_command(onnx_)
command.add_command(study)
command.add_command(tailor)
