"""Several addresses and several models of a judge, each with a weight."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from reward_servers.core import SettingsError, bind
from reward_servers.verifiers.judge import Judge
from tests.fakes.chat_server import FakeChatServer, Said
from tests.typed import declared
from tests.verifiers.harness import Bench, bench, rollout
from tests.verifiers.judging import served


def yes() -> FakeChatServer:
    return served(lambda request, number: "correct: yes")


@asynccontextmanager
async def weighted(first: FakeChatServer, second: FakeChatServer, *weights: float) -> AsyncIterator[Bench]:
    """A judge at two addresses, each with its weight."""
    with first.running() as one, second.running() as other:
        settings = {"base_url": dict(zip((one, other), weights, strict=True)), "model": "m", "total_timeout_s": 60}
        async with bench(bind(declared(Judge), settings)) as running:
            yield running


async def test_addresses_share_the_requests_in_proportion_to_their_weights() -> None:
    first, second = yes(), yes()
    async with weighted(first, second, 3, 1) as running:
        for number in range(12):
            await running.verdict("judge", rollout(str(number), rollout_id=str(number)))
    assert (len(first.requests), len(second.requests)) == (9, 3)


async def test_an_address_of_weight_0_is_asked_while_the_others_cannot_be() -> None:
    first, second = served([Said(status=500), *["correct: yes"] * 3]), yes()
    async with weighted(first, second, 1, 0) as running:
        for number in range(4):
            await running.verdict("judge", rollout(str(number), rollout_id=str(number)))
    assert (len(first.requests), len(second.requests)) == (4, 1)


async def test_models_are_drawn_in_proportion_to_their_weights_whatever_comes_first() -> None:
    fake = yes()
    with fake.running() as url:
        models = {name: {"base_url": url, "model": name, "weight": weight} for name, weight in (("a", 3), ("b", 1))}
        models["never"] = {"base_url": url, "model": "never", "weight": 0}
        async with bench(bind(declared(Judge), {"models": models})) as running:
            items = [rollout(str(number), rollout_id=str(number)) for number in range(80)]
            await running.outcomes("judge", items)
            drawn = {request["messages"][1]["content"]: request["model"] for request in fake.requests}
            await running.outcomes("judge", items[::-1], {"max_reasks": 0})
    # Which model judges an item follows from its seed: the same one when all come in another order.
    assert {request["messages"][1]["content"]: request["model"] for request in fake.requests} == drawn
    counted = Counter(drawn.values())
    assert counted.keys() == {"a", "b"}
    assert 50 <= counted["a"] <= 70


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base_url": {"http://a/v1": 0, "http://b/v1": 0.0}}, "no weight is positive"),
        ({"base_url": {"http://a/v1": -1}}, "base_url"),
        ({"base_url": {"a": 1}}, "base_url"),
        ({"base_url": "http://a/v1", "reasoning_marks": [["<m>", "<m>"]]}, "two different texts"),
        ({"base_url": "http://a/v1", "reasoning_marks": [["<m>", " "]]}, "reasoning_marks"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        bind(declared(Judge), {"model": "m", **settings})
