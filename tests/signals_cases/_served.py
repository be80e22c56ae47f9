"""Cases that need a server: a recipe scored over gRPC, and the adapter as the ranks of a trainer call it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from trainer_client import Recipe, RecipeError, RewardClient, Rollout
from trainer_client.adapters.trl import reward_function
from trainer_client.testing import FakeServer, Fault, Item, Script

Case = Mapping[str, Any]


def _script(table: Sequence[Sequence[float | None]], column: int) -> Script:
    """Scores by the rollout's number."""

    def judged(item: Item) -> float | Fault:
        score = table[int(item.rollout_id.rpartition("-")[2])][column]
        return Fault("judge_unavailable") if score is None else float(score)

    return judged


def _recipe(columns: int, given: Mapping[str, Any], advantage: str) -> str:
    """A recipe with a reward a column, its gate first where it has one."""
    weights = given.get("weights") or [1.0] * columns
    lines = [f"max_missing = 1.0\nadvantage = {json.dumps(advantage)}"]
    for column in range(columns):
        lines.append(f'[rewards.score_{column}]\nverifier = "score_{column}"\nweight = {float(weights[column])}')
        gate = given.get("gate")
        if gate is not None and gate.get("column", 0) == column:
            lines.append(f"gate = {{ at_least = {gate.get('threshold', 1.0)}, closed = {gate.get('closed', 0.0)} }}")
        if "on_missing" in given:
            lines.append(f"on_missing = {{ default = {json.dumps(given['on_missing'])} }}")
    return "\n".join(lines)


def scored(case: Case) -> list[float]:
    """Advantages of a recipe over scores that a server gives."""
    given = case["inputs"]
    advantage = str(case["preset"]).partition("advantage=")[2].split()[0]
    rows = given.get("scores")
    if rows is None:
        rows = [1.0] + [0.0] * (len(next(iter(given.values()))) - 1)
    table = [row if isinstance(row, list) else [row] for row in rows]
    columns = len(table[0])
    token_ids = given.get("token_ids") or [()] * len(table)
    groups = given.get("groups") or [0] * len(table)
    verifiers = {f"score_{column}": _script(table, column) for column in range(columns)}
    rollouts = [
        # An answer without tokens is an empty one.
        Rollout(f"r-{row}", group_id=f"g{group}", prompt=f"p{group}", response="" if ids == [] else "x", token_ids=ids)
        for row, (ids, group) in enumerate(zip(token_ids, groups, strict=True))
    ]
    server = FakeServer(verifiers)
    if "floor" in given:
        server.floor, server.score_range = float(given["floor"]), (float(given["floor"]), 1.0)
    recipe = Recipe.loads(_recipe(columns, given, advantage))
    with server, RewardClient(recipe, server.address) as client:
        found: list[float] = client.score(rollouts).advantages.tolist()
    return found


def adapted(case: Case) -> list[float | None]:
    """Rewards of the ranks one after the other; None for all of them where the adapter refuses the recipe."""
    given, action = case["inputs"], str(case["preset"]).split()[-1]
    size, ranks = int(given["group_of"]), int(given.get("ranks", 1))
    missing = set(given.get("missing", ()))
    recipe = Recipe.loads(
        f'max_missing = 1.0\n[rewards.score]\nverifier = "s"\non_missing = {{ default = "{action}" }}\n'
    )
    group_size = (case.get("options") or {}).get("group_size")
    part = size // ranks
    found: list[float | None] = []
    for rank in range(ranks):
        rows = range(rank * part, (rank + 1) * part)
        table = [[None if row in missing else float(row % 2 == 0)] for row in rows]
        with FakeServer({"s": _script(table, 0)}) as server:
            reward = reward_function(recipe, server.address, name="case", group_size=group_size)
            try:
                found += asyncio.run(_call(reward, part))
            except RecipeError as error:
                assert "group_size" in error.reason
                return [None] * size
    return found


async def _call(reward: Any, rows: int) -> list[float | None]:
    found: list[float | None] = await reward(prompts=["p"] * rows, completions=["x"] * rows)
    return found
