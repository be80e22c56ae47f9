"""The storm's bounds: each of them is named where it is broken, and the spend of each kind holds among failures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.verifiers.judge_storm import Bounded, Served, Weathered
from reward_servers.core import Fault, Verdict
from tests.fakes.chat_server import COMPLETION_TOKENS, PROMPT_TOKENS, Said
from tests.verifiers.harness import rollout
from tests.verifiers.judging import judging, served

CALM = Served(104, 2, [0.5] * 102)
MOST = {"max_requests": 150, "max_tokens": 32_100, "max_cost": 0.0384}
HELD = Weathered(100, 0, 5.0, 4.0, 1.0, CALM, MOST)
SHORT = Bounded("max_tokens", 5_350, Served(50, 0, [0.5] * 50), 48, 52, 0)


def test_what_holds_is_not_called_broken() -> None:
    assert HELD.broken() == []
    assert SHORT.broken() == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (replace(HELD, lost=1), "1 items are lost"),
        (replace(HELD, served=Served(111, 9, [0.5] * 102)), "calls for an item"),
        (replace(HELD, wall_s=5.1), "wall time"),
        (replace(HELD, beside=1.3), "other verifier"),
        (replace(HELD, most={**MOST, "max_requests": 103}), "spend.max_requests"),
        (replace(HELD, most={**MOST, "max_tokens": 10_913}), "spend.max_tokens"),
        (replace(HELD, most={**MOST, "max_cost": 0.01}), "spend.max_cost"),
        (replace(SHORT, most=5_349), "spend.max_tokens: 5350 spent"),
        (replace(SHORT, judged=47, others=1), "1 neither"),
        (replace(SHORT, judged=0), "0 items judged"),
        (replace(SHORT, unpaid=0), "0 told"),
    ],
)
def test_each_bound_that_is_broken_is_named(found: Weathered | Bounded, said: str) -> None:
    (problem,) = found.broken()
    assert said in problem


async def test_a_body_that_stops_half_way_on_a_half_closed_connection_is_asked_for_again() -> None:
    fake = served([Said("correct: no", half_closed=True), "correct: yes"])
    async with judging(fake, total_timeout_s=300) as running:
        assert (await running.verdict("judge", rollout("4"))).score == 1.0
    assert len(fake.requests) == 2


@pytest.mark.parametrize(
    ("spend", "each"),
    [
        ({"max_requests": 12}, 1.0),
        ({"max_tokens": 6_000}, float(PROMPT_TOKENS + COMPLETION_TOKENS)),
        ({"max_cost": 6.0, "input_price": 1e3, "output_price": 1e3}, (PROMPT_TOKENS + COMPLETION_TOKENS) / 1e3),
    ],
    ids=lambda one: next(iter(one)) if isinstance(one, dict) else "",
)
async def test_a_spend_of_each_kind_holds_although_calls_fail_that_were_worked_on(
    spend: dict[str, float], each: float
) -> None:
    def script(request: dict[str, Any], number: int) -> Said | str:
        broken = (Said(status=500), Said(half_closed=True), Said(hang_up=True), Said(body=b'{"choices": [{"mess'))
        return broken[number // 5] if number % 5 == 0 and number < 20 else "correct: yes"

    fake = served(script)
    items = [rollout(f"{number}: 4", rollout_id=str(number)) for number in range(60)]
    async with judging(fake, spend=spend, max_tokens=64, probe=False, total_timeout_s=300) as running:
        found = await running.outcomes("judge", items)
    name = next(iter(spend))
    # Every call that reached the endpoint is on its bill, whatever came back.
    assert len(fake.requests) * each <= spend[name]
    assert sum(isinstance(one, Verdict) for one in found) >= 4
    assert {one.code for one in found if isinstance(one, Fault)} == {"judge_budget"}
