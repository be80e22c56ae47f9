r"""Answers in labelled parts: `(a) 3 (b) 4`, `\text{(i) } 3; \text{(ii) } 4`, read as a tuple of the parts."""

from __future__ import annotations

import re

from reward_servers.engines.math.errors import AnswerSyntaxError
from reward_servers.engines.math.nodes import Call, Head, Kind, Node, Rel, Seq, Text
from reward_servers.engines.math.normal import named
from reward_servers.engines.math.normal.notation import in_grammar
from reward_servers.engines.math.normal.remarks import without_remark
from reward_servers.engines.math.normal.structure import normal
from reward_servers.engines.math.policy import Limits
from reward_servers.engines.math.syntax.grammar import parse
from reward_servers.engines.math.vocabulary.words import text_key

_LABEL = re.compile(
    r"(?:\\(?:text|textbf|mathrm|mathbf|textit)\s*\{\s*)?(?:[Pp]art\s+)?\((?P<name>[a-h]|i{1,3}|iv|v)\)"
    r"(?P<tail>\s*(?::\s*)?\})?(?:\s|\\[ ,;:!]|\\q?quad(?![A-Za-z])|~|:)*"
)
_POINTED_LABEL = re.compile(
    r"(?:^|(?<=[\s,;]))(?:\\(?:text|textbf|mathrm)\s*\{\s*)?(?P<name>[a-h])[.)](?![0-9])"
    r"(?P<tail>\s*\})?(?:\s|\\[ ,;:!])*"
)
_DATE = re.compile(r"\s*(?:[0-9]{4}-[01][0-9]-[0-3][0-9]|[0-3]?[0-9]/[0-3]?[0-9]/[12][0-9]{3})\s*")
_OPERATORS = ("P(", "E(", "Var(", "Cov(", "Corr(")
_ORDERS = (tuple("abcdefgh"), ("i", "ii", "iii", "iv", "v"))
_SEPARATOR = re.compile(r"(?:\\q?quad|\band|\\text\s*\{[\s,;]*(?:and)?\s*\})$")
_UNFINISHED = re.compile(r"[-+*/^=<>_(\[{]$|\\(?:cdot|times|pm|mp|le|ge|ne|leq|geq|neq)$")
_FACTOR = re.compile(r"[+*/^=<>_)\]]|\\(?:cdot|times|le|ge|ne|leq|geq|neq)(?![A-Za-z])")


def read(text: str, limits: Limits, *, plain_units: bool = False) -> Node:
    """The normal form of a text; labelled parts make a tuple, words among them stay words.

    Args:
        text: An answer or a reference.
        limits: The bounds.
        plain_units: Whether letters apart from a number may be its unit, as in a reference.

    Raises:
        AnswerSyntaxError: The text has no labelled parts and is no answer of the grammar.
        LimitExceededError: A bound was passed.
    """
    text = in_grammar(text)
    if _DATE.fullmatch(text):
        return Text(text_key(text))
    labelled = _parts(text)
    if labelled is None:
        return _read(text, limits, plain_units)
    items: list[Node] = []
    for part in labelled:
        try:
            items.append(normal(parse(part, limits, plain_units=plain_units), limits))
        except AnswerSyntaxError:
            items.append(Text(text_key(part)))
    return Seq(Kind.PARTS, tuple(items))


def _read(text: str, limits: Limits, plain_units: bool) -> Node:
    sides = named.split(text) if "=" in text or "\\approx" in text else None
    try:
        node = normal(parse(text, limits, plain_units=plain_units), limits)
        if sides is None or not (isinstance(node, Rel) and _is_operator_applied(node.terms[0], sides[0])):
            return node
    except AnswerSyntaxError:
        if sides is None:
            without = without_remark(text)
            if without is None:
                raise
            return _read(without, limits, plain_units)
    name, value = sides
    return Rel(("=",), (Text(name), normal(parse(value, limits, plain_units=plain_units), limits)))


def _is_operator_applied(left: Node, name: str) -> bool:
    """Whether `P(X > 2)` or `E[X^2]` was read as a product."""
    return isinstance(left, Call) and left.head is Head.MUL and name.startswith(_OPERATORS)


def _parts(text: str) -> list[str] | None:
    """The texts behind the labels, None where the text is not a run of labelled parts from the first label on."""
    if "(" not in text and not text.lstrip(" $\\").startswith(("a.", "a)", "text{a.", "text{a)")):
        return None
    text = text.strip().strip("$").strip()
    for label in (_LABEL, _POINTED_LABEL):
        first = label.match(text)
        if first is not None:
            return _labelled(text, [first, *label.finditer(text, first.end())])
    return None


def _labelled(text: str, labels: list[re.Match[str]]) -> list[str] | None:
    names = tuple(m["name"] for m in labels)
    if len(labels) < 2 or not any(names == order[: len(names)] for order in _ORDERS):
        return None
    ends = [m.start() for m in labels[1:]] + [len(text)]
    contents = [_content(text, label, end) for label, end in zip(labels, ends, strict=True)]
    if any(not p or _UNFINISHED.search(p) or _FACTOR.match(p) for p in contents):
        return None
    return contents


def _content(text: str, label: re.Match[str], end: int) -> str:
    inner = _trimmed(text[label.end() : end])
    if label[0].startswith("\\") and not label["tail"]:  # "\text{(a) yes}" closes behind the words
        inner = "\\text{" + inner
    inner = _trimmed(inner)
    return inner if inner.count("{") == inner.count("}") else ""


def _trimmed(text: str) -> str:
    """The text without the separators at its end; looks at each of them once."""
    while True:
        shorter = text.rstrip(" \t\r\n,;.~\\")
        last = _SEPARATOR.search(shorter, max(0, len(shorter) - 24))
        if last is None:
            return shorter
        text = shorter[: last.start()]
