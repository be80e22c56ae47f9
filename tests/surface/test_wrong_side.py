"""A Rollout of the other side: one line says which to give instead."""

from __future__ import annotations

from typing import Any, cast

import pytest

import reward_servers
import trainer_client
from reward_servers.core import Context, Group, PromptContext
from reward_servers.verifiers.exact import exact
from trainer_client import Recipe, RewardClient, RolloutError


def test_a_servers_rollout_is_named_where_the_client_is_given_it() -> None:
    given = cast("Any", reward_servers.Rollout("42"))
    recipe = Recipe.loads('[rewards.a]\nverifier = "m"\n')
    said = r"reward_servers\.Rollout.* import Rollout from trainer_client"
    with RewardClient(recipe, "127.0.0.1:1") as client, pytest.raises(RolloutError, match=said):
        client.score([given])


def test_a_trainers_rollout_is_named_where_a_verifier_is_given_it() -> None:
    given = cast("Any", trainer_client.Rollout("r", "g", "6 * 7?", "42"))
    said = r"found trainer_client\.Rollout; .* import Rollout from reward_servers"
    with pytest.raises(TypeError, match=said):
        exact(given, None, None)
    with pytest.raises(TypeError, match=said):
        exact(Group(PromptContext("g"), [reward_servers.Rollout("41"), given]), None, None)


async def test_a_trainers_rollout_is_named_where_another_verifier_is_asked_about_it() -> None:
    async def ask(*_: Any) -> Any:
        raise AssertionError("nothing is asked")

    context = Context("test/asking", "r", ask=ask)
    with pytest.raises(TypeError, match="import Rollout from reward_servers"):
        await context.score("exact", cast("Any", trainer_client.Rollout("r", "g", "p", "42")))
    with pytest.raises(TypeError, match=r"found str; make one with reward_servers\.Rollout\(text\)"):
        await context.score("exact", cast("Any", "42"))
