"""`DynamicSampling`: generate until enough prompts are worth training on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainer_client.signals._arrays import BoolArray
from trainer_client.signals._errors import BadOption, SignalError
from trainer_client.signals._groups import Groups
from trainer_client.signals.trackers import Tracker


class DynamicSampling(Tracker):
    """Collects the groups that a filter keeps, over generation rounds, until a batch is full.

    Rows are known by their rollout ids, so that the state is small and can be saved between rounds.

    Args:
        prompts: groups that make a batch.
        max_rounds: stop with an error after so many rounds; 0 for no limit.

    Source: DAPO (arXiv 2503.14476) section 3.2; verl-project/verl-recipe dapo/dapo_ray_trainer.py @48ea0a79.
    """

    kind = "dynamic_sampling"

    def __init__(self, *, prompts: int, max_rounds: int = 10) -> None:
        if prompts < 1 or max_rounds < 0:
            raise BadOption(f"prompts: {prompts} and max_rounds: {max_rounds} must be at least 1 and 0")
        self.prompts = prompts
        self.max_rounds = max_rounds
        self.rounds = 0
        self._kept: list[list[str]] = []

    @property
    def missing(self) -> int:
        """Groups still to be found."""
        return max(self.prompts - len(self._kept), 0)

    def offer(self, rollout_ids: Sequence[str], groups: Groups, keep: BoolArray) -> bool:
        """Take the kept groups of a round; True once the batch is full.

        Raises:
            SignalError: the round limit is reached and the batch is not full.
        """
        self.rounds += 1
        found: dict[int, list[str]] = {}
        for identifier, number, kept in zip(rollout_ids, groups.index.tolist(), keep.tolist(), strict=True):
            if kept:
                found.setdefault(number, []).append(identifier)
        self._kept.extend(found.values())
        if self.missing and self.max_rounds and self.rounds >= self.max_rounds:
            raise SignalError(
                f"dynamic sampling: {len(self._kept)} of {self.prompts} prompts after {self.rounds} rounds; the "
                "prompts are too easy or too hard for this policy, or raise max_rounds"
            )
        return not self.missing

    def take(self) -> list[str]:
        """Rollout ids of the first ``prompts`` groups kept; what is over waits for the next batch."""
        batch, self._kept = self._kept[: self.prompts], self._kept[self.prompts :]
        self.rounds = 0
        return [identifier for group in batch for identifier in group]

    def _state(self) -> dict[str, Any]:
        return {"rounds": self.rounds, "kept": [list(group) for group in self._kept]}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.rounds = int(state["rounds"])
        self._kept = [list(group) for group in state["kept"]]
