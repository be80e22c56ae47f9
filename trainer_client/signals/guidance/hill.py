"""Learning to Hint for Reinforcement Learning (HiLL).

HiLL, Andree-9/HiLL verl/trainer/ppo/hinter_utils.py @195d94eb.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from trainer_client.signals.authoring import (
    AnyArray,
    BoolArray,
    Case,
    FloatArray,
    Groups,
    Input,
    IntArray,
    Laws,
    OptionError,
    Paper,
    Request,
    Signal,
    SignalBatch,
    golden,
    one_group,
    register,
)
from trainer_client.signals.parts.group_normalise import group_normalise

PAPER = Paper("hill", __doc__, provenance="code")

_CANDIDATES = Input(
    "candidates", "N", "ids", "which hint or skill, of several tried for its prompt, a row was written with"
)
_RELIANCE = Input("reliance", "N", "float", "mean log-probability of a row's tokens without its hint less that with it")

HintTerm = Literal["non_degenerate", "variance"]


@register(
    "hill",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", "helped", _CANDIDATES),
    optional=("refused", _RELIANCE),
    formula=(
        "hint: (1 - p^n - (1-p)^n) * exp(min(D, 0) / T), D the mean over right rollouts of logp(o|q) - logp(o|q,hint)"
    ),
    laws=Laws(permutation=False),
)
def hill(
    batch: SignalBatch,
    *,
    term: HintTerm = "non_degenerate",
    temperature: float = 0.3,
    refusal: float = -0.2,
    threshold: float = 0.5,
    eps: float = 1e-6,
) -> Signal:
    """HiLL: of several hints, the one that makes outcomes differ without being relied on replaces an unsolved group.

    ``helped`` rows were written with the hint that ``candidates`` names, others without. ``reliance`` of the rows, if
    given, weighs a hint down by how much its right answers need it; ``refused`` marks hints that leak the answer,
    cannot be read or are too long. A prompt's best hint (the first of equals) is adopted where it beats the rollouts
    without one: only its rows are kept, and a request of kind ``adopt`` names it. The report holds every hint's reward,
    which trains the hinter.
    """
    valid, groups = batch.taken()
    plain = ~batch["helped"][valid]
    right = batch.rewards[valid] > threshold
    tried = _tried(batch, valid, groups, right)
    number = groups.sum(plain)
    rate = groups.sum(plain & right) / np.maximum(number, 1)
    no_hint = np.full(len(groups), np.nan)
    unhinted = hint_rewards(rate, number.astype(np.int64), no_hint, kind=term, temperature=None).term
    scored = hint_rewards(
        tried.rate,
        tried.sizes,
        tried.reliance,
        refused=tried.refused,
        unhinted=unhinted[tried.prompt],
        kind=term,
        temperature=temperature,
        refusal=refusal,
    )
    best = best_hints(scored.rewards, tried.prompt, len(groups))
    adopted = (best >= 0) & (np.append(scored.term, 0.0)[best] > unhinted)
    keep = np.ones(batch.rows, np.bool_)
    keep[valid] = np.where(groups.spread(adopted), tried.of_row == groups.spread(best), plain)
    rewards: dict[str, dict[str, float]] = {}
    for prompt, label, reward in zip(
        tried.prompt.tolist(), tried.labels.tolist(), scored.rewards.tolist(), strict=True
    ):
        rewards.setdefault(str(groups.labels[prompt]), {})[str(label)] = reward
    return batch.signal(
        keep=keep,
        advantages=group_normalise(batch.rewards, batch.groups, batch.valid & keep, eps=eps),
        requests=[_adopt(tried, hint) for hint in best[adopted].tolist()],
        report={"hill/hint_rewards": rewards},
    )


class _Hints(NamedTuple):
    """The hints of a step: one entry a prompt and hint, in order of appearance."""

    of_row: IntArray
    """``[n]`` number of a valid row's hint, -1 for none."""
    first: IntArray
    """First row of the batch that was written with it."""
    prompt: IntArray
    labels: AnyArray
    rate: FloatArray
    sizes: IntArray
    reliance: FloatArray
    refused: BoolArray


