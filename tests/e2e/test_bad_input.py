"""Bad items, and verifiers that misbehave: each has its own outcome, and no other item loses its score."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from reward_servers.supervisor import ServerProcess, Supervisor
from trainer_client import AsyncRewardClient, Outcome, Recipe, RequestRejectedError, Reward, Rollout, Server

_SERVER = Server("s", ("math", "test/unruly", "test/rank"))


def _recipe(verifier: str, **fields: Any) -> Recipe:
    return Recipe((Reward("r", verifier, **fields),), servers=(_SERVER,), advantage=None, max_missing=1.0)


def _rollout(name: str, response: str, reference: Any = None, group: str = "") -> Rollout:
    return Rollout(name, prompt="p", response=response, group_id=group or name, reference=reference)


@pytest.fixture
async def client() -> AsyncIterator[AsyncRewardClient]:
    names = ("math", "tests.core.unruly:unruly", "tests.core.unruly:rank")
    async with (
        Supervisor([ServerProcess("s", names, workers=2)]) as servers,
        AsyncRewardClient(_recipe("math"), servers.endpoints) as client,
    ):
        yield client


async def test_bad_items_cost_no_other_item_its_score(client: AsyncRewardClient) -> None:
    gold = {"answer": "42"}
    rollouts = [
        _rollout("good", "\\boxed{42}", gold),
        _rollout("no reference", "\\boxed{42}"),
        _rollout("wrong type", "\\boxed{42}", {"answer": {"value": 42}}),
        _rollout("not an object", "\\boxed{42}", [42]),
        _rollout("unusable", "\\boxed{42}", {"answer": "\\frac{"}),
        _rollout("empty", "", gold),
        _rollout("ten megabytes", "x" * 10_000_000 + "\\boxed{42}", gold),
        _rollout("odd characters", "\x00\ud83d\ufffd \\boxed{42}".encode("utf-8", "replace").decode(), gold),
        _rollout("last", "\\boxed{41}", gold),
    ]
    table = await client.score(rollouts)
    cells = {rollout.rollout_id: table.cell(row, "r") for row, rollout in enumerate(rollouts)}
    assert (cells["good"].score, cells["last"].score) == (1.0, 0.0)
    assert cells["odd characters"].score == 1.0
    for name in ("no reference", "wrong type", "not an object", "unusable"):
        assert (cells[name].outcome, cells[name].party) == (Outcome.FAULT, "dataset"), name
        assert "reference" in cells[name].message
    assert (cells["empty"].score, cells["empty"].code) == (0.0, "no_answer")
    assert (cells["ten megabytes"].score, cells["ten megabytes"].code) == (0.0, "limit")


async def test_a_verifier_that_misbehaves_costs_its_own_item_alone(client: AsyncRewardClient) -> None:
    texts = ["fine", "raise", "sleep", "spin", "abort", "memory", "print", "number nan", "fine again"]
    table = await client.with_recipe(_recipe("test/unruly")).score([_rollout(text, text) for text in texts])
    found = {text: (table.outcomes[row, 0], table.codes[row, 0]) for row, text in enumerate(texts)}
    assert found == {
        "fine": (Outcome.VERDICT, "accepted"),
        "raise": (Outcome.FAULT, "verifier_error"),
        "sleep": (Outcome.FAULT, "wall_limit"),
        "spin": (Outcome.VERDICT, "limit"),
        "abort": (Outcome.VERDICT, "crashed_verifier"),
        "memory": (Outcome.VERDICT, "limit"),
        "print": (Outcome.VERDICT, "accepted"),
        "number nan": (Outcome.FAULT, "invalid_score"),
        "fine again": (Outcome.VERDICT, "accepted"),
    }


_WRONG = [
    (Reward("r", "math", options={"endpoint": "http://elsewhere"}), "invalid_options", "options.endpoint"),
    (Reward("r", "math", options={"tolerance": "wide"}), "invalid_options", "options.tolerance"),
    (Reward("r", "math@999"), "version_mismatch", "version"),
    (Reward("r", "nobody"), "unknown_verifier", "nobody"),
]
_FINE = Reward("fine", "test/unruly", weight=0.5)


@pytest.mark.parametrize("beside", [(), (_FINE,)], ids=["alone", "beside another"])
@pytest.mark.parametrize(("wrong", "code", "words"), _WRONG)
async def test_a_wrong_reward_is_refused_by_name(
    client: AsyncRewardClient, wrong: Reward, code: str, words: str, beside: tuple[Reward, ...]
) -> None:
    server = Server("s", (*_SERVER.verifiers, "nobody"))
    recipe = Recipe((wrong, *beside), servers=(server,), advantage=None)
    with pytest.raises(RequestRejectedError, match=words) as refused:
        await client.with_recipe(recipe).score([_rollout("a", "\\boxed{42}", {"answer": "42"})])
    assert (refused.value.code, refused.value.server) == (code, "s")
    assert wrong.verifier_name in str(refused.value)


@pytest.mark.parametrize("beside", [(), (_FINE,)], ids=["alone", "beside another"])
@pytest.mark.parametrize(("wrong", "code"), [(wrong, code) for wrong, code, _ in _WRONG if code != "unknown_verifier"])
async def test_a_recipe_may_go_on_without_a_wrong_reward(
    client: AsyncRewardClient, wrong: Reward, code: str, beside: tuple[Reward, ...]
) -> None:
    rewards = (replace(wrong, on_missing={code: "mask"}), *beside)
    recipe = Recipe(rewards, servers=(_SERVER,), advantage=None, max_missing=1.0)
    table = await client.with_recipe(recipe).score([_rollout("a", "fine", {"answer": "42"})])
    assert (table.outcomes[0, 0], table.parties[0, 0], table.codes[0, 0]) == (Outcome.FAULT, "caller", code)
    assert all(table.outcomes[0, 1:] == Outcome.VERDICT)


async def test_group_verifiers_get_whole_groups_however_many_rollouts_there_are(client: AsyncRewardClient) -> None:
    rollouts = [
        _rollout(f"{group}-{place}", "x" * (place + 1), group=str(group)) for group in range(100) for place in range(7)
    ]
    table = await client.with_recipe(_recipe("test/rank")).score(rollouts)
    assert table.valid.all()
    assert table.scores[:, 0].reshape(100, 7).tolist() == [[place / 6 for place in range(7)]] * 100
