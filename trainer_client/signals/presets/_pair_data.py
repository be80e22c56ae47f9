"""Where preference pairs come from: denoised labels, large margins, rejection sampling, trees, constraints."""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainer_client.signals._arrays import FloatArray, IntArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._draws import uniforms
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Pair, Signal
from trainer_client.signals.evaluation import rubric_agrees
from trainer_client.signals.preference import (
    Denoise,
    best_worst_pairs,
    constraint_pairs,
    contrast_pairs,
    denoise_pairs,
    labelled_pairs,
    large_margin_pairs,
    normalised_entropy,
    preference_strength,
    rejected_weights,
    rejection_sample,
    sibling_pairs,
    tool_step_reward,
    tournament_pairs,
    win_shares,
)

_SCORED = ("rewards", "groups")


@register(
    "secrets_ii",
    room="preference",
    needs="group",
    inputs=("model_scores", "preferred", "groups"),
    certainty="code",
    source="Secrets of RLHF II (arXiv 2401.06080) sections 2.2 to 2.5; OpenLMLab/MOSS-RLHF rm @4865d826",
    formula="strength = mean over models of r(chosen) - r(rejected); below 0: soften, flip or drop; margin = strength",
    papers=("secrets-ii",),
)
def secrets_ii(batch: SignalBatch, *, action: Denoise = "soft", smoothing: float = 0.1, margin: bool = True) -> Signal:
    """Labelled pairs, denoised by the opinion of several reward models.

    Groups are pairs of rows, of which the ``preferred`` one is labelled better. Pairs that the models on average see
    the other way round are softened (the paper's recommendation, with the margin), flipped, dropped or kept. Their
    share estimates how many labels are wrong; rDPO's ``flip_rate`` takes it.
    """
    chosen, rejected = labelled_pairs(batch["preferred"], batch.groups, batch.valid)
    scores = batch["model_scores"]
    found = preference_strength(scores[chosen], scores[rejected])
    treated = denoise_pairs(found.mean, action, smoothing=smoothing)
    pairs = [
        Pair(int(r if turned else c), int(c if turned else r), float(m) if margin else 0.0, float(w), float(p))
        for c, r, turned, p, w, m in zip(chosen, rejected, *treated, strict=True)
        if w > 0
    ]
    report = {
        "secrets_ii/flip_rate": float((found.mean < 0).mean()) if found.mean.size else None,
        "secrets_ii/models": scores.shape[1],
        "secrets_ii/disagreement": float(found.deviation.mean()) if found.mean.size else None,
    }
    return batch.signal(pairs=pairs, report=report)


@register(
    "dno",
    room="preference",
    needs="group",
    inputs=_SCORED,
    optional=("defective", "references"),
    certainty="paper",
    source="DNO (arXiv 2404.03715) algorithm 2 (DNO-Prct), section 5.1",
    formula="score+ >= 5 and score+ - score- >= 2 (1 where + is a policy sample); all such pairs",
    papers=("dno",),
)
def dno(batch: SignalBatch, *, least: float = 5.0, margin: float = 2.0, sampled_margin: float = 1.0) -> Signal:
    """DNO's pairs: good answers against clearly worse ones, by a judge that gives up to six points.

    Candidates of a prompt are samples of the policy and a teacher's answer (``references``). A ``defective`` answer is
    a negative to every positive. Pairs of earlier iterations are replayed in shares of 0.3, 0.15 and so on. The loss is
    DPO's with the present policy as the reference (beta 0.1 or 0.05).
    """
    nothing = np.zeros(batch.rows, np.bool_)
    sampled = ~batch["references"] if "references" in batch else ~nothing
    bad = nothing
    if "defective" in batch:
        bad = batch["defective"]
    pairs = large_margin_pairs(
        batch.rewards,
        sampled,
        bad,
        batch.groups,
        batch.valid,
        least=least,
        margin=margin,
        sampled_margin=sampled_margin,
    )
    return batch.signal(pairs=pairs, report={"dno/pairs": len(pairs)})


