"""Starts the servers of a recipe, scores the rollouts beside this file, and prints scores and advantages.

At the end the same rollouts go through the command ``assay score``, which writes a page about them.

Usage: ``python -m examples.demo``
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from reward_servers.supervisor import ServerProcess, Supervisor
from trainer_client import AsyncRewardClient, Outcome, Recipe, ScoreTable, read_rollouts

_HERE = Path(__file__).parent
_REPORT = Path(".demo", "report.html")


def _cell(table: ScoreTable, row: int, column: int) -> str:
    if table.outcomes[row, column] == Outcome.NOT_ASKED:
        return "-"
    code = table.codes[row, column]
    return f"{table.scores[row, column]:.2f} {code}" if table.valid[row, column] else f"none ({code})"


def show(table: ScoreTable) -> None:
    """One line for each rollout: a score with its code for each reward, the reward made of them, the advantage."""
    heads = [f"{name:<22}" for name in table.columns]
    print(f"  {'rollout':<14} {' '.join(heads)} {'reward':>6} {'advantage':>9}")
    previous = ""
    for row, name in enumerate(table.rollout_ids):
        if previous and table.group_ids[row] != previous:
            print()
        previous = table.group_ids[row]
        cells = [f"{_cell(table, row, column):<22}" for column in range(len(table.columns))]
        print(f"  {name:<14} {' '.join(cells)} {table.rewards[row]:>6.2f} {table.advantages[row]:>9.3f}")
    print()


async def _score(name: str) -> None:
    recipe = Recipe.load(_HERE / f"{name}.toml")
    rollouts = read_rollouts(_HERE / "rollouts.jsonl").rollouts
    chosen = [rollout for rollout in rollouts if any(reward.applies_to(rollout.task) for reward in recipe.rewards)]
    programs = [ServerProcess(server.name, server.verifiers) for server in recipe.all_servers]
    hosting = "; ".join(f"{server.name} with {', '.join(server.verifiers)}" for server in recipe.all_servers)
    print(f"{name}: servers {hosting}")
    async with Supervisor(programs) as supervisor, AsyncRewardClient(recipe, supervisor.endpoints) as client:
        show(await client.score(chosen))


def main() -> None:
    """Run both recipes, and write a page about the first."""
    for name in ("recipe", "shaped"):
        asyncio.run(_score(name))
    _REPORT.parent.mkdir(exist_ok=True)
    inputs = [str(_HERE / "rollouts.jsonl"), "--recipe", str(_HERE / "recipe.toml")]
    command = ["score", *inputs, "--evidence", "--report", str(_REPORT)]
    print("$ assay", *command, flush=True)
    subprocess.run([sys.executable, "-P", "-m", "reward_servers", *command], check=True)
    print(f"open {_REPORT.resolve()} in a browser", flush=True)


if __name__ == "__main__":
    main()
