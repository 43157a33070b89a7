# SPDX-License-Identifier: Apache-2.0
"""The command `study`: trains networks on hardware activations and says what was found."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from hwact import studies
from hwact.console import print_json, print_table, progress_bar, say
from hwact.errors import ArgumentError
from hwact.options import listed, numbers
from hwact.studies import Study
from hwact.studies.plan import Results
from hwact.tools import write_at_once


@click.command()
@click.argument("name")
@click.option("--width", "widths", callback=listed, metavar="N,N,...", help="Bits of the units beside float.")
@click.option("--seeds", type=int, help="How often everything is drawn anew.")
@click.option("--quick", is_flag=True, help="Smaller networks and fewer of them: below a minute.")
@click.option("--device", help="PyTorch's name of it; its GPU where there is one, unless given.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the JSON and the picture.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def study(
    name: str,
    widths: tuple[str, ...] | None,
    seeds: int | None,
    quick: bool,
    device: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Train small networks: reproducibility, vanishing, depth, surface or batch."""
    subject = studies.get(name)
    plan = subject.QUICK if quick else subject.FULL
    if widths is not None:
        plan = replace(plan, widths=numbers("widths", widths))
    if seeds is not None:
        plan = replace(plan, seeds=seeds)
    if out is not None and out.exists() and not out.is_dir():
        raise ArgumentError(f"--out must be a folder, not the file {str(out)!r}; choose another")
    place = _device(device)
    with progress_bar() as told:
        results = subject.run(plan, place, told)
    files = [] if out is None else _write(out, subject, results)
    if as_json:
        print_json(results)
        return
    _show(subject, results)
    for file in files:
        say(f"written: {file}")


def _device(name: str | None) -> str:
    """A device that PyTorch finds; sums have one order, and results do not depend on the number of cores."""
    import torch

    torch.set_num_threads(1)
    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError):
        raise ArgumentError(
            f"the device must be one that PyTorch finds here, not {name!r}; leave it out to have one chosen"
        ) from None
    return name


def _write(out: Path, subject: Study, results: Results) -> list[Path]:
    from hwact.report import svg  # Matplotlib takes a while to load

    out.mkdir(parents=True, exist_ok=True)
    contents = {
        "json": json.dumps(results) + "\n",
        "svg": svg(subject.figure(results), subject.SUMMARY),
    }
    files = [out / f"{subject.NAME}.{suffix}" for suffix in contents]
    for file, content in zip(files, contents.values(), strict=True):
        write_at_once(file, content.encode())
    return files


def _show(subject: Study, results: Results) -> None:
    rows = [[_cell(row[column]) for column in subject.COLUMNS] for row in results["rows"]]
    seeds = results["plan"]["seeds"]
    print_table(subject.COLUMNS, rows, title=f"{subject.NAME}: means and 95 % intervals of {seeds} seeds")
    count = Counter(claim["verdict"] for claim in results["claims"])
    say("claims: " + ", ".join(f"{number} {verdict}" for verdict, number in sorted(count.items())))
    for claim in results["claims"]:
        where = [
            str(value) for key, value in claim.items() if key not in ("claim", "gain", "verdict") and value
        ]
        say(f"{claim['verdict']:9}  {claim['claim']} ({', '.join(where)}): {_cell(claim['gain'])}")


def _cell(value: Any) -> str:
    """A number, text, or an interval as its mean and half its width."""
    if not isinstance(value, dict):
        return "" if value is None else str(value)
    if value["mean"] is None or value["high"] is None:
        return "none"
    return f"{value['mean']:.4g} ± {value['high'] - value['mean']:.2g}"
