"""Knapsack RL: Unlocking Exploration of LLMs via Optimizing Budget Allocation.

Knapsack RL (arXiv 2509.25849); liziniu/KnapsackRL verl/trainer/ppo/exploration_utils.py @ca5d5f5b; solved by marginal
value, which is exact.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from trainer_client.signals.authoring import (
    BoolArray,
    Case,
    FloatArray,
    Groups,
    IntArray,
    Laws,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    SignalError,
    golden,
    method,
    register,
)
from trainer_client.signals.parts.budgets import budgeted, unit_rates
from trainer_client.signals.parts.state import Tracker, saved_ids

PAPER = Paper("knapsack-rl", __doc__, provenance="code")


Cost = Literal["probability", "expectation"]


@register(
    "knapsack_rl",
    paper=PAPER,
    needs="state",
    inputs=("groups", "rewards|success_rates"),
    formula="maximise sum_q (1 - p^N - (1-p)^N) * p * (1-p)^2 with sum_q N_q = total",
    laws=Laws(permutation=False, removal=False, rewards="binary"),
    within=(0.0, 1.0),
)
class KnapsackRL(Tracker):
    """Knapsack RL: rollouts go where a group with both outcomes is likely and teaches most.

    ``budget`` is for the next time the batch's prompts come up. Rewards (0 to 1) that the batch carries are taken into
    each prompt's success rate first; ``success_rates`` of a predictor count instead of that rate. A batch with one
    row a prompt and success rates plans without any history. ``total`` is ``default_n`` for each prompt unless given.
    The published script clips advantages at 5.
    """

    kind = "knapsack_rl"
    parts = ("_success",)

    def __init__(
        self,
        *,
        default_n: int = 8,
        min_n: int = 2,
        max_n: int = 128,
        failed_n: int | None = None,
        solved_n: int | None = None,
        total: int | None = None,
        fallback: bool = True,
        confidence: float = 0.9,
        cost: Cost = "probability",
        enough: int = 16,
        known_after: int = 8,
    ) -> None:
        self.total, self.default_n = total, default_n
        self.options: dict[str, Any] = {
            "default_n": default_n,
            "min_n": min_n,
            "max_n": max_n,
            "failed_n": failed_n,
            "solved_n": solved_n,
            "fallback": fallback,
            "confidence": confidence,
            "cost": cost,
        }
        self._success = RecentSuccess(enough=enough, known_after=known_after)

    def __call__(self, batch: SignalBatch) -> Signal:
        """Take in the rewards, and give the budget of the prompts that have a valid row."""
        groups = batch.taken()[1]
        if "rewards" in batch:
            self._success.update(groups, unit_rates(batch, "rewards"))
        rates, known = self._success.rates(groups.labels.tolist())
        if "success_rates" in batch:
            rates, known = groups.mean(unit_rates(batch, "success_rates")), np.ones(len(groups), np.bool_)
        total = self.total if self.total is not None else self.default_n * len(groups)
        budget = allocate_knapsack(rates, known, total, **self.options) if len(groups) else np.zeros(0, np.int64)
        return budgeted(batch, groups, budget, {"knapsack_rl/known": _share(known)})


@register(
    "release/knapsack_rl",
    paper=PAPER,
    needs="batch",
    inputs=("groups", "success_rates"),
    source="liziniu/KnapsackRL verl/trainer/ppo/exploration_utils.py @ca5d5f5b",
    formula="as knapsack_rl; an item without extra rollouts is worth 0, one with k is worth V(min_n + k)",
    laws=Laws(permutation=False, removal=False, options={"fallback": False}),
)
def release_knapsack_rl(
    batch: SignalBatch,
    *,
    default_n: int = 8,
    min_n: int = 2,
    max_n: int = 128,
    failed_n: int | None = None,
    solved_n: int | None = None,
    fallback: bool = True,
    confidence: float = 0.9,
) -> Signal:
    """Knapsack RL's release, which spreads too thin and stops where no prompt can take a surplus.

    A prompt whose rate is not known has no valid row; it is given ``default_n``, as the release does.
    """
    groups = batch.groups
    known = groups.any(batch.valid)
    rates = groups.sum(np.where(batch.valid, batch["success_rates"], 0.0)) / np.maximum(groups.sum(batch.valid), 1)
    failed = min_n if failed_n is None else failed_n
    solved = min_n if solved_n is None else solved_n
    bounds = _Bounds(default_n, min_n, max_n, failed, solved)
    return batch.signal(budget=groups.spread(_released(rates, known, bounds, fallback, confidence)))


class _Bounds(NamedTuple):
    """Rollouts of a prompt: unknown, at least and at most where it teaches, always failing, always solved."""

    default: int
    least: int
    most: int
    failed: int
    solved: int


def _share(flags: BoolArray) -> float:
    return float(flags.mean()) if flags.size else 0.0


def even_split(total: int, shares: int) -> IntArray:
    """``[shares]`` whole numbers that add up to ``total``, the earlier ones taking what is over."""
    whole, left = divmod(total, max(shares, 1))
    split: IntArray = whole + (np.arange(shares) < left).astype(np.int64)
    return split


def fill_by_gain(gains: FloatArray, total: int) -> IntArray:
    """``[Q]`` units given to each row of ``[Q, M]`` marginal gains, the largest first, at most ``M`` to a row.

    Exact when every row's gains fall: the best ``total`` entries are then each row's first ones. Ties go to the
    earlier row.
    """
    best = np.argsort(-gains, axis=None, kind="stable")[: max(total, 0)]
    filled: IntArray = np.bincount(best // max(gains.shape[1], 1), minlength=gains.shape[0])
    return filled


def mixed_group_value(rates: FloatArray, size: FloatArray | IntArray) -> FloatArray:
    """``(1 - p^N - (1-p)^N) * p * (1-p)^2``: the chance of a group with both outcomes, times what it teaches.

    Source: Knapsack RL (arXiv 2509.25849) section 3.
    """
    value: FloatArray = (1.0 - rates**size - (1.0 - rates) ** size) * rates * (1.0 - rates) ** 2
    return value


def rollouts_needed(rates: FloatArray, max_n: int, *, confidence: float = 0.9, cost: Cost = "probability") -> IntArray:
    """``[Q]`` rollouts until a group with both outcomes may be expected, at most ``max_n``; rates within (0, 1).

    ``probability``: ``ln(1 - confidence) / ln(max(p, 1-p))``; ``expectation``: ``1 / (p * (1-p)) - 1``.

    Raises:
        OptionError: the cost is unknown.
    """
    if cost not in get_args(Cost):
        raise OptionError(f"cost: {cost!r} is not one of {', '.join(get_args(Cost))}")
    if cost == "probability":
        needed = np.log(1.0 - confidence) / np.log(np.maximum(rates, 1.0 - rates))
    else:
        needed = 1.0 / (rates * (1.0 - rates)) - 1.0
    whole: IntArray = np.minimum(needed, max_n).astype(np.int64)
    return whole


def allocate_knapsack(
    rates: FloatArray,
    known: BoolArray,
    total: int,
    *,
    default_n: int = 8,
    min_n: int = 2,
    max_n: int = 128,
    failed_n: int | None = None,
    solved_n: int | None = None,
    fallback: bool = True,
    confidence: float = 0.9,
    cost: Cost = "probability",
) -> IntArray:
    """``[Q]`` rollouts for each prompt that maximise the summed `mixed_group_value`; they add up to ``total``.

    An unknown prompt has ``default_n``. Prompts with a rate within (0, 1) start at ``min_n``, and the rest is filled
    in by the largest marginal value, which is exact. If they need less than is left (``fallback``), the surplus goes
    evenly to prompts that always fail, else to all that teach nothing, else stays with those that do.

    Args:
        rates: ``[Q]`` success rates.
        known: ``[Q]`` prompts whose rate is known.
        total: rollouts to give.
        default_n: for an unknown prompt.
        min_n: least for a prompt that both fails and succeeds.
        max_n: most for such a prompt, unless no other prompt can take what is left.
        failed_n: for one that always fails; ``min_n`` when None.
        solved_n: for one that always succeeds; ``min_n`` when None.
        fallback: see above.
        confidence: of `rollouts_needed`.
        cost: of `rollouts_needed`.

    Raises:
        OptionError: the least numbers add up to more than ``total``, or a bound makes no sense.

    Source: Knapsack RL (arXiv 2509.25849); liziniu/KnapsackRL verl/trainer/ppo/exploration_utils.py @ca5d5f5b, whose
    solver credits an item without an extra rollout with nothing and so spreads too thin.
    """
    if not 0 <= min_n <= max_n or not 0 < confidence < 1:
        raise OptionError(f"min_n: {min_n} and max_n: {max_n} must rise from 0, confidence: {confidence} lie in (0, 1)")
    failed, teaches = known & (rates <= 0), known & (rates > 0) & (rates < 1)
    of_failed, of_solved = (min_n if n is None else n for n in (failed_n, solved_n))
    budget = np.select([~known, failed, teaches], [default_n, of_failed, min_n], of_solved).astype(np.int64)
    left = total - int(budget.sum())
    if left < 0:
        raise OptionError(f"total: {total} is less than the {total - left} rollouts that the least numbers add up to")
    candidates = failed if bool(failed.any()) else ~teaches
    p, surplus = rates[teaches], 0
    if fallback and bool(candidates.any()):
        surplus = max(left - int(rollouts_needed(p, max_n, confidence=confidence, cost=cost).sum()), 0)
    sizes = np.arange(min_n, max_n + 1)
    gains = np.diff(mixed_group_value(p[:, None], sizes), axis=1)
    filled = fill_by_gain(gains, left - surplus)
    budget[teaches] += filled
    over = left - surplus - int(filled.sum())
    # What max_n keeps from them goes where the surplus goes.
    return _add(budget, candidates if bool(candidates.any()) else teaches, surplus + over)


def _add(budget: IntArray, where: BoolArray, amount: int) -> IntArray:
    budget[where] += even_split(amount, int(where.sum()))
    return budget


def _released(rates: FloatArray, known: BoolArray, n: _Bounds, fallback: bool, confidence: float) -> IntArray:
    """``[Q]`` rollouts as the release gives them; see `allocate_knapsack` for the arguments.

    It departs in three ways: a prompt without an extra rollout is credited with nothing, one with ``k`` with all of
    ``V(min_n + k)``; unknown prompts count as failing when a surplus is shared; and it computes in single precision.

    Raises:
        SignalError: every prompt teaches and they need less than there is: the release's check of the sum fails.

    Source: liziniu/KnapsackRL verl/trainer/ppo/exploration_utils.py @ca5d5f5b.
    """
    p = np.where(known, rates, 0.0).astype(np.float32)
    total = n.default * p.size
    teaches = known & (p > 0) & (p < 1)
    budget = np.full(p.size, n.default, np.int64)
    budget[teaches] = n.least
    budget[known & (p == 0)] = n.failed
    budget[known & (p >= 1)] = n.solved
    left, failing = total - int(budget.sum()), p == 0
    if left > 0 and not teaches.any():
        if not failing.any():
            return np.full(p.size, n.default, np.int64)
        budget[failing] += even_split(left, int(failing.sum()))
        return budget
    # The release's own estimate: the rate in double precision, the quotient rounded to single.
    exact = rates[teaches]
    need = np.log(1.0 - confidence) / np.log(np.maximum(exact, 1.0 - exact))
    needed = int(np.minimum(need.astype(np.float32), n.most).astype(np.int64).sum())
    if needed < left and fallback:
        candidates = failing if failing.any() else ~teaches
        if not candidates.any():
            raise SignalError("release/knapsack_rl: no prompt can take the surplus; the release stops here as well")
        budget[candidates] += even_split(left - needed, int(candidates.sum()))
        left = needed
    if left > 0:
        budget[teaches] += _spread(p[teaches], n.least, n.most - n.least, left)
    if int(budget.sum()) != total:
        raise SignalError(f"release/knapsack_rl: gave {budget.sum()} rollouts of {total}; the release stops as well")
    return budget


def _spread(p: NDArray[np.float32], min_n: int, most: int, total: int) -> IntArray:
    """The release's dynamic programme; of equal values the smallest number stands."""
    best = np.full(total + 1, -np.inf)
    best[0] = 0.0
    choices = np.zeros((p.size, total + 1), np.int64)
    for row, rate in enumerate(p):
        gained = best.copy()
        wrong = np.float32(1) - rate
        for k in range(1, min(most, total) + 1):
            value = (1 - rate ** (k + min_n) - wrong ** (k + min_n)) * rate * wrong**2
            candidate = best[: total + 1 - k] + value
            better = candidate > gained[k:]
            gained[k:][better] = candidate[better]
            choices[row, k:][better] = k
        best = gained
    usable = int(np.flatnonzero(np.isfinite(best))[-1])
    budgets, left = np.zeros(p.size, np.int64), usable
    for row in range(p.size - 1, -1, -1):
        budgets[row] = choices[row, left]
        left -= int(budgets[row])
    return budgets + even_split(total - usable, p.size)


