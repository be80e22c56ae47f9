"""skyrl-gym makes our environment by its name, and steps it in threads as SkyRL's generator does."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.filterwarnings("ignore")

skyrl_gym = pytest.importorskip("skyrl_gym")

from tests.adapters.surviving import drawn, recipe  # noqa: E402
from trainer_client import Recipe  # noqa: E402
from trainer_client.adapters.missing import MissingRewardError  # noqa: E402
from trainer_client.adapters.skyrl import environment_of  # noqa: E402

TEXTS = [str(number) for number in range(8)]
EXPECTED = [drawn("p", text) for text in TEXTS]
EXTRAS = {"reward_spec": {"ground_truth": "x"}, "data_source": "sums", "extra_info": {}}


@pytest.fixture
def my_module(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = ModuleType("my_skyrl")
    monkeypatch.setitem(sys.modules, "my_skyrl", module)
    return module


def test_registered_and_stepped(server: str, my_module: Any) -> None:
    my_module.Rewards = environment_of(Recipe.loads(recipe()), server, on_missing=0.25, max_missing=1.0)
    skyrl_gym.register(id="assay", entry_point="my_skyrl:Rewards")
    environments = [skyrl_gym.make("assay", env_config={}, extras=EXTRAS) for _ in TEXTS]

    def played(environment: Any, text: str) -> Any:
        prompt, _ = environment.init([{"role": "user", "content": "p"}])
        assert prompt == [{"role": "user", "content": "p"}]
        return environment.step(text)

    with ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(played, environments, TEXTS))
    assert [one["reward"] for one in outputs] == [0.25 if score is None else score for score in EXPECTED]
    assert all(one["done"] for one in outputs)
    metrics = [environment.get_metrics() for environment in environments]
    assert len({tuple(one) for one in metrics}) == 1
    kept = [score for score in EXPECTED if score is not None]
    told = my_module.Rewards.aggregate_metrics(metrics)
    assert told["reward"] == pytest.approx(sum(kept) / len(kept))
    assert told["missing"] == pytest.approx(1 - len(kept) / len(EXPECTED))


def test_without_a_number_a_step_raises(server: str) -> None:
    strict = environment_of(Recipe.loads(recipe()), server, max_missing=1.0)
    skyrl_gym.register(id="assay-strict", entry_point=strict)
    environment = skyrl_gym.make("assay-strict", env_config={}, extras=EXTRAS)
    environment.init("p")
    with pytest.raises(MissingRewardError):
        environment.step(TEXTS[EXPECTED.index(None)])
