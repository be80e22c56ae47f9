"""References: what a data set says, compiled once under a policy."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from threading import Lock
from typing import Literal, TypeAlias

from reward_servers.engines.math.compare import choices
from reward_servers.engines.math.compare.comparison import Comparison
from reward_servers.engines.math.compare.letters import roman
from reward_servers.engines.math.compare.strings import string_key
from reward_servers.engines.math.errors import AnswerSyntaxError, InvalidGoldError, LimitExceededError
from reward_servers.engines.math.extraction.answer import decimal_comma, extract
from reward_servers.engines.math.nodes import Interval, Kind, Matrix, Node, Num, Seq, Text
from reward_servers.engines.math.normal.form import normal_form
from reward_servers.engines.math.normal.parts import read
from reward_servers.engines.math.policy import DEFAULT, Limits, Policy
from reward_servers.engines.math.result import Decision
from reward_servers.engines.math.values.exact import UndefinedValueError, exact
from reward_servers.engines.math.vocabulary.words import CJK, text_key

Hint: TypeAlias = Literal["number", "integer", "expression", "set", "interval", "choice", "text"]

_SIMPLE = re.compile(
    r"\s*\$?\s*(?P<sign>[+-]?)(?P<int>[0-9]{1,18})(?:\.(?P<dec>[0-9]{1,18}))?(?:/(?P<below>[0-9]{1,18}))?\s*\$?\.?\s*"
)
_SIMPLE_FRAC = re.compile(r"\s*(?P<sign>[+-]?)\\[dt]?frac\{(?P<int>[0-9]{1,18})\}\{(?P<below>[0-9]{1,18})\}\s*")
_WRAPPED = re.compile(
    r"\s*(?:\$\$?(?P<dollar>[^$]*)\$\$?|\\\((?P<paren>.*)\\\)|\\\[(?P<bracket>.*)\\\])\s*\.?\s*", re.S
)
_COMMAND = re.compile(r"\\(?!text|mathrm|mbox)[A-Za-z]+")
_WORDY = re.compile(rf"[^\W\d_]{{2,}}|[{CJK}]")


@dataclass(frozen=True, slots=True)
class Gold:
    """A reference answer with what else is known about it.

    Attributes:
        answers: One or more answers as the data set writes them.
        mode: Whether any of them is right, or all are asked for together.
        hint: The kind of answer, where the data set says so.
        options: Letter and text of each choice.
        integers: Names of variables that stand for integers (see `integers_in`).
    """

    answers: tuple[str, ...]
    mode: Literal["any", "all"] = "any"
    hint: Hint | None = None
    options: tuple[tuple[str, str], ...] = ()
    integers: tuple[str, ...] = ()

    @classmethod
    def choice(cls, letter: str, options: Mapping[str, str]) -> Gold:
        """A letter with the texts of the options."""
        return cls((letter,), hint="choice", options=tuple(sorted(options.items())))


@dataclass(slots=True)
class SingleGold:
    """One reference answer, parsed."""

    source: str
    node: Node
    value: Fraction | None
    letters: frozenset[str] | None
    key: str


@dataclass(slots=True)
class CompiledGold:
    """A gold parsed once under a policy; remembers what it decided about recent answers.

    `source` is the reference as given, `form` its normal form; `chooses` tells whether it is one choice of those given,
    or is called a choice.
    """

    spec: Gold
    policy: Policy
    parts: list[SingleGold]
    form: str
    source: str
    chooses: bool
    decided: OrderedDict[str, Decision] = field(default_factory=OrderedDict)
    lock: Lock = field(default_factory=Lock)


def simple_number(text: str) -> Fraction | None:
    """Integers, decimals and fractions by one pattern; everything else goes to the parser."""
    match = _SIMPLE.fullmatch(text)
    if match is not None:
        sign, whole, decimals, below = match.groups()
    elif (match := _SIMPLE_FRAC.fullmatch(text)) is not None:
        sign, whole, below = match.groups()
        decimals = None
    else:
        return None
    above = int(whole + decimals if decimals else whole)
    if sign == "-":
        above = -above
    if below is not None:
        if decimals or not (divisor := int(below)):
            return None
        return Fraction(above, divisor)
    return Fraction(above, 10 ** len(decimals)) if decimals else Fraction(above)


def compile_gold(gold: str | Gold, policy: Policy = DEFAULT) -> CompiledGold:
    """Parse a reference answer once.

    Raises:
        InvalidGoldError: It is empty, does not parse, or passes a bound; says where.
    """
    spec = gold if isinstance(gold, Gold) else Gold((gold,))
    if not spec.answers:
        raise InvalidGoldError("no reference answer")
    if spec.mode == "all" and len(spec.answers) > 1:
        spec_answers: tuple[str, ...] = (", ".join(_unwrapped(a) for a in spec.answers),)
    else:
        spec_answers = spec.answers
    parts = [_compile_one(answer, spec, policy) for answer in spec_answers]
    form = " | ".join(normal_form(p.node) for p in parts)
    has_options = bool(spec.options) or spec.hint == "choice"
    chooses = has_options and all(part.letters is not None and len(part.letters) == 1 for part in parts)
    return CompiledGold(spec, policy, parts, form, " | ".join(spec.answers), chooses)


def _unwrapped(text: str) -> str:
    """Strip math delimiters and a box around a reference."""
    text = text.strip()
    box = extract(text, DEFAULT) if "boxed" in text else None
    if box is not None and box.text is not None and box.rule in ("box", "joined boxes"):
        text = box.text.strip()
    match = _WRAPPED.fullmatch(text)
    if match is not None:
        text = next(g for g in match.groups() if g is not None).strip()
    return text


def _compile_one(answer: str, spec: Gold, policy: Policy) -> SingleGold:
    if not isinstance(answer, str):
        raise InvalidGoldError(f"a reference answer is {type(answer).__name__}, not text")
    if policy.strings == "only" and answer.strip():
        return SingleGold(answer, Text(string_key(answer)), None, None, string_key(answer))
    text = _unwrapped(answer)
    if "####" in text:
        text = text.rpartition("####")[2].strip()
    if not text:
        raise InvalidGoldError("an empty reference answer")
    if policy.decimal_comma and "$" not in answer:
        text = decimal_comma(text)
    number = simple_number(text)
    letters = None if number is not None and not spec.options else _letters(text, spec, policy)
    number = number if letters is None else None
    if number is not None and spec.hint not in ("text", "integer"):
        places = len(text.rstrip(". $").partition(".")[2])
        return SingleGold(text, Num(number, places), number, None, text)
    if spec.hint == "text":
        return SingleGold(text, Text(text_key(text)), None, None, text_key(text))
    try:
        node = read(text, policy.limits, plain_units=True)
    except LimitExceededError as exc:
        raise InvalidGoldError(f"the reference passes a bound, {exc}") from exc
    except AnswerSyntaxError as exc:
        key = text_key(text)
        if letters is not None:
            return SingleGold(text, Text(key), None, letters, key)
        if not _WORDY.search(_COMMAND.sub(" ", text)) or text.count("{") != text.count("}"):
            raise InvalidGoldError(f"the reference does not parse: {exc.message}", exc.position) from exc
        node = Text(key)
    node = _hinted(node, spec.hint, policy.limits)
    value = node.value if isinstance(node, Num) else None
    if isinstance(node, Text) and len(run := choices.plain(text)) > 1:
        value = roman(run)
    return SingleGold(text, node, value, letters, text_key(text))


def _letters(text: str, spec: Gold, policy: Policy) -> frozenset[str] | None:
    """The letters that a reference chooses, None where it is no choice.

    Raises:
        InvalidGoldError: The options are given, and the reference is neither a letter nor the text of one.
    """
    if spec.hint not in (None, "choice"):
        return None
    if not spec.options:
        return choices.gold_letters(text, choice=spec.hint == "choice")
    letters = choices.gold_letters(text, choice=True)
    option_names = {letter.upper() for letter, _ in spec.options}
    if letters is not None and letters <= option_names:
        return letters
    letters = choices.option_letters(text, spec.options, Comparison(policy).context)
    if letters is None:
        raise InvalidGoldError("the reference is neither a letter of the choices nor the text of exactly one")
    return letters


def _constant(node: Node, limits: Limits) -> Fraction | None:
    try:
        return exact(node, limits.bits)
    except (LimitExceededError, UndefinedValueError):
        return None


def _hinted(node: Node, hint: Hint | None, limits: Limits) -> Node:
    """Settle what the notation leaves open by what the data set says about the answer.

    Raises:
        InvalidGoldError: The reference is not of that kind.
    """
    if hint in ("number", "integer") and isinstance(node, Text | Seq | Interval | Matrix):
        raise InvalidGoldError(f"the reference is no {hint}")
    if hint == "integer" and (value := _constant(node, limits)) is not None and value.denominator != 1:
        raise InvalidGoldError("the reference is no integer")
    if hint == "interval" and isinstance(node, Seq) and node.kind in (Kind.TUPLE, Kind.SQUARE) and len(node.items) == 2:
        return Interval(node.items[0], node.items[1], node.kind == Kind.SQUARE, node.kind == Kind.SQUARE)
    if hint == "set" and isinstance(node, Seq) and node.kind in (Kind.LIST, Kind.OR):
        return Seq(Kind.SET, node.items)
    return node


# Cache ------------------------------------------------------------------------------------------

_compiled: OrderedDict[tuple[str | Gold, Policy], CompiledGold] = OrderedDict()
_compiled_lock = Lock()
_COMPILED = 512


def compiled_gold(gold: str | Gold, policy: Policy) -> CompiledGold:
    """`compile_gold` with a memory: a group sends the same gold many times.

    Raises:
        InvalidGoldError: See `compile_gold`.
    """
    key = (gold, policy)
    known_gold = _compiled.get(key)
    if known_gold is not None:
        return known_gold
    compiled = compile_gold(gold, policy)
    with _compiled_lock:
        _compiled[key] = compiled
        while len(_compiled) > _COMPILED:
            _compiled.popitem(last=False)
    return compiled
