"""What a loss over pairs or lists needs: CoPG, HyPO, rDPO, RPO, CPL, LiPO, PG-RANK, CoIPO."""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import BadInput, BadOption
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Pair, Signal
from trainer_client.signals.evaluation import coverage_report, robustness
from trainer_client.signals.normalise import group_normalise
from trainer_client.signals.preference import LambdaScheme, best_worst_pairs, lambda_weights, ranked_pairs

_SCORED = ("rewards", "groups")
_RATIOS = ("logprobs", "ref_logprobs", "lengths|mask")


@register(
    "copg",
    room="weights",
    needs="group",
    inputs=(*_SCORED, *_RATIOS),
    certainty="secondary",
    source="CoPG (arXiv 2406.19185), its k-sample loss as quoted in notes on a report that uses it; beta is ours",
    formula="R = r - beta * log(pi / pi_ref); A_i = R_i - mean of the other R; pairs: target (R_i - R_j)",
    papers=("copg",),
)
def copg(batch: SignalBatch, *, beta: float = 0.1) -> Signal:
    """CoPG: the leave-one-out advantage of the regularised reward, right off-policy too, without importance ratios.

    ``-2 beta`` times it is the gradient of ``sum_{i>j} (R_i - R_j)^2 / (k - 1)`` with respect to the log-probabilities.
    Compute it anew at each step: R moves with the policy. Equal rewards still teach while the log-ratios differ. For
    offline data use `copg_pairs`.
    """
    if not beta > 0:
        raise BadOption(f"copg: beta = {beta} must be positive")
    regularised = batch.rewards - beta * _log_ratios(batch)
    advantages = group_normalise(regularised, batch.groups, batch.valid, centre="leave_one_out", scale="none")
    return batch.signal(advantages=advantages, rewards=regularised)


@register(
    "copg_pairs",
    room="weights",
    needs="group",
    inputs=_SCORED,
    certainty="secondary",
    source="CoPG (arXiv 2406.19185), as copg",
    formula="loss (log-ratio_i - log-ratio_j - (r_i - r_j) / beta)^2 for every pair",
    papers=("copg",),
)
def copg_pairs(batch: SignalBatch, *, beta: float = 0.1) -> Signal:
    """CoPG's targets for offline pairs: ``margin`` is what the difference of the log-ratios is regressed on.

    ``weight`` is ``1 / (k - 1)``. Rows of equal reward belong in the loss as well, with a target of 0: such pairs name
    the earlier row first.
    """
    if not beta > 0:
        raise BadOption(f"copg_pairs: beta = {beta} must be positive")
    valid, groups = batch.taken()
    rows = np.flatnonzero(valid)
    pairs = []
    for members in (rows[part].tolist() for part in groups.members()):
        for place, first in enumerate(members):
            for second in members[place + 1 :]:
                gap = float(batch.rewards[first] - batch.rewards[second])
                high, low = (first, second) if gap >= 0 else (second, first)
                pairs.append(Pair(high, low, margin=abs(gap) / beta, weight=1.0 / (len(members) - 1)))
    return batch.signal(pairs=pairs)


@register(
    "hypo",
    room="weights",
    needs="group",
    inputs=("groups", *_RATIOS),
    certainty="abstract",
    source="HyPO (arXiv 2406.01462), abstract and a table that names k for RLOO",
    formula="A_i = -(kl_i - mean of the other kl), kl = sum_t log(pi / pi_ref); loss = DPO(offline) + lam * online",
    papers=("hypo",),
)
def hypo(batch: SignalBatch, *, lam: float = 1.0) -> Signal:
    """HyPO's online half: fresh samples pull the policy back to its reference, beside DPO on offline pairs.

    A single sample of a prompt has no baseline and counts with its own divergence. The report holds the largest
    log-ratio of the fresh samples; `evaluation.coverage_report` compares it with the offline data.
    """
    ratios = _log_ratios(batch)
    centred = group_normalise(ratios, batch.groups, batch.valid, centre="leave_one_out", scale="none", singleton="raw")
    report = coverage_report(ratios[batch.valid], np.zeros(0))
    return batch.signal(advantages=-lam * centred, report={"hypo/largest_log_ratio": report["largest_log_ratio"]})


