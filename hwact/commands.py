# SPDX-License-Identifier: Apache-2.0
"""The commands that measure: `compare`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from hwact import synth
from hwact.compare import FAMILY, Question, as_csv, tables
from hwact.console import print_json, print_table, progress_bar, say
from hwact.entries import entries
from hwact.errors import ArgumentError
from hwact.synth import Options
from hwact.synth.liberty import Liberty
from hwact.tools import write_at_once

Command = TypeVar("Command", bound=Callable[..., Any])


def _listed(_: click.Context, __: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """A list with commas between its items."""
    return None if value is None else tuple(item.strip() for item in value.split(",") if item.strip())


def _measuring_options(wrapped: Command) -> Command:
    """The options that say how designs are measured."""
    options = [
        click.option("--liberty", type=click.Path(path_type=Path), help="Cells for the target asic, .lib."),
        click.option("--dsp", is_flag=True, help="DSP blocks may be used."),
        click.option("--ram", is_flag=True, help="Memory blocks may be used."),
        click.option("--place/--no-place", default=True, help="Place and route for the clock."),
        click.option("--seeds", type=int, default=3, show_default=True, help="Of place and route."),
        click.option("--scheduler", metavar="ADDRESS", help="A Dask scheduler; else the local cores."),
    ]
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


def _options(liberty: Path | None, dsp: bool, ram: bool, place: bool, seeds: int) -> Options:
    if seeds < 1:
        raise ArgumentError(f"seeds must be at least 1, not {seeds!r}; or say --no-place")
    cells = Liberty.read(liberty) if liberty else None
    return Options(dsp=dsp, ram=ram, liberty=cells, place=place, seeds=tuple(range(1, seeds + 1)))


@click.command()
@click.option("--width", type=int, help="Bits; stands for SQ4.(width-4) in and out.")
@click.option("--widths", callback=_listed, metavar="N,N,...", help="Several of them.")
@click.option("--functions", callback=_listed, metavar="NAME,...", help=f"Of {', '.join(FAMILY)}, or others.")
@click.option("--targets", callback=_listed, metavar="NAME,...", help=f"Of {', '.join(synth.TARGETS)}.")
@click.option("--accuracy", help="The same for all: correct, faithful or max_ulp=N.")
@click.option("--interface", default="bare", show_default=True, help="stream or bare.")
@click.option("--latency", type=int, help="Cycles; 0 is combinational; chosen from delays unless given.")
@_measuring_options
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
    html: Path | None,
    form: str | None,
    scheduler: str | None,
    **measuring: Any,
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
        options=_options(**measuring),
    )
    jobs = question.jobs()
    with progress_bar("measuring", len(jobs)) as show:
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
    if not all(text.isdecimal() for text in widths):
        raise ArgumentError(f"widths must be numbers with commas between them, not {','.join(widths)!r}")
    return tuple(map(int, widths))


def _write(path: Path, text: str) -> None:
    try:
        write_at_once(path, text.encode())
    except OSError as error:
        raise ArgumentError(
            f"the page must be a file that can be written, not {str(path)!r}: {error.strerror or error}; "
            "choose another place"
        ) from None
