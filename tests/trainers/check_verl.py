"""verl calls our function by its own reward loop, and trains on advantages of ours by its own dispatch."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.filterwarnings("ignore")

torch = pytest.importorskip("torch")
verl = pytest.importorskip("verl")

from omegaconf import OmegaConf  # noqa: E402
from verl import DataProto  # noqa: E402
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager  # noqa: E402
from verl.trainer.ppo.core_algos import get_adv_estimator_fn  # noqa: E402

from tests.adapters.surviving import drawn, normalised, recipe  # noqa: E402
from trainer_client.adapters.methods import batch_methods  # noqa: E402
from trainer_client.adapters.verl import compute_score_of, register_advantages, reward_manager_of  # noqa: E402

TEXTS = [str(number) for number in range(8)]
EXPECTED = [drawn("p", text) for text in TEXTS]


class Tokenizer:
    """Gives the texts of the test for their numbers."""

    def decode(self, ids: Any, skip_special_tokens: bool = True) -> str:
        return "p" if int(ids[0]) >= 100 else str(int(ids[0]))


def data(number: int) -> Any:
    tensors = {
        "prompts": torch.tensor([[100, 100]]),
        "responses": torch.tensor([[number, number, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1, 0]]),
    }
    columns = {
        "data_source": np.array(["math"], object),
        "reward_model": np.array([{"ground_truth": "x"}], object),
        "extra_info": np.array([{"prompt": "p"}], object),
    }
    return DataProto.from_dict(tensors=tensors, non_tensors=columns)


@pytest.mark.parametrize("own", [False, True])
def test_the_reward_loop(server: str, tmp_path: Path, own: bool) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(recipe())
    score = compute_score_of(str(path), server, on_missing="none", max_missing=1.0)

    async def all_of_them() -> list[Any]:
        kind = reward_manager_of(score) if own else NaiveRewardManager
        manager = kind(OmegaConf.create({}), Tokenizer(), score)
        return list(await asyncio.gather(*(manager.run_single(data(number)) for number in range(8))))

    told = asyncio.run(all_of_them())
    for one, expected in zip(told, EXPECTED, strict=True):
        assert np.isnan(one["reward_score"]) if expected is None else one["reward_score"] == expected
    assert len({tuple(one["reward_extra_info"]) for one in told}) == 1


def test_registered_advantages_leave_missing_rewards_out() -> None:
    names = register_advantages()
    assert len(names) == len(batch_methods())
    mask = torch.ones(8, 3)
    rewards = torch.zeros(8, 3)
    rewards[:, 2] = torch.tensor([np.nan if one is None else one for one in EXPECTED])
    uid = np.array(["g"] * 8, object)
    whole, _ = get_adv_estimator_fn("assay_grpo")(
        token_level_rewards=rewards, response_mask=mask, index=uid, config=None
    )
    np.testing.assert_allclose(whole[:, 0].numpy(), normalised(EXPECTED, 1e-6), rtol=1e-6, atol=1e-6)
    there = [row for row, one in enumerate(EXPECTED) if one is not None]
    for name in names:
        function = get_adv_estimator_fn(name)
        all_rows, _ = function(token_level_rewards=rewards, response_mask=mask, index=uid, config=None)
        survivors, _ = function(
            token_level_rewards=rewards[there], response_mask=mask[there], index=uid[there], config=None
        )
        np.testing.assert_allclose(all_rows[there].numpy(), survivors.numpy(), rtol=1e-6, atol=1e-7, err_msg=name)
        assert not all_rows[[row for row in range(8) if row not in there]].any()
