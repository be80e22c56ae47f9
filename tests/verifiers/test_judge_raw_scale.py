"""A judge's own points reach a method that needs them, from a recipe."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from reward_servers.server import running as serving
from tests.fakes.chat_server import FakeChatServer
from tests.verifiers.judging import shown, token_of
from tests.verifiers.test_served import config
from trainer_client import AsyncRewardClient, Recipe, Rollout

RECIPE = """
name = "dno"
advantage = "dno"

[rewards.points]
verifier = "judge"
weight = 6.0
options = { protocol = "likert_0_6", criteria = "One point for each of six merits." }
"""


def points(request: dict[str, Any], number: int) -> str:
    found = re.search(r"worth (\d)", shown(request))
    assert found is not None
    return f"Score: {found[1]} [{token_of(request)}]"


async def test_the_six_points_of_dno_make_its_pairs() -> None:
    given = [6, 5, 4, 3, 0]
    rollouts = [Rollout(f"r{one}", "?", f"worth {one}", group_id="g") for one in given]
    with FakeChatServer(points).running() as url:
        settings = config(verifiers={"judge": {"base_url": url, "model": "m"}})
        async with (
            serving(settings, ["judge"]) as server,
            AsyncRewardClient(Recipe.loads(RECIPE), {"judge": [server.address]}) as client,
        ):
            table = await client.score(rollouts)
    assert np.allclose(table.rewards, given)
    assert [table.cell(row, "points").aspects["rating"] for row in range(5)] == given
    # Positives have 5 points or more, negatives at least one less: samples of the policy, all of them.
    pairs = {(given[pair.chosen], given[pair.rejected]) for pair in table.signal.pairs or ()}
    assert pairs == {(6, 5), (6, 4), (6, 3), (6, 0), (5, 4), (5, 3), (5, 0)}