@register(
    "win_shares",
    room="preference",
    needs="group",
    inputs=("wins", "groups"),
    certainty="paper",
    source="DNO (arXiv 2404.03715) section 4; LiPO (arXiv 2402.01878) section 2",
    formula="r_i = mean over the others of P(i beats j), or (sum + 1/2) / K",
    papers=("dno", "lipo"),
)
def win_share_rewards(batch: SignalBatch, *, include_self: bool = False) -> Signal:
    """Win rates within the group as rewards: DNO's over the others, LiPO's labels with a half for oneself."""
    valid, groups = batch.taken()
    shares = win_shares(batch["wins"][np.ix_(valid, valid)], groups, own=0.5 if include_self else None)
    return batch.signal(rewards=batch.scatter(shares))


@register(
    "on_policy_pairs",
    room="preference",
    needs="group",
    inputs=_SCORED,
    optional=("sampled_at",),
    certainty="abstract",
    source="Preference Fine-Tuning of LLMs Should Leverage Suboptimal, On-Policy Data (arXiv 2404.14367)",
    formula="best > worst, or best > each worse row with weight 1 / (number of these)",
    papers=("on-policy-pairs",),
)
def on_policy_pairs(
    batch: SignalBatch, *, against: Literal["worst", "worse"] = "worst", max_age: int | None = None
) -> Signal:
    """Pairs of fresh samples with a negative in each, however poor; nothing is filtered by its reward.

    ``max_age`` leaves out rows that ``sampled_at`` says are older, in steps of the policy (of ``batch.step``). The
    report holds the share of rows that are fresh (age 0) and their mean age.
    """
    usable = batch.valid
    report: dict[str, object] = {}
    if "sampled_at" in batch:
        age = (batch.step or 0) - batch["sampled_at"]
        if max_age is not None:
            usable = usable & (age <= max_age)
        seen = age[batch.valid]
        report["on_policy_pairs/fresh"] = float((seen <= 0).mean()) if seen.size else None
        report["on_policy_pairs/age"] = float(seen.mean()) if seen.size else None
    make = best_worst_pairs if against == "worst" else contrast_pairs
    return batch.signal(pairs=make(batch.rewards, batch.groups, usable), report=report)


@register(
    "rso",
    room="preference",
    needs="group",
    inputs=_SCORED,
    certainty="paper",
    source="RSO (arXiv 2309.06657) section 3, appendix A.1",
    formula="accept r with probability exp((r - max r) / beta), pass by pass; pairs of accepted rows by their reward",
    papers=("rso",),
)
def rso(
    batch: SignalBatch,
    *,
    number: int = 8,
    beta: float = 0.5,
    ranking: Literal["first_round", "tournament"] = "first_round",
    seed: int = 0,
) -> Signal:
    """RSO: samples are thinned until they look drawn from the optimal policy, and paired at random.

    The published numbers are 64 candidates (temperature 0.7, top-k 40), 8 accepted. ``weights`` and ``keep`` are those
    of accepted rows. Drawn by the seed, the step and the prompt. Remove repeated texts first.
    """
    valid, groups = batch.taken()
    rewards = batch.rewards[valid]
    turn = rejection_sample(
        rewards,
        groups,
        lambda round_, _: uniforms(batch.groups, seed=seed, step=batch.step, stream=f"rso/{round_}")[valid],
        number=number,
        beta=beta,
    )
    rows = np.flatnonzero(valid)
    order = uniforms(batch.groups, seed=seed, step=batch.step, stream="rso/pairs")[valid]
    pairs = []
    for members in groups.members():
        members = members[turn[members] >= 0]
        entrants = rows[members[np.argsort(order[members], kind="stable")]]
        pairs += tournament_pairs(batch.rewards, entrants.tolist(), rounds=1 if ranking == "first_round" else None)
    keep = np.ones(batch.rows, np.bool_)
    keep[valid] = turn >= 0
    return batch.signal(keep=keep, pairs=pairs, report={"rso/accepted": int((turn >= 0).sum())})


