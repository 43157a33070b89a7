# SPDX-License-Identifier: Apache-2.0
"""The C99 reading of a datapath: integers only, and nothing that the standard leaves open.

Each operation works in ``int32_t`` where its operands and its result fit, else in ``int64_t``, so no
operation overflows; negative numbers are never shifted. Where 64 bits do not suffice, a number is a
``wide``: as many 32-bit words as the widest one needs, in two's complement.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hwact.datapath import graph as g
from hwact.datapath.c99_helpers import helpers
from hwact.datapath.rtl import signal_names, table_name
from hwact.formats import Rounding

WIDE = "wide"
WORD_BITS = 32
LINE_LENGTH = 110

_WORD = re.compile(r"[A-Za-z_]\w*")
_INTEGERS = {"int32_t": 32, "int64_t": 64}
_WIDE_CALLS = {"+": "wide_add", "-": "wide_sub", "*": "wide_mul", "&": "wide_and"}
_WIDE_CALLS |= {"<": "wide_less", ">=": "!wide_less", "==": "wide_equal"}

# What the name of a signal may not be.
_KEYWORDS = frozenset(
    """auto break case char const continue default do double else enum extern float for goto if inline int
    long register restrict return short signed sizeof static struct switch typedef union unsigned void
    volatile while code wide""".split()  # noqa: SIM905 - a list of one word a line is longer than the rest of this file
)


@dataclass(frozen=True)
class Term:
    """A C expression, the inclusive range of its value, and its type; a constant has no text yet."""

    text: str
    low: int
    high: int
    kind: str


def kind_of(*numbers: int) -> str:
    """The narrowest type that holds all these numbers."""
    for kind, bits in _INTEGERS.items():
        if -(1 << (bits - 1)) <= min(numbers) and max(numbers) < 1 << (bits - 1):
            return kind
    return WIDE


def element_type(low: int, high: int) -> str:
    """The smallest standard integer type that holds a range, to be kept in memory; ``wide`` if none does."""
    for bits in (8, 16, 32, 64):
        if low < 0 and -(1 << (bits - 1)) <= low and high < 1 << (bits - 1):
            return f"int{bits}_t"
        if low >= 0 and high < 1 << (bits - (bits == 64)):  # a uint64_t beyond int64_t would not convert
            return f"uint{bits}_t"
    return WIDE


def array(kind: str, name: str, numbers: Iterable[str]) -> str:
    """The definition of a constant array."""
    return f"static const {kind} {name} = {{\n{filled(numbers)}}};\n"


def filled(words: Iterable[str]) -> str:
    """Words with a comma after each, in lines of the usual length; there may be many."""
    lines = [""]
    for word in words:
        if len(lines[-1]) + len(word) + 1 > LINE_LENGTH:
            lines.append("")
        lines[-1] += f"{word},"
    return "".join(f"{line}\n" for line in lines)


class CReading:
    """A datapath as the body of a C function of ``x``.

    Parameters
    ----------
    datapath : Datapath

    Attributes
    ----------
    declarations : str
        What the function needs before it: types, helper functions, tables.
    body : str
        Statements; the last one returns the output code in type `kind`.
    kind : str
        ``int32_t`` or ``int64_t``; that of the output code.
    reads_x : bool
        Whether the output depends on the input at all.
    """

    def __init__(self, datapath: g.Datapath) -> None:
        self._names = _local_names(datapath)
        self._tables: list[g.Lookup] = []
        self._words = 1 + max(_bits_needed(node) for node in datapath.nodes) // WORD_BITS
        self.kind = kind_of(datapath.y.low, datapath.y.high)
        result = f"  return {self._cast(self._term(datapath.y), self.kind)};\n"
        statements = {
            n: self._statement(n) for n in datapath.nodes if not isinstance(n, (g.Constant, g.Input))
        }
        read = self._names_read(statements, result)
        self.reads_x = self._names[datapath.x] in read
        self.body = "".join(text for node, text in statements.items() if self._names[node] in read) + result
        tables = "".join(self._definition(node) for node in self._tables if self._names[node] in read)
        self.declarations = helpers(self.body + tables, self._words) + tables

    def _names_read(self, statements: Mapping[g.Node, str], result: str) -> set[str]:
        """The variables that the result depends on; a range of one number needs none."""
        read = set(_WORD.findall(result))
        for node, text in reversed(list(statements.items())):
            if self._names[node] in read:
                read.update(_WORD.findall(text.partition("=")[2]))
        return read

    def _term(self, node: g.Node) -> Term:
        """A node as an operand: a constant, or the variable that holds it."""
        if node.low == node.high:
            return constant(node.low)
        return Term(self._names[node], node.low, node.high, kind_of(node.low, node.high))

    def _statement(self, node: g.Node) -> str:
        kind = kind_of(node.low, node.high)
        value = self._cast(self._value(node, [self._term(operand) for operand in node.operands]), kind)
        return f"  const {kind} {self._names[node]} = {_bare(value)};\n"

    def _value(self, node: g.Node, v: list[Term]) -> Term:
        """The value of one node from its operands."""
        match node:
            case g.Add():
                return self._add(v[0], v[1])
            case g.Concat():
                return self._add(self._multiply(v[0], constant(1 << node.lower_width)), v[1])
            case g.Subtract():
                return self._subtract(v[0], v[1])
            case g.Multiply():
                return self._multiply(v[0], v[1])
            case g.Square():
                return self._multiply(v[0], v[0])
            case g.Invert():
                return self._subtract(constant(-1), v[0])
            case g.Negate():
                return self._choose(v[1], self._subtract(constant(0), v[0]), v[0])
            case g.ShiftLeft():
                return self._multiply(v[0], constant(1 << node.amount)) if node.amount else v[0]
            case g.ShiftRight():
                return self._shift(v[0], node.amount)
            case g.RoundShift():
                return self._round_shift(v[0], node)
            case g.Bits():
                return self._bits(v[0], node)
            case g.Compare():
                return self._compare(v[0], node.relation, v[1])
            case g.Select():
                return self._choose(v[0], v[1], v[2])
            case g.Lookup():
                self._tables.append(node)
                return Term(
                    f"{self._table(node)}[{v[0].text}]", node.low, node.high, kind_of(node.low, node.high)
                )
            case g.Saturate():
                return self._saturate(v[0], node)
            case g.Known():
                return v[0]
        raise AssertionError(f"no C for {type(node).__name__}")

    def _add(self, a: Term, b: Term) -> Term:
        return self._binary("+", a, b, a.low + b.low, a.high + b.high)

    def _subtract(self, a: Term, b: Term) -> Term:
        return self._binary("-", a, b, a.low - b.high, a.high - b.low)

    def _multiply(self, a: Term, b: Term) -> Term:
        corners = [p * q for p in (a.low, a.high) for q in (b.low, b.high)]
        return self._binary("*", a, b, min(corners), max(corners))

    def _binary(self, operator: str, a: Term, b: Term, low: int, high: int) -> Term:
        kind = kind_of(a.low, a.high, b.low, b.high, low, high)
        left, right = self._cast(a, kind), self._cast(b, kind)
        if kind == WIDE:
            return Term(f"{_WIDE_CALLS[operator]}({left}, {right})", low, high, kind)
        return Term(f"({left} {operator} {right})", low, high, kind)

    def _compare(self, a: Term, relation: str, b: Term) -> Term:
        return Term(self._binary(relation, a, b, 0, 1).text, 0, 1, "int32_t")

    def _choose(self, condition: Term, a: Term, b: Term) -> Term:
        low, high = min(a.low, b.low), max(a.high, b.high)
        kind = kind_of(low, high)
        text = f"({condition.text} ? {self._cast(a, kind)} : {self._cast(b, kind)})"
        return Term(text, low, high, kind)

    def _shift(self, a: Term, amount: int) -> Term:
        """``floor(a / 2**amount)``."""
        low, high = a.low >> amount, a.high >> amount
        if low == high:
            return constant(low)
        if amount == 0:
            return a
        if a.low >= 0 and a.kind != WIDE:
            return Term(f"({a.text} >> {amount})", low, high, a.kind)
        amount = min(amount, _INTEGERS.get(a.kind, amount + 1) - 1)
        return Term(f"shift_{a.kind.removesuffix('_t')}({_bare(a.text)}, {amount})", low, high, a.kind)

    def _low_bits(self, a: Term, count: int) -> Term:
        mask = (1 << count) - 1
        return self._binary("&", a, constant(mask), 0, mask)

    def _bits(self, a: Term, node: g.Bits) -> Term:
        shifted = self._shift(a, node.offset)
        if node.low <= shifted.low and shifted.high <= node.high:
            return shifted
        if not node.signed:
            return self._low_bits(shifted, node.count)
        half = constant(1 << (node.count - 1))
        return self._subtract(self._low_bits(self._add(shifted, half), node.count), half)

    def _round_shift(self, a: Term, node: g.RoundShift) -> Term:
        """Add what the mode asks for, and shift."""
        half, one = 1 << (node.amount - 1), constant(1)
        negative = self._compare(a, "<", constant(0))
        match node.rounding:
            case Rounding.FLOOR:
                return self._shift(a, node.amount)
            case Rounding.HALF_UP:
                more = constant(half)
            case Rounding.HALF_EVEN:
                odd = self._binary("&", self._shift(a, node.amount), one, 0, 1)
                more = self._add(odd, constant(half - 1))
            case Rounding.HALF_AWAY:
                more = self._subtract(constant(half), negative)
            case Rounding.TOWARD_ZERO:
                more = self._choose(negative, constant((1 << node.amount) - 1), constant(0))
        return self._shift(self._add(a, more), node.amount)

    def _saturate(self, a: Term, node: g.Saturate) -> Term:
        low, high = constant(node.minimum), constant(node.maximum)
        clipped = self._choose(self._compare(high, "<", a), high, a) if a.high > node.maximum else a
        return self._choose(self._compare(a, "<", low), low, clipped) if a.low < node.minimum else clipped

    def _cast(self, term: Term, kind: str) -> str:
        """The term's text in a type that holds its value."""
        if not term.text:
            return self._literal(term.low, kind)
        if term.kind == kind:
            return term.text
        if kind == WIDE:
            return f"wide_from({term.text})"
        value = f"wide_to({term.text})" if term.kind == WIDE else term.text
        return value if term.kind == WIDE and kind == "int64_t" else f"({kind}){value}"

    def _literal(self, number: int, kind: str) -> str:
        if kind == WIDE:
            return f"wide_of({self._wide_words(number)})"
        if number == -(1 << (_INTEGERS[kind] - 1)):  # the digits alone would be a number too large
            return f"({self._literal(number + 1, kind)} - 1)"
        return str(number) if kind == "int32_t" else f"INT64_C({number})"

    def _wide_words(self, number: int) -> str:
        words = ((number >> (WORD_BITS * i)) & 0xFFFFFFFF for i in range(self._words))
        return ", ".join(f"{word:#x}u" for word in words)

    def _table(self, node: g.Lookup) -> str:
        return table_name(self._names[node])

    def _definition(self, node: g.Lookup) -> str:
        """The table behind a node, as far as its address reaches."""
        words = node.table[: node.address.high + 1]
        kind = element_type(min(words), max(words))
        texts = (
            f"{{{{{self._wide_words(word)}}}}}" if kind == WIDE else element(word, kind) for word in words
        )
        return array(kind, f"{self._table(node)}[{len(words)}]", texts) + "\n"


def constant(number: int) -> Term:
    """A constant; it has the type of whatever it meets."""
    return Term("", number, number, kind_of(number))


def element(number: int, kind: str) -> str:
    """A number in an array of a standard type."""
    bits = int("".join(filter(str.isdigit, kind)))
    if bits == 64:
        return f"(INT64_C({number + 1}) - 1)" if number == -(1 << 63) else f"INT64_C({number})"
    if number == -(1 << 31):
        return f"({number + 1} - 1)"
    return f"{number}u" if number >= 1 << 31 else str(number)


def _bits_needed(node: g.Node) -> int:
    """Bits that the node and whatever its rounding adds can take, the sign included."""
    return node.width + 3 + (node.amount if isinstance(node, g.RoundShift) else 0)


def _local_names(datapath: g.Datapath) -> Mapping[g.Node, str]:
    names = signal_names(datapath)
    return {node: f"{name}_" if name in _KEYWORDS else name for node, name in names.items()}


def _bare(text: str) -> str:
    """The text without a pair of parentheses around all of it."""
    if not text.startswith("("):
        return text
    depth = 0
    for place, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return text[1:-1] if place == len(text) - 1 else text
    return text
