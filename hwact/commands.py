# SPDX-License-Identifier: Apache-2.0
"""The commands `compare` and `explore`, which measure, `export`, and `onnx`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from hwact import bundle, synth
from hwact.compare import FAMILY, Question, Table, as_csv, tables
from hwact.console import print_json, print_table, progress, progress_bar, say
from hwact.entries import entries
from hwact.errors import ArgumentError
from hwact.explore import Search
from hwact.explore import explore as explored
from hwact.export import catalogue
from hwact.export import get as export_target
from hwact.export.source import Source
from hwact.formats import Format, Rounding, member
from hwact.onnx import listing
from hwact.onnx.units import units_of
from hwact.options import (
    constraint_options,
    generation_options,
    listed,
    measuring,
    measuring_options,
    multipliers_option,
    numbers,
    specification_options,
)
from hwact.tools import write_at_once
from hwact.unit import Unit


@click.command()
@click.option("--width", type=int, help="Bits; stands for SQ4.(width-4) in and out.")
@click.option("--widths", callback=listed, metavar="N,N,...", help="Several of them.")
@click.option("--functions", callback=listed, metavar="NAME,...", help=f"Of {', '.join(FAMILY)}, or others.")
@click.option("--targets", callback=listed, metavar="NAME,...", help=f"Of {', '.join(synth.TARGETS)}.")
@click.option("--accuracy", help="The same for all: correct, faithful, max_ulp=N or mse=N.")
@click.option("--interface", default="bare", show_default=True, help="stream or bare.")
@click.option("--latency", type=int, help="Cycles; 0 is combinational; chosen from delays unless given.")
@multipliers_option
@measuring_options
@click.option("--html", type=click.Path(path_type=Path), help="Also write a page with pictures.")
@click.option("--json", "form", flag_value="json", help="All facts, for machines.")
@click.option("--csv", "form", flag_value="csv", help="All facts, for spreadsheets.")
@click.option("--markdown", "form", flag_value="markdown", help="The tables in Markdown.")
def compare(
    width: int | None,
    widths: tuple[str, ...] | None,
    functions: tuple[str, ...] | None,
    targets: tuple[str, ...] | None,
    accuracy: str | None,
    interface: str,
    latency: int | None,
    multipliers: str,
    html: Path | None,
    form: str | None,
    scheduler: str | None,
    **measured: Any,
) -> None:
    """Error, area, latency and clock of many functions, side by side.

    A gradient is a function's name with _grad behind it.
    """
    question = Question(
        functions=functions if functions is not None else FAMILY,
        widths=_widths(width, widths),
        targets=targets if targets is not None else tuple(synth.TARGETS),
        accuracy=accuracy,
        interface=interface,
        latency=latency,
        multipliers=multipliers,
        options=measuring(**measured),
    )
    jobs = question.jobs()
    with progress_bar() as show:
        found = entries(jobs, scheduler=scheduler, progress=show)
    rows = question.rows(found)
    if html is not None:
        from hwact.page import page  # Matplotlib takes a while to load

        _write(html, page(rows, found))
    if form == "json":
        print_json(rows)
    elif form == "csv":
        say(as_csv(rows).rstrip())
    elif form == "markdown":
        say("\n\n".join(table.markdown() for table in tables(rows)))
    else:
        for table in tables(rows):
            print_table(table.header, table.lines, title=table.title)


def _widths(width: int | None, widths: tuple[str, ...] | None) -> tuple[int, ...]:
    if (width is None) == (widths is None):
        raise ArgumentError(f"one of --width and --widths must be given, not {width!r} and {widths!r}")
    if widths is None:
        return (width or 0,)
    return numbers("widths", widths)


def _write(path: Path, text: str) -> None:
    try:
        write_at_once(path, text.encode())
    except OSError as error:
        raise ArgumentError(
            f"the page must be a file that can be written, not {str(path)!r}: {error.strerror or error}; "
            "choose another place"
        ) from None


@click.command("onnx")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--width", type=int, help="Bits; stands for SQ4.(width-4) where there is no quantizer.")
@click.option("--input-format", metavar="FORMAT", help="Where there is no quantizer: SQ4.12, int8:0.05:-3.")
@click.option("--output-format", metavar="FORMAT", help="The same behind activations.")
@click.option("--rounding", help=f"One of {', '.join(Rounding)}; as the quantizers round unless given.")
@generation_options
def onnx_(
    model: Path,
    width: int | None,
    input_format: str | None,
    output_format: str | None,
    rounding: str | None,
    out: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Make one unit for each distinct activation of an ONNX model; say what has none, and why.

    Formats are those of the model's quantizers: QuantizeLinear and DequantizeLinear, or QONNX's Quant.
    """
    standard = Format.of_width(width) if width is not None else None
    found = listing(
        model,
        input_format=Format.parse(input_format) if input_format is not None else standard,
        output_format=Format.parse(output_format) if output_format is not None else standard,
        rounding=member(Rounding, "rounding", rounding) if rounding is not None else None,
    )
    with progress_bar() as show:
        units = units_of(found, show, **options)
    folders = {unit.name: unit.write(out) for unit, _ in units}
    if as_json:
        print_json(
            {
                "units": [{"nodes": nodes, **unit.manifest()} for unit, nodes in units],
                "unmatched": [vars(each) for each in found.unmatched],
            }
        )
        return
    print_table(
        ("unit", "in", "out", "architecture", "class", "nodes", "where"),
        [
            (*_facts(unit), escape(", ".join(nodes[:4]) + ", ..." * (len(nodes) > 4)), folders[unit.name])
            for unit, nodes in units
        ],
    )
    if found.unmatched:
        missing = [[escape(text) for text in vars(each).values()] for each in found.unmatched]
        print_table(("node", "operator", "why it has no unit"), missing)


