"""V_0: A Generalist Value Model for Any Policy at State Zero.

V_0 (arXiv 2602.03584) eq. 9, 10 and appendix C, as quoted in a public digest; the stand-in for the value model is
ours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from heapq import heapify, heapreplace
from typing import Any, Literal

import numpy as np

from trainer_client.signals.authoring import (
    FloatArray,
    IntArray,
    Laws,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    register,
)
from trainer_client.signals.parts.budgets import budgeted, unit_rates
from trainer_client.signals.parts.state import Tracker, saved_ids

PAPER = Paper("v_0", __doc__, provenance="secondary")


BudgetSolver = Literal["greedy", "exact"]


@register(
    "v_0",
    paper=PAPER,
    needs="state",
    inputs=("groups", "rewards|success_rates"),
    optional=("embeddings",),
    formula="maximise sum_q B * (1-p) * (1 - (1-p)^(B-1)) with sum_q B_q <= total",
    laws=Laws(permutation=False, removal=False, rewards="binary"),
    within=(0.0, 1.0),
)
class V0(Tracker):
    """V_0: rollouts by the expected number of wrong ones that stand beside a right one.

    ``success_rates`` come from a value model, served elsewhere, that reads the policy's last 256 outcomes. Without
    them the outcomes are kept here and a Beta estimate replaces it, shrunk to the nearest prompts by
    ``embeddings`` if the batch carries them. ``greedy`` is the paper's solver; the utility is convex at first for
    hard prompts, where ``exact`` finds more. Rewards are outcomes from 0 to 1.
    """

    kind = "v_0"
    parts = ("_window",)

    def __init__(
        self,
        *,
        total: int | None = None,
        default_n: int = 8,
        low: int = 2,
        high: int = 128,
        solver: BudgetSolver = "greedy",
        window: int = 256,
        strength: float = 2.0,
        neighbours: int = 16,
    ) -> None:
        self.total, self.default_n, self.low, self.high = total, default_n, low, high
        self.solver: BudgetSolver = solver
        self._window = OutcomeWindow(size=window, strength=strength, neighbours=neighbours)

    def __call__(self, batch: SignalBatch) -> Signal:
        """Take in the outcomes, and give the budget of the prompts that have a valid row."""
        valid, groups = batch.taken()
        places = batch["embeddings"][valid] if "embeddings" in batch else None
        labels = groups.labels.tolist()
        if "rewards" in batch:
            self._window.update([labels[q] for q in groups.index.tolist()], unit_rates(batch, "rewards"), places)
        if "success_rates" in batch:
            rates = groups.mean(unit_rates(batch, "success_rates"))
        else:
            rates = self._window.predict(labels, None if places is None else groups.first(places))
        total = self.total if self.total is not None else max(self.default_n, self.low) * len(groups)
        budget = allocate_contrast(rates, total, low=self.low, high=self.high, solver=self.solver)
        return budgeted(batch, groups, budget, {"v_0/unspent": total - int(budget.sum())})


def allocate_contrast(
    rates: FloatArray, total: int, *, low: int = 2, high: int = 128, solver: BudgetSolver = "greedy"
) -> IntArray:
    """``[Q]`` rollouts for each prompt, at most ``total``, for the largest number of wrong ones beside a right one.

    ``U(B, p) = B * (1-p) * (1 - (1-p)^(B-1))`` is the expected number of wrong rollouts in a group with a right one.
    It is convex in ``B`` at first where ``p`` is small, so that filling by marginal utility (``greedy``, the paper's)
    falls short of the best (``exact``, by dynamic programming).

    Args:
        rates: ``[Q]`` success rates.
        total: rollouts to give at most; what no prompt can use is left.
        low: least for a prompt.
        high: most for a prompt.
        solver: see above.

    Raises:
        OptionError: the least numbers add up to more than ``total``.

    Source: V_0 (arXiv 2602.03584) eq. 9, 10, as quoted in a public digest.
    """
    if not 0 <= low <= high:
        raise OptionError(f"low: {low} and high: {high} must rise from 0")
    if total < low * rates.size:
        raise OptionError(f"total: {total} is less than {low} rollouts for each of {rates.size} prompts")
    sizes = np.arange(low, high + 1)
    wrong = 1.0 - rates[:, None]
    utility = sizes * wrong * (1.0 - wrong ** np.maximum(sizes - 1, 0))
    extra = total - low * rates.size
    return low + (_best_split(utility, extra) if solver == "exact" else _greedy_split(utility, extra))


def _greedy_split(utility: FloatArray, extra: int) -> IntArray:
    """Units beyond the first column, one at a time to the largest gain; ends when nothing gains."""
    taken = np.zeros(utility.shape[0], np.int64)
    gains = np.diff(utility, axis=1)
    if not gains.size:
        return taken
    heap = [(-gain, row) for row, gain in enumerate(gains[:, 0].tolist())]
    heapify(heap)
    for _ in range(extra):
        gain, row = heap[0]
        if gain >= 0.0:
            break
        taken[row] += 1
        left = taken[row] < gains.shape[1]
        heapreplace(heap, (-float(gains[row, taken[row]]) if left else 0.0, row))
    return taken


def _best_split(utility: FloatArray, extra: int) -> IntArray:
    """The same by dynamic programming over rows: ``best[w]`` for ``w`` units, then back through the choices."""
    rows, columns = utility.shape
    extra = min(extra, rows * (columns - 1))
    best = np.zeros(extra + 1)
    choices = np.zeros((rows, extra + 1), np.int64)
    for row in range(rows):
        gained = best + utility[row, 0]
        for more in range(1, min(columns - 1, extra) + 1):
            candidate = best[: extra + 1 - more] + utility[row, more]
            better = candidate > gained[more:]
            gained[more:][better] = candidate[better]
            choices[row, more:][better] = more
        best = gained
    taken = np.zeros(rows, np.int64)
    left = int(np.argmax(best))
    for row in range(rows - 1, -1, -1):
        taken[row] = choices[row, left]
        left -= int(taken[row])
    return taken


class OutcomeWindow(Tracker):
    """The last ``size`` pairs of prompt and outcome, and a Beta estimate from them.

    A stand-in for a learned value model: a prompt's own outcomes are shrunk to the mean outcome of its nearest
    neighbours by embedding, or of the whole window where there are no embeddings.

    Args:
        size: pairs kept.
        strength: observations that the prior counts for.
        neighbours: pairs of other prompts that make the prior.
    """

    kind = "outcome_window"

    def __init__(self, *, size: int = 256, strength: float = 2.0, neighbours: int = 16) -> None:
        if size < 1 or neighbours < 1 or not strength > 0:
            raise OptionError(f"size: {size}, neighbours: {neighbours} and strength: {strength} must be positive")
        self.size, self.strength, self.neighbours = size, strength, neighbours
        self._pairs: deque[tuple[Hashable, float, list[float] | None]] = deque(maxlen=size)

    def __len__(self) -> int:
        return len(self._pairs)

    def update(self, prompts: Sequence[Hashable], outcomes: FloatArray, embeddings: FloatArray | None = None) -> None:
        """Take in outcomes between 0 and 1, oldest first."""
        places = [None] * len(prompts) if embeddings is None else embeddings.tolist()
        self._pairs.extend(zip(saved_ids(prompts), outcomes.tolist(), places, strict=True))

    def predict(self, prompts: Sequence[Hashable], embeddings: FloatArray | None = None) -> FloatArray:
        """``[Q]`` expected outcome of each prompt; 0.5 as long as nothing is known."""
        if not self._pairs:
            return np.full(len(prompts), 0.5)
        known = np.array([outcome for _, outcome, _ in self._pairs])
        prior = self._prior(prompts, known, embeddings)
        own = {prompt: [0.0, 0.0] for prompt in prompts}
        for prompt, outcome, _ in self._pairs:
            if prompt in own:
                own[prompt][0] += outcome
                own[prompt][1] += 1.0
        total, number = (np.array([own[prompt][k] for prompt in prompts]) for k in (0, 1))
        estimate: FloatArray = (self.strength * prior + total) / (self.strength + number)
        return estimate

    def _prior(self, prompts: Sequence[Hashable], known: FloatArray, embeddings: FloatArray | None) -> FloatArray:
        """Mean outcome of the nearest pairs by cosine similarity, or of all of them."""
        overall = np.full(len(prompts), float(known.mean()))
        placed = [k for k, (_, _, place) in enumerate(self._pairs) if place is not None]
        if embeddings is None or not placed or not len(prompts):
            return overall
        pairs = list(self._pairs)
        similar = _unit(embeddings) @ _unit(np.array([pairs[k][2] for k in placed])).T
        nearest = np.argsort(-similar, axis=1, kind="stable")[:, : self.neighbours]
        close: FloatArray = known[placed][nearest].mean(axis=1)
        return close

    def _state(self) -> dict[str, Any]:
        return {"pairs": [list(pair) for pair in self._pairs]}

    def _restore(self, state: Mapping[str, Any]) -> None:
        pairs = [(prompt, float(outcome), place) for prompt, outcome, place in state["pairs"]]
        self._pairs = deque(pairs, maxlen=self.size)


def _unit(vectors: FloatArray) -> FloatArray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1.0)
