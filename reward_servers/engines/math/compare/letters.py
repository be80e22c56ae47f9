"""Runs of capitals: words, codes and orders of letters, and Roman numerals."""

from __future__ import annotations

import re
from fractions import Fraction

from reward_servers.engines.math.compare.context import Context
from reward_servers.engines.math.nodes import Call, Head, Node, Num, Sym, spelled_out
from reward_servers.engines.math.values.scalars import Answer

_ROMAN = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_ROMAN_DIGITS = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


def same(context: Context, gold: Node, answer: Node) -> Answer:
    """Two runs are the same letters in the same order; beside anything else a run is a numeral or a product."""
    gold_run, answer_run = _run(gold), _run(answer)
    if gold_run is not None and answer_run is not None:
        return Answer(gold_run == answer_run, "letters", f"{gold_run} vs {answer_run}")
    run, number = (gold_run, answer) if gold_run is not None else (answer_run, gold)
    if run is not None and isinstance(number, Num) and (value := roman(run)) is not None:
        return Answer(value == number.value, "Roman numeral", f"{run} is {value}")
    return context.equal(spelled_out(gold), spelled_out(answer))


def _run(node: Node) -> str | None:
    if not (isinstance(node, Call) and node.head is Head.SPELLED):
        return None
    return "".join(letter.name for letter in node.args if isinstance(letter, Sym))


def roman(run: str) -> Fraction | None:
    """The value of a Roman numeral in capitals, None for any other word."""
    if not _ROMAN.fullmatch(run):
        return None
    values = [_ROMAN_DIGITS[letter] for letter in run]
    signed = [-v if any(later > v for later in values[k + 1 : k + 2]) else v for k, v in enumerate(values)]
    return Fraction(sum(signed))
