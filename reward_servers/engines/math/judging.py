"""The public operations: compile a gold, judge a response against it."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from threading import Lock
from typing import TYPE_CHECKING, Literal, TypeAlias

from reward_servers.engines.math.compare import choices
from reward_servers.engines.math.compare.comparison import Comparison
from reward_servers.engines.math.compare.quantities import inside
from reward_servers.engines.math.compare.strings import string_key
from reward_servers.engines.math.errors import AnswerSyntaxError, GoldInvalid, LimitExceeded, SymbolicUnavailable
from reward_servers.engines.math.extraction import sentences
from reward_servers.engines.math.extraction.answer import decimal_comma, extract
from reward_servers.engines.math.extraction.phrases import last_value
from reward_servers.engines.math.nodes import Head, Interval, Kind, Matrix, Node, Num, Seq, Text
from reward_servers.engines.math.normal.conditions import aligned
from reward_servers.engines.math.normal.form import normal_form
from reward_servers.engines.math.normal.parts import read
from reward_servers.engines.math.policy import DEFAULT, Limits, Policy
from reward_servers.engines.math.result import Decision, Extraction, Judgement, Outcome
from reward_servers.engines.math.values.exact import Undefined, exact
from reward_servers.engines.math.values.scalars import Answer
from reward_servers.engines.math.vocabulary.words import CJK, polarity, text_key, text_list
from reward_servers.engines.text import Marks

if TYPE_CHECKING:
    from reward_servers.engines.math.symbolic.pool import SymbolicPool

VERSION = "7"
"""Changes whenever a verdict may change."""

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
_REMEMBERED = 64


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
    def any_of(cls, answers: Sequence[str], hint: Hint | None = None) -> Gold:
        """Each of the answers is right."""
        return cls(tuple(answers), "any", hint)

    @classmethod
    def all_of(cls, answers: Sequence[str], hint: Hint | None = None) -> Gold:
        """The answer must give all of them, in any order."""
        return cls(tuple(answers), "all", hint)

    @classmethod
    def choice(cls, letter: str, options: Mapping[str, str]) -> Gold:
        """A letter with the texts of the options."""
        return cls((letter,), hint="choice", options=tuple(sorted(options.items())))


@dataclass(slots=True)
class _One:
    """One reference answer, parsed."""

    source: str
    node: Node
    value: Fraction | None
    letters: frozenset[str] | None
    key: str


@dataclass(slots=True)
class CompiledGold:
    """A gold parsed once under a policy; remembers what it decided about recent answers.

    `source` is the reference as given, `form` its normal form.
    """

    spec: Gold
    policy: Policy
    parts: list[_One]
    form: str
    source: str
    decided: OrderedDict[str, Decision] = field(default_factory=OrderedDict)
    lock: Lock = field(default_factory=Lock)


def simple_number(text: str) -> Fraction | None:
    """Integers, decimals and fractions by one pattern; everything else goes to the parser."""
    match = _SIMPLE.fullmatch(text) or _SIMPLE_FRAC.fullmatch(text)
    if match is None:
        return None
    decimals = match["dec"] if "dec" in match.re.groupindex else None
    below = match["below"]
    value = Fraction(int(match["int"] + (decimals or "")), 10 ** len(decimals or ""))
    if below is not None:
        if decimals or int(below) == 0:
            return None
        value = Fraction(int(match["int"]), int(below))
    return -value if match["sign"] == "-" else value


def compile_gold(gold: str | Gold, policy: Policy = DEFAULT) -> CompiledGold:
    """Parse a reference answer once.

    Raises:
        GoldInvalid: It is empty, does not parse, or passes a bound; says where.
    """
    spec = gold if isinstance(gold, Gold) else Gold((gold,))
    if not spec.answers:
        raise GoldInvalid("no reference answer")
    if spec.mode == "all" and len(spec.answers) > 1:
        spec_answers: tuple[str, ...] = (", ".join(_unwrapped(a) for a in spec.answers),)
    else:
        spec_answers = spec.answers
    parts = [_compile_one(answer, spec, policy) for answer in spec_answers]
    form = " | ".join(normal_form(p.node) for p in parts)
    return CompiledGold(spec, policy, parts, form, " | ".join(spec.answers))


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


def _compile_one(answer: str, spec: Gold, policy: Policy) -> _One:
    if not isinstance(answer, str):
        raise GoldInvalid(f"a reference answer is {type(answer).__name__}, not text")
    if policy.strings == "only" and answer.strip():
        return _One(answer, Text(string_key(answer)), None, None, string_key(answer))
    text = _unwrapped(answer)
    if "####" in text:
        text = text.rpartition("####")[2].strip()
    if not text:
        raise GoldInvalid("an empty reference answer")
    if policy.decimal_comma and "$" not in answer:
        text = decimal_comma(text)
    number = simple_number(text)
    letters = None if number is not None and not spec.options else _letters(text, spec, policy)
    number = number if letters is None else None
    if number is not None and spec.hint not in ("text", "integer"):
        places = len(text.rstrip(". $").partition(".")[2])
        return _One(text, Num(number, places), number, None, text)
    if spec.hint == "text":
        return _One(text, Text(text_key(text)), None, None, text_key(text))
    try:
        node = read(text, policy.limits, plain_units=True)
    except LimitExceeded as exc:
        raise GoldInvalid(f"the reference passes a bound, {exc}") from exc
    except AnswerSyntaxError as exc:
        key = text_key(text)
        if letters is not None:
            return _One(text, Text(key), None, letters, key)
        if not _WORDY.search(_COMMAND.sub(" ", text)) or text.count("{") != text.count("}"):
            raise GoldInvalid(f"the reference does not parse: {exc.message}", exc.position) from exc
        node = Text(key)
    node = _hinted(node, spec.hint, policy.limits)
    value = node.value if isinstance(node, Num) else None
    return _One(text, node, value, letters, text_key(text))


def _letters(text: str, spec: Gold, policy: Policy) -> frozenset[str] | None:
    """The letters that a reference chooses, None where it is no choice.

    Raises:
        GoldInvalid: The options are given, and the reference is neither a letter nor the text of one.
    """
    if spec.hint not in (None, "choice"):
        return None
    if not spec.options:
        return choices.gold_letters(text, choice=spec.hint == "choice")
    letters = choices.gold_letters(text, choice=True)
    known = {letter.upper() for letter, _ in spec.options}
    if letters is not None and letters <= known:
        return letters
    letters = choices.option_letters(text, spec.options, Comparison(policy).context)
    if letters is None:
        raise GoldInvalid("the reference is neither a letter of the choices nor the text of exactly one")
    return letters


def _constant(node: Node, limits: Limits) -> Fraction | None:
    try:
        return exact(node, limits.bits)
    except (LimitExceeded, Undefined):
        return None


def _hinted(node: Node, hint: Hint | None, limits: Limits) -> Node:
    """Settle what the notation leaves open by what the data set says about the answer.

    Raises:
        GoldInvalid: The reference is not of that kind.
    """
    if hint in ("number", "integer") and isinstance(node, Text | Seq | Interval | Matrix):
        raise GoldInvalid(f"the reference is no {hint}")
    if hint == "integer" and (value := _constant(node, limits)) is not None and value.denominator != 1:
        raise GoldInvalid("the reference is no integer")
    if hint == "interval" and isinstance(node, Seq) and node.kind in (Kind.TUPLE, Kind.SQUARE) and len(node.items) == 2:
        return Interval(node.items[0], node.items[1], node.kind == Kind.SQUARE, node.kind == Kind.SQUARE)
    if hint == "set" and isinstance(node, Seq) and node.kind in (Kind.LIST, Kind.OR):
        return Seq(Kind.SET, node.items)
    return node


def judge(
    response: str,
    gold: str | Gold | CompiledGold,
    policy: Policy = DEFAULT,
    *,
    symbolic: SymbolicPool | None = None,
    marks: Marks = (),
) -> Judgement:
    """Judge one response.

    Never raises for what a response or a gold contains: each of these is an outcome.  Safe in threads.

    Args:
        response: The whole text of the candidate.
        gold: The reference, its `Gold`, or the compiled gold (which brings its own policy).
        policy: Ignored for a compiled gold.
        symbolic: Workers for the last stage; None uses the pool of this process, started when first needed.
        marks: Pairs of marks around reasoning, in addition to those that are known.
    """
    if isinstance(gold, CompiledGold):
        compiled, policy = gold, gold.policy
    else:
        try:
            compiled = compiled_gold(gold, policy)
        except GoldInvalid as exc:
            source = gold if isinstance(gold, str) else " | ".join(map(str, gold.answers))
            nothing = Extraction(None, -1, -1, "not looked for")
            return Judgement(Outcome.GOLD_INVALID, "gold", str(exc), nothing, source, None, None, policy.name, VERSION)
    try:
        found = extract(response, policy, marks)
    except LimitExceeded as exc:
        nothing = Extraction(None, -1, -1, "too long")
        return Judgement(
            Outcome.LIMIT, exc.bound, exc.detail, nothing, compiled.source, compiled.form, None, policy.name, VERSION
        )
    if found.text is None:
        outcome = Outcome.INCORRECT if found.rule in ("negated", "struck out") else Outcome.NO_ANSWER
        reason = _MISSING.get(found.rule, found.rule)
        return Judgement(outcome, found.rule, reason, found, compiled.source, compiled.form, None, policy.name, VERSION)
    decision = decide(found.text, compiled, symbolic)
    if decision.rule == "unparsed" or (found.core is None and not decision.final):
        core = found.core or sentences.stated_value(found.text)
        decision = decision if core is None else decide(core, compiled, symbolic)
    if found.rival is not None:
        decision = _beside(decision, found.rival, compiled, symbolic)
    if decision.rule == "unparsed" and found.rule == "phrase" and "last_value" in policy.extraction:
        value = last_value(found.text).text
        decision = decision if value is None else decide(value, compiled, symbolic)
    return Judgement(
        decision.outcome,
        decision.rule,
        decision.reason,
        found,
        compiled.source,
        compiled.form,
        decision.answer_form,
        policy.name,
        VERSION,
    )


def _beside(decision: Decision, rival: str, gold: CompiledGold, symbolic: SymbolicPool | None) -> Decision:
    """The decision about an answer beside which another one is stated: both must be right.

    A box that holds no letter is no choice; where a choice is asked for, the stated letter is the answer.
    """
    asked = any(part.letters for part in gold.parts)
    if not asked and choices.answer_letters(rival) is not None:
        return decision  # the letter of an option, where its value is asked for
    other = decide(rival, gold, symbolic)
    if other.rule == "unparsed" or not other.outcome.is_verdict:
        return decision
    if decision.outcome is Outcome.CORRECT and other.outcome is Outcome.INCORRECT:
        return Decision(Outcome.INCORRECT, "contradicted", f"another answer is stated later: {other.reason}", None)
    if asked and decision.outcome is Outcome.INCORRECT and decision.rule != "choice" and other.rule == "choice":
        return other
    return decision


_MISSING = {
    "none": "no box, tag, phrase, emphasis or last sentence states one answer",
    "truncated": "the last box or tag is not closed",
    "negated": "the answer is taken back",
    "struck out": "the answer is invisible or struck out",
}


def decide(answer: str, gold: CompiledGold, symbolic: SymbolicPool | None = None) -> Decision:
    """Compare one extracted answer with a gold; repeated answers are remembered."""
    known = gold.decided.get(answer)
    if known is not None:
        return known
    if len(answer) > gold.policy.limits.answer_chars:
        return Decision(Outcome.LIMIT, "answer_chars", f"an answer of {len(answer)} characters", None)
    decision = _decide(answer, gold, Comparison(gold.policy, symbolic, frozenset(gold.spec.integers)))
    if len(answer) < 256 and decision.outcome.is_verdict:
        with gold.lock:
            gold.decided[answer] = decision
            while len(gold.decided) > _REMEMBERED:
                gold.decided.popitem(last=False)
    return decision


def _decide(answer: str, gold: CompiledGold, comparison: Comparison) -> Decision:
    best: Decision | None = None
    for part in gold.parts:
        decision = _decide_one(answer, part, gold, comparison)
        if decision.outcome is Outcome.CORRECT:
            return decision
        if best is None or _RANK[decision.outcome] > _RANK[best.outcome]:
            best = decision
    assert best is not None
    return best


_RANK = {Outcome.NO_ANSWER: 0, Outcome.INCORRECT: 1, Outcome.LIMIT: 2, Outcome.UNDECIDED: 3, Outcome.GOLD_INVALID: 3}


def _decide_one(answer: str, part: _One, gold: CompiledGold, comparison: Comparison) -> Decision:
    policy = gold.policy
    if not answer.strip(" \t\r\n$.{}~\\") and "\\{" not in answer:
        return Decision(Outcome.NO_ANSWER, "empty", "the answer is empty", None)
    if policy.strings != "none":
        mine, theirs = string_key(part.source), string_key(answer)
        if mine == theirs or policy.strings == "only":
            outcome = Outcome.CORRECT if mine == theirs else Outcome.INCORRECT
            return Decision(outcome, "string", f"{mine} vs {theirs}", theirs)
    if part.value is not None and not policy.reduced and not policy.integers_literal:
        value = simple_number(answer)
        if value is not None:
            if value == part.value:
                return Decision(Outcome.CORRECT, "exact", "equal numbers", str(value))
            if not (policy.tolerance or policy.gold_precision or policy.float_rounding is not None):
                return Decision(Outcome.INCORRECT, "exact", "different numbers", str(value))
    if part.letters is not None or gold.spec.options:
        chosen = choices.decide(answer, part.letters, gold.spec.options, part.node, comparison.context)
        if chosen is not None:
            return chosen
    return _parsed(answer, part, policy, comparison)


def _in_words(node: Node) -> bool:
    return isinstance(node, Text) or inside(node, Head.SPELLED) is not None


def _parsed(answer: str, part: _One, policy: Policy, comparison: Comparison) -> Decision:
    if _in_words(part.node) and text_key(answer) == part.key:
        return Decision(Outcome.CORRECT, "text", "the same words", part.key)
    if isinstance(part.node, Text) and (words := text_list(part.source)) is not None and words == text_list(answer):
        return Decision(Outcome.CORRECT, "text list", "the same words in another order", ", ".join(words))
    if isinstance(part.node, Text) and (asked := polarity(part.source)) is not None:
        said = polarity(answer)
        if said is not None:
            return Decision(Outcome.CORRECT if said is asked else Outcome.INCORRECT, "yes or no", "", str(said))
    try:
        node = read(answer, policy.limits)
    except LimitExceeded as exc:
        return Decision(Outcome.LIMIT, exc.bound, exc.detail, None)
    except AnswerSyntaxError as exc:
        same = answer.strip() == part.source.strip()
        if same:
            return Decision(Outcome.CORRECT, "verbatim", "the gold's own characters", None)
        outcome = Outcome.INCORRECT
        return Decision(outcome, "unparsed", f"the answer does not parse: {exc}", None)
    form = normal_form(node)
    try:
        found = comparison.same(part.node, aligned(part.node, node))
    except LimitExceeded as exc:
        return Decision(Outcome.LIMIT, exc.bound, exc.detail, form)
    except SymbolicUnavailable as exc:
        return Decision(Outcome.UNDECIDED, "symbolic", str(exc), form)
    except RecursionError:
        # The tree is within its bound, so it is the caller's stack that was almost used up.
        return Decision(Outcome.UNDECIDED, "stack", "the calling thread has too little stack left", form)
    return _decision(found, form)


def _decision(found: Answer, form: str) -> Decision:
    if found.same:
        return Decision(Outcome.CORRECT, found.rule, found.why or "equal", form)
    if found.same is None:
        return Decision(Outcome.INCORRECT, "not shown equal", found.why or "nothing could decide", form)
    return Decision(Outcome.INCORRECT, found.rule, found.why or "different", form)


# Cache ------------------------------------------------------------------------------------------

_compiled: OrderedDict[tuple[str | Gold, Policy], CompiledGold] = OrderedDict()
_compiled_lock = Lock()
_COMPILED = 512


def compiled_gold(gold: str | Gold, policy: Policy) -> CompiledGold:
    """`compile_gold` with a memory: a group sends the same gold many times.

    Raises:
        GoldInvalid: See `compile_gold`.
    """
    key = (gold, policy)
    found = _compiled.get(key)
    if found is not None:
        return found
    compiled = compile_gold(gold, policy)
    with _compiled_lock:
        _compiled[key] = compiled
        while len(_compiled) > _COMPILED:
            _compiled.popitem(last=False)
    return compiled
