"""A server's Rollout given to the client: one line says which to give instead."""

from __future__ import annotations

from typing import Any, cast

import pytest

import reward_servers
from trainer_client import Recipe, RewardClient, RolloutError


def test_a_servers_rollout_is_named_where_the_client_is_given_it() -> None:
    given = cast("Any", reward_servers.Rollout("42"))
    recipe = Recipe.loads('[rewards.a]\nverifier = "m"\n')
    said = r"reward_servers\.Rollout.* import Rollout from trainer_client"
    with RewardClient(recipe, "127.0.0.1:1") as client, pytest.raises(RolloutError, match=said):
        client.score([given])
