# SPDX-License-Identifier: Apache-2.0
"""Makes the README's pictures and tables of results: ``python benchmarks/readme.py``.

Only deterministic results: units, their errors, latencies and areas. CI runs this and finds nothing
changed; tests/test_readme.py does so for a part of it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

import hwact
from hwact import accuracy, report, synth
from hwact.cli import DEFAULT_FUNCTIONS
from hwact.compare import BASES, FAMILY, Question, Row
from hwact.entries import entries
from hwact.synth import Options
from hwact.unit import Unit

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
UNITS_PICTURE = ROOT / "docs" / "units.svg"
AREAS_PICTURE = ROOT / "docs" / "areas.svg"
WIDTHS = (8, 16)
PICTURED = 16
PICTURED_TARGET = "xc7"
RIVALS = ("swish", "gelu", "softplus", "mish")  # the smooth activations that SmeLU stands beside


def units(width: int) -> list[Unit]:
    """The units that `generate` makes unless told otherwise."""
    return [hwact.build(function, width=width) for function in DEFAULT_FUNCTIONS]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def unit_table(made: Sequence[Unit]) -> str:
    """A line for each unit that lies in rtl/."""
    header = ("unit", "architecture", "class", "largest error", "correctly rounded", "latency")
    rows = [
        (
            f"[`{unit.name}`](rtl/{unit.name}/{unit.name}.v)",
            f"`{unit.design.architecture}`",
            unit.accuracy.class_,
            f"{unit.accuracy.max_error_ulp:.4f} ulp",
            f"{unit.accuracy.correctly_rounded_fraction:.2%}",
            f"{unit.latency} cycle{'s' * (unit.latency != 1)}",
        )
        for unit in made
    ]
    return markdown(header, rows)


def measured(width: int, functions: Sequence[str] = FAMILY) -> list[Row]:
    """The family as combinational units, synthesised for every target, all at one accuracy."""
    question = Question(functions=tuple(functions), widths=(width,), latency=0, options=Options(place=False))
    return question.rows(entries(question.jobs(), progress=_show))


def _show(what: str, done: int, total: int) -> None:
    print(f"\r{what} {done}/{total}", end="\n" if done == total else "", file=sys.stderr)


def area_lines(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """A line for each function: its error, and its area on every target."""
    lines = []
    for function in dict.fromkeys(row["function"] for row in rows):
        mine = {row["target"]: row for row in rows if row["function"] == function}
        first = mine[PICTURED_TARGET]
        ratios = (f"{first[f'area_by_{base}']:.2f}" for base in BASES)
        areas = (f"{mine[target]['area']:.0f}" for target in synth.TARGETS)
        lines.append((f"`{function}`", f"{first['max_error_ulp']:.4f}", *areas, *ratios))
    return lines


def area_table(rows: Sequence[Row]) -> str:
    """The family's areas in Markdown."""
    names = (f"{target.title} ({target.area_unit})" for target in synth.TARGETS.values())
    return markdown(("function", "max error (ulp)", *names, "x ReLU", "x SmeLU"), area_lines(rows))


def finding(rows: Sequence[Row]) -> str:
    """What the areas say about SmeLU beside the other smooth activations."""
    areas = {(row["target"], row["function"]): row["area"] for row in rows}
    claims = []
    for rival in RIVALS:
        ratios = [areas[target, rival] / areas[target, "smelu"] for target in synth.TARGETS]
        claims.append(f"`{rival}` {min(ratios):.1f} to {max(ratios):.1f}")
    return f"times SmeLU's area, over the four targets: {', '.join(claims)}"


def pictured(made: Sequence[Unit]) -> list[report.Pictured]:
    """The units as a figure takes them."""
    return [(unit.manifest(), accuracy.envelope(unit.spec, unit.design.codes)) for unit in made]


def digests(made: Sequence[Unit]) -> str:
    """What the picture of the units shows, for its metadata."""
    return "; ".join(f"{unit.name} {unit.golden_sha256}" for unit in made)


def areas_of(rows: Sequence[Row]) -> dict[str, float]:
    """What the picture of areas shows."""
    return {row["function"]: row["area"] for row in rows if row["target"] == PICTURED_TARGET}


def area_figure(areas: Mapping[str, float]) -> Figure:
    """Bars of the family's areas."""
    target = synth.TARGETS[PICTURED_TARGET]
    axis = f"{target.title}, area of {PICTURED}-bit units ({target.area_unit})"
    return report.bar_figure(list(areas), list(areas.values()), axis, report.COLOURS[0])


def described(areas: Mapping[str, float]) -> str:
    """What the picture of areas shows, for its metadata."""
    return "; ".join(f"{function} {area:.0f}" for function, area in areas.items())


def draw(path: Path, figure: Figure, description: str) -> None:
    """Write a picture, unless the one that is there shows the same; Matplotlib's versions differ."""
    if not path.is_file() or description not in path.read_text(encoding="utf-8"):
        path.write_text(report.svg(figure, description), encoding="utf-8")


def with_section(text: str, name: str, content: str) -> str:
    """The text with what stands between the marks of a section replaced."""
    pattern = rf"(<!-- {name}: [^>]*-->\n).*?(<!-- end -->)"
    filled = rf"\g<1>{content}\n\g<2>"
    replaced, count = re.subn(pattern, filled, text, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"the page must have one section {name!r}, not {count!r}")
    return replaced


def main() -> None:
    """Write the pictures and the README's tables."""
    made = {width: units(width) for width in WIDTHS}
    areas = {width: measured(width) for width in WIDTHS}
    wide = made[PICTURED]
    draw(UNITS_PICTURE, report.error_figure(pictured(wide)), digests(wide))
    drawn = areas_of(areas[PICTURED])
    draw(AREAS_PICTURE, area_figure(drawn), described(drawn))
    text = README.read_text(encoding="utf-8")
    text = with_section(text, "units", unit_table([unit for width in WIDTHS for unit in made[width]]))
    for width in WIDTHS:
        text = with_section(text, f"areas {width}", area_table(areas[width]))
        text = with_section(text, f"finding {width}", finding(areas[width]))
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
