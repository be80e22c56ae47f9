"""Scores that decide what others are worth: HRM, SearchLLM, EARL, RARG, RAFTS, a panel of judges, MPO's rubric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import BadInput, BadOption
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Request, Signal
from trainer_client.signals.combination import (
    Gate,
    Term,
    combine,
    decide,
    levelled_reward,
    softly_gated,
    value_of_information,
)
from trainer_client.signals.evaluation import evidence_overlap, fact_coverage
from trainer_client.signals.trackers import Tracker

_SCORES = ("components",)


@register(
    "hrm",
    room="combination",
    needs="row",
    inputs=_SCORES,
    certainty="abstract",
    source="ChatShopBuddy (HRM), abstract; levels, thresholds and weights are ours",
    formula="R = sum_l w_l * s_l * prod_{m<l} [s_m >= theta_m]",
    papers=("hrm-dcpo",),
)
def hrm(batch: SignalBatch, *, thresholds: Sequence[float] = (), weights: Sequence[float] = ()) -> Signal:
    """HRM: a level counts only where every level before it has passed (format, correctness, depth, economy).

    Columns of ``components`` are the levels, the basic one first. Thresholds are 0.5 and weights 1 unless given. A row
    with a level missing that it reached is left out.
    """
    table = batch["components"]
    levels = table.shape[1]
    rewards, failed = levelled_reward(table, tuple(thresholds) or (0.5,) * levels, tuple(weights) or (1.0,) * levels)
    # Levels behind one that failed are not needed, and a cascade may have skipped them.
    whole = (batch.components_given | (np.arange(levels) > failed[:, None])).all(1)
    stopped = np.bincount(failed[whole & batch.valid], minlength=levels + 1).tolist()
    return batch.signal(rewards=rewards, keep=whole | ~batch.valid, report={"hrm/failed_at": stopped})


@register(
    "searchllm",
    room="combination",
    needs="row",
    inputs=_SCORES,
    certainty="paper",
    source="SearchLLM section 3.3 eq. 1 to 3, section 4.1.4",
    formula="R = exp(mean log((s + d) / (1 + d))) * sum w_j s'_j / sum w_j, d = 0.01",
    papers=("searchllm",),
)
def searchllm(batch: SignalBatch, *, bottom: int = 3, weights: Sequence[float] = (), floor: float = 0.01) -> Signal:
    """SearchLLM: usefulness counts as far as the bottom line holds (grounding, basic quality, format).

    The first ``bottom`` columns of ``components`` are the bottom line; all scores lie in [0, 1]. A row with a bottom
    score missing is left out; of the others those given count.
    """
    table, given = batch["components"], batch.components_given
    if not 0 <= bottom < table.shape[1]:
        raise BadOption(f"searchllm: bottom = {bottom} leaves none of {table.shape[1]} columns")
    whole = given[:, :bottom].all(1) & given[:, bottom:].any(1) & batch.valid
    used = given & whole[:, None]
    rewards = softly_gated(
        np.where(used, table, 1.0)[:, :bottom], table[:, bottom:], tuple(weights) or None, used[:, bottom:], floor=floor
    )
    return batch.signal(rewards=rewards, keep=whole | ~batch.valid)


@register(
    "rarg",
    room="combination",
    needs="group",
    inputs=_SCORES,
    optional=("groups",),
    certainty="abstract",
    source="RARG (arXiv 2403.14952), abstract; weights, the use of evidence and the gate are ours",
    formula="quality < floor: 0; else (w_r * refutes + w_p * polite + w_e * uses evidence) / sum w",
    papers=("rarg",),
)
def rarg(
    batch: SignalBatch, *, refutation: float = 1.0, politeness: float = 1.0, evidence: float = 1.0, floor: float = 0.5
) -> Signal:
    """RARG: an answer to misinformation is to refute it, politely, by the evidence, in passable language.

    Columns of ``components``: quality, refutation, politeness, use of evidence. A claim without evidence has the last
    one missing, which moves its rows neither up nor down.
    """
    table = batch["components"]
    if table.shape[1] != 4:
        raise BadInput(f"components: {table.shape[1]} columns; rarg reads quality, refutation, politeness, evidence")
    total = refutation + politeness + evidence
    terms = [
        Term("quality", 0.0, gate=Gate(floor)),
        Term("refutation", refutation / total),
        Term("politeness", politeness / total),
        Term("evidence", evidence / total, required=False),
    ]
    found = combine(
        table, batch.components_given, terms, groups=batch.groups if "groups" in batch else None, max_missing=1.0
    )
    return batch.signal(rewards=np.nan_to_num(found.rewards), keep=found.valid | ~batch.valid)


@register(
    "rafts",
    room="combination",
    needs="row",
    inputs=("verdict_gaps",),
    certainty="abstract",
    source="RAFTS, abstract; the score and the exchange of the arguments are ours",
    formula="r = mean over both orders of p(supported) - p(refuted)",
    papers=("rafts",),
)
def rafts(batch: SignalBatch) -> Signal:
    """RAFTS: a claim judged with an argument for and one against it, in both orders.

    The judge and the arguments come from a server. A row without evidence, or with a verdict that cannot be read, is
    not valid. The report holds how far the order matters.
    """
    gaps = batch["verdict_gaps"]
    spread = np.ptp(gaps, axis=1)[batch.valid] if gaps.shape[1] else np.zeros(0)
    bias = float(spread.mean()) if spread.size else 0.0
    return batch.signal(rewards=gaps.sum(1) / max(gaps.shape[1], 1), report={"rafts/order_effect": bias})


@register(
    "earl",
    room="combination",
    needs="row",
    inputs=("correct", "selected", "gold_evidence"),
    certainty="secondary",
    source="EARL (Select Less, Reason More), formulas quoted in a public note; alpha, beta and the switch are ours",
    formula="R = (1 right with iou >= 0.5, 0.5 right, -1 wrong) + alpha * [selected] + beta * iou",
    papers=("earl",),
)
def earl(
    batch: SignalBatch,
    *,
    select_first: float = 0.2,
    select_last: float = 0.05,
    overlap_first: float = 0.2,
    overlap_last: float = 0.5,
    switch_step: int = 0,
    enough: float = 0.5,
) -> Signal:
    """EARL: right answers count in full when they rest on the right evidence; selecting at all is rewarded early on.

    Up to ``switch_step`` of ``batch.step`` the ``first`` weights hold, then the ``last``. Where the gold evidence is
    unknown (None) a right answer counts in full and the overlap adds nothing. Works for citations as for frames.
    """
    early = (batch.step or 0) < switch_step
    alpha, beta = (select_first, overlap_first) if early else (select_last, overlap_last)
    chosen, gold = batch.objects("selected"), batch.objects("gold_evidence")
    known = np.array([right is not None for right in gold], np.bool_)
    overlap = np.array([0.0 if g is None else evidence_overlap(s, g) for s, g in zip(chosen, gold, strict=True)])
    acted = np.array([len(s) > 0 for s in chosen], np.bool_)
    full = ~known | (overlap >= enough)
    right = np.where(batch["correct"], np.where(full, 1.0, 0.5), -1.0)
    unknown = int((batch.valid & ~known).sum())
    return batch.signal(rewards=right + alpha * acted + beta * overlap, report={"earl/without_gold": unknown})


@register(
    "mind_paraworld",
    room="combination",
    needs="row",
    inputs=("correct", "hits", "facts"),
    optional=("attempted",),
    certainty="secondary",
    source="Mind-ParaWorld, abstract and data card; its use as a reward is ours",
    formula="R = w_a * correct + w_f * share of the facts found",
    papers=("mind-paraworld",),
)
def mind_paraworld(batch: SignalBatch, *, answer: float = 1.0, coverage: float = 0.5) -> Signal:
    """Mind-ParaWorld: a search is worth its answer and the facts it found, each counted once.

    The report holds the curve's end, and how many answered before they had seen all facts.
    """
    hits, facts = batch.objects("hits"), batch.objects("facts")
    bare = [row for row in np.flatnonzero(batch.valid).tolist() if not len(facts[row])]
    if bare:
        raise BadInput(f"facts: row {bare[0]} has none; a question rests on at least one")
    curves = [fact_coverage(h, f) if live else [] for h, f, live in zip(hits, facts, batch.valid, strict=True)]
    found = np.array([curve[-1] if curve else 0.0 for curve in curves])
    attempted = batch["attempted"] if "attempted" in batch else np.ones(batch.rows, np.bool_)
    seen = found[batch.valid]
    report = {
        "mind_paraworld/coverage": float(seen.mean()) if seen.size else None,
        "mind_paraworld/premature": int((batch.valid & attempted & (found < 1)).sum()),
    }
    return batch.signal(rewards=answer * batch["correct"] + coverage * found, report=report)


@register(
    "bayesian_panel",
    room="combination",
    needs="row",
    inputs=("state_likelihoods",),
    optional=("judged",),
    certainty="abstract",
    source="Bayesian Orchestration of Multi-LLM Agents, abstract; median over judges and the trigger are ours",
    formula="p(s | x) ~ p(s) * exp(median_m log l_m); a = argmin sum p C; ask if saving > price or judges disagree",
    papers=("bayesian-orchestration",),
)
def bayesian_panel(
    batch: SignalBatch,
    *,
    prior: Sequence[float] = (),
    costs: Sequence[Sequence[float]] = (),
    outcomes: Sequence[Sequence[float]] = (),
    price: float = 0.0,
    disagreement: float = 0.0,
) -> Signal:
    """A panel of judges: minus the expected cost of the best decision, and which rows deserve one more judge.

    ``prior`` is even and ``costs`` are 1 for every wrong decision unless given (one row an action, one column a state).
    A request of kind ``judge`` goes out where the verdict of one more judge, distributed by ``outcomes`` (one row a
    verdict, one column a state), saves more than its ``price``, or where the judges' log-odds deviate by more than
    ``disagreement`` (0 never asks). A row that no judge answered keeps the prior and asks.
    """
    likelihoods, states = batch["state_likelihoods"], batch["state_likelihoods"].shape[2]
    given = batch["judged"].all(2) if "judged" in batch else np.ones(likelihoods.shape[:2], np.bool_)
    start = np.asarray(tuple(prior) or (1.0 / states,) * states)
    table = np.asarray(costs, dtype=np.float64) if costs else 1.0 - np.eye(states)
    found = decide(likelihoods, given & batch.valid[:, None], start, table)
    ask = found.judges == 0
    if outcomes:
        ask |= value_of_information(found.posterior, np.asarray(outcomes, dtype=np.float64), table, price) > 0
    if disagreement > 0:
        ask |= found.disagreement > disagreement
    requests = [
        Request(int(row), "judge", {"posterior": found.posterior[row].tolist(), "action": int(found.action[row])})
        for row in np.flatnonzero(ask & batch.valid).tolist()
    ]
    unheard = int((batch.valid & (found.judges == 0)).sum())
    return batch.signal(rewards=-found.cost, requests=requests, report={"bayesian_panel/unheard": unheard})


@register(
    "mpo",
    room="combination",
    needs="state",
    inputs=_SCORES,
    optional=("groups", "rubric_versions"),
    certainty="code",
    source="MPO (arXiv 2504.20157); minnesotanlp/mpo trl/extras/mpo, trl/trainer/mpo_trainer.py @19972d3b",
    formula="r = sum of the rubric items' scores; every N batches ask for a better rubric",
    papers=("mpo",),
)
class MPO(Tracker):
    """MPO: the score of a rubric whose items are rewritten as training goes on.

    Columns of ``components`` are the items of the rubric; a row with an item missing is left out (the release counts it
    as 0). Every ``every`` batches requests of kind ``refine_rubric`` name ``each`` rows from the low, the middle and
    the high third of the rewards, for a meta-judge; `trackers.EvolvingRubric` keeps what it makes of them. Scores of
    two ``rubric_versions`` in a group are refused, since no advantage may mix them.
    """

    kind = "mpo"

    def __init__(self, *, every: int = 10, each: int = 2, seed: int = 0) -> None:
        if every < 1 or each < 1:
            raise BadOption(f"mpo: every = {every} and each = {each} must be at least 1")
        self.every, self.each, self.seed = every, each, seed
        self.batches = 0

    def __call__(self, batch: SignalBatch) -> Signal:
        """Rewards, and cases for the meta-judge when it is time."""
        _one_version(batch)
        whole = batch.components_given.all(1) & batch.valid
        rewards = np.where(whole, batch["components"].sum(1), 0.0)
        self.batches += 1
        requests = self._cases(rewards, whole) if self.batches % self.every == 0 else []
        unread = int((batch.valid & ~whole).sum())
        return batch.signal(
            rewards=rewards, keep=whole | ~batch.valid, requests=requests, report={"mpo/unread": unread}
        )

    def _cases(self, rewards: FloatArray, whole: BoolArray) -> list[Request]:
        rows = np.flatnonzero(whole)
        ordered = rows[np.argsort(rewards[rows], kind="stable")]
        drawn = np.random.default_rng((self.seed, self.batches))
        chosen = [row for part in np.array_split(ordered, 3) for row in drawn.permutation(part)[: self.each].tolist()]
        return [Request(row, "refine_rubric", {"score": float(rewards[row])}) for row in sorted(chosen)]

    def _state(self) -> dict[str, Any]:
        return {"batches": self.batches}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.batches = int(state["batches"])


def _one_version(batch: SignalBatch) -> None:
    """Refuse groups whose rows were scored by different rubrics."""
    if "rubric_versions" not in batch or "groups" not in batch:
        return
    valid, groups = batch.taken()
    versions = batch["rubric_versions"][valid]
    mixed = np.flatnonzero(groups.min(versions) != groups.max(versions))
    if mixed.size:
        label = groups.labels.tolist()[int(mixed[0])]
        raise BadInput(f"rubric_versions: prompt {label!r} was scored by several; score its rows by one")
