"""Templates, formulas and text measures of OpenAI's graders."""

from __future__ import annotations

import ast
import json
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reward_servers import DatasetError
from reward_servers.engines.text import parse_expression

_PLACE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_PATH = re.compile(r"(item|sample)((?:\.\w+|\[\d+\])+)")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")

Value = Mapping[str, Any]


class MalformedOutputError(Exception):
    """A template reads JSON of a response that is none, or lacks the part."""


def places_of(template: str) -> list[str]:
    """What a template reads, such as ``item.answer``.

    Raises:
        ValueError: A place is malformed.
    """
    places = _PLACE.findall(template)
    for place in places:
        if not _PATH.fullmatch(place):
            raise ValueError(f"{{{{{place}}}}} reads neither item.NAME nor sample.NAME")
    return places


def fill(template: str, item: Value, sample: Value) -> str:
    """The template with its places filled: texts as they are, everything else as JSON.

    Raises:
        DatasetError: The item lacks a part.
        MalformedOutputError: The response lacks a part.
    """
    return _PLACE.sub(lambda place: _filled(place[1], item, sample), template)


def _filled(place: str, item: Value, sample: Value) -> str:
    matched = _PATH.fullmatch(place)
    assert matched is not None  # the template has been checked
    value: Any = item if matched[1] == "item" else sample
    for name, index in _STEP.findall(matched[2]):
        try:
            value = value[int(index)] if index else value[name]
        except (KeyError, IndexError, TypeError):
            if matched[1] == "item":
                available = ", ".join(sorted(item)) or "nothing"
                raise DatasetError(
                    f"the grader reads {place}; the reference and the metadata hold {available}",
                    code="missing_reference",
                ) from None
            raise MalformedOutputError(place) from None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def similarity(metric: str, text: str, reference: str) -> float:
    """How alike two texts are by a metric of `METRICS`, 0 to 1."""
    return METRICS[metric](text, reference)


def _fuzzy(text: str, reference: str) -> float:
    from rapidfuzz import fuzz

    return float(fuzz.ratio(text, reference)) / 100


def _bleu(text: str, reference: str) -> float:
    from sacrebleu.metrics.bleu import BLEU

    return min(1.0, float(BLEU(effective_order=True).sentence_score(text, [reference]).score) / 100)


def _gleu(text: str, reference: str) -> float:
    from reward_servers.engines.similarity import gleu

    return gleu(text.split(), reference.split())


def _rouge(n: int) -> Callable[[str, str], float]:
    def measure(text: str, reference: str) -> float:
        from reward_servers.engines.similarity import rouge, rouge_n, words

        own_words, reference_words = words(text), words(reference)
        return rouge_n(own_words, reference_words, n) if n else rouge(own_words, reference_words)["rougeL"]

    return measure


METRICS: Mapping[str, Callable[[str, str], float]] = {
    "fuzzy_match": _fuzzy,
    "bleu": _bleu,
    "gleu": _gleu,
    **{f"rouge_{n}": _rouge(n) for n in range(1, 6)},
    "rouge_l": _rouge(0),
}

_OPERATORS: dict[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "min": min, "max": max, "abs": abs, "floor": math.floor, "ceil": math.ceil, "exp": math.exp, "sqrt": math.sqrt,
    "log": math.log,
}  # fmt: skip
_LONGEST = 2000


def _is_leaf(node: ast.Name | ast.Constant, names: frozenset[str]) -> bool:
    return node.id in names if isinstance(node, ast.Name) else type(node.value) in (int, float)


class Formula:
    """A formula over the scores of graders, such as ``0.8 * exact + 0.2 * min(1, similar)``."""

    def __init__(self, text: str, names: Sequence[str]) -> None:
        """Read it.

        Raises:
            ValueError: It is malformed, or reads a name that is no grader.
        """
        if len(text) > _LONGEST:
            raise ValueError(f"it has {len(text)} characters; the limit is {_LONGEST}")
        self.text = text
        try:
            self._tree = parse_expression(text.replace("^", "**").strip()).body
            self._check(self._tree, frozenset(names))
        except (SyntaxError, RecursionError, MemoryError) as error:
            raise ValueError(f"{text[:200]!r} is no formula") from error

    def _check(self, node: ast.AST, names: frozenset[str]) -> None:
        if isinstance(node, ast.BinOp | ast.UnaryOp) and type(node.op) in _OPERATORS:
            inner: list[ast.AST] = [node.left, node.right] if isinstance(node, ast.BinOp) else [node.operand]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS:
            if node.keywords or not node.args:
                raise ValueError(f"{node.func.id} takes numbers")
            inner = list(node.args)
        elif isinstance(node, ast.Name | ast.Constant) and _is_leaf(node, names):
            return
        else:
            listed = ", ".join(sorted(names))
            raise ValueError(f"{ast.unparse(node)!r} is neither a number, a function nor one of the graders {listed}")
        for part in inner:
            self._check(part, names)

    def value(self, scores: Mapping[str, float]) -> float:
        """Its value.

        Raises:
            ArithmeticError: It has none for these scores.
        """
        try:
            result = self._value(self._tree, scores)
            return float(result) if not isinstance(result, complex) else math.nan
        except (ValueError, TypeError) as error:
            raise ArithmeticError(str(error)) from None

    def _value(self, node: ast.AST, scores: Mapping[str, float]) -> Any:
        if isinstance(node, ast.Constant):
            return float(node.value)  # type: ignore[arg-type]  # checked: a number
        if isinstance(node, ast.Name):
            return scores[node.id]
        if isinstance(node, ast.BinOp):
            return _OPERATORS[type(node.op)](self._value(node.left, scores), self._value(node.right, scores))
        if isinstance(node, ast.UnaryOp):
            return _OPERATORS[type(node.op)](self._value(node.operand, scores))
        assert isinstance(node, ast.Call)
        assert isinstance(node.func, ast.Name)
        return _FUNCTIONS[node.func.id](*(self._value(arg, scores) for arg in node.args))
