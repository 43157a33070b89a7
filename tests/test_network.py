# SPDX-License-Identifier: Apache-2.0
"""Tables as networks of look-up tables, judged address by address by an evaluation of their own."""

from __future__ import annotations

import random

import pytest

import hwact
from hwact.datapath.network import Network, network


def output(found: Network, address: int) -> int:
    """The word that a network gives at an address."""
    values = [address >> bit & 1 for bit in range(found.inputs)]
    for cell in found.cells:
        row = sum(values[operand] << place for place, operand in enumerate(cell.operands))
        values.append(cell.function >> row & 1)
    return sum(values[signal] << bit for bit, signal in enumerate(found.outputs))


def table(kind: str, bits: int, width: int) -> tuple[int, ...]:
    draw = random.Random(f"{kind} {bits} {width}")
    top = (1 << width) - 1
    size = 1 << bits
    return {
        "random": tuple(draw.randint(0, top) for _ in range(size)),
        "short": tuple(draw.randint(0, top) for _ in range(size // 2 + 1)),
        "steps": tuple(top * address // (size - 1) for address in range(size)),
        "constant bits": tuple(draw.choice((0, top)) for _ in range(size)),
    }[kind]


@pytest.mark.parametrize("kind", ["random", "short", "steps", "constant bits"])
@pytest.mark.parametrize("lut_inputs", [3, 4, 6])
def test_a_network_gives_every_word(kind: str, lut_inputs: int) -> None:
    checked = 0
    for bits in range(1, 7):
        for width in (1, 3):
            words = table(kind, bits, width)
            found = network(words, width, lut_inputs)
            assert all(len(cell.operands) <= lut_inputs for cell in found.cells)
            assert all(
                operand < found.inputs + place
                for place, cell in enumerate(found.cells)
                for operand in cell.operands
            )
            for address, word in enumerate(words):
                assert output(found, address) == word, (bits, width, address)
                checked += 1
    assert checked == 2 * sum(len(table(kind, bits, 1)) for bits in range(1, 7))


def test_a_bit_that_is_an_input_needs_no_cell() -> None:
    found = network(tuple(range(8)), 3, 4)
    assert found == Network(3, (), (0, 1, 2))


def test_the_search_halves_what_a_tree_takes() -> None:
    unit = hwact.build("gelu", width=8, accuracy="correct", interface="bare", latency=0)
    words = tuple(int(code) & 0xFF for code in [*unit.design.codes[128:], *unit.design.codes[:128]])
    found = network(words, 8, 6)
    assert all(output(found, address) == word for address, word in enumerate(words))
    assert len(found.cells) <= 17  # 26 before the search


def test_the_same_table_gives_the_same_network() -> None:
    words = table("random", 7, 3)
    first = network(words, 3, 6)
    network.cache_clear()
    assert network(words, 3, 6) == first