@register(
    "rdpo",
    room="weights",
    needs="group",
    inputs=_SCORED,
    certainty="code",
    source="rDPO (arXiv 2403.00409); huggingface/trl trl/trainer/dpo_trainer.py (robust) @f2cd5771",
    formula="pair: weight (1 - e) / (1 - 2e); the same pair turned round: -e / (1 - 2e)",
    papers=("rdpo",),
)
def rdpo(batch: SignalBatch, *, flip_rate: float = 0.1, which: Literal["best_worst", "all"] = "best_worst") -> Signal:
    """rDPO: each pair, and against it the same pair turned round, so that wrong labels cancel on average.

    ``flip_rate`` is the share of labels that are wrong (`secrets_ii` estimates it); 0 gives plain pairs. The weights
    correct the loss of a reward model in the same way.
    """
    if not 0.0 <= flip_rate < 0.5:
        raise BadOption(f"rdpo: flip_rate = {flip_rate} must lie in [0, 0.5); from there on labels say nothing")
    make = best_worst_pairs if which == "best_worst" else ranked_pairs
    scale = 1.0 - 2.0 * flip_rate
    pairs = []
    for pair in make(batch.rewards, batch.groups, batch.valid):
        pairs.append(Pair(pair.chosen, pair.rejected, pair.margin, (1.0 - flip_rate) / scale))
        if flip_rate:
            pairs.append(Pair(pair.rejected, pair.chosen, -pair.margin, -flip_rate / scale))
    return batch.signal(pairs=pairs)


@register(
    "rpo",
    room="weights",
    needs="group",
    inputs=_SCORED,
    optional=("references",),
    certainty="code",
    source="RPO (arXiv 2405.16436); YSLIU627/Regularized-Preference-Optimization OpenRLHF, train_rpo.sh @d0389c4d",
    formula="loss = mean -log sigma(beta * D) + eta * NLL(baseline); weights: eta on baseline rows, 0 elsewhere",
    papers=("rpo",),
)
def rpo(batch: SignalBatch, *, eta: float = 0.2) -> Signal:
    """RPO: DPO's pairs, and an imitation of a baseline answer against over-optimisation.

    ``weights`` are the factors of a row's mean negative log-likelihood: ``eta`` on the chosen row of each pair, or on
    the rows marked ``references`` in a group that has any. beta is 0.5 in the script. The likelihood is averaged over
    the tokens of all baseline rows together.
    """
    if eta < 0:
        raise BadOption(f"rpo: eta = {eta} is negative")
    pairs = best_worst_pairs(batch.rewards, batch.groups, batch.valid)
    baseline = np.zeros(batch.rows, np.bool_)
    baseline[[pair.chosen for pair in pairs]] = True
    if "references" in batch:
        given = batch["references"] & batch.valid
        baseline = np.where(batch.groups.spread(batch.groups.any(given)), given, baseline)
    return batch.signal(pairs=pairs, weights=eta * baseline)


@register(
    "cpl",
    room="weights",
    needs="group",
    inputs=_SCORED,
    certainty="code",
    source="CPL (arXiv 2310.13639); jhejna/cpl research/algs/cpl.py @b333667b",
    formula="loss = y * log(1 + exp(bias * S2 - S1)) + (1 - y) * log(1 + exp(bias * S1 - S2)), S = alpha * sum logp",
    papers=("cpl",),
)
def cpl(batch: SignalBatch, *, tie_width: float = 0.0, ties: bool = True) -> Signal:
    """CPL: every pair of a group's segments, without a reference policy; those that score alike count half each way.

    ``label`` is 1, or 0.5 where rewards differ by ``tie_width`` or less; ``ties=False`` leaves these out.
    `trainer_client.losses.contrastive_preference` is the loss.
    """
    if tie_width < 0:
        raise BadOption(f"cpl: tie_width = {tie_width} is negative")
    clear = ranked_pairs(batch.rewards, batch.groups, batch.valid, min_margin=tie_width)
    if not ties:
        return batch.signal(pairs=clear)
    valid, groups = batch.taken()
    rows = np.flatnonzero(valid)
    even = []
    for members in (rows[part] for part in groups.members()):
        gap = np.abs(batch.rewards[members][:, None] - batch.rewards[members][None, :])
        near = np.triu(gap <= tie_width, 1)
        even += [Pair(int(members[i]), int(members[j]), label=0.5) for i, j in np.argwhere(near).tolist()]
    return batch.signal(pairs=[*clear, *even])


