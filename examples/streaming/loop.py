"""The loop: a policy writes groups, servers judge them, and the policy learns from them."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from examples.trl.task import rows, save_model
from trainer_client import AsyncRewardClient, Rollout, ScoreTable

GROUP, GROUPS = 8, 8
"""Rollouts of a prompt, and prompts of a step."""
_TOKENS = 2
_EXTRA_GROUPS = 8
"""Groups that may be on their way beyond those of the next step."""


@dataclass
class Figures:
    """What a run was like.

    Attributes:
        seconds: of the whole run.
        waited: of it, how long the process that generates and learns did neither.
        means: mean reward of each step.
        staleness: of each rollout that was learned from, in steps.
    """

    seconds: float = 0.0
    waited: float = 0.0
    means: list[float] = field(default_factory=list)
    staleness: list[float] = field(default_factory=list)

    @property
    def idle_share(self) -> float:
        """Share of the time that was spent waiting."""
        return self.waited / self.seconds


class Policy:
    """A tiny model that writes and learns.

    Attributes:
        step: how often it has learned.
    """

    def __init__(self, seed: int) -> None:
        from transformers import AutoTokenizer, LlamaForCausalLM
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # type: ignore[no-untyped-call]
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        with tempfile.TemporaryDirectory() as folder:
            save_model(Path(folder))
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
            self._model: Any = LlamaForCausalLM.from_pretrained(folder)
        self._optimizer = torch.optim.AdamW(self._model.parameters(), lr=3e-3)
        self._draw = random.Random(seed)  # noqa: S311 - no secret
        self._rows = rows()
        self._made = 0
        self.busy = 0.0
        self.step = 0

    def write_group(self) -> list[Rollout]:
        """Answers to a prompt. Each carries the step of the policy that wrote it."""
        started = time.perf_counter()
        row = self._draw.choice(self._rows)
        prompt_ids = self._tokenizer(row["prompt"], return_tensors="pt", add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            generated = self._model.generate(
                prompt_ids.repeat(GROUP, 1),
                attention_mask=torch.ones(GROUP, prompt_ids.shape[1], dtype=torch.long),
                do_sample=True, max_new_tokens=_TOKENS, min_new_tokens=_TOKENS, top_k=0,
            )  # fmt: skip
        self._made += 1
        rollouts = [
            Rollout(
                f"{self._made}-{place}",
                row["prompt"],
                self._tokenizer.decode(tokens[prompt_ids.shape[1] :]),
                group_id=str(self._made),
                reference={"answer": row["answer"]},
                token_ids=tokens[prompt_ids.shape[1] :].tolist(),
                extra={"policy_step": self.step},
            )
            for place, tokens in enumerate(generated)
        ]
        self.busy += time.perf_counter() - started
        return rollouts

    def learn(self, rollouts: list[Rollout], table: ScoreTable) -> None:
        """One step on the advantages of a batch."""
        started = time.perf_counter()
        prompts = [self._tokenizer(rollout.prompt, add_special_tokens=False)["input_ids"] for rollout in rollouts]
        tokens = torch.tensor(
            [[*prompt, *np.asarray(rollout.token_ids)] for prompt, rollout in zip(prompts, rollouts, strict=True)]
        )
        chances = self._model(tokens).logits.log_softmax(-1)[:, -_TOKENS - 1 : -1]
        chosen_chances = chances.gather(-1, tokens[:, -_TOKENS:, None])[..., 0]
        loss = -(torch.as_tensor(table.advantages, dtype=torch.float32)[:, None] * chosen_chances).mean()
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        self.step += 1
        self.busy += time.perf_counter() - started


async def train(recipe: Any, endpoints: Any, *, steps: int, streaming: bool, seed: int = 0) -> Figures:
    """Train a fresh model.

    Args:
        recipe: what judges.
        endpoints: where the servers are.
        steps: how often it learns.
        streaming: whether groups are judged while others are written and learned from, up to a step and some groups
            ahead; otherwise a whole batch is written, then judged, then learned from.
        seed: of the model and of the sampling.
    """
    policy, figures = Policy(seed), Figures()
    async with AsyncRewardClient(recipe, endpoints) as client:
        await client.describe()
        run = _streaming if streaming else _in_turn
        started = time.perf_counter()
        await run(policy, client, figures, steps)
        figures.seconds = time.perf_counter() - started
    figures.waited = figures.seconds - policy.busy
    return figures


async def _in_turn(policy: Policy, client: AsyncRewardClient, figures: Figures, steps: int) -> None:
    for step in range(steps):
        batch = [rollout for _ in range(GROUPS) for rollout in policy.write_group()]
        _learn(policy, figures, batch, await client.score(batch, step=step))


async def _streaming(policy: Policy, client: AsyncRewardClient, figures: Figures, steps: int) -> None:
    groups_written: dict[str, list[Rollout]] = {}
    space = asyncio.Semaphore(GROUPS + _EXTRA_GROUPS)

    async def groups() -> AsyncIterator[list[Rollout]]:
        for _ in range(steps * GROUPS):
            await space.acquire()
            group = policy.write_group()
            groups_written[group[0].group_id] = group
            yield group
            await asyncio.sleep(0)  # let others on, as a trainer's loop does between calls of its engine

    ready: list[ScoreTable] = []
    async for table in client.stream(groups(), step=policy.step):
        ready.append(table)
        space.release()
        if len(ready) == GROUPS:
            batch = [rollout for part in ready for rollout in groups_written.pop(part.group_ids[0])]
            _learn(policy, figures, batch, ScoreTable.concat(ready))
            ready = []


def _learn(policy: Policy, figures: Figures, batch: list[Rollout], table: ScoreTable) -> None:
    figures.means.append(float(np.nanmean(table.rewards[table.mask])))
    figures.staleness += (policy.step - table.policy_steps).tolist()
    policy.learn(batch, table)