def _tried(batch: SignalBatch, valid: BoolArray, groups: Groups, right: BoolArray) -> _Hints:
    rows = np.flatnonzero(batch["helped"][valid])
    among = np.zeros(right.size, np.bool_)
    among[rows] = True
    names = batch.ids("candidates").take(valid).take(among)
    hints = groups.take(among).cross(names)
    first = hints.first(np.arange(rows.size))
    of_row = np.full(right.size, -1)
    of_row[rows] = hints.index
    wins = hints.sum(right[rows])
    reliance = np.full(len(hints), np.nan)
    if "reliance" in batch:
        total = hints.sum(np.where(right[rows], batch["reliance"][valid][rows], 0.0))
        np.divide(total, wins, out=reliance, where=wins > 0)
    refused = hints.any(batch["refused"][valid][rows]) if "refused" in batch else np.zeros(len(hints), np.bool_)
    return _Hints(
        of_row=of_row,
        first=np.flatnonzero(valid)[rows[first]],
        prompt=groups.index[rows[first]],
        labels=names.labels[names.index[first]],
        rate=wins / np.maximum(hints.sizes, 1),
        sizes=hints.sizes,
        reliance=reliance,
        refused=refused,
    )


def _adopt(tried: _Hints, hint: int) -> Request:
    label: Any = tried.labels[hint]
    return Request(int(tried.first[hint]), "adopt", {"candidate": label.item() if hasattr(label, "item") else label})


class HintRewards(NamedTuple):
    """How good hints are, one entry a hint.

    Attributes:
        rewards: ``term * transfer``, 0 where the term does not beat the unhinted group's.
        term: what the hint does to the spread of outcomes.
        degenerate: outcomes do not differ, or a gate refused the hint.
    """

    rewards: FloatArray
    term: FloatArray
    degenerate: BoolArray


def balance_term(rate: FloatArray, rollouts: IntArray, kind: HintTerm = "non_degenerate") -> FloatArray:
    """What a success rate offers to a group: ``1 - p^n - (1-p)^n``, the chance that outcomes differ, or ``p * (1-p)``.

    Raises:
        OptionError: the kind is unknown.
    """
    if kind == "variance":
        return rate * (1.0 - rate)
    if kind != "non_degenerate":
        raise OptionError(f"term: {kind!r} is neither non_degenerate nor variance")
    inside = (rate > 0) & (rate < 1)
    return np.where(inside, 1.0 - rate**rollouts - (1.0 - rate) ** rollouts, 0.0)


def transfer_weight(reliance: FloatArray, temperature: float = 0.3) -> FloatArray:
    """``exp(min(reliance, 0) / temperature)``: 1 for an answer as likely without the hint, less the more it needs it.

    Raises:
        OptionError: the temperature is not positive.
    """
    if not temperature > 0:
        raise OptionError(f"temperature: {temperature} must be positive")
    return np.exp(np.minimum(reliance, 0.0) / temperature)


def hint_rewards(
    rate: FloatArray,
    rollouts: IntArray,
    reliance: FloatArray,
    *,
    refused: BoolArray | None = None,
    unhinted: FloatArray | float | None = None,
    kind: HintTerm = "non_degenerate",
    temperature: float | None = 0.3,
    refusal: float = -0.2,
) -> HintRewards:
    """Rewards of hints from the rollouts that were given them.

    Args:
        rate: ``[H]`` share of right rollouts under each hint.
        rollouts: ``[H]`` how many there were.
        reliance: ``[H]`` mean over the right ones of ``mean log-probability without the hint - with it``; NaN where
            that is not known.
        refused: ``[H]`` hints that could not be read, leak the answer or are too long.
        unhinted: ``[H]`` balance term of the prompt without a hint: a hint must beat it. None asks nothing.
        kind: see `balance_term`.
        temperature: of `transfer_weight`; None leaves the weight out.
        refusal: reward of a refused hint.

    Source: HiLL, Andree-9/HiLL verl/trainer/ppo/hinter_utils.py @195d94eb.
    """
    term = balance_term(rate, rollouts, kind)
    degenerate = (rate <= 0) | (rate >= 1)
    rewards = np.where(degenerate, 0.0, term)
    if temperature is not None:
        rewards = rewards * transfer_weight(np.where(np.isnan(reliance), 0.0, reliance), temperature)
    if unhinted is not None:
        rewards = np.where((term <= unhinted) & (rewards > 0), 0.0, rewards)
    if refused is not None:
        rewards, term = np.where(refused, refusal, rewards), np.where(refused, 0.0, term)
        degenerate = degenerate | refused
    return HintRewards(rewards, term, degenerate)


