# SPDX-License-Identifier: Apache-2.0
"""A small table as a network of look-up tables, found by local search.

Every signal is known completely, as its bits over all addresses: so the don't-cares of a node are
exact, and whether some signals can replace one of its operands is seen at once (resubstitution, as in
A. Mishchenko et al., "Scalable don't-care-based logic optimization and resynthesis", TRETS 2011).
Synthesis alone starts from a tree of multiplexers and stays near it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_PASSES = 6
_SIDEWAYS = 0.3  # share of the moves without gain that are tried


class Cell(NamedTuple):
    """One look-up table: numbers of its operands, and its output by their bits, from all zeros on."""

    operands: tuple[int, ...]
    function: int


@dataclass(frozen=True)
class Network:
    """A function of some bits as look-up tables.

    Parameters
    ----------
    inputs : int
        Number of input bits; they are the signals ``0 .. inputs - 1``.
    cells : tuple of Cell
        The signals from ``inputs`` on; operands have lower numbers.
    outputs : tuple of int
        Signals of the output bits, from the least significant.
    """

    inputs: int
    cells: tuple[Cell, ...]
    outputs: tuple[int, ...]

    @cached_property
    def depth(self) -> int:
        """Most look-up tables one behind the other."""
        levels = [0] * self.inputs
        for cell in self.cells:
            levels.append(1 + max((levels[operand] for operand in cell.operands), default=0))
        return max(levels[output] for output in self.outputs)


@lru_cache(maxsize=256)
def network(words: tuple[int, ...], width: int, lut_inputs: int) -> Network:
    """A network that gives ``words`` by their address; beyond the last word it gives anything.

    Parameters
    ----------
    words : tuple of int
        At least 2; each in ``0 .. 2**width - 1``.
    width : int
    lut_inputs : int
        Most operands of a cell; at least 3.
    """
    search = _Search(words, width, lut_inputs)
    for _ in range(_PASSES):
        search.improve()
    return search.result()


class _Search:
    """A network in the making. Signals keep their numbers; a dead one disappears from all mappings."""

    def __init__(self, words: tuple[int, ...], width: int, lut_inputs: int) -> None:
        self._lut_inputs = lut_inputs
        self._inputs = (len(words) - 1).bit_length()
        size = 1 << self._inputs
        self._full = (1 << size) - 1
        self._valid = (1 << len(words)) - 1
        self._bytes = max(8, size // 8)
        self._random = random.Random(0).random  # the one method whose sequence never changes
        self._bits: dict[int, int] = {}  # of every signal, over all addresses
        self._operands: dict[int, tuple[int, ...]] = {}  # of cells
        self._readers: dict[int, list[int]] = {}
        for bit in range(self._inputs):
            self._bits[bit] = sum(1 << a for a in range(size) if a >> bit & 1)
            self._readers[bit] = []
        made: dict[int, int] = {self._bits[bit]: bit for bit in range(self._inputs)}
        wanted = [sum((word >> bit & 1) << a for a, word in enumerate(words)) for bit in range(width)]
        self._outputs = [self._tree(bits, made) for bits in wanted]
        self._depth = max(self._levels().values())

    def _tree(self, bits: int, made: dict[int, int]) -> int:
        """A signal of given bits: multiplexers by the most significant inputs above shared cells."""
        if bits not in made:
            support = [
                bit for bit in range(self._inputs) if self._half(bits, bit, 0) != self._half(bits, bit, 1)
            ]
            operands = tuple(support)
            if len(support) > self._lut_inputs:
                top = support[-1]
                halves = (self._tree(self._half(bits, top, value), made) for value in (0, 1))
                operands = tuple(dict.fromkeys((top, *halves)))
            made[bits] = self._new(operands, bits)
        return made[bits]

    def _half(self, bits: int, bit: int, value: int) -> int:
        """The bits where an input has a value, for both of its values."""
        if value:
            upper = bits & self._bits[bit]
            return upper | upper >> (1 << bit)
        lower = bits & ~self._bits[bit]
        return lower | lower << (1 << bit)

    def _new(self, operands: tuple[int, ...], bits: int) -> int:
        signal = max(self._bits) + 1
        self._bits[signal], self._readers[signal] = bits, []
        self._connect(signal, operands)
        return signal

    def _connect(self, signal: int, operands: tuple[int, ...]) -> None:
        self._operands[signal] = operands
        for operand in operands:
            self._readers[operand].append(signal)

    def _remove_unread(self, signals: Iterable[int]) -> None:
        for signal in signals:
            if signal in self._operands and not self._readers[signal] and signal not in self._outputs:
                operands = self._operands.pop(signal)
                del self._bits[signal], self._readers[signal]
                for operand in operands:
                    self._readers[operand].remove(signal)
                self._remove_unread(operands)

    def _minterms(self, operands: Iterable[int], bits: int) -> list[int]:
        """The given addresses, sorted by the values that the operands have there."""
        parts = [bits]
        for operand in operands:
            ones = self._bits[operand]
            parts = [part & ~ones for part in parts] + [part & ones for part in parts]
        return parts

    def _separate(self, operands: Iterable[int], ones: int, zeros: int) -> bool:
        """Whether a function of the operands is 1 at some addresses and 0 at others."""
        parts = zip(self._minterms(operands, ones), self._minterms(operands, zeros), strict=True)
        return not any(one and zero for one, zero in parts)

    def _order(self) -> list[int]:
        """All cells, operands first."""
        order: dict[int, None] = {}

        def visit(signal: int) -> None:
            if signal in order or signal not in self._operands:
                return
            for operand in self._operands[signal]:
                visit(operand)
            order[signal] = None

        for output in self._outputs:
            visit(output)
        return list(order)

    def _levels(self) -> dict[int, int]:
        levels = dict.fromkeys(range(self._inputs), 0)
        for signal in self._order():
            levels[signal] = 1 + max((levels[operand] for operand in self._operands[signal]), default=0)
        return levels

    def _changed(self, signal: int, bits: int, order: Sequence[int]) -> dict[int, int]:
        """The signals that change with one, and their new bits.

        A cell gives 0 for values of its operands that did not occur before.
        """
        changed = {signal: bits}
        for cell in order[order.index(signal) + 1 :]:
            operands = self._operands[cell]
            if changed.keys().isdisjoint(operands):
                continue
            function = [part != 0 for part in self._minterms(operands, self._bits[cell])]
            parts = [self._full]
            for operand in operands:
                ones = changed.get(operand, self._bits[operand])
                parts = [part & ~ones for part in parts] + [part & ones for part in parts]
            new = 0
            for part, one in zip(parts, function, strict=True):
                if one:
                    new |= part
            if new != self._bits[cell]:
                changed[cell] = new
        return changed

    def improve(self) -> None:
        """Try to change every cell once, in random order."""
        for signal in sorted(self._operands, key=lambda _: self._random()):
            if signal in self._operands:
                self._improve(signal)

    def _improve(self, signal: int) -> None:
        order = self._order()
        flipped = self._changed(signal, self._bits[signal] ^ self._full, order)
        care = 0
        for output in {*self._outputs} & flipped.keys():
            care |= flipped[output] ^ self._bits[output]
        care &= self._valid
        ones, zeros = self._bits[signal] & care, care & ~self._bits[signal]
        operands = self._choice(signal, ones, zeros, self._divisors(signal, order))
        if operands is not None:
            self._rewrite(signal, operands, ones, order)

    def _divisors(self, signal: int, order: Sequence[int]) -> list[int]:
        """The signals that may become operands: not behind the cell, and none that deepens the network."""
        behind, height = {signal}, {signal: 0}
        for cell in order[order.index(signal) + 1 :]:
            if not behind.isdisjoint(self._operands[cell]):
                behind.add(cell)
        for cell in reversed(order):
            if cell in behind:
                height[cell] = 1 + max((height[r] for r in self._readers[cell] if r in height), default=-1)
        levels = self._levels()
        most = self._depth - height[signal] - 1
        return [other for other in self._bits if other not in behind and levels[other] <= most]

    def _choice(self, signal: int, ones: int, zeros: int, divisors: list[int]) -> tuple[int, ...] | None:
        """Other operands, if some are better or worth a try."""
        now = self._operands[signal]
        matrix = self._matrix([self._bits[divisor] for divisor in divisors])
        single = _separating(matrix, self._matrix([ones]), self._matrix([zeros]))
        if single.any():
            return (divisors[int(single.argmax())],)
        places = sorted(range(len(now)), key=lambda _: self._random())
        for place in places:
            fewer = now[:place] + now[place + 1 :]
            if self._separate(fewer, ones, zeros):
                return fewer
        for place in places:
            if self._alone(now[place]):
                merged = tuple(dict.fromkeys(now[:place] + now[place + 1 :] + self._operands[now[place]]))
                if len(merged) <= self._lut_inputs:
                    return merged
        for place in places:
            gains = self._alone(now[place])
            if not gains and self._random() > _SIDEWAYS:
                continue
            fewer = now[:place] + now[place + 1 :]
            parts = zip(self._minterms(fewer, ones), self._minterms(fewer, zeros), strict=True)
            mixed = [part for part in parts if all(part)]
            fits = _separating(
                matrix, self._matrix([one for one, _ in mixed]), self._matrix([z for _, z in mixed])
            )
            unwanted = {*now, *(self._cone(now[place]) if gains else ())}
            found = [d for d, fit in zip(divisors, fits, strict=True) if fit and d not in unwanted]
            if found:
                return (*fewer, found[int(self._random() * len(found))])
        return None

    def _alone(self, signal: int) -> bool:
        """Whether a cell serves one reader only."""
        return signal in self._operands and len(self._readers[signal]) == 1 and signal not in self._outputs

    def _cone(self, signal: int) -> Iterator[int]:
        """The cells that die with one."""
        yield signal
        for operand in self._operands[signal]:
            if self._alone(operand):
                yield from self._cone(operand)

    def _matrix(self, rows: Sequence[int]) -> npt.NDArray[np.uint64]:
        data = b"".join(row.to_bytes(self._bytes, "little") for row in rows)
        return np.frombuffer(data, np.uint64).reshape(len(rows), -1)

    def _rewrite(self, signal: int, operands: tuple[int, ...], ones: int, order: Sequence[int]) -> None:
        """Give a cell other operands; its don't-cares become 0."""
        before = self._operands[signal]
        for operand in before:
            self._readers[operand].remove(signal)
        self._connect(signal, operands)
        parts = zip(self._minterms(operands, ones), self._minterms(operands, self._full), strict=True)
        bits = 0
        for one, part in parts:
            if one:
                bits |= part
        if bits != self._bits[signal]:
            self._bits.update(self._changed(signal, bits, order))
        if len(operands) == 1:
            self._bypass(signal, operands[0])
        self._remove_unread(before)

    def _bypass(self, signal: int, operand: int) -> None:
        """Let the readers of a copy, or complement, read the original."""
        for reader in list(self._readers[signal]):
            operands = tuple(dict.fromkeys(operand if o == signal else o for o in self._operands[reader]))
            for old in self._operands[reader]:
                self._readers[old].remove(reader)
            self._connect(reader, operands)
        if self._bits[signal] == self._bits[operand]:
            self._outputs = [operand if output == signal else output for output in self._outputs]
        self._remove_unread([signal])

    def result(self) -> Network:
        """The network as it is."""
        order = self._order()
        numbers = {signal: number for number, signal in enumerate([*range(self._inputs), *order])}
        cells = []
        for signal in order:
            parts = self._minterms(self._operands[signal], self._bits[signal])
            function = sum(1 << minterm for minterm, part in enumerate(parts) if part)
            cells.append(Cell(tuple(numbers[operand] for operand in self._operands[signal]), function))
        return Network(self._inputs, tuple(cells), tuple(numbers[output] for output in self._outputs))


def _separating(
    candidates: npt.NDArray[np.uint64], ones: npt.NDArray[np.uint64], zeros: npt.NDArray[np.uint64]
) -> npt.NDArray[np.bool_]:
    """Which candidates tell every row of ones from the same row of zeros, whichever way round."""
    possible = np.ones(len(candidates), np.bool_)
    for one, zero in zip(ones, zeros, strict=True):
        high, low = candidates[possible], ~candidates[possible]
        both = (high & one).any(axis=1) & (high & zero).any(axis=1)
        neither = (low & one).any(axis=1) & (low & zero).any(axis=1)
        possible[possible] = ~(both | neither)
    return possible
