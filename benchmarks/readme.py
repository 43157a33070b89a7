# SPDX-License-Identifier: Apache-2.0
"""Makes the README's picture and its tables of results: ``python benchmarks/readme.py``.

Only deterministic results: units, their errors and latencies. tests/test_readme.py holds what is
committed against what this makes today.
"""

from __future__ import annotations

import re
from pathlib import Path

import hwact
from hwact import accuracy, report
from hwact.cli import DEFAULT_FUNCTIONS
from hwact.unit import Unit

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "units.svg"
WIDTHS = (8, 16)
PICTURED = 16


def units(width: int) -> list[Unit]:
    """The units that `generate` makes unless told otherwise."""
    return [hwact.build(function, width=width) for function in DEFAULT_FUNCTIONS]


def table(made: list[Unit]) -> str:
    """Markdown: a line for each unit."""
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
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def pictured(made: list[Unit]) -> list[report.Pictured]:
    """The units as a figure takes them."""
    return [(unit.manifest(), accuracy.envelope(unit.spec, unit.design.codes)) for unit in made]


def digests(made: list[Unit]) -> str:
    """What the picture shows, for its metadata."""
    return "; ".join(f"{unit.name} {unit.golden_sha256}" for unit in made)


def with_section(text: str, name: str, content: str) -> str:
    """The text with what stands between the marks of a section replaced."""
    pattern = rf"(<!-- {name}: [^>]*-->\n).*?(<!-- end -->)"
    replaced, count = re.subn(
        pattern, lambda found: f"{found[1]}{content}\n{found[2]}", text, flags=re.DOTALL
    )
    if count != 1:
        raise SystemExit(f"README.md must have one section {name!r}, not {count!r}")
    return replaced


def main() -> None:
    """Write the picture and the README's table."""
    made = {width: units(width) for width in WIDTHS}
    wide = made[PICTURED]
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(report.svg(report.error_figure(pictured(wide)), digests(wide)), encoding="utf-8")
    rows = table([unit for width in WIDTHS for unit in made[width]])
    README.write_text(with_section(README.read_text(encoding="utf-8"), "units", rows), encoding="utf-8")


if __name__ == "__main__":
    main()