def best_hints(rewards: FloatArray, prompts: IntArray, number: int) -> IntArray:
    """``[Q]`` position of each prompt's hint with the highest reward, the first of equals; -1 where it has none.

    Args:
        rewards: ``[H]``.
        prompts: ``[H]`` number of the prompt that a hint is for.
        number: how many prompts there are.
    """
    best = np.full(number, -1)
    # Assigned from the worst to the best, and from the last to the first among equals: the last assignment stands.
    order = np.lexsort((-np.arange(rewards.size), rewards))
    best[prompts[order]] = order
    return best


@golden("hill_hint_reward")
def _(case: Case) -> Any:
    kind = case.params["reward_type"]
    reliance = case.inputs["avg_hint_reliance"]
    right = case.array("rewards") > case.params["positive_threshold"]
    sizes = np.array([right.size])
    scored = hint_rewards(
        np.array([right.mean()]),
        sizes,
        np.array([np.nan if reliance is None else reliance]),
        refused=np.array([not (case.inputs["parsing_succeeded"] and case.inputs["semantic_passed"])]),
        kind="variance" if "variance" in kind else "non_degenerate",
        temperature=case.params["transfer_temperature"] if "transfer" in kind else None,
    )
    degenerate = bool(scored.degenerate[0])
    return {
        "reward": float(scored.rewards[0]),
        "is_zero_variance": degenerate,
        "balance_term": 0.0 if degenerate else float(balance_term(right.mean(keepdims=True), sizes, "variance")[0]),
        "prob_term": float(scored.term[0]),
        "hint_reliance_used": None if degenerate else reliance,
    }


@golden("hill_select_best_hint")
def _(case: Case) -> Any:
    tried = [np.asarray(rows) for rows in case.inputs["rewards_hint_by_flat_prompt_rollout"]]
    reliance, passed = case.inputs["hint_reliance"], case.inputs["hint_ok"]
    size = case.params["num_repeat"]
    prompts = len(tried[0]) // size
    result: dict[str, Any] = {"hint_rewards": {}, "best": {}}
    for prompt in range(prompts):
        rows = slice(prompt * size, (prompt + 1) * size)
        right = np.array([hint[rows] > case.params["positive_threshold"] for hint in tried])
        lean = np.array([reliance[h][prompt] for h in range(len(tried))])
        wins = right.sum(1)
        mean = np.divide((lean * right).sum(1), wins, out=np.full(len(tried), np.nan), where=wins > 0)
        scored = hint_rewards(
            right.mean(1),
            np.full(len(tried), size),
            mean,
            refused=~np.array([passed[h][prompt] for h in range(len(tried))]),
            unhinted=case.params["original_prob_term"],
            temperature=case.params["transfer_temperature"],
        )
        best = int(best_hints(scored.rewards, one_group(len(tried)), 1)[0])
        dead = bool(scored.degenerate[best])
        result["hint_rewards"][str(prompt)] = scored.rewards
        result["best"][str(prompt)] = {
            "reward": scored.rewards[best],
            "hint_id": best,
            "is_zero_variance": dead,
            "avg_hint_reliance": None if dead else float(mean[best]),
            "prob_term": scored.term[best],
        }
    return result
