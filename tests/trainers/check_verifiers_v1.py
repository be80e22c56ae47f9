"""verifiers v1 and prime-rl score by us: a taskset that knows nothing of us, served as prime-rl has it served."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.filterwarnings("ignore")

pytest.importorskip("verifiers.v1")

import verifiers.v1 as vf  # noqa: E402
from verifiers.v1.serve import EnvClient, EnvServer  # noqa: E402

from tests.adapters.page import lines_of  # noqa: E402
from tests.adapters.surviving import drawn, recipe  # noqa: E402
from tests.fakes.chat_server import FakeChatServer  # noqa: E402
from trainer_client.adapters.verifiers import task_reward  # noqa: E402

TEXTS = [str(number) for number in range(8)]
EXPECTED = [drawn("p", text) for text in TEXTS]
TASKSET = """
import httpx
import verifiers.v1 as vf

class Data(vf.TaskData):
    answer: str

class Sums(vf.Task[Data, vf.State, vf.TaskConfig]):
    pass

class Tasks(vf.Taskset[Sums]):
    def load(self):
        yield Sums(Data(prompt="p", answer="x"), self.config.task)

class Asks(vf.Harness[vf.HarnessConfig]):
    NEEDS_CONTAINER = EXECUTES_CODE = False

    async def launch(self, ctx, trace, runtime, endpoint, secret, mcp_urls, data, tool_interception_url=None):
        body = {"model": ctx.model, "messages": [{"role": "user", "content": data.prompt}]}
        async with httpx.AsyncClient(timeout=60) as client:
            told = await client.post(
                f"{endpoint}/chat/completions", json=body, headers={"authorization": f"Bearer {secret}"}
            )
        return vf.ProgramResult(0 if told.status_code == 200 else 1, told.text, "")

exported = ["Asks", "Tasks"]
"""


@pytest.fixture
def modules(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The page's module, and a taskset with the program that plays it, where verifiers imports them."""
    (tmp_path / "recipe.toml").write_text(recipe())
    lines = lines_of("verifiers and prime-rl", "my_rewards.py")
    asked = 'judge("recipe.toml", {"math": ["10.0.0.1:50051"]}'
    assert asked in lines
    ours = f'judge({str(tmp_path / "recipe.toml")!r}, {{"all": {server!r}}}, max_missing=1.0'
    (tmp_path / "my_rewards.py").write_text(lines.replace(asked, ours))
    (tmp_path / "their_sums.py").write_text(TASKSET.replace("exported", "__all__"))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in ("my_rewards", "their_sums"):
        sys.modules.pop(name, None)


def trained_on(episodes: list[Any]) -> dict[str, float]:
    """Advantages by reply, as prime-rl has them (orchestrator/algo/base.py and grpo.py): clean traces alone."""
    traces = [trace for episode in episodes for trace in episode.traces if not trace.has_error]
    mean = sum(trace.reward for trace in traces) / len(traces)
    return {trace.last_reply: trace.reward - mean for trace in traces}


def test_a_served_taskset_with_the_pages_lines(modules: None) -> None:
    plugged = lines_of("verifiers and prime-rl", "orchestrator.train.source")
    import tomllib

    source = tomllib.loads(plugged)["orchestrator"]["train"]["source"][0]
    (judge,) = source["env"]["taskset"]["task"]["judges"]
    config = vf.resolve_env_config(
        {
            "taskset": {"id": "their_sums", "task": {"judges": [judge]}},
            "agent": {"runtime": {"type": "subprocess"}},
        }
    )

    async def run(base_url: str) -> list[Any]:
        served = EnvServer(config, address="tcp://127.0.0.1:0")
        serving = asyncio.create_task(served.run())
        client = EnvClient(served.address)
        try:
            await client.wait_for_server_startup(timeout=60)
            (task,) = vf.load_taskset(config.taskset)
            return [
                await client.run(
                    task_data=task.data.model_dump(mode="json", exclude_none=True),
                    client=vf.EvalClientConfig(base_url=base_url, api_key_var="NO_KEY"),
                    model="tiny",
                    sampling=vf.SamplingConfig(),
                )
                for _ in TEXTS
            ]
        finally:
            await client.close()
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    with FakeChatServer(TEXTS).running() as base_url:
        episodes = asyncio.run(run(base_url))
    for episode, text, expected in zip(episodes, TEXTS, EXPECTED, strict=True):
        (trace,) = episode.traces
        assert trace.last_reply == text
        (reward,) = trace.rewards.values()
        assert (reward is None) == (expected is None) == (not trace.ok)
        half = None if expected is None else expected / 2
        assert trace.metrics == {"score/main": expected, "aspect/main.half": half}
        if expected is None:
            assert trace.last_error.type == "TaskError"
            assert "main: judge_unavailable" in trace.last_error.message
    kept = {text: one for text, one in zip(TEXTS, EXPECTED, strict=True) if one is not None}
    mean = sum(kept.values()) / len(kept)
    advantages = trained_on(episodes)
    assert advantages.keys() == kept.keys()
    for text, one in kept.items():
        assert advantages[text] == pytest.approx(one - mean, rel=1e-6, abs=1e-12)


class Data(vf.TaskData):  # type: ignore[misc]
    """A task's data."""

    answer: str


def test_a_tasks_own_reward(tmp_path: Path, server: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(recipe('[rewards.main]\nverifier = "exact"\n'))

    class Sums(vf.Task[Data, vf.State, vf.TaskConfig]):  # type: ignore[misc]
        correct = task_reward(str(path), {"all": server}, label="answer", name="correct", weight=2.0)

    task = Sums(Data(prompt="6*7?", answer="42"))
    scored = [asyncio.run(_scored(task, turns)) for turns in (["42"], ["41"], ["let me see", "42"])]
    assert [trace.rewards["correct"].value for trace in scored] == [2.0, 0.0, 2.0]
    assert [trace.metrics for trace in scored] == [{"score/main": 1.0}, {"score/main": 0.0}, {"score/main": 1.0}]
    with pytest.raises(vf.TaskError, match="the trace holds no reply of a model"):
        asyncio.run(_scored(task, []))


async def _scored(task: Any, turns: list[str]) -> Any:
    trace = vf.Trace[Data](
        task=vf.TraceTask(type="Sums", data=task.data), agent=vf.AgentInfo(config=vf.AgentConfig(harness=None))
    )
    messages = [vf.UserMessage(content=task.data.prompt)]
    for text in turns:
        messages += [vf.AssistantMessage(content=text), vf.UserMessage(content="go on")]
    for place, message in enumerate(messages[:-1] if turns else messages):
        parent = place - 1 if place else None
        trace.nodes.append(vf.MessageNode(parent=parent, message=message, sampled=message.role == "assistant"))
    await task.score(trace)
    return trace
