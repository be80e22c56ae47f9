"""OpenRLHF's executor calls our function as a file, and the gateway over HTTP."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.filterwarnings("ignore")

agent = pytest.importorskip("openrlhf.utils.agent")

from tests.adapters.surviving import HOSTED, drawn, recipe  # noqa: E402
from tests.gateway.conftest import Processes  # noqa: E402

TEXTS = [str(number) for number in range(8)]
STATED = [0.5 if (one := drawn("p", text)) is None else one for text in TEXTS]


def test_a_file_of_rewards(server: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(recipe())
    file = tmp_path / "rewards.py"
    file.write_text(
        "from trainer_client.adapters.openrlhf import reward_function\n"
        f"recipe, server = {str(tmp_path / 'recipe.toml')!r}, {server!r}\n"
        "reward_func = reward_function(recipe, server, on_missing=0.5, max_missing=1.0)\n"
    )
    executor = agent.SingleTurnAgentExecutor([str(file)])

    async def all_of_them() -> list[Any]:
        return list(await asyncio.gather(*(executor._fetch_rewards_via_func([f"p{t}"], ["p"], ["x"]) for t in TEXTS)))

    told = [one[0] for one in asyncio.run(all_of_them())]
    assert [one["rewards"] for one in told] == STATED
    assert len({tuple(one["extra_logs"]) for one in told}) == 1


def test_the_gateway(server: str, tmp_path: Path) -> None:
    path, settings = tmp_path / "recipe.toml", tmp_path / "gateway.toml"
    servers = f'[servers.all]\nverifiers = {HOSTED}\nendpoints = ["{server}"]\n'
    path.write_text(f'{servers}[rewards.main]\nverifier = "test/outage"\n')
    settings.write_text("max_missing = 1.0\n")
    processes = Processes(tmp_path)
    try:
        url = processes.start("gateway", str(path), "--config", str(settings), "--port", "0", "--on-missing", "0.5")
        executor = agent.SingleTurnAgentExecutor([f"{url}/openrlhf"])

        async def all_of_them() -> list[Any]:
            asked = (executor._fetch_rewards_via_http([f"<s>p{text}</s>"], ["p"], ["x"]) for text in TEXTS)
            return list(await asyncio.gather(*asked))

        told = [one[0] for one in asyncio.run(all_of_them())]
    finally:
        processes.stop()
    assert [one["rewards"] for one in told] == [[one] for one in STATED]