def _facts(unit: Unit) -> tuple[object, ...]:
    formats = unit.input_format, unit.output_format
    return unit.name, *formats, unit.design.architecture, unit.accuracy.class_


@click.command()
@click.argument("function", required=False)
@specification_options
@constraint_options
@click.option("--target", default="xc7", show_default=True, help=f"One of {', '.join(synth.TARGETS)}.")
@click.option(
    "--accuracies", callback=listed, default="correct,faithful", show_default=True, metavar="A,A,..."
)
@click.option(
    "--latencies", callback=listed, default="0,auto", show_default=True, metavar="N,N,...", help="Cycles."
)
@multipliers_option
@click.option("--interface", default="bare", show_default=True, help="stream or bare.")
@click.option("--limit", type=int, default=12, show_default=True, help="Most designs to measure.")
@measuring_options
@click.option("--json", "as_json", is_flag=True, help="All measured designs, for machines.")
def explore(
    function: str | None,
    target: str,
    accuracies: tuple[str, ...],
    latencies: tuple[str, ...],
    interface: str,
    limit: int,
    scheduler: str | None,
    as_json: bool,
    liberty: Path | None,
    dsp: bool,
    ram: bool,
    place: bool,
    seeds: int,
    **spec: Any,
) -> None:
    """The Pareto front of a function over architectures, parameters, accuracies and latencies.

    An interrupted run goes on where it was.
    """
    given = {key: value for key, value in spec.items() if value is not None}
    search = Search(
        spec={"function": function, **given},
        target=target,
        accuracies=accuracies,
        latencies=tuple(None if text == "auto" else numbers("latencies", (text,))[0] for text in latencies),
        interface=interface,
        limit=limit,
        options=measuring(liberty, dsp, ram, place, seeds),
    )
    with progress_bar() as show:
        rows = explored(search, scheduler=scheduler, progress=show)
    if as_json:
        print_json(rows)
        return
    front = [row for row in rows if row["front"]]
    table = Table.of(f"{front[0]['unit']}, {synth.TARGETS[target].title}", front)
    print_table(table.header, table.lines, title=table.title)
    say(f"{len(front)} of {len(rows)} measured designs are on the front")


@click.command()
@click.argument("function", required=False, metavar="[FUNCTION|FOLDER]")
@click.option(
    "--to",
    "targets",
    required=True,
    callback=listed,
    metavar="NAME,...",
    help=f"Of {', '.join(catalogue())}.",
)
@specification_options
@click.option("--out", default="build", show_default=True, type=click.Path(path_type=Path), help="Folder.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def export(function: str | None, targets: tuple[str, ...], out: Path, as_json: bool, **options: Any) -> None:
    """Write a function for other tools, with the error that they make of it over all codes.

    Of a function the tables hold the correctly rounded codes, of a bundle's FOLDER those of its golden
    model. Interpolating targets get entries of their own, fitted to the exact function.
    """
    if not targets:
        raise ArgumentError(f"--to must name at least one of {', '.join(catalogue())}, not ','")
    makers = [export_target(name) for name in targets]
    source = _source(function, options)
    exports = []
    for maker in makers:
        with progress.status(f"writing {source.name} to {maker.NAME}"):
            exports.append((maker.NAME, maker.export(source)))
    files = {name: content for _, made in exports for name, content in made.files.items()}
    folder = bundle.write(out, source.name, files)
    if as_json:
        print_json(
            [
                {
                    "target": name,
                    "files": [str(folder / file) for file in made.files],
                    "entries": made.entries,
                    "evaluation": made.evaluation,
                    "accuracy": made.accuracy.as_dict(),
                }
                for name, made in exports
            ]
        )
        return
    rows = [
        (
            name,
            made.entries,
            made.evaluation,
            f"{made.accuracy.max_error_ulp:.4f} ulp",
            f"{made.accuracy.mean_error_ulp:.4f} ulp",
            made.accuracy.class_,
        )
        for name, made in exports
    ]
    print_table(("target", "written", "evaluated", "max error", "mean error", "class"), rows, source.name)
    say(f"in {folder}: {', '.join(files)}")


def _source(function: str | None, options: dict[str, Any]) -> Source:
    """A bundle, where the argument is a path or a folder with a manifest; else a function."""
    if function is None or not _is_bundle(function):
        given = {key: value for key, value in options.items() if value is not None}
        return Source.of_function(function, **given)
    context = click.get_current_context()
    named = [
        key for key in options if context.get_parameter_source(key) is not click.core.ParameterSource.DEFAULT
    ]
    if named:
        option = f"--{named[0].replace('_', '-')}"
        raise ArgumentError(f"a bundle must stand without options, not with {option!r}; leave it out")
    return Source.of_bundle(Path(function))


def _is_bundle(text: str) -> bool:
    path = Path(text)
    return "/" in text or (path / f"{path.name}.json").is_file()