@golden("knapsack_budget")
def _(case: Case) -> Any:
    """The release's numbers; ours adds up to the same total and is worth at least as much."""
    table, params = case.array("reward_states"), case.params
    known, rates, n = table[:, 0] == 1, table[:, 1], int(case.inputs["n"])
    options = {
        "default_n": n,
        "min_n": params["min_n"],
        "max_n": params["max_n"],
        "failed_n": params["negative_n"],
        "solved_n": params["positive_n"],
        "fallback": params["allow_fallback"],
        "confidence": params["alpha"],
    }
    batch = SignalBatch(groups=np.arange(len(rates)), valid=known, success_rates=rates)
    try:
        released = method("release/knapsack_rl", **options)(batch).budget
    except SignalError as error:
        # Which of its own checks stops the release is of no interest.
        stopped = isinstance(case.output, str) and case.output.startswith("error:")
        return case.output if stopped else repr(error)
    budgets = allocate_knapsack(rates, known, n * len(rates), **options)
    assert budgets.sum() == n * len(rates)
    assert released is not None
    teaches = known & (rates > 0) & (rates < 1)
    worth, recorded = (mixed_group_value(rates[teaches], budget[teaches]).sum() for budget in (budgets, released))
    assert worth >= recorded - 1e-12
    return released


