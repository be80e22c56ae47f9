"""The public operations: compile a gold, judge a response against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reward_servers.engines.math import choosing
from reward_servers.engines.math.compare import choices
from reward_servers.engines.math.compare.comparison import Comparison
from reward_servers.engines.math.compare.quantities import inside
from reward_servers.engines.math.compare.strings import string_key
from reward_servers.engines.math.errors import (
    AnswerSyntaxError,
    InvalidGoldError,
    LimitExceededError,
    SymbolicUnavailableError,
)
from reward_servers.engines.math.extraction import sentences
from reward_servers.engines.math.extraction.answer import extract
from reward_servers.engines.math.extraction.phrases import last_value
from reward_servers.engines.math.golds import CompiledGold, Gold, SingleGold, compiled_gold, simple_number
from reward_servers.engines.math.nodes import Head, Node, Text
from reward_servers.engines.math.normal.conditions import aligned
from reward_servers.engines.math.normal.form import normal_form
from reward_servers.engines.math.normal.parts import read
from reward_servers.engines.math.policy import DEFAULT, Policy
from reward_servers.engines.math.result import Decision, Extraction, Judgement, Outcome
from reward_servers.engines.math.values.scalars import Answer
from reward_servers.engines.math.vocabulary.words import polarity, text_key, text_list
from reward_servers.engines.text import Marks

if TYPE_CHECKING:
    from reward_servers.engines.math.symbolic.pool import SymbolicPool

VERSION = "10"
"""Changes whenever a verdict may change."""

_REMEMBERED = 64


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
        except InvalidGoldError as exc:
            source = gold if isinstance(gold, str) else " | ".join(map(str, gold.answers))
            blank = Extraction(None, -1, -1, "not looked for")
            return Judgement(Outcome.GOLD_INVALID, "gold", str(exc), blank, source, None, None, policy.name, VERSION)
    try:
        extraction = extract(response, policy, marks)
    except LimitExceededError as exc:
        blank = Extraction(None, -1, -1, "too long")
        return Judgement(
            Outcome.LIMIT,
            exc.bound,
            exc.detail,
            blank,
            compiled.source,
            compiled.form,
            None,
            policy.name,
            VERSION,
        )
    if compiled.chooses or extraction.rule == "none":
        choice = choosing.stated(response, compiled, extraction, marks)
        if choice is not None:
            return _judgement(*choice, compiled, policy)
    if extraction.text is None:
        outcome = Outcome.INCORRECT if extraction.rule in ("negated", "struck out") else Outcome.NO_ANSWER
        reason = _MISSING.get(extraction.rule, extraction.rule)
        return _judgement(extraction, Decision(outcome, extraction.rule, reason, None), compiled, policy)
    decision = decide(extraction.text, compiled, symbolic)
    if decision.outcome is _INCORRECT and (core := _core(extraction, extraction.text, decision)) is not None:
        decision = decide(core, compiled, symbolic)
    if extraction.rival is not None:
        decision = _beside(decision, extraction.rival, compiled, symbolic)
    if decision.rule == "unparsed" and extraction.rule == "phrase" and "last_value" in policy.extraction:
        value = last_value(extraction.text).text
        decision = decision if value is None else decide(value, compiled, symbolic)
    return _judgement(extraction, decision, compiled, policy)


def _core(extraction: Extraction, text: str, decision: Decision) -> str | None:
    """What an answer that was refused as it stands says in its words, None where they can change nothing."""
    spelled = extraction.rule == "phrase, number word"
    if decision.rule == "unparsed" or spelled or (extraction.core is None and decision.rule not in _FINAL):
        return extraction.core or sentences.stated_value(text)
    return None


_CORRECT, _INCORRECT = Outcome.CORRECT, Outcome.INCORRECT  # a member of an enumeration is slow to look up
_FINAL = ("choice", "yes or no", "option text")
"""Rules that another reading of an answer's words could not change."""


def _judgement(extraction: Extraction, decision: Decision, gold: CompiledGold, policy: Policy) -> Judgement:
    return Judgement(
        decision.outcome,
        decision.rule,
        decision.reason,
        extraction,
        gold.source,
        gold.form,
        decision.answer_form,
        policy.name,
        VERSION,
    )


def _beside(decision: Decision, rival: str, gold: CompiledGold, symbolic: SymbolicPool | None) -> Decision:
    """The decision about an answer beside which another one is stated: both must be right.

    A box that holds no letter is no choice; where a choice is asked for, the stated letter is the answer.
    """
    asks_letters = any(part.letters for part in gold.parts)
    if not asks_letters and choices.answer_letters(rival) is not None:
        return decision  # the letter of an option, where its value is asked for
    rival_decision = decide(rival, gold, symbolic)
    if rival_decision.rule == "unparsed" or not rival_decision.outcome.is_verdict:
        return decision
    if decision.outcome is Outcome.CORRECT and rival_decision.outcome is Outcome.INCORRECT:
        return Decision(
            Outcome.INCORRECT, "contradicted", f"another answer is stated later: {rival_decision.reason}", None
        )
    if (
        asks_letters
        and decision.outcome is Outcome.INCORRECT
        and decision.rule != "choice"
        and rival_decision.rule == "choice"
    ):
        return rival_decision
    return decision


