"""Labels of rewards over text, whose rules are in an engine of the servers and whose arithmetic is in methods."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from reward_servers.core import Rollout
from reward_servers.engines.published import (
    answer_bleu,
    answer_tag,
    code_block,
    connected_rubrics,
    format_terms,
    grounded_boxes,
    leaks_answer,
    list_hits,
    read_dimensions,
    read_items,
    read_verdict,
    reasoning_tags,
    slots_of,
    typed_accuracy,
    without_repeats,
)
from reward_servers.verifiers._turn import TurnOptions, turn_aspects
from trainer_client.signals import SignalBatch, method
from trainer_client.signals.authoring import Case, golden
from trainer_client.signals.credit.rank_grpo import gain_to_go


def words(text: str) -> int:
    """The vectors were made with words in place of tokens."""
    return len(text.split())


def reply_of(case: Case) -> str:
    """The vector's reply; long ones are described by their kind."""
    reply = case.inputs["response"]
    if isinstance(reply, str):
        return reply
    many = [f"w{number}" for number in range(5000)]
    marked = ["wait", "mistake", "however", "but", "retry", "error", "verify", "wrong", "evaluate", "wait", "but"]
    thinking = {"expl": ["x"], "longthink": many, "kw": many[:900] + marked}[reply["kind"]]
    explanation = many[:600] if reply["kind"] == "expl" else []
    return " ".join(thinking) + "</think>\n```python\nprint(1)\n```\n" + " ".join(explanation)


@golden("hill_answer_leak")
def _(case: Case) -> Any:
    return leaks_answer(case.inputs["hint"], case.inputs["gold_answer"])


@golden("carr_rubric_reward")
def _(case: Case) -> Any:
    rubrics, entities = case.inputs["rubrics"], case.inputs["entity_values"]
    verdicts = iter(case.inputs["judgements_for_identified_rubrics_in_order"])
    filled = [all(entities.get(slot) is not None for slot in slots_of(rubric)) for rubric in rubrics]
    evidence = case.inputs["has_cited_content"]
    judged = [bool(next(verdicts)) if known and evidence else False for known in filled]
    score = connected_rubrics(rubrics, entities, judged, root=case.params["root_entity"])
    return {
        "reward": score.reward,
        "per_rubric_score": [int(reached) for reached in score.reached],
        "per_rubric_supported": [int(held) for held in score.supported],
        "per_rubric_identified": list(score.identified),
    }


@golden("rank_grpo_reward_indicator", "rank_grpo_reward_dcg_to_go")
def _(case: Case) -> Any:
    hits = list_hits(
        read_items(case.inputs["completion"]),
        [(title, year) for title, year in case.inputs["ground_truth"]],
        catalogue=[(title, year) for title, year in case.inputs["catalog"]],
        seen_titles=case.inputs["seen_titles"],
        length=case.params["rec_num"],
        year_tolerance=case.params["year_tolerance"],
    )
    return hits if case.method.endswith("indicator") else gain_to_go(np.array([hits]))[0]


@golden("cobalt_format_reward")
def _(case: Case) -> Any:
    terms = format_terms(reply_of(case), words)
    return terms.right if case.params["correctness_reward"] >= 0 else terms.wrong


@golden("cobalt_code_reward")
def _(case: Case) -> Any:
    reply, passing = reply_of(case), case.inputs["passing"]
    sent = json.dumps({"previous_best": case.inputs["prev_best_pass_rate"]}).encode()
    share, answered = sum(passing) / len(passing), code_block(reply) is not None
    options = TurnOptions(improvement=True, form="words")
    return turn_aspects(Rollout(reply, metadata_json=sent), options, share, answered=answered)["turn"]


@golden("video_r1_accuracy")
def _(case: Case) -> Any:
    reply, gold, kind = case.inputs["completion"], case.inputs["solution"], case.params["problem_type"]
    if kind == "regression" and _zero(reply) and _zero(gold):
        # The source smooths both sides of its ratio, so that the right answer 0 scores 0; ours scores 1.
        return 0.0
    try:
        return typed_accuracy(reply, gold, kind)
    except ValueError:
        # The source scores a reference that is no number as 0; here that is the data set's fault.
        return 0.0


def _zero(text: str) -> bool:
    try:
        return float(text.partition("<answer>")[2].partition("</answer>")[0]) == 0
    except ValueError:
        return False


@golden("grit_answer_format_reward")
def _(case: Case) -> Any:
    return answer_tag(case.inputs["completion"])


@golden("grit_think_and_rethink_format_reward")
def _(case: Case) -> Any:
    return reasoning_tags(case.inputs["completion"])


@golden("grit_grounded_region_specific_thinking_format_reward_think_rethink")
def _(case: Case) -> Any:
    counting = case.params["dataset"] == "tallyqa"
    return grounded_boxes(case.inputs["completion"], count=int(case.inputs["gt_answer"]) if counting else None)


@golden("grit_bleu_score_reward")
def _(case: Case) -> Any:
    # The source reads on behind the closing tag, whose name becomes a word of the answer; ours stops there.
    return answer_bleu(case.inputs["completion"].replace("</answer>", " answer "), case.inputs["gt_answer"])


@golden("grit_repetitive_reward")
def _(case: Case) -> Any:
    return without_repeats(
        case.inputs["completion"],
        case.inputs["completion_ids"],
        ngram=case.params["ngram"],
        best=case.params["max_reward"],
        padding=case.params["pad_token_id"],
    )


@golden("pref_win_rate", "pref_win_rate_edit", atol=1e-6)
def _(case: Case) -> Any:
    won: list[list[float]] = [[] for _ in range(case.inputs["num_items"])]
    for first, second, reply in case.inputs["comparisons"]:
        found = read_verdict(
            reply,
            first=case.params["better_1"],
            second=case.params["better_2"],
            strict=case.method == "pref_win_rate",
        )
        # The source counts a reply that names no winner as a tie; here the caller decides.
        outcome = 0.5 if found is None else found
        won[first].append(outcome)
        won[second].append(1.0 - outcome)
    return method("release/win_rate")(SignalBatch(comparisons=won)).rewards


@golden("pref_win_rate_dimensions", atol=1e-6)
def _(case: Case) -> Any:
    overall: list[list[float]] = [[] for _ in range(case.inputs["num_items"])]
    respects: list[dict[str, list[float]]] = [{} for _ in overall]
    for first, second, reply in case.inputs["comparisons"]:
        found = read_dimensions(reply)
        for row, sign in ((first, 1), (second, -1)):
            overall[row].append(0.5 if found is None else 0.5 + sign * (found.overall - 0.5))
            for name, outcome in found.by_name.items() if found is not None else ():
                respects[row].setdefault(name, []).append(0.5 + sign * (outcome - 0.5))
    estimator = method(
        "release/dimension_win_rate",
        overall_weight=case.params["overall_weight"],
        dimension_weight=case.params["dim_weight"],
        weights=tuple(case.params["category_weights"] or ()),
    )
    return estimator(SignalBatch(comparisons=overall, dimension_comparisons=respects)).rewards
