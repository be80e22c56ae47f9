"""Scores real model outputs on a math server once, and prints what five methods make of the scores.

Usage: ``python -m examples.methods [FILE.jsonl]``
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import numpy as np

from reward_servers.supervisor import ServerProcess, Supervisor
from trainer_client import AsyncRewardClient, Recipe, ScoreTable, read_rollouts
from trainer_client.signals import SignalBatch, method

_ROLLOUTS = Path(__file__).parents[2] / "tests" / "data" / "math" / "math_rollouts.jsonl"
_RECIPE = Recipe.loads('advantage = "none"\n[rewards.correct]\nverifier = "math"\n')
_METHODS = ("grpo", "dr_grpo", "rloo", "mc_grpo", "ngrpo")
_SHOWN = 3


async def _score(path: Path) -> ScoreTable:
    async with (
        Supervisor([ServerProcess("math", ("math",))]) as servers,
        AsyncRewardClient(_RECIPE, servers.endpoints) as client,
    ):
        return await client.score(read_rollouts(path).rollouts)


def _mixed(groups: np.ndarray, rewards: np.ndarray) -> list[str]:
    """Groups with right and wrong rollouts: the others teach nothing."""
    return [name for name in dict.fromkeys(groups.tolist()) if np.ptp(rewards[groups == name]) > 0]


def main() -> None:
    """Score, then print a table for a few groups."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else _ROLLOUTS
    table = asyncio.run(_score(path))
    groups = np.array(table.group_ids)
    batch = SignalBatch(table.rewards, table.group_ids, table.mask)
    signals = {name: method(name)(batch).advantages for name in _METHODS}
    mixed = _mixed(groups, table.rewards)
    print(
        f"{len(table)} rollouts in {len(set(table.group_ids))} groups, {len(mixed)} of them with right and wrong ones"
    )
    for name in mixed[:_SHOWN]:
        rows = np.flatnonzero(groups == name)
        print(f"\n{name}: rewards {' '.join(f'{reward:.0f}' for reward in table.rewards[rows])}")
        for title, advantages in signals.items():
            assert advantages is not None
            print(f"  {title:<8} {' '.join(f'{value:7.3f}' for value in advantages[rows])}")


if __name__ == "__main__":
    main()
