"""Numbers of a recipe that follow the training step: in rewards, in what servers are asked, and in what is saved."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from trainer_client import Recipe, RecipeError, Reward, RewardClient, Rollout, StateError
from trainer_client.recipe.schedules import Schedule
from trainer_client.signals import Gate
from trainer_client.testing import FakeServer, Item

HALF = "{ from = 0.0, to = 0.0, steps = 10 }"
TEXT = """
advantage = ["spo", "gdpo"]
[rewards.a]
verifier = "v"
weight = { from = 0.0, to = 0.5, steps = 10 }
[rewards.b]
verifier = "w"
"""
RAMP = "{ from = 0.0, to = 1.0, steps = 10 }"


def recipe(advantage: str = "none", **more: str) -> Recipe:
    lines = "".join(f"{key} = {value}\n" for key, value in more.items())
    return Recipe.loads(f'advantage = "{advantage}"\n[rewards.a]\nverifier = "v"\n{lines}[rewards.b]\nverifier = "w"\n')


def batch(step: int = 0) -> list[Rollout]:
    return [Rollout(f"s{step}-{n}", "q", text, group_id=f"g{step}") for n, text in enumerate(("10", "01", "11", "00"))]


SCRIPTS: dict[str, Any] = {"v": lambda item: float(item.response[0]), "w": lambda item: float(item.response[1])}


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (Schedule(0.0, 1.0, 10), {0: 0.0, 5: 0.5, 10: 1.0, 99: 1.0}),
        (Schedule(2.0, -2.0, 4, begin=8), {0: 2.0, 8: 2.0, 9: 1.0, 12: -2.0, 13: -2.0}),
        (Schedule(100, 200, 3), {0: 100, 1: 133, 2: 167, 3: 200}),
    ],
)
def test_a_number_goes_from_one_value_to_another(schedule: Schedule, values: dict[int, float]) -> None:
    assert {step: schedule.at(step) for step in values} == values
    assert all(type(schedule.at(step)) is type(value) for step, value in values.items())


def test_a_weight_follows_the_step_in_rewards_and_methods() -> None:
    scheduled = recipe("gdpo", weight=RAMP)
    with FakeServer(SCRIPTS) as server, RewardClient(scheduled, server.address) as client:
        for step, weight in ((0, 0.0), (4, 0.4), (10, 1.0), (25, 1.0)):
            fixed = recipe("gdpo", weight=str(weight))
            table = client.score(batch(step), step=step)
            beside = client.with_recipe(fixed).score(batch(step))
            assert table.rewards.tolist() == [weight, 1.0, 1.0 + weight, 0.0]
            np.testing.assert_allclose(table.advantages, beside.advantages)
        first, last = client.score(batch(1), step=1), client.score(batch(9), step=9)
        assert client.submit(batch(5)[0], step=5).result().reward == 0.5
        assert [t.rewards.tolist()[0] for t in client.stream([batch(3)], step=3)] == [pytest.approx(0.3)]
    assert pickle.loads(pickle.dumps(last)).rewards[0] == pytest.approx(0.9)
    assert first.rewards[0] == pytest.approx(0.1)


def test_only_options_are_whole_between_whole_numbers() -> None:
    whole = "{ from = 0, to = 1, steps = 4 }"
    rewards = recipe(weight=whole, gate=f"{{ at_least = {whole}, closed = {whole} }}", options=f"{{ max = {whole} }}")
    half = rewards.at(1).rewards[0]
    assert (half.weight, half.gate, half.options) == (0.25, Gate(0.25, closed=0.25), {"max": 0})
    assert recipe(weight=whole).digest == recipe(weight="{ from = 0.0, to = 1.0, steps = 4 }").digest


def test_it_may_stay_where_it_is_and_stays_where_it_ends() -> None:
    still = recipe(weight="{ from = 0.5, to = 0.5, steps = 3, begin = 2 }")
    assert [still.at(step).rewards[0].weight for step in (0, 2, 3, 5, 10**9)] == [0.5] * 5


def test_gates_and_options_follow_it_too() -> None:
    seen: list[Any] = []

    def judge(item: Item) -> float:
        seen.append(item.options["max"])
        return 0.5

    scheduled = recipe(
        options="{ max = { from = 4, to = 24, steps = 10 }, unit = 'words' }",
        gate="{ at_least = { from = 0.0, to = 1.0, steps = 10 }, closed = { from = 0, to = -1, steps = 10 } }",
    )
    with FakeServer({**SCRIPTS, "v": judge}) as server, RewardClient(scheduled, server.address) as client:
        opened, closed = (client.score(batch(step), step=step).rewards.tolist() for step in (5, 10))
    assert opened == [0.5, 1.5, 1.5, 0.5]
    assert closed == [-0.5, -0.5, -0.5, -0.5]
    assert sorted(set(seen)) == [14, 24]
    assert all(type(value) is int for value in seen)


def test_a_step_that_is_not_given_is_asked_for() -> None:
    with FakeServer(SCRIPTS) as server, RewardClient(recipe(weight=RAMP), server.address) as client:
        for ask in (client.score, lambda rows: list(client.stream(rows)), lambda rows: client.submit(rows[0])):
            with pytest.raises(RecipeError, match=r"rewards\.a\.weight: changes with the training step; pass step="):
                ask(batch())
    with FakeServer(SCRIPTS) as server, RewardClient(recipe(), server.address) as client:
        assert client.score(batch()).mask.all()


def test_a_state_is_of_the_schedule_and_not_of_a_step() -> None:
    saved = RewardClient(recipe(weight=RAMP), "127.0.0.1:9").state_dict()
    RewardClient(recipe(weight=RAMP), "127.0.0.1:9").load_state_dict(saved)
    with pytest.raises(StateError, match=r"rewards\.a\.schedules"):
        RewardClient(recipe(weight="{ from = 0.0, to = 1.0, steps = 20 }"), "127.0.0.1:9").load_state_dict(saved)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("weight", "{ from = 0.0, to = 1.0 }", "steps is missing"),
        ("weight", "{ from = 0.0, to = 1.0, stepz = 5 }", "'stepz' is not a key here"),
        ("weight", "{ from = 0.0, to = 1.0, steps = 0 }", "steps: 0 is not a whole number of at least 1"),
        ("weight", "{ from = 'a', to = 1.0, steps = 5 }", "from: 'a' is not a finite number"),
        ("weight", "{ from = nan, to = 1.0, steps = 5 }", "from: nan is not a finite number"),
        ("gate", "{ at_least = { from = 0.0, steps = 5 } }", "to is missing"),
        ("options", "{ max = { from = 1, to = 2, steps = -5 } }", "steps: -5 is not"),
        ("required", RAMP, "expected true or false"),
    ],
)
def test_what_is_no_schedule_is_refused_with_its_line(key: str, value: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said) as caught:
        recipe(**{key: value})
    assert caught.value.line == 4


def test_what_cannot_follow_the_step_is_refused() -> None:
    with pytest.raises(RecipeError, match="'deadline_s' cannot change with the step"):
        Reward("a", "v", schedules={"deadline_s": Schedule(1, 2, 3)})
    with pytest.raises(RecipeError, match="reads the weights once, as it keeps state"):
        Recipe.loads(TEXT)


def test_a_method_with_a_state_goes_on_under_weights_that_follow_the_step() -> None:
    with FakeServer(SCRIPTS) as server, RewardClient(recipe("spo", weight=HALF), server.address) as client:
        for step in range(3):
            assert client.score(batch(), step=step).advantages.any()
        assert client.state_dict()["state"]["state"]
