"""Sentences that state a value: `the rank of the matrix is 3`, `Maria has 24 apples`."""

from __future__ import annotations

import re

from reward_servers.engines.math.vocabulary.tables import names
from reward_servers.engines.math.vocabulary.words import HEDGES, NEGATIONS

_MACRO = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mbox|textnormal)\s*(?=\{)")
_BEING = re.compile(r"(?P<lead>.*\b(?:is|are|was|were|be|equals?|becomes))(?:\s*[:：])?\s+(?P<core>\S.*)", re.S)
_HAVING = re.compile(
    r"(?P<lead>.*?\b(?:has|have|had|gets?|got|needs?|costs?|contains?|makes?|made|earns?|earned|spends?|spent|takes?|took"
    r"|receives?|received|weighs?|travels?|traveled|sells?|sold|bought|buys?|ate|eats?|pays?|paid|saves?|saved|owes?"
    r"|gives?|lost|won|scored|read|reads|ran|runs|walks?|walked|drove|used|uses?|left|remain|remains))"
    r"\s+(?:(?:them|him|her|us|me|you|it)\s+)?(?:exactly\s+|only\s+|a\s+total\s+of\s+|up\s+with\s+|back\s+)*(?P<core>[-$\\0-9].*)",
    re.S,
)
_ONE_NAME = re.compile(r"\$?[A-Za-z]\$?\s+(?:is|equals)\s+(?P<core>[-+−$\\0-9].*)", re.S)
_FORMULA = re.compile(r"[^A-Za-z<>]+|\$[^$]+\$|\\\((?:(?!\\\)).)+\\\)", re.S)
_WORD = re.compile(r"(?<!\\)\b[A-Za-z][a-z']+|[A-Za-z]{2,}n't")
_UNSURE = (
    NEGATIONS
    | HEDGES
    | names("might may could can if unless whether suppose assume let think thought believe what how")
)
_STATEMENTS = re.compile(
    r"\b(?:is|are|equals?|was|were|be|has|have|had|gives?|gets?|got|needs?|costs?(?!\s+of\b)|makes?)\s+(?:\w+\s+)?(?:\$|\\\(|[-−+]?\\?\$?[0-9])"
    r"|[^<>!=\s]\s*=\s*[^=\s]"
)
_CLAUSE = re.compile(r"\bthat\s+[^,.]*?\b(?:is|are|has|have|equals?)\s+\S+")
_END = " \t\n.!,;"


def stated_value(text: str) -> str | None:
    """What a sentence says that something is or has, None where the text is no such sentence."""
    if len(text) > 400 or " " not in text:
        return None
    plain = _without_macros(text)
    if (name_match := _ONE_NAME.fullmatch(plain)) is not None:
        return name_match["core"].strip(_END) or None
    if len(_WORD.findall(plain)) < 2:
        return None
    match = _BEING.fullmatch(plain) or _HAVING.fullmatch(plain)
    if match is None:
        return None
    if len(_STATEMENTS.findall(_with_formula_as_one(plain, match))) > 1:
        plain = _CLAUSE.sub(" ", plain)  # "the probability that x is 5 is 0.2" states one
        match = _BEING.fullmatch(plain)
        if match is None or len(_STATEMENTS.findall(plain)) != 1:
            return None
    words = {word.lower() for word in _WORD.findall(match["lead"])}
    if not words - {"is", "are", "be"} or words & _UNSURE or any(w.endswith("n't") for w in words):
        return None
    core = match["core"].strip(_END)
    return core or None


def _with_formula_as_one(sentence: str, match: re.Match[str]) -> str:
    """The sentence, the signs of equality taken out of the formula that it ends in: a chain states one value."""
    formula = _FORMULA.fullmatch(match["core"].strip(_END))
    return sentence if formula is None else match["lead"] + " $"


def _without_macros(text: str) -> str:
    """The text with the groups of text macros opened."""
    plain, last = [], 0
    for match in _MACRO.finditer(text):
        close = text.find("}", match.end())
        if close < 0 or "{" in text[match.end() + 1 : close]:
            continue
        plain += [text[last : match.start()], text[match.end() + 1 : close]]
        last = close + 1
    plain.append(text[last:])
    return "".join(plain).strip(_END)
