"""Labels of the papers on group rewards: help, selection, items, other wordings."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals import SignalBatch, preset
from trainer_client.signals.credit import item_advantages
from trainer_client.signals.crossprompt import group_similarity, stability, token_entropies
from trainer_client.signals.guidance import SkillLibrary, balance_term, best_hints, choose_skill, hint_rewards
from trainer_client.signals.presets._items_and_agents import released_item_tokens
from trainer_client.signals.selection import max_variance_subset, task_values
from trainer_client.signals.shaping import dcg_discounts

from ._group_methods import one_group
from ._harness import Case, label


@label("hill_hint_reward")
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


@label("hill_select_best_hint")
def _(case: Case) -> Any:
    tried = [np.asarray(rows) for rows in case.inputs["rewards_hint_by_flat_prompt_rollout"]]
    reliance, passed = case.inputs["hint_reliance"], case.inputs["hint_ok"]
    each = case.params["num_repeat"]
    prompts = len(tried[0]) // each
    found: dict[str, Any] = {"hint_rewards": {}, "best": {}}
    for prompt in range(prompts):
        rows = slice(prompt * each, (prompt + 1) * each)
        right = np.array([hint[rows] > case.params["positive_threshold"] for hint in tried])
        lean = np.array([reliance[h][prompt] for h in range(len(tried))])
        wins = right.sum(1)
        mean = np.divide((lean * right).sum(1), wins, out=np.full(len(tried), np.nan), where=wins > 0)
        scored = hint_rewards(
            right.mean(1),
            np.full(len(tried), each),
            mean,
            refused=~np.array([passed[h][prompt] for h in range(len(tried))]),
            unhinted=case.params["original_prob_term"],
            temperature=case.params["transfer_temperature"],
        )
        best = int(best_hints(scored.rewards, one_group(len(tried)), 1)[0])
        dead = bool(scored.degenerate[best])
        found["hint_rewards"][str(prompt)] = scored.rewards
        found["best"][str(prompt)] = {
            "reward": scored.rewards[best],
            "hint_id": best,
            "is_zero_variance": dead,
            "avg_hint_reliance": None if dead else float(mean[best]),
            "prob_term": scored.term[best],
        }
    return found


@label("arise_hierarchical_reward")
def _(case: Case) -> Any:
    correct, used = np.asarray(case.inputs["task_correct"], float), case.inputs["skill_used"]
    batch = SignalBatch(correct, one_group(correct.size), skill_used=used)
    total = np.asarray(preset("arise", bonus=float(case.params["skill_bonus"]))(batch).rewards)
    return {"r_task": correct, "r_skill": total - correct, "total": total}


@label("arise_marginal_skill_reward")
def _(case: Case) -> Any:
    outcomes = [*case.inputs["original_outcomes"], case.inputs["verification_outcome"]]
    helped = [False] * (len(outcomes) - 1) + [True]
    values = tuple(case.params["rs_values"])
    batch = SignalBatch(np.asarray(outcomes, float), one_group(len(outcomes)), helped=helped)
    reward = float(np.asarray(preset("arise_new_skill", values=values)(batch).rewards)[-1])
    return {"level": values.index(reward) + 1, "reward": reward}


@label("arise_skill_selection")
def _(case: Case) -> Any:
    assert case.params["exploration_eps"] == 0
    found = choose_skill(
        case.array("scores"), temperature=case.params["temperature"], confidence=case.params["confidence_threshold"]
    )
    return found._asdict()


@label("arise_skill_library")
def _(case: Case) -> Any:
    library = SkillLibrary(
        cache_capacity=case.params["cache_capacity"],
        reservoir_capacity=case.params["reservoir_capacity"],
        memory=case.params["ema_beta"],
        percentile=case.params["delete_percentile"],
    )
    states = []
    for step in case.inputs["steps"]:
        changes = library.step(step["selected"], step["reward"], new=step["new"], utility=step["initial_utility"])
        info = {**changes._asdict(), "deleted": list(changes.deleted)}
        states.append({"cache": dict(library.cache), "reservoir": dict(library.reservoir), "info": info})
    return states


@label("carr_group_reward")
def _(case: Case) -> Any:
    outcome = case.array("outcome_reward")
    only = (case.params["rubric_only_positive"], case.params["rubric_only_negative"])
    # With both switches the source looks at the negative one first.
    use = "wrong_only" if only[1] else "right_only" if only[0] else "always"
    batch = SignalBatch(outcome, one_group(outcome.size), rubric_rewards=case.array("rubric_reward"))
    estimator = preset(
        "release/c_grpo",
        ratio=case.params["rubric_reward_ratio"],
        use=use,
        normalise=case.params["normalize_rubric_reward"],
    )
    return estimator(batch).rewards


@label("rank_grpo_discounts")
def _(case: Case) -> Any:
    return dcg_discounts(case.params["rec_num"])


@label("rank_grpo_item_advantages", atol=1e-6)
def _(case: Case) -> Any:
    items = case.array("rewards_items")
    batch = SignalBatch(None, case.blocks("group_size", len(items)), item_rewards=items)
    scaled = case.params["scale_rewards"]
    return item_advantages(items, batch.groups, divide_by_std=scaled, eps=case.params["eps"])


@label("rank_grpo_token_advantages", atol=1e-6)
def _(case: Case) -> Any:
    shaped = case.params["apply_extra_length_shaping"]
    mask = np.asarray(case.inputs["completion_mask"], np.bool_)
    tokens = released_item_tokens(
        case.array("item_advantages"),
        np.asarray(case.inputs["item_of_token"]),
        mask,
        np.asarray(case.inputs["eos_mask"], np.bool_),
        overflow=case.params["extra_token_penalty"] if shaped else 0.0,
        complete=case.params["end_of_list_reward"] if shaped else 0.0,
        early=case.params["early_stop_penalty"] if shaped else 0.0,
    )
    return {"token_advantages": tokens, "loss_mask": mask.astype(int)}


@label("cobalt_max_variance_subset")
def _(case: Case) -> Any:
    scores = case.array("scores")
    groups = SignalBatch(scores, one_group(scores.size)).groups
    chosen = np.flatnonzero(max_variance_subset(scores, groups, case.params["m"]))
    return sorted(chosen.tolist(), key=lambda row: (scores[row], row))


@label("serial_group_decaying_reward")
def _(case: Case) -> Any:
    correct = case.array("correct_by_exit_order")
    batch = SignalBatch(correct, one_group(correct.size), exit_order=np.arange(correct.size))
    return preset("s_grpo", base=case.params["base"])(batch).rewards


@label("paraphrase_group_similarity")
def _(case: Case) -> Any:
    similarity = case.array("similarity")
    shape = (case.params["paraphrases"], case.params["rollouts"])
    questions = one_group(len(similarity))
    batch = SignalBatch(None, questions, similarity=similarity, variants=case.blocks("rollouts", len(similarity)))
    agreed, _ = group_similarity(similarity, batch.groups, batch.ids("variants"))
    signal = preset("ps_grpo", ddof=0, eps=0.0)(batch)
    assert np.array_equal(np.asarray(signal.rewards), agreed)
    return {"reward": agreed.reshape(shape), "advantage_ddof0": np.asarray(signal.advantages).reshape(shape)}


@label("task_value")
def _(case: Case) -> Any:
    rewards = case.array("rewards")
    batch = SignalBatch(rewards, one_group(rewards.size))
    return task_values(rewards, batch.groups, max_reward=case.params["r_max"])[0]


@label("weighted_grpo", "weighted_grpo_pair")
def _(case: Case) -> Any:
    paired = case.method == "weighted_grpo_pair"
    outcomes = case.array("outcomes_hard_then_easy" if paired else "outcomes")
    groups = np.arange(outcomes.size) // (outcomes.size // 2) if paired else one_group(outcomes.size)
    estimator = preset(
        "w_grpo",
        negative=case.params["lambda_neg"],
        apply="before",
        scope="pair" if paired else "prompt",
        eps=case.params["eps"],
    )
    return estimator(SignalBatch(outcomes, groups, pairings=one_group(outcomes.size))).advantages


@label("posterior_gated_reward")
def _(case: Case) -> Any:
    table = np.stack([case.array(name) for name in ("format", "outcome", "thinking")], axis=1)
    return preset("posterior_grpo")(SignalBatch(None, one_group(len(table)), components=table)).rewards


@label("asymmetric_reward_shaping")
def _(case: Case) -> Any:
    params = case.params
    estimator = preset(
        "asymmetric_shaping", threshold=params["tau"], high=params["alpha_high"], low=params["alpha_low"]
    )
    return np.asarray(estimator(SignalBatch([case.inputs["reward"]])).rewards)[0]


@label("entropy_stability")
def _(case: Case) -> Any:
    pairs = case.inputs["response_pairs"]
    entropies = np.array([token_entropies([text.split() for text in pair]) for pair in pairs])
    gaps = np.abs(entropies[:, 0] - entropies[:, 1])
    return {"entropies": entropies, "gaps": gaps, "stability": stability(gaps)}