class RecentSuccess(Tracker):
    """Success rate of each prompt: the mean of its last visit, or of its newest results where those were few.

    A visit is one call of `update`; a prompt is visited once an epoch.

    Args:
        enough: results of a visit that stand alone; below, the newest ``enough`` over all visits are taken.
        known_after: results after which a rate counts as known.

    Source: Knapsack RL; liziniu/KnapsackRL verl/utils/dataset/rl_dataset.py @ca5d5f5b.
    """

    kind = "recent_success"

    def __init__(self, *, enough: int = 16, known_after: int = 8) -> None:
        if enough < 1 or known_after < 1:
            raise OptionError(f"enough: {enough} and known_after: {known_after} must be at least 1")
        self.enough, self.known_after = enough, known_after
        self._seen: dict[Hashable, tuple[int, float, list[float]]] = {}

    def update(self, groups: Groups, rewards: FloatArray) -> None:
        """Take in a visit: the rows' results, 0 to 1, by prompt."""
        for label, rows in zip(saved_ids(groups.labels.tolist()), groups.members(), strict=True):
            part = rewards[rows]
            seen, _, recent = self._seen.get(label, (0, 0.0, []))
            recent = [*recent, *part.tolist()][-self.enough :]
            rate = float(part.mean()) if part.size >= self.enough else sum(recent) / len(recent)
            self._seen[label] = (seen + part.size, rate, recent)

    def rates(self, prompts: Iterable[Hashable]) -> tuple[FloatArray, BoolArray]:
        """``[Q]`` rate of each prompt (0 if never seen), and whether it is known."""
        records = [self._seen.get(prompt, (0, 0.0, [])) for prompt in prompts]
        return np.array([rate for _, rate, _ in records]), np.array(
            [n >= self.known_after for n, _, _ in records], np.bool_
        )

    def _state(self) -> dict[str, Any]:
        return {"seen": [[prompt, n, rate, list(recent)] for prompt, (n, rate, recent) in self._seen.items()]}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._seen = {prompt: (int(n), float(rate), list(recent)) for prompt, n, rate, recent in state["seen"]}
