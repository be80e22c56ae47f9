"""A reward that is a part of a verdict: read from it, asked for once, and never a way around a wrong answer."""

from __future__ import annotations

import math

import pytest

from trainer_client import AsyncRewardClient, Recipe, RecipeError, RewardClient, Rollout
from trainer_client.testing import FakeServer, Fault, Item, Verdict

TEXT = """
advantage = "none"
max_missing = 1.0
[rewards.style]
verifier = "judge"
aspect = "style"
weight = 0.5
[rewards.whole]
verifier = "judge"
[rewards.facts]
verifier = "judge"
aspect = "facts"
on_missing = "floor"
[rewards.strict]
verifier = "judge"
aspect = "style"
options = { strict = true }
weight = 0
required = false
"""
RECIPE = Recipe.loads(TEXT)
asked: list[Item] = []


def judge(item: Item) -> Verdict | Fault:
    asked.append(item)
    match item.response:
        case "nothing":
            return Verdict(0.0, "no_answer")
        case "lost":
            return Fault("judge_unavailable")
        case "bare":
            return Verdict(0.75)
        case "right":
            return Verdict(1.0, aspects={"style": 0.25, "facts": 1.0})
    return Verdict(0.5, aspects={"style": 0.25, "facts": 1.0} | ({"style": 0.1} if item.options else {}))


def served() -> FakeServer:
    return FakeServer({"judge": judge}, aspects=("style", "facts"))


def rollouts(*texts: str) -> list[Rollout]:
    return [Rollout(f"r{n}", "q", text, group_id="g") for n, text in enumerate(texts)]


def test_columns_are_read_from_one_verdict() -> None:
    asked.clear()
    with (
        served() as server,
        RewardClient(RECIPE, server.address) as client,
    ):
        table = client.score(rollouts("fine", "nothing", "lost", "bare"))
    # Style, whole and facts are one question; other options are another.
    assert len(asked) == 8
    style, whole, facts, strict = table.scores.T.tolist()
    assert style[:2] == [0.25, 0.0]
    assert whole[:2] == [0.5, 0.0]
    assert facts[:2] == [1.0, 0.0]
    assert strict[:2] == [0.1, 0.0]
    # What the candidate did is its floor; what the judge left out is a fault, and no score.
    assert table.codes.tolist()[1] == ["no_answer"] * 4
    assert table.codes.tolist()[2] == ["judge_unavailable"] * 4
    assert table.codes.tolist()[3] == ["no_aspect", "accepted", "no_aspect", "no_aspect"]
    assert math.isnan(style[3])
    assert whole[3] == 0.75
    assert "no aspect 'style'" in table.cell(3, "style").message
    assert table.rewards[0] == pytest.approx(0.5 * 0.25 + 0.5 + 1.0)
    assert not table.mask[2]


async def test_single_rollouts_and_streams_read_them_too() -> None:
    with served() as server:
        async with AsyncRewardClient(RECIPE, server.address) as client:
            result = await client.submit(rollouts("fine")[0])
            assert result.scores == {"style": 0.25, "whole": 0.5, "facts": 1.0, "strict": 0.1}
            assert result.reward == pytest.approx(1.625)
            tables = [table async for table in client.stream([rollouts("fine", "bare")])]
    assert tables[0].scores[:, 1].tolist() == [0.5, 0.75]
    assert tables[0].codes[1].tolist() == ["no_aspect", "accepted", "no_aspect", "no_aspect"]


def test_what_was_asked_once_has_cost_once() -> None:
    with (
        served() as server,
        RewardClient(RECIPE, server.address) as client,
    ):
        summary = client.score(rollouts("fine", "fine")).summary()
    spent = {one.name: one.run_seconds for one in summary.rewards}
    assert spent["whole"] == spent["facts"] == 0.0
    assert {one.name: one.weight for one in summary.rewards}["strict"] == "0, monitor"


@pytest.mark.parametrize("method", ["m_grpo_reward", "mpo"])
def test_a_monitor_is_no_component_of_a_method(method: str) -> None:
    text = f'''
advantage = ["{method}", "grpo"]
[rewards.whole]
verifier = "judge"
[rewards.facts]
verifier = "judge"
aspect = "facts"
'''
    monitor = """
[rewards.style]
verifier = "judge"
aspect = "style"
required = false
weight = 0
"""
    with served() as server:
        found = []
        for recipe in (Recipe.loads(text), Recipe.loads(text + monitor)):
            with RewardClient(recipe, server.address) as client:
                shaped = client.score(rollouts("right", "nothing")).estimate().rewards
                assert shaped is not None
                found.append(shaped.tolist())
    assert found[0] == found[1]
    assert found[0][0] > found[0][1]


def test_a_weight_that_follows_the_step_makes_no_monitor() -> None:
    """Whatever it is at a step: columns of a method do not come and go."""
    weight = "{ from = 0.0, to = 1.0, steps = 4 }"
    recipe = Recipe.loads(f'advantage = "grpo"\n[rewards.a]\nverifier = "judge"\nrequired = false\nweight = {weight}')
    assert not any(one.rewards[0].is_monitor for one in (recipe, recipe.at(0), recipe.at(4)))
    assert RECIPE.rewards[3].is_monitor
    assert RECIPE.at(1).rewards[3].is_monitor


def test_tasks_decide_who_is_asked() -> None:
    text = TEXT.replace('[rewards.whole]\nverifier = "judge"', '[rewards.whole]\nverifier = "judge"\ntasks = ["x"]')
    asked.clear()
    with (
        served() as server,
        RewardClient(Recipe.loads(text), server.address) as client,
    ):
        table = client.score(rollouts("fine"))
    assert len(asked) == 2
    assert table.codes.tolist() == [["accepted", "not_asked", "accepted", "accepted"]]


def test_an_aspect_is_a_text() -> None:
    with pytest.raises(RecipeError, match=r"rewards\.style\.aspect: expected text"):
        Recipe.loads(TEXT.replace('aspect = "style"', "aspect = 3", 1))
