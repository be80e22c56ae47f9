"""Checks the citations of a response by asking whether the cited documents support what cites them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field

from reward_servers import Context, ItemLimits, Options, Rollout, Score, Verdict, verifier
from reward_servers.core import PromptContext
from reward_servers.engines.citations import (
    Evidence,
    Question,
    Report,
    Statement,
    excerpt,
    first_questions,
    further_questions,
    measure,
)
from reward_servers.verifiers._composing import replies_to
from reward_servers.verifiers.citation import CitationReference, Gate, flags_of

_CRITERIA = (
    "Every part of the statement in the response follows from the documents in the prompt alone. What only seems "
    "likely, or is known from elsewhere, does not follow."
)
_FINAL = ("no_answer", "no_statements", "limit")


class SupportOptions(Options):
    """Who is asked, and how much."""

    by: Literal["judge", "entailment"] = Field(
        "judge",
        description="judge: the verifier `judge`. entailment: the verifier `similarity`, set up with a cross-encoder.",
    )
    ask: dict[str, Any] = Field(default_factory=dict, description="Options of the judge, such as its model.")
    least: float = Field(
        0.5, ge=0, le=1, description="Score of the judge, or probability, from which on it is support."
    )
    by_position: bool = Field(
        True, description="Whether [k] may mean the k-th document when the response has no reference list."
    )
    gates: tuple[Gate, ...] = Field(
        ("fabricated_citation",), description="Findings that give the floor score whatever the rest."
    )
    max_characters: int = Field(
        12_000, ge=200, le=1 << 20, description="Of documents in one question; of longer ones, the parts that fit best."
    )
    max_questions: int = Field(
        200, ge=1, le=10_000, description="A response that needs more gets the floor score with code limit."
    )
    elsewhere: bool = Field(
        True, description="Whether a document that was not cited is asked about where the cited ones do not support."
    )


class _Asking:
    """The questions about one response."""

    def __init__(self, rollout: Rollout, options: SupportOptions, ctx: Context, claims: list[Statement]) -> None:
        self._rollout, self._options, self._ctx, self._claims = rollout, options, ctx, claims
        self._texts = {one.id: f"{one.title}\n{one.text}".strip() for one in rollout.documents}
        self._words = Evidence(self._texts)
        self.known: dict[Question, bool] = {}
        self.refuted: dict[Question, str] = {}
        self.asked = 0

    async def settle(self, questions: Iterable[Question]) -> Score | None:
        """Find out what is not known yet: by words where they refute, else by asking.

        Returns:
            The floor, where the response needs too many questions or made the judge fail.

        Raises:
            FaultError: Some question got no verdict.
        """
        open_ones = [one for one in dict.fromkeys(questions) if one not in self.known]
        against = await asyncio.to_thread(
            lambda: [self._words.refutes(names, self._claims[place].prose) for place, names in open_ones]
        )
        asked: dict[str, Question] = {}
        for question, why in zip(open_ones, against, strict=True):
            if why:
                self.known[question], self.refuted[question] = False, why
            else:
                asked[f"{question[0] + 1} by {', '.join(sorted(question[1]))}"] = question
        self.asked += len(asked)
        if self.asked > self._options.max_questions:
            return Score.floor("limit", f"more than {self._options.max_questions} questions about support are needed")
        replies = await replies_to({name: self._ask(question) for name, question in asked.items()})
        stopped = replies.stop("questions about support")
        if stopped is not None:
            return stopped
        for name, verdict in replies.verdicts.items():
            self.known[asked[name]] = verdict.score >= self._options.least
        return None

    async def _ask(self, question: Question) -> Verdict:
        place, names = question
        prose = " ".join(self._claims[place].prose.split())
        texts = {name: self._texts[name] for name in self._texts if name in names}
        shown = await asyncio.to_thread(excerpt, texts, prose, self._options.max_characters)
        documents = "\n\n".join(f"[{name}]\n{text}" for name, text in shown.items())
        about = PromptContext(self._rollout.prompt_context.group_id, documents)
        # The seed and with it the token of the fence follow from the name.
        one = Rollout(prose, about, f"{self._rollout.rollout_id}#{place}")
        if self._options.by == "entailment":
            reference = json.dumps({"answer": documents}).encode()
            return await self._ctx.score("similarity", one, reference=reference)
        asked = {"criteria": _CRITERIA, "show_reference": False, **self._options.ask}
        return await self._ctx.score("judge", one, options=asked)


def _report(said: Mapping[str, Any]) -> Report:
    """The report that the evidence of `citation` tells."""
    statements = [
        Statement(one["text"], True, tuple(one["citations"]), tuple(one["unresolved"]), one["prose"])
        for one in said["statements"]
    ]
    return Report(tuple(statements), tuple(said["cited"]), tuple(said["fabricated"]), tuple(said["own_memory"]), ())


# What the words alone say is worked out by `citation`, in a process of its own: a response cannot hold up the loop.
@verifier(
    "citation_support",
    version="1",
    deterministic=False,
    concurrency=512,
    limits=ItemLimits(wall=3600.0, response=1 << 20),
    aspects=(
        *("recall", "precision", "precision_alce", "completeness", "refuted", "misattributed", "unneeded", "coverage"),
        *("valid", "fabrication_rate", "fabricated", "cited", "statements", "quotes", "quotes_exact", "asked"),
    ),
)
async def citation_support(rollout: Rollout, ref: CitationReference, options: SupportOptions, ctx: Context) -> Score:
    """Whether the response's statements cite what supports them, as a judge or an entailment model sees it."""
    asked = {"by_position": options.by_position, "gates": [], "full_evidence": True}
    words = await ctx.score("citation", rollout, options=asked)
    if words.code in _FINAL:
        return Score.floor(words.code, words.note)
    said = json.loads(words.evidence)
    report = _report(said)
    asking = _Asking(rollout, options, ctx, report.claims)
    floor = await asking.settle(first_questions(report))
    floor = floor or await asking.settle(further_questions(report, asking.known))
    if floor is not None:
        return floor
    others = _elsewhere(said, report, asking.known) if options.elsewhere else {}
    floor = await asking.settle(others.values())
    if floor is not None:
        return floor
    found = {place for place, question in others.items() if asking.known[question]}
    measures = measure(report, asking.known, found, len(rollout.documents))
    flags = flags_of(said["flags"], measures)
    aspects = {
        **dict(words.aspects),
        "recall": measures.recall,
        "precision": measures.precision_strict,
        "precision_alce": measures.precision_alce,
        "misattributed": measures.misattributed,
        "unneeded": measures.unneeded,
        "asked": float(asking.asked),
    }
    stopped = [gate for gate in options.gates if gate in flags]
    complete = aspects["completeness"]
    value = None if stopped else measures.f1 * (1.0 if complete is None else complete)
    return Score(
        value,
        stopped[0] if stopped else "no_citations" if "no_citations" in flags else "",
        aspects=aspects,
        note=", ".join(flags),
        evidence=_evidence(options, flags, report, asking),
        feedback={
            "fabricated": report.fabricated,
            "without_citation": [one.text for one in report.claims if not one.citations],
            "not_supported": [
                one.text for place, one in enumerate(report.claims) if not _supported(place, one, asking)
            ],
        },
    )


def _elsewhere(said: Mapping[str, Any], report: Report, known: Mapping[Question, bool]) -> dict[int, Question]:
    """For each claim that its citations do not support, the document that comes nearest to it, if any."""
    return {
        place: (place, frozenset(one["elsewhere"][:1]))
        for place, (claim, one) in enumerate(zip(report.claims, said["statements"], strict=True))
        if claim.citations and not known[place, frozenset(claim.citations)] and one["elsewhere"]
    }


def _supported(place: int, claim: Statement, asking: _Asking) -> bool:
    return not claim.citations or asking.known[place, frozenset(claim.citations)]


def _evidence(options: SupportOptions, flags: list[str], report: Report, asking: _Asking) -> dict[str, Any]:
    questions = [
        {
            "statement": report.claims[place].text,
            "documents": sorted(names),
            "supports": supports,
            **({"refuted": asking.refuted[place, names]} if (place, names) in asking.refuted else {}),
        }
        for (place, names), supports in asking.known.items()
    ]
    return {"support": f"by {options.by}", "flags": flags, "questions": questions}
