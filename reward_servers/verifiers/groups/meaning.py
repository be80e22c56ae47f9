"""Answers of a group that mean the same, as a judge says: semantic entropy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import Field, model_validator

from reward_servers import Context, Fault, FaultError, Group, ItemLimits, Rollout, Score, verifier
from reward_servers.engines.text import Form
from reward_servers.verifiers._answers import answer_part
from reward_servers.verifiers._composing import replies_to
from reward_servers.verifiers._judge_options import check_asked
from reward_servers.verifiers.groups._clusters import ASPECTS, ClusterOptions, scores_of
from reward_servers.verifiers.groups._sizes import too_large

_MOST = 64
_LONGEST = 4000
_FORM = Form(case=False, whitespace="collapse", punctuation=False, compatibility=False)


class MeaningOptions(ClusterOptions):
    """How the judge is asked."""

    ask: dict[str, Any] = Field(default_factory=dict, description="Options of the judge, such as its model.")

    @model_validator(mode="after")
    def _check_asked(self) -> MeaningOptions:
        check_asked({**self.ask, "protocol": "equivalence"})
        return self


class _Answers:
    """The answers of a group, and who has made the judge fail."""

    def __init__(self, group: Group, options: MeaningOptions, ctx: Context) -> None:
        self._rollouts, self._ask, self._ctx = list(group), options.ask, ctx
        answers = [(answer_part(rollout, options) or "").strip() for rollout in self._rollouts]
        self.texts = [text if len(text) <= _LONGEST else "" for text in answers]
        self.too_long = {place for place, text in enumerate(answers) if len(text) > _LONGEST}
        self.provoked: dict[int, str] = {}

    async def clusters(self) -> list[list[int]]:
        """Members of each cluster, greedily: an answer joins the first one whose first member means the same.

        Raises:
            FaultError: The judge gave no verdict.
        """
        clusters: list[list[int]] = []
        numbers: dict[str, int] = {}
        for place, text in enumerate(self.texts):
            form = _FORM.of(text)
            number = numbers.get(form) if form else None
            number = await self._joined(place, clusters) if form and number is None else number
            if number is None:
                number = len(clusters)
                clusters.append([])
            clusters[number].append(place)
            if place in self.provoked:
                self.texts[place] = ""
            elif form:
                numbers[form] = number
        return clusters

    async def _joined(self, place: int, clusters: Sequence[Sequence[int]]) -> int | None:
        """Number of the cluster that an answer joins."""
        for number, members in enumerate(clusters):
            if self.texts[members[0]] and await self._same(members[0], place):
                return number
            if place in self.provoked:
                return None
        return None

    async def _same(self, first: int, second: int) -> bool:
        """Whether each means the same as the other. A text that persuades the judge must do so in both orders."""
        replies = await replies_to({
            "one way": self._says(self._rollouts[second], self.texts[second], self.texts[first]),
            "the other way": self._says(self._rollouts[first], self.texts[first], self.texts[second]),
        })  # fmt: skip
        blamed = {"one way": second, "the other way": first}
        for name, verdict in replies.verdicts.items():
            if verdict.code.startswith("provoked_"):
                self.provoked[blamed[name]] = verdict.code
        if not self.provoked.keys() & {first, second} and replies.faults:
            raise replies.fault("questions about meaning")
        return len(replies.verdicts) == 2 and all(verdict.score >= 0.5 for verdict in replies.verdicts.values())

    async def _says(self, rollout: Rollout, text: str, answer: str) -> Any:
        judge_options = {**self._ask, "protocol": "equivalence"}
        reference = json.dumps({"answer": answer}).encode()
        return await self._ctx.score(
            "judge", replace(rollout, content=text), reference=reference, options=judge_options
        )


@verifier(
    "meaning",
    version="1",
    scope="group",
    deterministic=False,
    limits=ItemLimits(wall_s=3600.0, response_bytes=1 << 18),
    aspects=ASPECTS,
)
async def meaning(group: Group, options: MeaningOptions, ctx: Context) -> Sequence[Score | Fault]:
    """How many of a group's answers mean the same, as a judge says; `agreement` compares words or values without one.

    Two answers mean the same where the judge says so with each of them as the reference. ``entropy`` is that of the
    clusters in nats. Sources: semantic entropy (Farquhar et al., Nature 630, 2024; arXiv 2302.09664), EMPO
    (QingyangZhang/EMPO @c5eccd4) for shares.
    """
    if (refused := too_large(group, _MOST)) is not None:
        return refused
    answers = _Answers(group, options, ctx)
    try:
        clusters = await answers.clusters()
    except FaultError as error:
        return [error.to_fault()] * len(group)
    scores = scores_of(clusters, answers.texts, options)
    for place, code in answers.provoked.items():
        scores[place] = Score(None, code, aspects=scores[place].aspects)
    for place in answers.too_long:
        scores[place] = Score(None, "limit", aspects=scores[place].aspects, note=f"over {_LONGEST} characters")
    return scores
