"""Methods that ask what a group's right answers have in common: ADORA, GCPO, DCPO, HPT, iTool's choice of samples."""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import BadOption
from trainer_client.signals._groups import Groups
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Request, Signal
from trainer_client.signals.guidance import demonstration_modes
from trainer_client.signals.normalise import Singleton, group_normalise, long_right_answers
from trainer_client.signals.selection import contrastive_subset, hardest
from trainer_client.signals.shaping import conditional_sign

_ADORA = "ShadeCloak/ADORA @c5184853"
_READ = ("rewards", "groups", "lengths|mask")


@register(
    "adora",
    room="advantage",
    needs="group",
    inputs=_READ,
    certainty="code",
    source=f"{_ADORA} ADORA/verl/trainer/ppo/core_algos.py",
    formula="A = (r - mean) / (std + eps), times factor unless max len of right > mean len of wrong below cap",
    papers=("adora",),
)
def adora(
    batch: SignalBatch,
    *,
    correct: float = 1.0,
    cap: float = 4054,
    factor: float = 0.1,
    ddof: int = 1,
    eps: float = 1e-6,
    singleton: Singleton = "zero",
) -> Signal:
    """ADORA: prompts on which longer thinking does not lead to right answers count for a tenth.

    A row is right from ``correct`` on. A group without wrong answers counts in full, one without right ones does not.
    """
    plain = group_normalise(batch.rewards, batch.groups, batch.valid, ddof=ddof, eps=eps, singleton=singleton)
    return _attenuated(batch, plain, correct, cap, factor, all_right=True, all_wrong=False)


@register(
    "adora_vl",
    room="advantage",
    needs="group",
    inputs=_READ,
    certainty="code",
    source=f"{_ADORA} ADORA_VL/openrlhf/trainer/ppo_utils/experience_maker_vl.py weight_func",
    formula="A = r - mean of the others, times factor unless no row is right or max len of right > mean len of wrong",
    papers=("adora",),
)
def adora_vl(
    batch: SignalBatch,
    *,
    correct: float = 0.5,
    cap: float = 4094,
    factor: float = 0.1,
    base: Literal["rloo", "mean", "std"] = "rloo",
) -> Signal:
    """ADORA as its vision recipe has it: an all-wrong group counts in full, an all-right one does not.

    A row is right above ``correct``. The weights multiply one of the recipe's three advantages.
    """
    plain = group_normalise(
        batch.rewards,
        batch.groups,
        batch.valid,
        centre="leave_one_out" if base == "rloo" else "mean",
        scale="std" if base == "std" else "none",
        eps=1e-9,
    )
    above = float(np.nextafter(correct, np.inf))
    return _attenuated(batch, plain, above, cap, factor, all_right=False, all_wrong=True)


@register(
    "gcpo",
    room="shaping",
    needs="group",
    inputs=("accuracy", "behaviour", "groups"),
    optional=("format_scores", "lengths"),
    certainty="secondary",
    source="GeometryZero, GCPO (arXiv 2506.07160) eq. 3, 4 as quoted in reviews; weights, margin and the length term's "
    "shape are ours",
    formula="R = acc + w_f * format + w_a * M * behaviour + w_l * min(len / max_length, 1), "
    "M = sign(acc with - acc without) beyond the margin",
    papers=("gcpo",),
)
def gcpo(
    batch: SignalBatch,
    *,
    behaviour: float = 0.2,
    format_weight: float = 0.1,
    length: float = 0.0,
    max_length: int = 4096,
    margin: float = 0.05,
) -> Signal:
    """GCPO: a behaviour (an auxiliary construction) is rewarded where it helps a prompt and punished where it harms.

    The paper samples half of a group with the behaviour and half without; a natural split works with weaker statistics.
    ``format_scores`` are added where the batch carries them. ``length`` weighs the reward for longer answers.
    """
    if max_length < 1:
        raise BadOption(f"gcpo: max_length = {max_length} must be at least 1")
    valid, groups = batch.taken()
    accuracy, shows = batch["accuracy"][valid], batch["behaviour"][valid]
    sign = conditional_sign(accuracy, shows, groups, margin=margin)
    rewards = accuracy + behaviour * groups.spread(sign) * shows
    if "format_scores" in batch:
        rewards = rewards + format_weight * batch["format_scores"][valid]
    if length:
        rewards = rewards + length * np.minimum(batch.lengths[valid] / max_length, 1.0)
    counts = {f"gcpo/{name}": int((sign == value).sum()) for name, value in (("helps", 1), ("harms", -1))}
    return batch.signal(rewards=batch.scatter(rewards), report=counts)


