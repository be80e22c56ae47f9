"""Whether documents support statements: by words where they refute, else as a judge or an entailment model says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

from pydantic import Field, model_validator

from reward_servers import Context, Options, Rollout, Score, Verdict
from reward_servers.core import PromptContext
from reward_servers.engines.citations import Evidence, Question, Report, Statement, excerpt
from reward_servers.verifiers._composing import replies_to
from reward_servers.verifiers._judge_options import check_asked
from reward_servers.verifiers.citation import sources_of, texts_of

_CRITERIA = (
    "Every part of the statement in the response follows from the documents in the prompt alone. What only seems "
    "likely, or is known from elsewhere, does not follow."
)


class AskingOptions(Options):
    """Who is asked, and how much."""

    by: Literal["judge", "entailment"] = Field(
        "judge",
        description="judge: the verifier `judge`. entailment: the verifier `similarity`, set up with a cross-encoder.",
    )
    ask: dict[str, Any] = Field(default_factory=dict, description="Options of the judge, such as its model.")
    min_support: float = Field(
        0.5, ge=0, le=1, description="Score of the judge, or probability, from which on it is support."
    )
    max_characters: int = Field(
        12_000, ge=200, le=1 << 20, description="Of documents in one question; of longer ones, the parts that fit best."
    )
    max_questions: int = Field(
        200, ge=1, le=10_000, description="A response that needs more gets the floor score with code limit."
    )

    @model_validator(mode="after")
    def _check_asked(self) -> AskingOptions:
        check_asked(self.ask)
        return self


class Asking:
    """The questions about one response."""

    def __init__(self, rollout: Rollout, options: AskingOptions, ctx: Context, claims: Sequence[Statement]) -> None:
        self._rollout, self._options, self._ctx, self._claims = rollout, options, ctx, claims
        self.known: dict[Question, bool] = {}
        self.refuted: dict[Question, str] = {}
        self.asked = 0

    @cached_property
    def _texts(self) -> dict[str, str]:
        """The documents; read first beside the loop, since they may be long."""
        return texts_of(sources_of(self._rollout))

    @cached_property
    def _words(self) -> Evidence:
        return Evidence(self._texts)

    async def settle(self, questions: Iterable[Question]) -> Score | None:
        """Decide the open questions: by words if these refute the statement, else by asking the judge.

        Returns:
            The floor, where the response needs too many questions or made the judge fail.

        Raises:
            FaultError: Some question got no verdict.
        """
        open_ones = [question for question in dict.fromkeys(questions) if question not in self.known]
        against = await asyncio.to_thread(
            lambda: [self._words.refutes(names, self._claims[place].prose) for place, names in open_ones]
        )
        questions_by_name: dict[str, Question] = {}
        for question, why in zip(open_ones, against, strict=True):
            if why:
                self.known[question], self.refuted[question] = False, why
            else:
                questions_by_name[f"{question[0] + 1} by {', '.join(sorted(question[1]))}"] = question
        self.asked += len(questions_by_name)
        if self.asked > self._options.max_questions:
            return Score.floor("limit", f"more than {self._options.max_questions} questions about support are needed")
        replies = await replies_to({name: self._ask(question) for name, question in questions_by_name.items()})
        stopped = replies.stop("questions about support")
        if stopped is not None:
            return stopped
        for name, verdict in replies.verdicts.items():
            self.known[questions_by_name[name]] = verdict.score >= self._options.min_support
        return None

    async def _ask(self, question: Question) -> Verdict:
        place, names = question
        prose = " ".join(self._claims[place].prose.split())
        texts = {name: self._texts[name] for name in self._texts if name in names}
        excerpts = await asyncio.to_thread(excerpt, texts, prose, self._options.max_characters)
        documents = "\n\n".join(f"[{name}]\n{text}" for name, text in excerpts.items())
        about = PromptContext(self._rollout.prompt_context.group_id, documents)
        # The seed and with it the token of the fence follow from the name.
        statement = Rollout(prose, about, f"{self._rollout.rollout_id}#{place}")
        if self._options.by == "entailment":
            reference = json.dumps({"answer": documents}).encode()
            return await self._ctx.score("similarity", statement, reference=reference)
        options = {"criteria": _CRITERIA, "show_reference": False, "trust_prompt": False, **self._options.ask}
        return await self._ctx.score("judge", statement, options=options)


def citation_evidence(words: Verdict) -> dict[str, Any] | Score:
    """The whole evidence of `citation`, from ``full_evidence``; the floor score if a limit left no evidence."""
    if words.code == "limit":
        return Score.floor(words.code, words.note)
    words_evidence: dict[str, Any] = json.loads(words.evidence)
    if "cut" in words_evidence:
        return Score.floor("limit", f"what it states is too long to be asked about: {words_evidence['cut']}")
    return words_evidence


def report_of(evidence: Mapping[str, Any]) -> Report:
    """The report that the whole evidence of `citation` tells.

    Args:
        evidence: The evidence, with ``full_evidence``.
    """
    statements = [
        Statement(
            statement["text"], True, tuple(statement["citations"]), tuple(statement["unresolved"]), statement["prose"]
        )
        for statement in evidence["statements"]
    ]
    return Report(
        tuple(statements), tuple(evidence["cited"]), tuple(evidence["fabricated"]), tuple(evidence["own_memory"]), ()
    )
