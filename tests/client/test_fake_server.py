"""The public fake: code that scores is tested without a server of ours."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer_client import AsyncRewardClient, IncompleteBatchError, Recipe, Retries, RewardClient, Rollout
from trainer_client.testing import EndCall, FakeServer, Fault, Item, NoAnswer, Skip, Verdict, by_response

RECIPE = Recipe.loads('[rewards.judged]\nverifier = "judge"\ndeadline_s = 20.0\n')
LENIENT = Recipe.loads('max_missing = 1.0\n[rewards.judged]\nverifier = "judge"\ndeadline_s = 20.0\n')
QUICK = Retries(initial_backoff_s=0.001, max_backoff_s=0.01)


def rollouts(*responses: str) -> list[Rollout]:
    return [
        Rollout(f"r{n}", "What is 1+1?", text, group_id="g", reference={"answer": "2"}, metadata={"n": n})
        for n, text in enumerate(responses)
    ]


def test_a_script_sees_what_was_sent_and_its_number_is_the_score() -> None:
    with (
        FakeServer({"judge": lambda item: item.response == item.reference["answer"]}) as server,
        RewardClient(RECIPE, server.address) as client,
    ):
        table = client.score(rollouts("2", "3"), run="r", step=4, seed=5)
    assert table.scores[:, 0].tolist() == [1.0, 0.0]
    first = server.items[0]
    assert (first.verifier, first.rollout_id, first.group_id, first.prompt) == ("judge", "r0", "g", "What is 1+1?")
    assert (first.metadata, first.options, first.attempt) == ({"n": 0}, {}, 1)
    assert (first.run, first.step, first.seed, first.group_size, first.group_present) == ("r", 4, 5, 2, 2)


async def test_every_outcome_can_be_scripted() -> None:
    outcomes: dict[str, Callable[[Item], Any]] = {
        "verdict": lambda item: Verdict(0.5, "partial", "half", {"seen": 1}, {"style": 0.25}, delay_s=0.01),
        "dataset": lambda item: Fault("invalid_reference", "dataset", "reference: is missing"),
        "second try": lambda item: Fault("busy", "upstream", retryable=True) if item.attempt == 1 else 1.0,
        "skip": lambda item: Skip("not_needed"),
        "full": lambda item: Skip("overloaded") if item.attempt == 1 else 0.75,
        "nothing": lambda item: NoAnswer(),
        "broken": lambda item: EndCall("INTERNAL") if item.attempt == 1 else 0.125,
    }
    async with (
        FakeServer({"judge": lambda item: outcomes[item.response](item)}, aspects=("style",)) as server,
        AsyncRewardClient(LENIENT, server.address, retries=QUICK) as client,
    ):
        table = await client.score(rollouts(*outcomes))
    codes = dict(zip(outcomes, table.codes[:, 0].tolist(), strict=True))
    assert codes == {
        "verdict": "partial",
        "dataset": "invalid_reference",
        "second try": "accepted",
        "skip": "not_needed",
        "full": "accepted",
        "nothing": "invalid_reply",
        "broken": "accepted",
    }
    cell = table.cell(0, "judged")
    assert (cell.score, cell.note, cell.evidence, cell.aspects) == (0.5, "half", {"seen": 1}, {"style": 0.25})
    assert (table.cell(1, "judged").party, table.cell(1, "judged").message) == ("dataset", "reference: is missing")


def test_a_mistake_in_a_script_shows_where_its_score_is_read() -> None:
    with (
        FakeServer({"judge": lambda item: item.reference["solution"]}) as server,
        RewardClient(RECIPE, server.address) as client,
        pytest.raises(IncompleteBatchError, match=r"script_failed: KeyError\('solution'\)"),
    ):
        client.score(rollouts(*"22222"))


def test_rollouts_may_say_themselves_what_becomes_of_them() -> None:
    texts = ['{"score": 0.5}', '{"fault": "busy", "retryable": true, "times": 1, "score": 1.0}', "abc"]
    with FakeServer({"judge": by_response}) as server, RewardClient(RECIPE, server.address, retries=QUICK) as client:
        assert client.score(rollouts(*texts)).scores[:, 0].tolist() == [0.5, 1.0, 0.003]


def test_a_taken_port_is_said_and_a_stopped_server_gives_its_port_back() -> None:
    with FakeServer({"judge": by_response}) as server:
        port = int(server.address.rpartition(":")[2])
        with pytest.raises(OSError, match=str(port)):
            FakeServer({"judge": by_response}, port=port).start()
        with pytest.raises(TimeoutError, match="0 of 1 items"):
            server.wait_for_items(timeout_s=0.01)
    with FakeServer({"judge": by_response}, port=port) as again:
        assert again.address == server.address


def test_it_imports_nothing_of_the_servers() -> None:
    program = (
        "import sys, trainer_client.testing; "
        "print(any(name.partition('.')[0] in ('reward_servers', 'sandbox', 'pydantic') for name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.strip() == "False"