_MISSING = {
    "none": "no box, tag, phrase, emphasis or last sentence states one answer",
    "truncated": "the last box or tag is not closed",
    "asked": "the answer is asked, not stated",
    "negated": "the answer is taken back",
    "struck out": "the answer is invisible or struck out",
}


_FAULTS = frozenset(outcome for outcome in Outcome if not outcome.is_verdict)


def decide(answer: str, gold: CompiledGold, symbolic: SymbolicPool | None = None) -> Decision:
    """Compare one extracted answer with a gold; repeated answers are remembered."""
    decided = gold.decided.get(answer)
    if decided is not None:
        return decided
    if len(answer) > gold.policy.limits.answer_chars:
        return Decision(Outcome.LIMIT, "answer_chars", f"an answer of {len(answer)} characters", None)
    decision = _decide(answer, gold, symbolic)
    if len(answer) < 256 and decision.outcome not in _FAULTS:
        with gold.lock:
            gold.decided[answer] = decision
            while len(gold.decided) > _REMEMBERED:
                gold.decided.popitem(last=False)
    return decision


def _decide(answer: str, gold: CompiledGold, symbolic: SymbolicPool | None) -> Decision:
    best: Decision | None = None
    for part in gold.parts:
        decision = _decide_one(answer, part, gold, symbolic)
        if decision.outcome is _CORRECT or len(gold.parts) == 1:
            return decision
        if best is None or _RANK[decision.outcome] > _RANK[best.outcome]:
            best = decision
    assert best is not None
    return best


_RANK = {Outcome.NO_ANSWER: 0, Outcome.INCORRECT: 1, Outcome.LIMIT: 2, Outcome.UNDECIDED: 3, Outcome.GOLD_INVALID: 3}


_EMPTY = " \t\r\n$.{}~\\"


def _decide_one(answer: str, part: SingleGold, gold: CompiledGold, symbolic: SymbolicPool | None) -> Decision:
    policy = gold.policy
    if not answer.strip(_EMPTY) and "\\{" not in answer:
        return Decision(Outcome.NO_ANSWER, "empty", "the answer is empty", None)
    if policy.strings != "none":
        gold_key, answer_key = string_key(part.source), string_key(answer)
        if gold_key == answer_key or policy.strings == "only":
            outcome = Outcome.CORRECT if gold_key == answer_key else Outcome.INCORRECT
            return Decision(outcome, "string", f"{gold_key} vs {answer_key}", answer_key)
    if part.value is not None and not policy.reduced and not policy.integers_literal:
        value = simple_number(answer)
        if value is not None:
            if value == part.value:
                return Decision(_CORRECT, "exact", "equal numbers", str(value))
            if not (policy.tolerance or policy.gold_precision or policy.float_rounding is not None):
                return Decision(_INCORRECT, "exact", "different numbers", str(value))
    comparison = Comparison(policy, symbolic, frozenset(gold.spec.integers))
    if part.letters is not None or gold.spec.options:
        chosen = choices.decide(answer, part.letters, gold.spec.options, part.node, comparison.context)
        if chosen is not None:
            return chosen
    return _parsed(answer, part, policy, comparison)


def _in_words(node: Node) -> bool:
    return isinstance(node, Text) or inside(node, Head.SPELLED) is not None


def _parsed(answer: str, part: SingleGold, policy: Policy, comparison: Comparison) -> Decision:
    if _in_words(part.node) and text_key(answer) == part.key:
        return Decision(Outcome.CORRECT, "text", "the same words", part.key)
    if isinstance(part.node, Text) and (words := text_list(part.source)) is not None and words == text_list(answer):
        return Decision(Outcome.CORRECT, "text list", "the same words in another order", ", ".join(words))
    if isinstance(part.node, Text) and (asked_truth := polarity(part.source)) is not None:
        truth = polarity(answer)
        if truth is not None:
            return Decision(Outcome.CORRECT if truth is asked_truth else Outcome.INCORRECT, "yes or no", "", str(truth))
    try:
        node = read(answer, policy.limits)
    except LimitExceededError as exc:
        return Decision(Outcome.LIMIT, exc.bound, exc.detail, None)
    except AnswerSyntaxError as exc:
        is_same = answer.strip() == part.source.strip()
        if is_same:
            return Decision(Outcome.CORRECT, "verbatim", "the gold's own characters", None)
        outcome = Outcome.INCORRECT
        return Decision(outcome, "unparsed", f"the answer does not parse: {exc}", None)
    form = normal_form(node)
    try:
        decision = comparison.same(part.node, aligned(part.node, node))
    except LimitExceededError as exc:
        return Decision(Outcome.LIMIT, exc.bound, exc.detail, form)
    except SymbolicUnavailableError as exc:
        return Decision(Outcome.UNDECIDED, "symbolic", str(exc), form)
    except RecursionError:
        # The tree is within its bound, so it is the caller's stack that was almost used up.
        return Decision(Outcome.UNDECIDED, "stack", "the calling thread has too little stack left", form)
    return _decision(decision, form)


def _decision(answer: Answer, form: str) -> Decision:
    if answer.same:
        return Decision(Outcome.CORRECT, answer.rule, answer.why or "equal", form)
    if answer.same is None:
        return Decision(Outcome.INCORRECT, "not shown equal", answer.why or "nothing could decide", form)
    return Decision(Outcome.INCORRECT, answer.rule, answer.why or "different", form)
