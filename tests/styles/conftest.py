"""One server of functions that were written for trainers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from tests.gateway.conftest import Processes
from trainer_client import Cell, Recipe, Reward, RewardClient, Rollout, Server

HERE = "tests.styles.rewards"
HOSTED = (
    f"trl+{HERE}:accuracy",
    f"trl+{HERE}:by_content",
    f"trl+{HERE}:keeps?range=0..9&deterministic=no",
    f"trl+{HERE}:longest?group=yes",
    f"trl+{HERE}:contents?messages=yes",
    f"trl+{HERE}:waits",
    f"verl+{HERE}:compute_score",
    f"swift+{HERE}:Reward",
    f"swift+{HERE}:Waiting",
)
Ask = Callable[..., list[Cell]]
SETTINGS = f"""
[item_limits."trl+{HERE}:by_content"]
wall_s = 2.0
cpu_s = 1.0
"""


@pytest.fixture(scope="package")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the functions are served."""
    folder = tmp_path_factory.mktemp("styles")
    (folder / "settings.toml").write_text(SETTINGS)
    processes = Processes(folder)
    yield processes.start("serve", *HOSTED, "--port", "0", "--workers", "2", "--config", str(folder / "settings.toml"))
    processes.stop()


@pytest.fixture(scope="package")
def ask(address: str) -> Ask:
    """Ask one of them about responses; each may have a reference and metadata."""

    def score(
        name: str, responses: Sequence[Any], reference: Any = None, metadata: Mapping[str, Any] | None = None
    ) -> list[Cell]:
        server = Server("all", (name,), endpoints=(address,))
        recipe = Recipe((Reward("r", name),), "styles", (server,), advantage=None, max_missing=1.0)
        rollouts = [
            Rollout(f"r{row}", prompt="2*21?", response=one, group_id="g", reference=reference, metadata=metadata)
            for row, one in enumerate(responses)
        ]
        with RewardClient(recipe) as client:
            table = client.score(rollouts)
        return [table.cell(row, "r") for row in range(len(rollouts))]

    return score
