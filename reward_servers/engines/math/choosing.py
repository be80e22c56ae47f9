"""Choices that a response states, read as every verifier reads them, where the reference is known to be one."""

from __future__ import annotations

from string import ascii_uppercase

from reward_servers.engines.math.golds import CompiledGold
from reward_servers.engines.math.policy import DEFAULT
from reward_servers.engines.math.result import Decision, Extraction, Outcome
from reward_servers.engines.text import Marks, stated_choice, visible

_SETTLED = frozenset({"negated", "struck out", "corrected", "truncated"})


def stated(
    response: str, gold: CompiledGold, extraction: Extraction, marks: Marks = ()
) -> tuple[Extraction, Decision] | None:
    """What the response chooses, where the reference is one choice of those given, is called a choice, or is a letter.

    Args:
        response: The whole text of the candidate.
        gold: The reference.
        extraction: The answer as the rules for any kind of answer find it.
        marks: Pairs of marks around reasoning, in addition to those that are known.

    Returns:
        The statement and the decision about it; None where no choice is asked for, none is stated, or a later box
        states something else: the answer that was found is then compared as it is.
    """
    if gold.policy.extraction != DEFAULT.extraction or extraction.rule in _SETTLED:
        return None
    if not gold.chooses and not all(part.letters is not None and len(part.letters) == 1 for part in gold.parts):
        return None
    options = {letter.upper(): text for letter, text in gold.spec.options} or dict.fromkeys(ascii_uppercase, "")
    if not options.keys() <= set(ascii_uppercase):
        return None
    visible_text = visible(response, marks)
    choice = stated_choice(visible_text.text, options)
    if choice.status == "missing":
        return None
    start = visible_text.text.rfind(choice.quote)
    end = start + len(choice.quote) if start >= 0 else -1
    start, end = visible_text.origin(start, end)
    if extraction.text is not None and "box" in extraction.rule and extraction.start >= end >= 0:
        return None
    place = Extraction(choice.label or choice.quote, start, end, "stated choice")
    if choice.label is None:
        return place, Decision(Outcome.INCORRECT, "choice", "more than one choice is stated", None)
    right = any(part.letters == frozenset({choice.label}) for part in gold.parts)
    reason = "the gold's letter" if right else f"{choice.label} is not {gold.source}"
    return place, Decision(Outcome.CORRECT if right else Outcome.INCORRECT, "choice", reason, choice.label)
