"""Scores rollouts with whichever version of the client is imported first; prints scores and codes as JSON.

Run as a file, with the tree of that version on PYTHONPATH and the address of a server as argument.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import trainer_client
from trainer_client import Recipe, Reward, RewardClient, Rollout, Server


def main() -> None:
    """Ask one server about exact answers and formats."""
    rewards = (Reward("right", "exact"), Reward("shape", "format", options={"boxed": True}, weight=0.5))
    recipe = Recipe(rewards, servers=(Server("checks", ("exact", "format")),))
    rollouts = [
        Rollout(rollout_id=f"r{n}", group_id="g", prompt="?", response=text, reference={"answer": "4"})
        for n, text in enumerate(("4", "5", r"\boxed{4}", "é" * 3, "x" * 100_000))
    ]
    endpoints = {"checks": [sys.argv[1]]}
    client: Any = RewardClient
    if "recipe" in RewardClient.__init__.__code__.co_varnames:
        with client(recipe, endpoints) as asker:
            table = asker.score(rollouts)
    else:  # the recipe came with the rollouts once
        with client(endpoints) as asker:
            table = asker.score(rollouts, recipe)
    columns = list(table.columns)
    cells = [
        [[float(table.scores[row][at]), str(table.codes[row][at])] for at in range(len(columns))] for row in range(5)
    ]
    advantages = [round(float(one), 6) for one in table.advantages]
    print(json.dumps({"from": trainer_client.__file__, "cells": cells, "advantages": advantages}))


if __name__ == "__main__":
    main()
