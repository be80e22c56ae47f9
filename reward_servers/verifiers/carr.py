"""CaRR: the share of a rubric that the answer names, its citations support, and that leads to the answer."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from reward_servers import Context, ItemLimits, Options, Reference, Rollout, Score, Verdict, verifier
from reward_servers.core import PromptContext
from reward_servers.engines.citations import check_citations, excerpt
from reward_servers.engines.published import connected_rubrics, slots_of
from reward_servers.engines.text import visible
from reward_servers.verifiers._composing import Replies, replies_to
from reward_servers.verifiers._named import Point, named_in, names_of
from reward_servers.verifiers.citation import sources_of, texts_of

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Slot = Annotated[str, StringConstraints(pattern=r"^E\d{1,3}$")]
_ROOT = "E0"
_NAMED = (
    "For each name, whether the response says explicitly, by a name, what it stands for. A description such as 'the "
    "designer' is no name; a name in a sentence that denies something is one."
)
_CALLED = (
    "For each name, whether the response calls what the slot before it stands for by the words behind it, as a whole "
    "and not by a part of its name."
)
_CHOICES = 32
"""Pairs of a slot and a name that are put to the judge in one call."""
_FOLLOWS = (
    "For each name, whether the statement that it stands for follows from the documents in the prompt, where each "
    "<E...> is what the response names for it."
)


class CarrReference(Reference):
    """The answer, and statements that lead to it.

    Attributes:
        answer: The reference answer, written ``<E0>`` in the rubrics.
        rubrics: Statements over slots, such as ``<E1> stands on the island of <E0>.``
        entities: Names of slots, each with its aliases, where they are known; the judge tells for the others.
    """

    answer: Text
    rubrics: tuple[Text, ...] = Field(min_length=1, max_length=32)
    entities: dict[Slot, Point] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> CarrReference:
        for place, rubric in enumerate(self.rubrics, 1):
            if not slots_of(rubric):
                raise ValueError(f"rubrics: number {place} names no <E...>; it could never be reached from the answer")
        if _ROOT not in self.slots():
            raise ValueError("rubrics: none names <E0>, the answer; nothing could be reached from it")
        return self

    def slots(self) -> list[str]:
        """The slots in the order of first use."""
        return list(dict.fromkeys(slot for rubric in self.rubrics for slot in slots_of(rubric)))


class CarrOptions(Options):
    """Options of the judge, and which rubrics count."""

    connected: bool = Field(True, description="Whether a rubric counts only where it leads to the answer.")
    by_position: bool = Field(
        True, description="Whether [k] may mean the k-th document when the response has no reference list."
    )
    model: str = Field("", description="Which of the judge's models is asked; empty for one drawn by the seed.")
    min_mass: float = Field(
        0.5, ge=0, le=1, description="What the verdicts' probabilities must reach together, where they are known."
    )
    max_pages: int = Field(20, ge=1, le=1000, description="Cited documents that are shown, in the order of first use.")
    max_characters: int = Field(48_000, ge=200, le=1 << 20, description="Of these documents, the parts that fit best.")

    def for_judge(self) -> dict[str, Any]:
        """The options that are passed on to the judge."""
        return self.model_dump(include={"model", "min_mass"})


class _Asking:
    """The questions about one response."""

    def __init__(self, rollout: Rollout, ref: CarrReference, options: CarrOptions, ctx: Context) -> None:
        self._rollout, self._ref, self._options, self._ctx = rollout, ref, options, ctx
        self._text = visible(rollout.response, rollout.reasoning_marks).text
        self.said = ""
        self.entities: dict[str, str | None] = {}

    async def read(self) -> None:
        """Find the known entities that the response's own words name, without its addresses and list of sources."""
        sources, marks = sources_of(self._rollout), self._rollout.reasoning_marks
        report = await asyncio.to_thread(check_citations, self._rollout.response, sources, marks=marks)
        self.said = "\n".join(" ".join(statement.prose.split()) for statement in report.statements)
        names = named_in(tuple(self._ref.entities.values()), self.said)
        self.entities = dict(zip(self._ref.entities, names, strict=True))

    async def outcome(self) -> Verdict:
        """Whether the answer is the reference answer."""
        reference = json.dumps({"answer": self._ref.answer}).encode()
        judge_options = {"protocol": "equivalence", **self._options.for_judge()}
        return await self._ctx.score("judge", self._rollout, reference=reference, options=judge_options)

    async def named(self, slots: Sequence[str]) -> Verdict:
        """Which slots the response names."""
        meanings = {slot.casefold(): self._about(slot) for slot in slots}
        return await self._each(self._words("said"), _NAMED, meanings, trust_prompt=True)

    async def fill(self, slots: Sequence[str], replies: Replies) -> Score | None:
        """Fill slots with the names that the response uses; ``<E1>`` stays if none of its names fits.

        Args:
            slots: The slots that it names.
            replies: Collects the judge's replies.

        Returns:
            The floor, where the response provoked a failure.

        Raises:
            FaultError: The judge gave no verdict.
        """
        self.entities |= {slot: f"<{slot}>" for slot in slots}
        tried = names_of(self.said)[: _CHOICES // max(len(slots), 1)]
        pairs = {f"n{number}": pair for number, pair in enumerate(product(slots, tried), 1)}
        if not pairs:
            return None
        meanings = {key: f"{self._about(slot)}: {json.dumps(name)}" for key, (slot, name) in pairs.items()}
        fill_replies = await replies_to(
            {"names": self._each(self._words("names"), _CALLED, meanings, trust_prompt=True)}
        )
        if (floor := fill_replies.stop("questions")) is not None:
            return floor
        replies.verdicts |= fill_replies.verdicts
        is_named = dict(fill_replies.verdicts["names"].aspects)
        # The whole name is taken, not a part of it.
        for key, (slot, name) in sorted(pairs.items(), key=lambda pair: len(pair[1][1])):
            if is_named[key]:
                self.entities[slot] = name
        return None

    def _about(self, slot: str) -> str:
        return f"<{slot}> in: {' '.join(rubric for rubric in self._ref.rubrics if slot in slots_of(rubric))}"

    def _words(self, purpose: str) -> Rollout:
        """The response's own words as a rollout."""
        return Rollout(self.said, self._rollout.prompt_context, f"{self._rollout.rollout_id}#{purpose}")

    async def supported(self, rubrics: Mapping[str, str], pages: Mapping[str, str]) -> Verdict:
        """Which rubrics follow from the cited documents together."""
        claims_text = " ".join([self._text, *rubrics.values()])
        # Pages may be long; other responses are not to wait for them.
        excerpts = await asyncio.to_thread(excerpt, pages, claims_text, self._options.max_characters)
        documents = "\n\n".join(f"[{name}]\n{text}" for name, text in excerpts.items())
        about = PromptContext(self._rollout.prompt_context.group_id, documents)
        shown_pages = Rollout(self._text, about, f"{self._rollout.rollout_id}#pages")
        return await self._each(shown_pages, _FOLLOWS, rubrics, trust_prompt=False)

    async def _each(
        self, rollout: Rollout, criteria: str, meanings: Mapping[str, str], *, trust_prompt: bool
    ) -> Verdict:
        judge_options = {
            "protocol": "rubric",
            "criteria": criteria,
            "dimensions": dict(meanings),
            "show_reference": False,
        }
        judge_options |= {"trust_prompt": trust_prompt, **self._options.for_judge()}
        return await self._ctx.score("judge", rollout, options=judge_options)


@verifier(
    "carr",
    version="5",
    deterministic=False,
    concurrency=512,
    limits=ItemLimits(wall_s=3600.0, response_bytes=1 << 18),
    aspects=dict.fromkeys(("outcome", "rubric", "identified", "supported", "cited"), 0.0),
)
async def carr(rollout: Rollout, ref: CarrReference, options: CarrOptions, ctx: Context) -> Score:
    """Share of a rubric that the answer names, its citations support, and that leads to the answer (CaRR).

    Source: THUDM/CaRR deepsearch_rm_with_rubrics/launch_server.py @c97e7e89.
    """
    words = await ctx.score("citation", rollout, options={"gates": [], "by_position": options.by_position})
    if words.code in ("no_answer", "limit"):
        return Score.floor(words.code, words.note)
    asking = _Asking(rollout, ref, options, ctx)
    await asking.read()
    open_slots = [slot.casefold() for slot in ref.slots() if slot not in asking.entities]
    questions = {"outcome": asking.outcome()}
    if open_slots and asking.said.strip():
        questions["entities"] = asking.named([slot.upper() for slot in open_slots])
    replies = await replies_to(questions)
    if (floor := replies.stop("questions")) is not None:
        return floor
    judged = dict(replies.verdicts["entities"].aspects) if "entities" in questions else {}
    asking.entities |= dict.fromkeys(map(str.upper, open_slots), None)
    if (floor := await asking.fill([slot.upper() for slot in open_slots if judged.get(slot)], replies)) is not None:
        return floor
    cited = json.loads(words.evidence)["cited"][: options.max_pages]
    sources = await asyncio.to_thread(sources_of, rollout)
    pages = {name: text for name, text in texts_of(sources).items() if name in cited}
    filled = {
        f"r{place}": _filled(rubric, asking.entities)
        for place, rubric in enumerate(ref.rubrics)
        if all(asking.entities.get(slot) for slot in slots_of(rubric))
    }
    holds = dict.fromkeys(filled, False)
    if filled and pages:
        support = await replies_to({"support": asking.supported(filled, pages)})
        if (floor := support.stop("questions")) is not None:
            return floor
        judged = dict(support.verdicts["support"].aspects)
        holds = {name: bool(judged[name]) for name in filled}
        replies.verdicts |= support.verdicts
    supported = [holds.get(f"r{place}", False) for place in range(len(ref.rubrics))]
    score = connected_rubrics(ref.rubrics, asking.entities, supported, connected=options.connected)
    return Score(
        score.reward,
        "" if cited else "no_citations",
        aspects={
            "outcome": replies.verdicts["outcome"].score,
            "rubric": score.reward,
            "identified": sum(score.identified) / len(ref.rubrics),
            "supported": sum(score.supported) / len(ref.rubrics),
            "cited": float(len(cited)),
        },
        evidence={
            "entities": asking.entities,
            "rubrics": [
                {"text": rubric, "identified": is_identified, "supported": backed, "reached": reached}
                for rubric, is_identified, backed, reached in zip(
                    ref.rubrics, score.identified, score.supported, score.reached, strict=True
                )
            ],
            "judge": {name: rubric.evidence.decode() for name, rubric in replies.verdicts.items()},
        },
    )


def _filled(rubric: str, entities: Mapping[str, str | None]) -> str:
    return re.sub(r"<(E\d+)>", lambda match: entities.get(match[1]) or match[0], rubric)
