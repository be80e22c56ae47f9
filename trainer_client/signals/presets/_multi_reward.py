"""Several rewards made one: gates, rubrics, mutants, views, comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import BadInput, BadOption
from trainer_client.signals._registry import Needs, register
from trainer_client.signals._signal import Signal
from trainer_client.signals.combination import (
    Combined,
    Gate,
    RubricUse,
    Term,
    combine,
    decoupled_normalise,
    group_max_normalised,
    mix_rubric,
    mutation_reward,
    resolve_weights,
)
from trainer_client.signals.normalise import group_normalise, standardise

_SPLIT = ("components", "groups")
_CARR = "CaRR, THUDM/CaRR slime/slime/rollout/sglang_rollout.py @c97e7e89"
_PREF = "Pref-GRPO, CodeGoat24/Pref-GRPO fastvideo/rewards"


@register(
    "c_grpo",
    room="combination",
    needs="group",
    inputs=("rewards", "groups", "rubric_rewards"),
    certainty="code",
    source=_CARR,
    formula="right: (1 - c) * o + c * rubric / max of the group; wrong: o; then (r - mean) / (std + 1e-6)",
    papers=("c-grpo",),
)
def c_grpo(
    batch: SignalBatch,
    *,
    ratio: float = 0.3,
    use: RubricUse = "right_only",
    normalise: bool = True,
    eps: float = 1e-6,
) -> Signal:
    """C-GRPO: right answers are told apart by the share of a rubric that their citations support.

    ``rewards`` are the outcomes. The rubric is taken relative to the best of the group, unless ``normalise`` is off.
    """
    valid, groups = batch.taken()
    rubric = batch["rubric_rewards"][valid]
    rubric = group_max_normalised(rubric, groups) if normalise else rubric
    return _grpo_over(batch, batch.scatter(mix_rubric(batch.rewards[valid], rubric, ratio=ratio, use=use)), eps)


@register(
    "release/c_grpo",
    room="combination",
    needs="group",
    inputs=("rewards", "groups", "rubric_rewards"),
    certainty="code",
    source=_CARR,
    formula="as c_grpo; with right_only the rubric is never normalised",
    papers=("c-grpo",),
)
def release_c_grpo(
    batch: SignalBatch,
    *,
    ratio: float = 0.3,
    use: RubricUse = "right_only",
    normalise: bool = True,
    eps: float = 1e-6,
) -> Signal:
    """C-GRPO of its release, whose training script asks for a normalised rubric in a branch that ignores it."""
    return c_grpo(batch, ratio=ratio, use=use, normalise=normalise and use != "right_only", eps=eps)


@register(
    "posterior_grpo",
    room="combination",
    needs="group",
    inputs=_SPLIT,
    certainty="secondary",
    source="Posterior-GRPO (arXiv 2508.05170), as restated in Wodlfvllf/grpo-composer (by others)",
    formula="R = R_f + R_o + R_o * R_t; then GRPO",
    papers=("posterior-grpo",),
)
def posterior_grpo(batch: SignalBatch, *, eps: float = 1e-6) -> Signal:
    """Posterior-GRPO: the reasoning is rewarded only where the outcome is right.

    Components in order: format, outcome, reasoning. The reasoning's reward is not needed where the outcome is 0, so
    that its model need not be asked; missing where it is needed, it takes the row out.
    """
    components = _columns(batch, 3)
    given = batch.components_given
    table = components.copy()
    table[:, 2] *= components[:, 1]
    asked = np.ones(table.shape, np.bool_)
    asked[:, 2] = ~given[:, 1] | (components[:, 1] > 0)
    return _combined(batch, table, [Term("format"), Term("outcome"), Term("reasoning")], eps, asked)


@register(
    "progressive_reward",
    room="combination",
    needs="group",
    inputs=_SPLIT,
    certainty="abstract",
    source="PRS (arXiv 2512.07478); stages and weights reconstructed from its abstract",
    formula="R = sum_k w_k * s_k over the stages up to the first that is not passed; then GRPO",
    papers=("vspo",),
)
def progressive_reward(
    batch: SignalBatch, *, weights: tuple[float, ...] = (0.1, 0.1, 0.8), passed: float = 1.0, eps: float = 1e-6
) -> Signal:
    """PRS: stages in order (calls parse, format, quality), each counted only once those before it are passed.

    A stage that falls short of ``passed`` counts with what it has. Stages behind it are not needed.
    """
    components = _columns(batch, len(weights))
    gates = [Gate(passed)] * (len(weights) - 1)
    terms = [Term(f"stage {k}", w, gate=g) for k, (w, g) in enumerate(zip(weights, [*gates, None], strict=True))]
    return _combined(batch, components, terms, eps)


@register(
    "grpo_smu",
    room="combination",
    needs="group",
    inputs=("groups", "golden_passed", "mutants", "killed"),
    optional=("equivalents", "equivalents_rejected"),
    certainty="abstract",
    source="GRPO-SMu (arXiv 2601.07593), reconstructed from its abstract",
    formula="R = [right one passes] * (w + (1 - w) * killed / mutants) * (1 - rejected / equivalents); then GRPO",
    papers=("grpo-smu",),
)
def grpo_smu(batch: SignalBatch, *, golden_weight: float = 0.5, eps: float = 1e-6) -> Signal:
    """GRPO-SMu: written tests are rewarded by the mutants they kill and the equal variants they let pass.

    The group is a specification with all variants of its input. ``equivalents`` and ``equivalents_rejected`` are
    read if given.
    """
    names = ("mutants", "killed", "equivalents", "equivalents_rejected")
    tried = [batch[name] if name in batch else np.zeros(batch.rows, np.int64) for name in names]
    for (total, part), name in zip((tried[:2], tried[2:]), ("killed", "equivalents_rejected"), strict=True):
        wrong = np.flatnonzero(batch.valid & ((part < 0) | (part > total)))
        if wrong.size:
            raise BadInput(f"{name}: row {wrong[0]} holds {part[wrong[0]]} of {total[wrong[0]]} variants")
    return _grpo_over(batch, mutation_reward(batch["golden_passed"], *tried, golden_weight=golden_weight), eps)


@register(
    "grit",
    room="combination",
    needs="group",
    inputs=_SPLIT,
    certainty="code",
    source="GRIT, eric-ai-lab/GRIT grpo-gr/rewards.py and GRPO_GRTrainer.py @44699c9b",
    formula="R = [judge > 0] + sum of the other rewards; A_i = (R_i - mean) / (std + 1e-4)",
    papers=("grit",),
)
def grit(batch: SignalBatch, *, judge: int = 0, weights: tuple[float, ...] | None = None, eps: float = 1e-4) -> Signal:
    """GRIT: a judge's score made binary, plus format, grounding and no-repeat rewards.

    ``judge`` is the column to be made binary. A reward that is missing, a judge's that did not answer included, takes
    the row out.
    """
    components = batch["components"]
    if not -components.shape[1] <= judge < components.shape[1]:
        raise BadOption(f"judge: no column {judge} among {components.shape[1]} components")
    table = components.copy()
    table[:, judge] = components[:, judge] > 0
    factors = resolve_weights(weights, components.shape[1])
    return _combined(batch, table, [Term(f"component {k}", float(w)) for k, w in enumerate(factors)], eps)


@register(
    "g2rpo",
    room="advantage",
    needs="group",
    inputs=_SPLIT,
    certainty="secondary",
    source="G2RPO (arXiv 2510.01982); ddof and eps as in DanceGRPO, on which it is built",
    formula="A_i = sum_j (r_ij - mean_j) / (std_j + eps)",
    papers=("g2rpo",),
)
def g2rpo(batch: SignalBatch, *, rescale_missing: bool = False, clip: float = 0.0, eps: float = 1e-8) -> Signal:
    """G2RPO: views of the same rollout (granularities, judges, seeds), each normalised on its own, then summed.

    A view that is missing for a row adds nothing; with ``rescale_missing`` the others make up for it. ``clip`` bounds
    the result if it is positive (5 in the paper's loss).
    """
    given = batch.components_given
    advantages = decoupled_normalise(batch["components"], batch.groups, given, eps=eps)
    present = given.sum(1)
    if rescale_missing:
        advantages = advantages * given.shape[1] / np.maximum(present, 1)
    if clip > 0:
        advantages = np.clip(advantages, -clip, clip)
    return batch.signal(keep=(present > 0) | ~batch.valid, advantages=advantages)


def _needs_by_scale(options: Mapping[str, Any]) -> Needs:
    return "batch" if options["scale"] == "batch" or options["restandardise"] else "group"


@register(
    "pref_grpo",
    room="advantage",
    needs=_needs_by_scale,
    inputs=_SPLIT,
    certainty="code",
    source=f"{_PREF}/dispatcher.py @3e787f6d",
    formula="A = sum_k w_k * (r_k - mean) / (std + 1e-8), each in its group or over the batch",
    papers=("pref-grpo",),
    reducible=True,
)
def pref_grpo(
    batch: SignalBatch,
    *,
    weights: tuple[float, ...] | None = None,
    scale: Literal["group", "batch"] = "group",
    restandardise: bool = False,
    eps: float = 1e-8,
) -> Signal:
    """Pref-GRPO: win rates and other rewards, normalised each on its own before the weighted sum.

    Win rates come from `win_rate` or a pairwise verifier. ``restandardise`` standardises the sum over the batch.
    """
    given = batch.components_given
    advantages = decoupled_normalise(
        batch["components"], batch.groups, given, weights=weights, scale=scale, eps=eps, reduce=batch.reduce
    )
    scored = np.asarray(given.any(axis=1))
    if restandardise:
        advantages = standardise(advantages, scored, eps=eps, reduce=batch.reduce)
    return batch.signal(keep=scored | ~batch.valid, advantages=advantages)


def _columns(batch: SignalBatch, number: int) -> FloatArray:
    components: FloatArray = batch["components"]
    if components.shape[1] != number:
        raise BadInput(f"components: {components.shape[1]} columns where the method reads {number}")
    return components


def _combined(
    batch: SignalBatch, table: FloatArray, terms: Sequence[Term], eps: float, asked: BoolArray | None = None
) -> Signal:
    """GRPO over a combination in which every term that is asked for and reached is needed."""
    given = batch.components_given
    combined: Combined = combine(table, given, terms, asked=asked, groups=batch.groups, max_missing=1.0)
    live = combined.valid
    rewards = np.where(live, combined.rewards, 0.0)
    return batch.signal(
        keep=live | ~batch.valid, rewards=rewards, advantages=group_normalise(rewards, batch.groups, live, eps=eps)
    )


def _grpo_over(batch: SignalBatch, rewards: FloatArray, eps: float) -> Signal:
    return batch.signal(rewards=rewards, advantages=group_normalise(rewards, batch.groups, batch.valid, eps=eps))
