"""Who is told of the other callers of a server."""

from __future__ import annotations

import asyncio
from pathlib import Path

from reward_servers.config import ServerConfig, load_config
from reward_servers.server import running
from trainer_client import AsyncRewardClient, Recipe, Reward, Rollout, describe_server

RECIPE = Recipe((Reward("r", "exact"),), advantage=None)
SCORE, ADMIN = "s" * 20, "a" * 20


async def test_with_tokens_the_scope_admin_alone_sees_the_others(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(
        f'[clients.trainer]\ntoken = "{SCORE}"\n[clients.operator]\ntoken = "{ADMIN}"\nscopes = ["admin"]\n'
    )
    base = load_config(None, workers=1).model_dump(exclude_unset=True)
    config = ServerConfig.model_validate({**base, "auth": {"tokens": tokens}})
    async with running(config, ["exact"]) as server:
        async with AsyncRewardClient(RECIPE, {"exact": server.address}, token=SCORE) as client:
            await client.score([Rollout(f"r{n}", "q", "a", reference={"answer": "a"}) for n in range(6)])
        seen = {
            token: (await asyncio.to_thread(describe_server, server.address, token=token, with_activity=True)).clients
            for token in (SCORE, ADMIN)
        }
        quiet = await asyncio.to_thread(describe_server, server.address, token=ADMIN)
    assert seen[SCORE] == []
    assert [(one.name, one.items_in_flight, one.items) for one in seen[ADMIN]] == [("token:trainer", 0, 6)]
    assert quiet.clients == []