@register(
    "did",
    room="preference",
    needs="group",
    inputs=_SCORED,
    certainty="abstract",
    source="An Information-Theoretic Perspective on Preference Optimization, abstract; the estimate is ours",
    formula="chosen: best row; rejected: drawn by softmax(-power * r / scale) among worse ones",
    papers=("did",),
)
def did(batch: SignalBatch, *, scale: float = 1.0, power: float = 1.0, seed: int = 0) -> Signal:
    """Pairs whose rejected side is drawn by the distribution under which DPO's reward is the optimal one.

    The report holds the normalised entropy of the differential information, ``softmax(r / scale)``: high for open
    instructions, low for knowledge; None without a group of two.
    """
    valid, groups = batch.taken()
    rewards, rows = batch.rewards[valid], np.flatnonzero(valid)
    worse = groups.apply(np.less, rewards, groups.max(rewards))
    drawn = _drawn(np.where(worse, rejected_weights(rewards, groups, scale=scale, power=power), 0.0), batch, seed)
    best = np.flatnonzero(groups.rank(rewards, descending=True) == 0)
    partner = np.empty(len(groups), np.int64)
    partner[groups.index[drawn]] = drawn
    pairs = [
        Pair(int(rows[b]), int(rows[w]), margin=float(rewards[b] - rewards[w]))
        for b, w in zip(best.tolist(), partner[groups.index[best]].tolist(), strict=True)
        if rewards[b] > rewards[w]
    ]
    entropy = normalised_entropy(rejected_weights(rewards, groups, scale=scale, power=-1.0), groups)
    known = entropy[np.isfinite(entropy)]
    return batch.signal(pairs=pairs, report={"did/entropy": float(known.mean()) if known.size else None})


@register(
    "mapl",
    room="preference",
    needs="group",
    inputs=("components", "components_valid", "groups"),
    certainty="secondary",
    source="MAPL (arXiv 2505.12845), intra-instruction loss as quoted in a review",
    formula="pairs of instructions for one answer: all constraints met over some missed",
    papers=("mapl",),
)
def mapl(batch: SignalBatch) -> Signal:
    """MAPL: which of several instructions an answer follows, told by checkers.

    Rows are instructions with the same answer (``groups``). ``components_valid`` says which constraints a row's
    instruction names, ``components`` is above 0 where the answer meets one. In a pair both rows have that answer: train
    with `losses.bradley_terry` on its scores under both; `losses.crossed_preference` is the part across answers.
    """
    pairs = constraint_pairs(batch["components"] > 0, batch.components_given, batch.groups, batch.valid)
    return batch.signal(pairs=pairs)


@register(
    "seppo",
    room="preference",
    needs="group",
    inputs=("references", "groups", "logprobs", "old_logprobs", "lengths|mask"),
    certainty="abstract",
    source="SePPO, abstract; carried over from image diffusion, the test by implicit reward is ours",
    formula="d = log pi - log pi of the checkpoint; sample below the gold answer in d: negative, else second positive",
    papers=("seppo",),
)
def seppo(batch: SignalBatch) -> Signal:
    """SePPO's anchor: a sample of an earlier checkpoint is a negative only where the policy prefers the gold answer.

    ``references`` are gold answers, ``old_logprobs`` those of the checkpoint that wrote the samples. ``advantages`` is
    the side of each row: 1 for gold answers and for samples the policy has come to prefer, -1 for the rest. Samples of
    a group without a gold answer are dropped.
    """
    valid, groups = batch.taken()
    mask = batch.mask[valid]
    gain = np.where(mask, batch["logprobs"][valid] - batch["old_logprobs"][valid], 0.0).sum(1)
    gold, rows = batch["references"][valid], np.flatnonzero(valid)
    anchor = groups.max(np.where(gold, gain, -np.inf))
    anchored = groups.any(gold)
    side = np.where(gold | (gain >= groups.spread(anchor)), 1.0, -1.0)
    pairs = []
    for members, has_gold in zip(groups.members(), anchored.tolist(), strict=True):
        if not has_gold:
            continue
        head = members[gold[members]][int(np.argmax(gain[members[gold[members]]]))]
        worse = members[side[members] < 0].tolist()
        pairs += [Pair(int(rows[head]), int(rows[w]), margin=float(gain[head] - gain[w])) for w in worse]
    keep = np.ones(batch.rows, np.bool_)
    keep[valid] = groups.spread(anchored)
    return batch.signal(advantages=batch.scatter(side), keep=keep, pairs=pairs)


