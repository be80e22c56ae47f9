"""Inputs that are tables for each rollout, and numbers that a recipe moves: lists of lists, and ``plus``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from trainer_client import Recipe, RecipeError, Reward, RewardClient, Rollout, RolloutError, ScoreTable
from trainer_client.testing import FakeServer, Fault, Item, Verdict

_JUDGES = (Reward("first", "first", required=False), Reward("second", "second", required=False))
_PANEL = {
    "state_likelihoods": [
        [{"from": "first.yes", "times": 0.1}, {"from": "first.no", "times": 0.1}],
        ["second.yes", "second.no"],
    ]
}
_SAID: Mapping[str, tuple[float, float]] = {"fox": (8.0, 2.0), "owl": (5.0, 5.0)}


def first(item: Item) -> Verdict:
    yes, no = _SAID[str(item.response)]
    return Verdict(0.5, aspects={"yes": yes, "no": no})


def second(item: Item) -> Verdict | Fault:
    if item.response == "owl":
        return Fault("away", "upstream")
    return Verdict(0.5, aspects={"yes": 0.2, "no": 0.2})


def panel(inputs: Mapping[str, Any]) -> ScoreTable:
    recipe = Recipe(_JUDGES, advantage="bayesian_panel", inputs=inputs, max_missing=1.0)
    rollouts = [Rollout(f"r{place}", "q", text, group_id="g") for place, text in enumerate(_SAID)]
    with FakeServer({"first": first, "second": second}, aspects=("yes", "no")) as server:
        addresses = dict.fromkeys(("first", "second"), server.address)
        with RewardClient(recipe, addresses) as client:
            return client.score(rollouts)


def test_a_list_of_lists_is_a_table_of_each_rollout() -> None:
    """Medians of 0.8 0.2 and 0.2 0.2: 0.4 0.2, so 2/3 1/3; of the owl one judge is left: even."""
    signal = panel(_PANEL).signal
    assert signal.rewards is not None
    assert signal.valid.tolist() == [True, True], "a judge that fails is left out of its row"
    assert signal.rewards.tolist() == pytest.approx([-1 / 3, -0.5])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["first.yes", "first.no"], r'list of lists of as many sources each, such as \[\["first\.yes", "first\.no"\]'),
        ([["first.yes", "first.no"], ["second.yes"]], "of as many sources each"),
        ([[], []], "of as many sources each"),
        ([["first.yes", "first.no"], ["second.yes", "first.no"]], r"'first\.no' is named twice"),
    ],
)
def test_rows_that_make_no_table_are_refused(rows: Any, said: str) -> None:
    with pytest.raises(RecipeError, match=rf"inputs\.state_likelihoods.*{said}"):
        Recipe(_JUDGES, advantage="bayesian_panel", inputs={"state_likelihoods": rows})


def test_columns_are_no_rows() -> None:
    with pytest.raises(RecipeError, match=r"inputs\.verdict_gaps.*one list of sources, and not a list of lists"):
        Recipe(_JUDGES, advantage="rafts", inputs={"verdict_gaps": [["first", "second"]]})


def test_a_number_is_multiplied_before_it_is_added_to() -> None:
    """2 * 0.5 - 1 = 0, and 0.5 as it is: the mean is 0.25."""
    inputs: dict[str, Any] = {"verdict_gaps": [{"from": "first", "times": 2.0, "plus": -1.0}, "first"]}
    recipe = Recipe(_JUDGES[:1], advantage="rafts", inputs=inputs)
    served = FakeServer({"first": first}, aspects=("yes", "no"))
    with served as server, RewardClient(recipe, {"first": server.address}) as client:
        signal = client.score([Rollout("r0", "q", "fox", group_id="g")]).signal
    assert signal.rewards is not None
    assert signal.rewards.tolist() == [0.25]
    assert recipe.plan is not None
    assert [str(source) for source in recipe.plan.sources()["verdict_gaps"]] == ["first times 2 less 1", "first"]


def test_a_number_that_no_float_holds_is_none() -> None:
    recipe = Recipe(_JUDGES[:1], advantage="rafts", inputs={"verdict_gaps": ["metadata.gap"]})
    served = FakeServer({"first": first}, aspects=("yes", "no"))
    refused = pytest.raises(RolloutError, match=r"'r0'.*expected a number, found 1000")
    with served as server, RewardClient(recipe, {"first": server.address}) as client, refused:
        _ = client.score([Rollout("r0", "q", "fox", group_id="g", metadata={"gap": 10**400})]).signal


@pytest.mark.parametrize(
    ("asked", "here"),
    [("metadata.kind", "extra.kind"), ("metadata.of.all", "extra.of.all"), ("extra.seen", "metadata.seen")],
)
def test_a_key_that_lies_elsewhere_is_said(asked: str, here: str) -> None:
    """A column of a file that is no field is an extra one, and not metadata."""
    rollout = Rollout("r0", "q", "fox", group_id="g", extra={"kind": "a", "of": {"all": 1}}, metadata={"seen": 1})
    recipe = Recipe(_JUDGES[:1], advantage="grpo", inputs={"groups": asked})
    served = FakeServer({"first": first}, aspects=("yes", "no"))
    missing = pytest.raises(RolloutError, match=rf'{asked} is missing.*Here it is "{here}"')
    with served as server, RewardClient(recipe, {"first": server.address}) as client, missing:
        client.score([rollout])
