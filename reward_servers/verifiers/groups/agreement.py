"""Agreement of a group's answers: majority votes, self-consistency, semantic entropy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from pydantic import Field

from reward_servers import Group, ItemLimits, Rollout, Score, verifier
from reward_servers.engines.math import PROFILES, Gold, Outcome, extract, judge
from reward_servers.engines.text import Form
from reward_servers.verifiers._answers import answer_part
from reward_servers.verifiers.groups._clusters import ASPECTS, ClusterOptions, scores_of
from reward_servers.verifiers.groups._sizes import too_large

_MOST = 256
_FORM = Form(case=False, whitespace="collapse", punctuation=False, compatibility=False)
_DEFAULT = PROFILES["default"]

Same = Callable[[int, int], bool]


class AgreementOptions(ClusterOptions):
    """How answers are compared."""

    equal: Literal["text", "math"] = Field(
        "text",
        description="Same words, or equal as the math verifier finds and judges answers; then `take` is not read.",
    )


def _answers(group: Group, options: AgreementOptions) -> list[str]:
    """The answer of each rollout; empty where it has none."""
    if options.equal == "math":
        extracted = (extract(rollout.response, _DEFAULT, rollout.reasoning_marks).text for rollout in group)
        return [text or "" for text in extracted]
    return [_FORM.of(answer_part(rollout, options) or "") for rollout in group]


def _clusters(answers: Sequence[str], is_same: Same) -> list[list[int]]:
    """Members of each cluster, greedily: an answer joins the first cluster whose first member it equals.

    Each empty answer is a cluster of its own.
    """
    clusters: list[list[int]] = []
    for place, answer in enumerate(answers):
        joined = next(
            (cluster for cluster in clusters if answer and answers[cluster[0]] and is_same(cluster[0], place)), None
        )
        if joined is None:
            clusters.append([place])
        else:
            joined.append(place)
    return clusters


def _same_text(answers: Sequence[str], first: int, second: int) -> bool:
    return answers[first] == answers[second]


def _same_value(rollouts: Sequence[Rollout], answers: Sequence[str], first: int, second: int) -> bool:
    if answers[first] == answers[second]:
        return True
    rollout = rollouts[second]
    judgement = judge(rollout.response, Gold((answers[first],)), _DEFAULT, marks=rollout.reasoning_marks)
    return judgement.outcome is Outcome.CORRECT


@verifier(
    "agreement",
    version="1",
    scope="group",
    limits=ItemLimits(cpu_s=60.0, wall_s=180.0, response_bytes=1 << 18),
    aspects=ASPECTS,
)
def agreement(group: Group, options: AgreementOptions) -> Sequence[Score]:
    """How many of a group give the same answer: self-consistency, majority pseudo-labels, semantic entropy.

    ``entropy`` is that of the clusters in nats, ``cluster`` the number of a response's own. Sources: self-consistency
    (arXiv 2203.11171), TTRL (arXiv 2504.16084) for the majority, EMPO (QingyangZhang/EMPO @c5eccd4) for shares.
    """
    if (refused := too_large(group, _MOST)) is not None:
        return refused
    rollouts = list(group)
    answers = _answers(group, options)
    math_equal = partial(_same_value, rollouts, answers)
    clusters = _clusters(answers, math_equal if options.equal == "math" else partial(_same_text, answers))
    return scores_of(clusters, answers, options)
