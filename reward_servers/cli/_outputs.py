"""What ``assay score`` writes and prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reward_servers.cli._console import print_line, print_note, terminal_width
from reward_servers.cli._inputs import reference_remedy
from reward_servers.cli._intake import Intake
from reward_servers.cli._labelling import Labelling, add_agreement, agreement_of_rewards
from reward_servers.cli._signal_files import describe_signal, row_fields
from trainer_client import IncompleteBatchError, RewardError, ScoreTable, Summary
from trainer_client.result.figures import Figures, figures_of
from trainer_client.result.grid import NONE, Grid, figure_cells
from trainer_client.result.summary import summary_grid, summary_lines
from trainer_client.signals import Groups, Signal, SignalError

Numbers = NDArray[np.float64]
_REPORT_WIDTH = 100


class TrainingSignal:
    """What the recipe makes of the scores.

    Attributes:
        rewards: ``[N]``, NaN where there is none; None when the batch cannot be used.
        advantages: ``[N]``; None when there are none.
        made: Everything that the method gave, in the last step; None when it gave nothing.
        steps: The same of each step.
        failed: Whether a step has none though the recipe asks for it.
        reason: Why something is None; empty when nothing is.
    """

    def __init__(self, rewards: Numbers | None, signal: Signal | None, reason: str) -> None:
        self.rewards = rewards
        self.made = signal
        self.steps: tuple[Signal, ...] = () if signal is None else (signal,)
        self.failed = signal is None and bool(reason)
        self.advantages = None if signal is None else signal.advantages
        self.reason = reason

    @classmethod
    def joined(cls, steps: Sequence[TrainingSignal], rows: Sequence[int]) -> TrainingSignal:
        """The signals of several steps as one.

        Args:
            steps: The signals.
            rows: Rollouts of each.
        """
        if len(steps) == 1:
            return steps[0]
        joined = cls(None, steps[-1].made, next((step.reason for step in steps if step.reason), ""))
        if any(step.rewards is not None for step in steps):
            rewards = [step.rewards for step in steps]
            joined.rewards = np.concatenate(
                [
                    np.full(count, np.nan) if reward is None else reward
                    for reward, count in zip(rewards, rows, strict=True)
                ]
            )
        advantages = [step.advantages for step in steps if step.advantages is not None]
        joined.advantages = np.concatenate(advantages) if len(advantages) == len(steps) else None
        joined.steps = tuple(inner for step in steps for inner in step.steps)
        joined.failed = any(step.failed for step in steps)
        return joined

    def reward(self, row: int) -> float | None:
        """The reward of a rollout."""
        if self.rewards is None or np.isnan(self.rewards[row]):
            return None
        return float(self.rewards[row])

    def advantage(self, row: int) -> float | None:
        """The advantage of a rollout; None without a reward."""
        if self.advantages is None or self.reward(row) is None:
            return None
        return float(self.advantages[row])


def training_signal_of(table: ScoreTable) -> TrainingSignal:
    """Rewards and advantages, as far as the scores and the recipe's method allow."""
    try:
        rewards = table.rewards
    except IncompleteBatchError as error:
        return TrainingSignal(None, None, str(error))
    if table.recipe.advantage is None:
        return TrainingSignal(rewards, None, "")
    try:
        signal = table.signal
    except (RewardError, SignalError) as error:
        return TrainingSignal(rewards, None, f"no advantages: {error}")
    return TrainingSignal(rewards, signal, _shortfall(signal))


def _shortfall(signal: Signal) -> str:
    """Say that a method gives no advantage per rollout, and what it gives instead."""
    if signal.advantages is not None:
        return ""
    targets = {
        "advantages per token": signal.token_advantages,
        "pairs": signal.pairs,
        "requests": signal.requests,
        "a budget": signal.budget,
        "weights per token": signal.token_weights,
        "shaped rewards": signal.rewards,
    }
    names = [name for name, value in targets.items() if value is not None]
    return f"the method gives {' and '.join(names) or 'weights'} and no advantage per rollout"


