# SPDX-License-Identifier: Apache-2.0
"""Other forms of a datapath, which compute the same and are better cut into stages."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator

from hwact.datapath import graph as g
from hwact.datapath.cost import Target
from hwact.datapath.rewrite import moved, with_outputs

MAX_DIVISIONS = 3  # eight tables; beyond, other designs are smaller


def with_trees(datapath: g.Datapath) -> g.Datapath:
    """Every chain of kept additions as a tree; the datapath itself where there is none.

    A chain takes the fewest look-up tables without registers, since every addition takes in the selection of
    one row. Between registers a tree is shorter, and has fewer bits under way.
    """
    uses = Counter(operand for node in datapath.nodes for operand in node.operands)
    uses.update(datapath.outputs)
    links = [node for node in datapath.nodes if _is_link(node)]
    inner = {end for link in links for end in _ends(link) if _is_link(end) and uses[end] == 1}
    roots = {link for link in links if link not in inner and inner.intersection(_ends(link))}

    def tree(root: g.Node, made: dict[g.Node, g.Node]) -> g.Node:
        terms = [made[term] if term in made else moved(term, made) for term in _terms(root, inner)]
        return _tree(root, terms, _ones(root, inner))

    return _rebuilt(datapath, roots, tree)


def with_split_tables(datapath: g.Datapath, hardware: Target) -> g.Datapath:
    """Tables somewhat too large for one stage as smaller ones and multiplexers; itself where none is.

    Those that are networks stay: they are shallower than their multiplexers.
    """

    def split(table: g.Node, made: dict[g.Node, g.Node]) -> g.Node:
        assert isinstance(table, g.Lookup)
        address = made[table.address]
        words = table.table + table.table[-1:] * ((1 << address.width) - len(table.table))
        return divided_table(address, words, _address_bits(table, hardware), table.name)

    tables: set[g.Node] = {
        node
        for node in datapath.nodes
        if isinstance(node, g.Lookup)
        and not node.lut_inputs
        and 0 < node.address.width - _address_bits(node, hardware) <= MAX_DIVISIONS
    }
    return _rebuilt(datapath, tables, split)


def _address_bits(table: g.Lookup, hardware: Target) -> int:
    """The most that a part of a table may have."""
    words = hardware.largest_table // table.width
    return min(hardware.level_inputs + 2, words.bit_length() - 1)


def divided_table(address: g.Node, words: tuple[int, ...], bits: int, name: str) -> g.Node:
    """A table of a word for each address, as tables of so many address bits and multiplexers."""
    if address.width <= bits:
        return address.lookup(words).named(name)
    below = address.width - 1
    lower = address.bits(0, below)
    halves = words[: 1 << below], words[1 << below :]
    zero, one = (divided_table(lower, half, bits, name) for half in halves)
    return address.bits(below, 1).select(one, zero).named(name)


Replace = Callable[[g.Node, dict[g.Node, g.Node]], g.Node]


def _rebuilt(datapath: g.Datapath, replaced: set[g.Node], replace: Replace) -> g.Datapath:
    """The datapath with some nodes replaced, and what reads them made again."""
    made: dict[g.Node, g.Node] = {}
    for node in datapath.nodes:
        made[node] = replace(node, made) if node in replaced else moved(node, made)
    return with_outputs(datapath, made) if replaced else datapath


def _is_link(node: g.Node) -> bool:
    return isinstance(node, g.Add | g.Subtract) and node.kept


def _ends(link: g.Node) -> tuple[g.Node, ...]:
    """The operands that are added."""
    return link.operands if isinstance(link, g.Add) else link.operands[:1]


def _terms(node: g.Node, inner: set[g.Node]) -> Iterator[g.Node]:
    """What a chain adds up, beside a one for each of its subtractions."""
    for end in _ends(node):
        yield from _terms(end, inner) if end in inner else (end,)
    if isinstance(node, g.Subtract):
        yield _inverted(node.b)


def _inverted(node: g.Node) -> g.Node:
    """The one's complement, made in front of rows: behind a register it would take a level of logic."""
    match node:
        case g.Invert():
            return node.a
        case g.Select():
            made = node.condition.select(_inverted(node.if_one), _inverted(node.if_zero))
        case g.Lookup(lut_inputs=0):
            made = node.address.lookup(tuple(~word for word in node.table))
        case g.Add(kept=True):
            made = (_inverted(node.a) - node.b).keep()
        case g.Subtract(kept=True):
            made = (_inverted(node.a) + node.b).keep()
        case _:
            return ~node
    return made.named(node.name)


def _ones(node: g.Node, inner: set[g.Node]) -> int:
    """Subtractions of a chain: ``a - b`` is ``a + ~b + 1``."""
    return isinstance(node, g.Subtract) + sum(_ones(end, inner) for end in _ends(node) if end in inner)


def _tree(root: g.Node, terms: list[g.Node], ones: int) -> g.Node:
    """As many of the narrowest terms first as leave a power of two; carry inputs take the ones."""
    while len(terms) > 1:
        terms.sort(key=lambda term: term.width)
        pairs = (len(terms) - (1 << (len(terms).bit_length() - 1))) or len(terms) // 2
        sums = []
        for b, a in zip(terms[: 2 * pairs : 2], terms[1 : 2 * pairs : 2], strict=True):
            total = a - _inverted(b) if ones else a + b
            ones = max(ones - 1, 0)
            sums.append(total.named(root.name).keep())
        terms = sums + terms[2 * pairs :]
    return dataclasses.replace(terms[0], low=root.low, high=root.high)
