"""Trainers that need no adapter: the page's own lines, with the types that the trainers' sources declare."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.adapters.page import lines_of
from tests.adapters.surviving import KEYS, drawn, recipe
from trainer_client import Recipe
from trainer_client.adapters.missing import MissingRewardError
from trainer_client.adapters.slime import custom_rm_of

HEADING = "Trainers that need no adapter"
TEXTS = [str(number) for number in range(8)]
GIVEN = {text: drawn("p", text) for text in TEXTS}
KEPT = [text for text, score in GIVEN.items() if score is not None]
LOST = next(text for text, score in GIVEN.items() if score is None)
Load = Callable[[str], dict[str, Any]]


@pytest.fixture
def load(server: str, modules: Any, tmp_path: Path) -> Load:
    """Run a block of the page, with its scorer before the server of the tests."""
    path = tmp_path / "recipe.toml"
    path.write_text(recipe())
    scorer = lines_of(HEADING, "my_scorer.py")
    asked = 'SingleScorer("recipe.toml", {"math": ["10.0.0.1:50051"]})'
    assert asked in scorer
    ours = f'SingleScorer({str(path)!r}, {{"all": {server!r}}}, max_missing=1.0)'
    modules("my_scorer", **_run(scorer.replace(asked, ours)))
    return lambda holds: _run(lines_of(HEADING, holds))


def _run(lines: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "my_module"}
    exec(lines, names)
    return {name: value for name, value in names.items() if not name.startswith("__")}


class Orm:
    """ms-swift's ``ORM``."""

    def __init__(self, args: Any = None, **kwargs: Any) -> None:
        self.args = args


def test_ms_swift(load: Load, modules: Any) -> None:
    orms: dict[str, Any] = {}
    modules("swift.rewards", ORM=Orm, orms=orms)
    load("plugin.py")
    reward = orms["assay"](args=None)
    question = [{"role": "user", "content": "p"}]

    def rows(texts: list[str]) -> Any:
        # compute_rewards_per_func: completions by place, the rows' columns and the trainer's state by name.
        messages = [[*question, {"role": "assistant", "content": text}] for text in texts]
        more: dict[str, Any] = {
            "trainer_state": None,
            "prompt_id": [""] * len(texts),
            "rollout_infos": [{}] * len(texts),
        }
        return reward(texts, messages=messages, solution=["x"] * len(texts), **more)

    assert rows(KEPT) == [GIVEN[text] for text in KEPT]
    with pytest.raises(MissingRewardError):
        rows([KEPT[0], LOST])


def test_rllm(load: Load) -> None:
    evaluate = load("my_rewards.py")["evaluate"]
    task = SimpleNamespace(instruction="p", metadata={"ground_truth": "x"})

    def judged(text: str) -> float:
        reward: float = evaluate(task=task, episode=SimpleNamespace(trajectories=[SimpleNamespace(output=text)]))
        return reward

    assert [judged(text) for text in KEPT] == [GIVEN[text] for text in KEPT]
    with pytest.raises(MissingRewardError):
        judged(LOST)


def test_cosmos_rl(load: Load) -> None:
    reward = load("my_cosmos.py")["reward"]
    # Reward.compute_per_reward_func.
    more = {"data_packer": None, "config": None, "tokenizer": None}
    told = [reward(text, "x", prompt="p", **more) for text in KEPT]
    assert [number for number, _ in told] == [GIVEN[text] for text in KEPT]
    assert all(logs["valid"] == 1.0 for _, logs in told)
    # With group_reward_calculation.
    assert reward(KEPT, "x", prompt="p", **more) == ([number for number, _ in told], [logs for _, logs in told])
    with pytest.raises(MissingRewardError):
        reward(LOST, "x", prompt="p", **more)


def test_tinker_cookbook(load: Load, modules: Any) -> None:
    class ProblemEnv:
        def __init__(self, renderer: Any) -> None:
            self.renderer, self.stop_condition = renderer, ["</s>"]

    def result(*values: Any, **named: Any) -> SimpleNamespace:
        names = ("reward", "episode_done", "next_observation", "next_stop_condition")
        return SimpleNamespace(**dict(zip(names, values, strict=True)), **named)

    modules("tinker", ModelInput=SimpleNamespace(empty=list))
    modules("tinker_cookbook.renderers", get_text_content=lambda message: message["content"])
    modules("tinker_cookbook.rl.problem_env", ProblemEnv=ProblemEnv)
    modules("tinker_cookbook.rl.types", StepResult=result)

    class Sums(load("my_env.py")["Judged"]):  # type: ignore[misc]
        def get_question(self) -> str:
            return "p"

        def get_reference_answer(self) -> str:
            return "x"

    renderer = SimpleNamespace(parse_response=lambda action: ({"content": TEXTS[action[0]]}, None))

    async def all_of_them() -> list[Any]:
        steps = [Sums(renderer).step([place], extra={"stop_reason": "stop"}) for place in range(len(TEXTS))]
        return list(await asyncio.gather(*steps, return_exceptions=True))

    told = asyncio.run(all_of_them())
    assert [None if isinstance(one, MissingRewardError) else one.reward for one in told] == list(GIVEN.values())
    kept = next(one for one in told if not isinstance(one, Exception))
    assert kept.metrics.keys() == KEYS
    assert (kept.episode_done, kept.next_stop_condition) == (True, ["</s>"])


def test_miles_calls_the_hook_of_slime_with_more(server: str) -> None:
    rm = custom_rm_of(Recipe.loads(recipe()), server, max_missing=1.0)

    def sample(text: str) -> Any:
        return SimpleNamespace(
            prompt="p", response=text, label="x", metadata={}, group_index=0, index=0, reward=None, remove_sample=False,
            reward_spec=None, response_length=1,
        )  # fmt: skip

    arguments = SimpleNamespace(reward_key=None, rollout_id=0, custom_rm_path="my_rewards.custom_rm")
    samples = [sample(text) for text in TEXTS]

    async def both() -> tuple[Any, Any]:
        return await rm(arguments, samples[0], evaluation=False), await rm(arguments, samples, evaluation=False)

    one, many = asyncio.run(both())
    assert many == [0.0 if score is None else score for score in GIVEN.values()]
    assert one == many[0]
