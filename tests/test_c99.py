# SPDX-License-Identifier: Apache-2.0
"""The C reading of random graphs, compiled strictly, against the NumPy reading."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hwact.datapath import graph as g
from hwact.datapath.c99 import CReading
from hwact.datapath.evaluate import evaluate
from hwact.formats import Format, Rounding
from tests.compiled import STRICT, build, run
from tests.test_datapath import FORMATS, GROW, Large, codes_of, datapaths, oracle

# Without shrinking, which would compile for minutes: a failure shows its graph's C anyway.
SETTINGS = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@st.composite
def large_datapaths(draw: st.DrawFn) -> g.Datapath:
    """Graphs with numbers around and beyond 64 bits, of which the output is a part."""
    x = g.Input.of(Format.parse(draw(st.sampled_from(FORMATS))))
    numbers = st.integers(-(2**80), 2**80)
    nodes = Large([x, x * draw(numbers) + draw(numbers), (x << 60) - draw(st.integers(0, 9))])
    for _ in range(draw(st.integers(1, 9))):
        nodes.append(GROW[draw(st.sampled_from(sorted(GROW)))](draw, nodes))
    y = nodes[-1]
    part = draw(st.integers(0, max(0, y.width - 20)))
    return g.Datapath(x, y.bits(part, 24, signed=draw(st.booleans())))


def c_text(index: int, datapath: g.Datapath) -> str:
    """A graph in C as a file of its own, with a function that prints its outputs."""
    reading = CReading(datapath)
    unused = "".join(f"  (void){name};\n" for name in reading.unread)
    return (
        f"#include <stdint.h>\n#include <stdio.h>\nvoid graph{index}(void);\n{reading.declarations}"
        f"static {reading.kind} y(int32_t x) {{\n{unused}{reading.body}}}\n"
        f"void graph{index}(void) {{\n  for (int32_t x = {datapath.x.low}; x <= {datapath.x.high}; x++)\n"
        '    printf("%lld ", (long long)y(x));\n  puts("");\n}\n'
    )


def by_c(datapaths: list[g.Datapath], folder: Path) -> list[list[int]]:
    """Outputs of several graphs, in one run; a random graph may well ask whether x < x."""
    sources = [folder / f"graph{i}.c" for i in range(len(datapaths))]
    for i, (source, datapath) in enumerate(zip(sources, datapaths, strict=True)):
        source.write_text(c_text(i, datapath), encoding="utf-8")
    declarations = "".join(f"void graph{i}(void);\n" for i in range(len(datapaths)))
    calls = "".join(f"  graph{i}();\n" for i in range(len(datapaths)))
    main = folder / "main.c"
    main.write_text(f"{declarations}int main(void) {{\n{calls}  return 0;\n}}\n", encoding="utf-8")
    lines = (
        run(build(folder, main, *sources, flags=(*STRICT, "-Wno-tautological-compare"))).decode().splitlines()
    )
    return [[int(number) for number in line.split()] for line in lines]


@pytest.mark.parametrize(
    ("graphs", "least"), [(datapaths(), 0), (large_datapaths(), 20)], ids=["small", "large"]
)
def test_c_computes_what_numpy_computes(
    graphs: st.SearchStrategy[g.Datapath], least: int, tmp_path: Path
) -> None:
    total = beyond = 0

    @SETTINGS
    @given(st.lists(graphs, min_size=12, max_size=20))
    def check(drawn: list[g.Datapath]) -> None:
        nonlocal total, beyond
        due = [evaluate(datapath, codes_of(datapath)).tolist() for datapath in drawn]
        for datapath, got, expected in zip(drawn, by_c(drawn, tmp_path), due, strict=True):
            assert got == expected, CReading(datapath).body
        total += sum(map(len, due))
        beyond += sum(max(node.width for node in datapath.nodes) > 64 for datapath in drawn)

    check()
    assert total >= 500
    assert beyond >= least


def test_c_shifts_further_than_its_types_are_wide(tmp_path: Path) -> None:
    x = g.Input.of(Format.parse("SQ5.0"))
    far = [x >> 31, x >> 32, x >> 63, x >> 64, (x << 40) >> 90, x.round_shift(70, Rounding.HALF_AWAY)]
    due = [[oracle(node, code) for code in range(-16, 16)] for node in far]
    assert by_c([g.Datapath(x, node) for node in far], tmp_path) == due


def test_c_rounds_every_tie_as_the_mode_says(tmp_path: Path) -> None:
    x = g.Input.of(Format.parse("SQ5.0"))
    numbers = [(x, shift) for shift in (1, 2, 3, 5, 8)] + [(x << 70, shift) for shift in (71, 73, 80)]
    nodes = [number.round_shift(shift, mode) for mode in Rounding for number, shift in numbers]
    due = [[oracle(node, code) for code in range(-16, 16)] for node in nodes]
    assert by_c([g.Datapath(x, node) for node in nodes], tmp_path) == due