@register(
    "dcpo",
    room="selection",
    needs="group",
    inputs=_READ,
    certainty="abstract",
    source="ChatShopBuddy (DCPO), abstract and a note (8 of 16 rows kept); the rule within a group is ours",
    formula="keep ceil(m/2) best, short first, and floor(m/2) worst, long first, m = G/2; GRPO on the kept rows",
    papers=("hrm-dcpo",),
)
def dcpo(batch: SignalBatch, *, share: float = 0.5, ddof: int = 1, eps: float = 1e-6) -> Signal:
    """DCPO: the good and short answers of a group against its bad and long ones.

    In a group of equal rewards the shortest and the longest stay, with advantage 0. ``lengths`` may be those of the
    reasoning alone.
    """
    valid, groups = batch.taken()
    keep = np.ones(batch.rows, np.bool_)
    keep[valid] = contrastive_subset(batch.rewards[valid], batch.lengths[valid], groups, share)
    advantages = group_normalise(batch.rewards, batch.groups, keep & batch.valid, ddof=ddof, eps=eps)
    return batch.signal(advantages=advantages, keep=keep)


@register(
    "hpt",
    room="guidance",
    needs="group",
    inputs=("rewards", "groups"),
    optional=("demonstrated",),
    certainty="code",
    source="HPT (arXiv 2509.04419); TsinghuaC3I/Unify-Post-Training hpt/verl/verl/mix_src/mix_trainer.py, "
    "exp_scripts @ae332f5f",
    formula="share right <= gate: imitate a demonstration; <= gate_off: reinforce it; else r - mean of the rollouts",
    papers=("hpt",),
)
def hpt(
    batch: SignalBatch,
    *,
    correct: float = 1.0,
    gate: float = 0.0,
    gate_off: float | None = None,
    keep_rollouts: bool = False,
) -> Signal:
    """HPT: prompts the policy fails learn from a demonstration, the others from their rollouts.

    ``gate`` is a share of the rollouts that have a verdict: 0 in the scripts for Qwen, 0.25 for Llama. A request of
    kind ``demonstration`` names the loss, ``sft`` (weight 1; 0.3 for a model of 1.5B) or ``off_policy``; the prompt's
    rollouts are dropped. ``keep_rollouts`` adds a demonstration to every prompt and drops nothing. A prompt that
    ``demonstrated`` says has none keeps its rollouts.
    """
    valid, groups = batch.taken()
    rows = np.flatnonzero(valid)
    success = groups.mean(batch.rewards[valid] >= correct)
    modes = demonstration_modes(success, gate=gate, gate_off=gate_off)
    if keep_rollouts:
        modes = ["sft"] * len(groups)
    has = np.ones(len(groups), np.bool_)
    if "demonstrated" in batch:
        has = groups.any(batch["demonstrated"][valid])
    shown = np.array([mode != "rl" for mode in modes], np.bool_) & has
    keep = np.ones(batch.rows, np.bool_)
    if not keep_rollouts:
        keep[valid] = groups.spread(~shown)
    firsts = rows[groups.first(np.arange(groups.rows))] if len(groups) else rows
    requests = [Request(int(firsts[q]), "demonstration", {"loss": modes[q]}) for q in np.flatnonzero(shown).tolist()]
    wanting = sum(mode != "rl" for mode in modes) - int(shown.sum())
    return batch.signal(
        advantages=group_normalise(batch.rewards, batch.groups, batch.valid, scale="none"),
        keep=keep,
        requests=sorted(requests, key=lambda request: request.row),
        report={"hpt/demonstrations": int(shown.sum()), "hpt/without_demonstration": wanting},
    )


@register(
    "itool_hardest",
    room="selection",
    needs="batch",
    inputs=("perplexities", "calls_tool"),
    certainty="code",
    source="iTool, zeng-yirong/iTool mcts/utils.py @871eceb4",
    formula="keep the share of samples with the largest perplexity, apart for those with and without a tool call",
    papers=("itool",),
)
def itool_hardest(batch: SignalBatch, *, share: float = 0.3) -> Signal:
    """ITool's choice of what to explore: the samples that the policy finds hardest, tool calls and others apart.

    The same order, easy to hard, is its curriculum for the warm-up.
    """
    valid = batch.valid
    kinds = Groups.of(batch["calls_tool"][valid].astype(np.int64))
    keep = np.ones(batch.rows, np.bool_)
    keep[valid] = hardest(batch["perplexities"][valid], kinds, share)
    return batch.signal(keep=keep)


def _attenuated(
    batch: SignalBatch,
    plain: FloatArray,
    correct: float,
    cap: float,
    factor: float,
    *,
    all_right: bool,
    all_wrong: bool,
) -> Signal:
    valid, groups = batch.taken()
    lengths = batch.lengths[valid].astype(np.float64)
    full = long_right_answers(
        batch.rewards[valid] >= correct, lengths, groups, cap=cap, all_right=all_right, all_wrong=all_wrong
    )
    weights = batch.scatter(groups.spread(np.where(full, 1.0, factor)))
    share = float(full.mean()) if full.size else 0.0
    return batch.signal(advantages=plain * weights, report={"adora/full": share})
