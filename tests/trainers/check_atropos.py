"""atropos takes a group with scores and advantages of ours over its trainer API."""

from __future__ import annotations

import asyncio

import pytest

pytestmark = pytest.mark.filterwarnings("ignore")

api = pytest.importorskip("atroposlib.api.server")

from fastapi.testclient import TestClient  # noqa: E402

from tests.adapters.surviving import recipe  # noqa: E402
from trainer_client import Recipe  # noqa: E402
from trainer_client.adapters.atropos import ScoredGroup, group_scorer  # noqa: E402


def test_a_group_is_posted_and_read_back(server: str) -> None:
    texts = ["0", "1", "2", "3"]

    async def score() -> ScoredGroup | None:
        return await group_scorer(Recipe.loads(recipe()), server, on_missing=0.0, max_missing=1.0)("p", texts)

    scored = asyncio.run(score())
    assert scored is not None
    masks = [[-100, 7, 8]] * 4
    group = {
        "tokens": [[1, 7, 8]] * 4, "masks": masks, "scores": scored.scores, "advantages": scored.per_token(masks),
    }  # fmt: skip
    with TestClient(api.app) as client:
        registration = {
            "wandb_group": "g", "wandb_project": "p", "batch_size": 4, "max_token_len": 8, "checkpoint_dir": "",
            "save_checkpoint_interval": 0, "starting_step": 0, "num_steps": 1,
        }  # fmt: skip
        assert client.post("/register", json=registration).status_code == 200
        environment = {"max_token_length": 8, "desired_name": "e", "weight": 1.0, "group_size": 4}
        client.get("/batch")  # the trainer is there
        number = client.post("/register-env", json=environment).json()["env_id"]
        assert client.post("/scored_data", json={**group, "env_id": number}).status_code == 200
        batch = client.get("/batch").json()["batch"]
    assert batch is not None
    assert batch[0]["scores"] == scored.scores
    assert batch[0]["advantages"] == group["advantages"]