@register(
    "itool_steps",
    room="shaping",
    needs="row",
    inputs=("texts", "reference_texts"),
    certainty="code",
    source="iTool, zeng-yirong/iTool mcts/mcts_vllm.py get_reward(fast_reward=True) @871eceb4",
    formula="r = +-0.1 for calling a tool where the reference does + shared words / shorter text - 0.5",
    papers=("itool",),
)
def itool_steps(batch: SignalBatch) -> Signal:
    """ITool's quick reward of a step of tool use against the reference call."""
    texts, references = batch.objects("texts"), batch.objects("reference_texts")
    scored = zip(texts, references, batch.valid.tolist(), strict=True)
    return batch.signal(rewards=np.array([tool_step_reward(t, r) if live else 0.0 for t, r, live in scored]))


@register(
    "itool_pairs",
    room="preference",
    needs="group",
    inputs=("rewards", "groups", "texts"),
    certainty="code",
    source="iTool, zeng-yirong/iTool mcts/utils.py @871eceb4",
    formula="best > worst child of a node, if gap >= 0.1, overlap <= 0.95 and best >= -0.3",
    papers=("itool",),
)
def itool_pairs(batch: SignalBatch, *, margin: float = 0.1, alike: float = 0.95, least: float = -0.3) -> Signal:
    """ITool's pairs from a search tree: ``groups`` are the nodes that steps follow, ``rewards`` their values.

    Published: depth 2, 2 actions, 5 iterations, 3 rounds of DPO with beta 0.01.
    """
    pairs = sibling_pairs(
        batch.rewards, batch.objects("texts"), batch.groups, batch.valid, margin=margin, alike=alike, least=least
    )
    return batch.signal(pairs=pairs)


@register(
    "cdrrm",
    room="selection",
    needs="group",
    inputs=("expected_winners", "predicted_winners", "groups"),
    certainty="code",
    source="CDRRM, ldcan/CDRRM sft_data_synthesis/filter_inconsistent_rubrics.py @100601c6",
    formula="keep an instruction iff its rubric prefers the labelled answer in every pair",
    papers=("cdrrm",),
)
def cdrrm(batch: SignalBatch) -> Signal:
    """CDRRM's filter: a rubric that predicts one pair of an instruction wrongly takes all of its pairs out.

    Rows are pairs, ``groups`` instructions. A side that is not stated (an empty text) agrees with anything; a tie does
    not. `evaluation.read_winner` and `evaluation.judge_metrics` are for the judge that uses the rubric.
    """
    valid, groups = batch.taken()
    sides = zip(batch.objects("expected_winners"), batch.objects("predicted_winners"), strict=True)
    agree = np.array([rubric_agrees(expected, predicted) for expected, predicted in sides], np.bool_)[valid]
    keep = np.ones(batch.rows, np.bool_)
    keep[valid] = groups.spread(groups.all(agree))
    return batch.signal(keep=keep, report={"cdrrm/inconsistent": int((~groups.all(agree)).sum())})


def _drawn(weights: FloatArray, batch: SignalBatch, seed: int) -> IntArray:
    """One row of each group of the valid rows, drawn by the weights."""
    valid, groups = batch.taken()
    number = uniforms(batch.groups, seed=seed, step=batch.step, stream="did")[valid]
    # The row with the smallest exponential clock is drawn with its weight (exponential race).
    clock = -np.log1p(-number) / np.maximum(weights, 1e-300)
    rows: IntArray = np.flatnonzero(groups.rank(clock) == 0)
    return rows
