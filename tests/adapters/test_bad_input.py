"""What is wrong at the first call of TRL's adapter is an error that names it, or the fault of one rollout."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any, cast

import pytest

from tests.gateway.conftest import Processes
from trainer_client import AsyncRewardClient, Recipe, RecipeError, Retries, RolloutError, ServerUnavailableError
from trainer_client.adapters.trl import reward_function

REWARD = '[servers.rules]\nverifiers = ["exact"]\n[rewards.correct]\nverifier = "exact"\n'
ROUTED = REWARD + 'tasks = ["math"]\n'


def run(function: Any, given: dict[str, Any]) -> list[float | None]:
    answer: list[float | None] = asyncio.run(function(**given))
    return answer


def call(endpoints: Any, recipe: str = REWARD, *, other_tasks: bool = False, **columns: Any) -> list[float | None]:
    function = reward_function(Recipe.loads(recipe), endpoints, other_tasks=other_tasks, max_missing=1.0)
    given = {"prompts": ["p"] * 2, "completions": ["a", "b"], "completion_ids": [[1]] * 2, "answer": ["a", "a"]}
    return run(function, {**given, **columns})


@pytest.mark.parametrize("column", ["completions", "answer", "completion_ids"])
def test_columns_of_another_length(server: str, column: str) -> None:
    with pytest.raises(RolloutError, match=f"{column}.* has 1 values for 2 prompts"):
        call(server, **cast("dict[str, Any]", {column: ["a"]}))


def test_a_task_that_no_reward_is_for(server: str) -> None:
    with pytest.raises(RolloutError, match="is for task 'code'; name it in a reward's `tasks`"):
        call(server, ROUTED, task=["math", "code"])
    with pytest.raises(RolloutError, match="is for task ''"):
        call(server, ROUTED)
    assert call(server, ROUTED, task=["math", "code"], other_tasks=True) == [1.0, None]


def test_content_in_parts_and_tool_messages(server: str) -> None:
    parts = [{"role": "assistant", "content": [{"type": "text", "text": "a"}]}]
    tools: list[dict[str, Any]] = [
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]},
        {"role": "tool", "name": "f", "content": "it is b"},
        {"role": "assistant", "content": "a"},
    ]
    assert call(server, completions=[parts, tools]) == [1.0, 1.0]


def test_an_empty_batch(server: str) -> None:
    assert call(server, prompts=[], completions=[], completion_ids=[], answer=[]) == []


def test_a_rollout_that_cannot_be_sent_is_a_fault_of_its_own(server: str) -> None:
    assert call(server, answer=[b"a", "b"]) == [None, 1.0]


def test_a_recipe_and_endpoints_that_are_none(server: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="there is no such file; the first argument is a recipe"):
        reward_function(str(tmp_path / "none.toml"), server)
    with pytest.raises(RecipeError, match="found dict"):
        reward_function({"rewards": {}}, server)  # type: ignore[arg-type]  # the mistake
    with pytest.raises(RecipeError, match="is not an address such as"):
        call("nonsense")
    with pytest.raises(RecipeError, match="the address of server 'rules' is not known"):
        call({"ruels": server})


def test_a_server_that_is_down_at_the_start(unused_tcp_port: int) -> None:
    client = AsyncRewardClient(
        Recipe.loads(REWARD), f"127.0.0.1:{unused_tcp_port}", retries=Retries(unavailable_timeout_s=1.0)
    )
    given = {"prompts": ["p"], "completions": ["a"], "completion_ids": [[1]], "answer": ["a"]}
    with pytest.raises(ServerUnavailableError, match="server 'rules'"):
        run(reward_function(client), given)


def test_a_server_that_goes_in_the_middle_of_a_run(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    address = processes.start("serve", "exact", "--port", "0", "--workers", "1")
    function = reward_function(Recipe.loads(REWARD + "deadline_s = 10.0\n"), address, max_missing=1.0)
    given: dict[str, Any] = {"prompts": ["p"], "completions": ["a"], "completion_ids": [[1]], "answer": ["a"]}
    assert run(function, given) == [1.0]
    (started,) = processes._running
    os.kill(started.process.pid, signal.SIGKILL)
    started.process.wait()
    assert run(function, given) == [None]
    processes.stop()
