"""What a recipe means, in plain values: for each reward who gives it, for each input of the method where it is from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reward_servers.recipes.offers import NotOfferedError, Offer, Offers
from reward_servers.recipes.ranges import reward_range, score_range
from trainer_client import Recipe, Reward
from trainer_client.recipe.inputs import Plan, written
from trainer_client.signals import INPUTS, Estimator, Pipeline

_GIVES = {
    "combination": "shaped_reward",
    "shaping": "shaped_reward",
    "advantage": "advantage",
    "credit": "token_advantages",
    "selection": "keep, weight, budget or copies",
    "guidance": "requests.jsonl or weights",
    "crossprompt": "advantage or shaped_reward",
    "preference": "pairs.jsonl or weights",
    "weights": "weight",
    "evaluation": "figures in report.json",
}
"""What methods of a stage give, as it is called in what is written."""
_OF_TABLE = {
    "rewards": "the weighted sum of the rewards",
    "groups": "group_id of the rollouts",
    "components": "the rewards, a column each, but for monitors",
    "components_valid": "which of them have a score",
}


def layout_of(recipe: Recipe, offers: Offers) -> dict[str, Any]:
    """What a recipe means, of JSON types.

    Args:
        recipe: The recipe; nothing is wrong with it.
        offers: The verifiers that are there.
    """
    offers_by_name = {reward.name: _offer(recipe, reward, offers) for reward in recipe.rewards}
    total = None
    for turn in recipe.turns:
        possible = reward_range(recipe.at(turn), offers_by_name)
        total = possible if total is None or possible is None else total.joined(possible)
    method = recipe.estimator()
    return {
        "name": recipe.name,
        "digest": recipe.digest,
        "rewards": [_reward(recipe, reward, offers_by_name[reward.name], offers) for reward in recipe.rewards],
        "range": "" if total is None else str(total),
        "method": None if method is None or recipe.plan is None else _method(method, recipe.plan),
        "writes": _files_written(method),
    }


def _offer(recipe: Recipe, reward: Reward, offers: Offers) -> Offer | None:
    try:
        offer = offers.of(recipe.server_of(reward.verifier_name), reward.verifier_name)
        return replace(offer, low=None, high=None) if offer is not None and reward.aspect else offer
    except NotOfferedError:
        return None


def _reward(recipe: Recipe, reward: Reward, offer: Offer | None, offers: Offers) -> dict[str, Any]:
    server = recipe.server_of(reward.verifier_name)
    scores = score_range(offer)
    on_missing = ", ".join(f"{code}: {action}" for code, action in reward.on_missing.items())
    return {
        "reward": reward.name,
        "verifier": (f"{offer.name}@{offer.version}" if offer is not None else reward.verifier)
        + (f": {reward.aspect}" if reward.aspect else ""),
        "runs": f"at {', '.join(offers.addresses(server))}" if offers.runs_elsewhere(server) else "is started",
        "tasks": ", ".join(reward.tasks) if reward.tasks is not None else "all",
        "options": {
            name: str(reward.schedules[f"options.{name}"]) if f"options.{name}" in reward.schedules else value
            for name, value in reward.options.items()
        },
        "scores": str(scores) if scores is not None else "any",
        "weight": _weight(reward, recipe),
        "gate": _gate(reward),
        "missing": on_missing or ("mask" if reward.required else "mean of the group"),
        "aspects": list(offer.aspects) if offer is not None else [],
        "judges_groups": offer.judges_groups if offer is not None else None,
    }


def _weight(reward: Reward, recipe: Recipe) -> str:
    if "weight" in reward.schedules:
        return str(reward.schedules["weight"])
    role = recipe.role_of(reward)
    return f"{reward.weight:g} ({role})" if role else f"{reward.weight:g}"


def _gate(reward: Reward) -> str:
    if reward.gate is None:
        return ""
    at = reward.schedules.get("gate.threshold", f"{reward.gate.threshold:g}")
    closed = reward.schedules.get("gate.closed", f"{reward.gate.closed:g}")
    return f"{reward.gate.comparison} {at}, else {closed}"


def _method(method: Estimator | Pipeline, plan: Plan) -> dict[str, Any]:
    stages = method.stages if isinstance(method, Pipeline) else (method,)
    inputs = []
    for name in sorted(plan.reads):
        declared = INPUTS[name]
        if name in plan.bound:
            source = written(plan.bound[name])
            how = "found where rollouts have it" if name in plan.held else "named by the recipe"
        elif name == "rewards" and plan.apart:
            source, how = f"the weighted sum of {', '.join(plan.apart)}", "without the components"
        elif name in _OF_TABLE:
            source, how = _OF_TABLE[name], "made by the client"
        elif any(INPUTS[input_name].beside == name for input_name in plan.bound):
            source, how = "which of its entries are there", "made by the client"
        else:
            continue
        inputs.append({"input": name, "source": source, "how": how, "meaning": declared.meaning})
    return {
        "setting": " > ".join(f"{stage.name}{_options(stage)}" for stage in stages),
        "needs": method.needs,
        "inputs": inputs,
    }


def _options(stage: Estimator) -> str:
    return f" ({', '.join(f'{name} = {value}' for name, value in stage.options.items())})" if stage.options else ""


def _files_written(method: Estimator | Pipeline | None) -> list[str]:
    files = ["rollouts.jsonl (scores, codes, aspects, reward", "report.json"]
    stages = () if method is None else method.stages if isinstance(method, Pipeline) else (method,)
    gives = list(dict.fromkeys(_GIVES[stage.spec.stage] for stage in stages))
    rows = [entry for entry in gives if ".json" not in entry]
    files[0] += f"; {'; '.join(rows)})" if rows else ")"
    return files + [entry for entry in gives if ".json" in entry]
