"""Guidance aimed by a figure: ThinkTuning's feedback, DeepVideo-R1's difficulty, XRPO's seeds."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._draws import uniforms
from trainer_client.signals._errors import BadOption
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Request, Signal
from trainer_client.signals.guidance import extreme_row, first_row, unsolved_groups
from trainer_client.signals.normalise import group_normalise
from trainer_client.signals.trackers import RecentMeans, SolvedCorpus, Tracker

_THINK = "ThinkTuning (arXiv 2508.07616), abstract and reading notes; the code is not released"


@register(
    "thinktuning_feedback",
    room="guidance",
    needs="group",
    inputs=("rewards", "groups"),
    certainty="abstract",
    source=f"{_THINK}; the choice of rows and gamma are ours",
    formula="ceil(gamma * n) rows of a group, wrong ones first, at random among equals",
    papers=("thinktuning",),
)
def thinktuning_feedback(batch: SignalBatch, *, gamma: float = 0.25, correct: float = 1.0, seed: int = 0) -> Signal:
    """ThinkTuning, first half: a share of the rollouts is continued with a teacher's feedback.

    Requests are of kind ``feedback``, for a judge of the policy's own size; its text goes to the end of the rollout.
    The draw depends on seed, step, prompt and place alone, so that a retry asks for the same rows.
    """
    if not 0.0 <= gamma <= 1.0:
        raise BadOption(f"thinktuning_feedback: gamma = {gamma} must lie in [0, 1]")
    draws = uniforms(batch.groups, seed=seed, step=batch.step, stream="thinktuning")
    valid, groups = batch.taken()
    order = groups.rank((batch.rewards[valid] >= correct) + draws[valid])
    wanted = np.ceil(gamma * groups.sizes - 1e-9)
    rows = np.flatnonzero(valid)[order < groups.spread(wanted)]
    return batch.signal(requests=[Request(row, "feedback") for row in rows.tolist()])


@register(
    "thinktuning",
    room="guidance",
    needs="group",
    inputs=("rewards", "groups", "guided", "lengths|mask"),
    optional=("old_logprobs",),
    certainty="abstract",
    source=f"{_THINK}; the shaping of guided tokens is not published: 1, or the factor of policy shaping",
    formula="GRPO over the mixed group; token weight 1, on guided tokens p / (p + shaping) if asked",
    papers=("thinktuning",),
)
def thinktuning(batch: SignalBatch, *, shaping: float | None = None, ddof: int = 1, eps: float = 1e-6) -> Signal:
    """ThinkTuning, second half: GRPO over rollouts with and without feedback, guided tokens weighed apart.

    ``shaping`` weighs a token that the teacher wrote by ``p / (p + shaping)``, ``p`` its probability under the policy
    (``old_logprobs``), which favours what the policy would hardly have said less than a ratio would.
    """
    advantages = group_normalise(batch.rewards, batch.groups, batch.valid, ddof=ddof, eps=eps)
    weights = batch.mask.astype(np.float64)
    guided = batch.mask & batch["guided"]
    if shaping is not None:
        if not shaping > 0:
            raise BadOption(f"thinktuning: shaping = {shaping} must be positive")
        p = np.exp(np.minimum(batch["old_logprobs"], 0.0))
        weights = np.where(guided, p / (p + shaping), weights)
    share = float(guided.sum() / max(int(batch.mask.sum()), 1))
    return batch.signal(advantages=advantages, token_weights=weights, report={"thinktuning/guided": share})


@register(
    "relative_difficulty",
    room="guidance",
    needs="state",
    inputs=("rewards", "groups"),
    certainty="paper",
    source="DeepVideo-R1 (arXiv 2506.07464) eq. 9; window and span are ours",
    formula="D = mean of recent group means - mean of the group; fraction = min(|D| / span, 1)",
    papers=("deepvideo-r1",),
)
class RelativeDifficulty(Tracker):
    """DeepVideo-R1's difficulty: prompts harder than the recent ones get help, easier ones are made harder.

    Requests are of kind ``hint`` for D > 0 (``fraction`` of a good reasoning trace goes into the prompt) and
    ``harden`` for D < 0 (video frames get noise in the paper; a text has no such operation defined). The window counts
    calls. Before the first there is nothing to compare with, and D is 0.
    """

    kind = "relative_difficulty"
    parts = ("_means",)

    def __init__(self, *, window: int = 20, span: float = 1.0) -> None:
        if not span > 0:
            raise BadOption(f"relative_difficulty: span = {span} must be positive; it is the range of rewards")
        self.span = span
        self._means = RecentMeans(window=window)

    def __call__(self, batch: SignalBatch) -> Signal:
        """Compare each prompt with the recent ones, and remember its mean."""
        valid, groups = batch.taken()
        means = groups.mean(batch.rewards[valid])
        recent = self._means.mean
        rows = np.flatnonzero(valid)[groups.order[groups.starts]] if len(groups) else np.zeros(0, np.int64)
        requests = []
        for row, mean in zip(rows.tolist(), means.tolist(), strict=True):
            difficulty = 0.0 if recent is None else recent - mean
            details = {"difficulty": difficulty, "fraction": min(abs(difficulty) / self.span, 1.0)}
            if difficulty:
                requests.append(Request(row, "hint" if difficulty > 0 else "harden", details))
        self._means.update(means)
        return batch.signal(requests=requests, report={"relative_difficulty/recent": recent or 0.0})


@register(
    "xrpo_seeds",
    room="guidance",
    needs="state",
    inputs=("rewards", "groups", "embeddings", "texts"),
    certainty="secondary",
    source="XRPO (arXiv 2510.06672), public reviews; the similarity bound is ours",
    formula="all wrong: up to k solved prompts nearest by embedding, with their solutions",
    papers=("xrpo",),
)
class XRPOSeeds(Tracker):
    """XRPO's seeding: a prompt that nobody solved is shown examples from the growing corpus of solved ones.

    Requests are of kind ``seed``; ``examples`` are pairs of prompt id and solution, to be cut to the prompt limit. A
    prompt with nothing similar enough has none and is tried plainly. A group's solution is its best row's text.
    """

    kind = "xrpo_seeds"
    parts = ("_corpus",)

    def __init__(
        self, *, k: int = 2, min_similarity: float = 0.0, correct: float = 1.0, capacity: int = 10_000
    ) -> None:
        self.k, self.min_similarity, self.correct = k, min_similarity, correct
        self._corpus = SolvedCorpus(capacity=capacity)

    def __call__(self, batch: SignalBatch) -> Signal:
        """Look up examples for unsolved prompts, then add this batch's solutions."""
        labels, places = batch.groups.labels.tolist(), batch["embeddings"]
        below = float(np.nextafter(self.correct, -np.inf))
        unsolved = unsolved_groups(batch.rewards, batch.groups, batch.valid, threshold=below)
        first = first_row(batch.groups, batch.valid)
        requests = []
        for group in np.flatnonzero(unsolved).tolist():
            row = int(first[group])
            found = self._corpus.nearest(labels[group], places[row], k=self.k, min_similarity=self.min_similarity)
            if found:
                requests.append(Request(row, "seed", {"examples": found}))
        solved = extreme_row(batch.groups, batch.rewards, batch.valid & (batch.rewards >= self.correct))
        for group in np.flatnonzero(solved >= 0).tolist():
            row = int(solved[group])
            self._corpus.add(labels[group], batch.objects("texts")[row], places[row].tolist())
        return batch.signal(requests=requests, report={"xrpo_seeds/corpus": len(self._corpus)})