def signal_fields(signal: TrainingSignal, row: int) -> dict[str, Any]:
    """What is made of the scores of a rollout: reward, advantage, and what else the method gives each rollout."""
    fields: dict[str, Any] = {"reward": signal.reward(row), "advantage": signal.advantage(row)}
    return fields if signal.made is None else fields | row_fields(signal.made, row)


def describe_run(
    summary: Summary, table: ScoreTable, signal: TrainingSignal, intake: Intake, labelling: Labelling
) -> dict[str, Any]:
    """The run in figures, for JSON.

    Args:
        summary: Figures of the scores.
        table: The scores.
        signal: What is made of them.
        intake: What the input file held, and how it was read.
        labelling: How scores are compared with labels.
    """
    file = intake.found
    outcome = summary.to_dict()
    compared = agreement_of_rewards(table, file.rollouts, labelling)
    for reward in outcome["rewards"]:
        reward["agreement"] = compared.by_reward.get(reward["name"])
    advantages = signal.advantages
    outcome |= {
        "recipe": table.recipe.name,
        "recipe_digest": table.recipe.digest,
        **describe_signal(signal.steps),
        "failed": signal.failed,
        "advantage": None if advantages is None else asdict(_advantages(table, signal)),
        "zero_advantages": None if advantages is None else int((advantages[table.mask] == 0).sum()),
        "remark": "" if outcome["incomplete"] else signal.reason,
        "grouped_by_prompt": file.grouped_by_prompt if table.recipe.advantage is not None else 0,
        "ungrouped": file.ungrouped,
        "reference_remedy": reference_remedy(file, intake.form.columns) if _lacks_references(summary) else "",
        "lines_left_out": [{"line": problem.line, "reason": problem.reason} for problem in file.problems],
        "label_problems": compared.problems,
        "label_notes": compared.notes,
    }
    return outcome


def _lacks_references(summary: Summary) -> bool:
    return any("dataset/missing_reference" in reward.faults for reward in summary.rewards)


def _advantages(table: ScoreTable, signal: TrainingSignal) -> Figures:
    """Figures of the advantages of rollouts that have a reward."""
    assert signal.advantages is not None
    return figures_of(np.where(table.mask, signal.advantages, np.nan), Groups.of(table.group_ids))


def print_run(summary: Summary, outcome: Mapping[str, Any], path: Path | None) -> None:
    """Print the run in figures, for people.

    Args:
        summary: The figures.
        outcome: What else is known: see `describe_run`.
        path: The file that was written; None for none.
    """
    print(grid_of_run(summary, outcome).text(terminal_width()))
    print("\n".join(summary_lines(summary)))
    for name, value in outcome["report"].items():
        print_line(f"{name}  {_clipped(value)}")
    if path is not None:
        print(f"written to {path}")
    for note in outcome["label_notes"]:
        print_note(note)
    if outcome["remark"]:
        print_note(outcome["remark"])
    if outcome["reference_remedy"]:
        print_note(outcome["reference_remedy"])
    if outcome["grouped_by_prompt"]:
        print_note(
            f"{outcome['grouped_by_prompt']} rollouts have no group_id; those with the same prompt are one group"
        )
    if outcome["ungrouped"]:
        print_note(
            f"{outcome['ungrouped']} rollouts have neither group_id nor prompt; each is a group of its own, from which "
            "no group method can learn: name the column by --map prompt=COLUMN or --map group_id=COLUMN"
        )


def grid_of_run(summary: Summary, outcome: Mapping[str, Any]) -> Grid:
    """The table of a run: the figures of its scores, rewards and advantages, and its labels."""
    grid = summary_grid(summary)
    if outcome["advantage"] is not None:
        cells = figure_cells(Figures(**outcome["advantage"]))
        grid.widen("= advantage", cells)
        grid.add("zero", [*[NONE] * (len(grid.titles) - 1), str(outcome["zero_advantages"])], after="highest")
    add_agreement(grid, [reward["agreement"] for reward in outcome["rewards"]])
    return grid


def _clipped(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _REPORT_WIDTH else f"{text[: _REPORT_WIDTH - 3]}..."
