"""The subclass of TRL's trainer behind `trainer_client.adapters.trl.grpo_trainer`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from trainer_client import ScoreTable
from trainer_client.signals import Signal


def make_trainer(
    reward: Callable[..., Any], latest: Callable[[], ScoreTable | None], size: int, arguments: Mapping[str, Any]
) -> Any:
    """Make the trainer.

    Args:
        reward: the reward function.
        latest: gives the table of its latest call in this process.
        size: generations per prompt.
        arguments: of ``GRPOTrainer``.
    """
    from trl import GRPOTrainer  # type: ignore[attr-defined]  # exported lazily

    class RecipeGRPOTrainer(GRPOTrainer):
        """GRPO with the advantages of a recipe."""

        def _generate_and_score_completions(self, inputs: Any) -> Any:
            import torch

            output = super()._generate_and_score_completions(inputs)
            if self.model is None or not self.model.training:
                return output  # evaluation reads rewards alone
            signal, rows = _signal_of_all(latest(), size)
            width = output["completion_ids"].shape[1]
            advantages = _advantages(signal, width)
            device = output["advantages"].device
            output["advantages"] = torch.as_tensor(advantages[rows], dtype=torch.float32, device=device)
            _relog(self._logs["advantages"], advantages)
            for name, value in signal.report.items():
                if np.ndim(value) == 0:
                    self._metrics["train"][f"assay/{name}"].append(float(value))
            return output

    return RecipeGRPOTrainer(reward_funcs=reward, **arguments)


def _signal_of_all(own: ScoreTable | None, size: int) -> tuple[Signal, slice]:
    """The recipe's signal over the rollouts of all processes, and which rows are those of this one."""
    from accelerate import PartialState
    from accelerate.utils import gather_object

    assert own is not None  # the reward function has just been called

    place = PartialState().process_index
    tables: list[ScoreTable] = gather_object([own])
    joined = ScoreTable.concat(tables)
    # A group whose rows are in two processes has two names there; TRL's order says what belongs together.
    joined.group_ids = [f"g{row // size}" for row in range(len(joined))]
    first = sum(len(table) for table in tables[:place])
    return joined.estimate(), slice(first, first + len(own))


def _advantages(signal: Signal, width: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """``[N]`` advantages, or ``[N, width]`` where the method gives them per token."""
    advantages = signal.token_advantages if signal.token_advantages is not None else signal.advantages
    assert advantages is not None
    if advantages.ndim == 1:
        return np.asarray(advantages * signal.weights, np.float64)
    padded = np.zeros((len(advantages), width))
    padded[:, : min(width, advantages.shape[1])] = advantages[:, :width]
    return padded * signal.weights[:, None]


def _relog(logged: Any, advantages: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    """Put the advantages in the place of TRL's own in its table of completions."""
    logged_values = advantages if advantages.ndim == 1 else advantages.mean(axis=1)
    for _ in range(min(len(advantages), len(logged))):
        logged.pop()
    logged.extend(logged_values.tolist())