@register(
    "lipo",
    room="weights",
    needs="group",
    inputs=(*_SCORED, *_RATIOS),
    certainty="code",
    source="LiPO (arXiv 2402.01878) section 3.3; google/rax rax/_src/lambdaweights.py @af92de1f, without its factor K",
    formula="psi_i > psi_j: W = |2^psi_i - 2^psi_j| * |1/log2(1+rank_i) - 1/log2(1+rank_j)|, ranks by beta * log-ratio",
    papers=("lipo",),
)
def lipo(batch: SignalBatch, *, beta: float = 0.05, scheme: LambdaScheme = "dcg") -> Signal:
    """LiPO-lambda: every pair of a list, weighted by what its exchange does to the ranking.

    Rewards are the labels psi, such as `win_shares` with ``include_self``. The weights depend on the present policy:
    compute them at each step. The loss of a pair is ``weight * log(1 + exp(-beta * (log-ratio_i - log-ratio_j)))``.
    """
    if not beta > 0:
        raise BadOption(f"lipo: beta = {beta} must be positive")
    valid, groups = batch.taken()
    rows, scores = np.flatnonzero(valid), beta * _log_ratios(batch)
    pairs = []
    for members in (rows[part] for part in groups.members()):
        labels = batch.rewards[members]
        weights = lambda_weights(scores[members], labels, scheme=scheme)
        pairs += [
            Pair(int(members[i]), int(members[j]), float(labels[i] - labels[j]), float(weights[i, j]))
            for i, j in np.argwhere(labels[:, None] > labels[None, :]).tolist()
        ]
    return batch.signal(pairs=pairs)


@register(
    "pg_rank",
    room="advantage",
    needs="group",
    inputs=_SCORED,
    certainty="abstract",
    source="Neural PG-RANK (arXiv 2310.04407), abstract and a public re-implementation",
    formula="A_i = U_i - mean of the other U; log pi = sum_k s_k - logsumexp_{j >= k} s_j",
    papers=("pg-rank",),
)
def pg_rank(batch: SignalBatch) -> Signal:
    """Neural PG-RANK: rankings drawn from a Plackett-Luce policy, each against the utility of the others.

    Rewards are the utilities of the sampled rankings, such as NDCG. A single sample counts with its own utility.
    `trainer_client.losses.plackett_luce` is the log-probability.
    """
    advantages = group_normalise(
        batch.rewards, batch.groups, batch.valid, centre="leave_one_out", scale="none", singleton="raw"
    )
    return batch.signal(advantages=advantages)


@register(
    "coipo",
    room="crossprompt",
    needs="group",
    inputs=("noisy", "groups"),
    optional=("rewards",),
    certainty="code",
    source="CoIPO, vegetable-yx/CoIPO ContrastiveLlama.py @7b6f8796",
    formula="exp(min(0, K(N1,O1) - K(N1,O2) + K(N2,O2) - K(N2,O1))) over pairs of prompts, each clean and noisy",
    papers=("coipo",),
)
def coipo(batch: SignalBatch) -> Signal:
    """CoIPO: the same prompt clean and perturbed, paired up for a loss that draws their answers together.

    A group is one prompt with one clean row and its ``noisy`` ones; a pair names the clean row as chosen and a noisy
    one as rejected. Consecutive pairs go into `trainer_client.losses.noise_contrast`, published weight 1000. With
    rewards the report holds what noise costs, by family of prompts.
    """
    valid, groups = batch.taken()
    rows, noisy = np.flatnonzero(valid), batch["noisy"][valid]
    several = np.flatnonzero(groups.sum(~noisy) > 1)
    if several.size:
        label = groups.labels.tolist()[int(several[0])]
        raise BadInput(f"noisy: prompt {label!r} has more than one clean row; mark the perturbed ones")
    pairs = []
    for members in groups.members():
        clean, shaken = members[~noisy[members]], members[noisy[members]]
        pairs += [Pair(int(rows[clean[0]]), int(rows[m])) for m in shaken.tolist() if clean.size]
    report = robustness(batch.rewards[valid], noisy, groups) if "rewards" in batch else {}
    return batch.signal(pairs=pairs, report={f"coipo/{name}": value for name, value in report.items()})


def _log_ratios(batch: SignalBatch) -> FloatArray:
    """``[N]`` log of policy over reference, summed over generated tokens; 0 for rows that take no part."""
    inside = batch.mask & batch.valid[:, None]
    total: FloatArray = np.where(inside, batch["logprobs"] - batch["ref_logprobs"], 0.0).sum(1)
    return total
