"""What a judgement says: outcome, evidence, and how the answer was found."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple


class Outcome(StrEnum):
    """The result of judging one response."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    NO_ANSWER = "no_answer"
    LIMIT = "limit"
    """The candidate's answer passed a deterministic bound: a verdict, scored as wrong."""
    GOLD_INVALID = "gold_invalid"
    """The reference cannot be used: a fault of the data set, never a score."""
    UNDECIDED = "undecided"
    """The symbolic stage failed for a reason of ours: a fault of the service, never a score."""

    @property
    def is_verdict(self) -> bool:
        """Whether the outcome says something about the candidate."""
        return self not in (Outcome.GOLD_INVALID, Outcome.UNDECIDED)


class Extraction(NamedTuple):
    """Where the answer was found.

    Attributes:
        text: The answer, None where there is none.
        start: First character of the answer in the response, -1 where there is none.
        end: One past its last character.
        rule: The rule that found it, or why none did (`truncated`, `negated`, `hedged`, `none`).
        core: The mathematical part of a sentence, tried where the whole does not parse.
        rival: Another answer that is stated after this one.
    """

    text: str | None
    start: int
    end: int
    rule: str
    core: str | None = None
    rival: str | None = None


class Decision(NamedTuple):
    """How one answer compares to one gold; independent of where the answer stood."""

    outcome: Outcome
    rule: str
    reason: str
    answer_form: str | None


class Judgement(NamedTuple):
    """The judgement of one response, as evidence for a person.

    It may quote the gold; what a policy may be shown is for the caller to choose.

    Attributes:
        outcome: See `Outcome`.
        rule: The rule that decided, such as `exact`, `rational identity`, `set`.
        reason: One sentence.
        extraction: The answer, its span and the rule that found it.
        gold: The reference as given.
        gold_form: Its normal form.
        answer_form: The answer's normal form, None where it did not parse.
        policy: Name of the policy.
        version: Version of the engine.
    """

    outcome: Outcome
    rule: str
    reason: str
    extraction: Extraction
    gold: str
    gold_form: str | None
    answer_form: str | None
    policy: str
    version: str

    @property
    def correct(self) -> bool:
        """Whether the outcome is `correct`."""
        return self.outcome is Outcome.CORRECT

    def to_json(self) -> dict[str, Any]:
        """The judgement as JSON-ready values."""
        extraction = self.extraction
        return {
            "outcome": self.outcome.value,
            "rule": self.rule,
            "reason": self.reason,
            "extracted": extraction.text,
            "span": None if extraction.start < 0 else [extraction.start, extraction.end],
            "extraction_rule": extraction.rule,
            "gold": self.gold,
            "gold_form": self.gold_form,
            "answer_form": self.answer_form,
            "policy": self.policy,
            "version": self.version,
        }
