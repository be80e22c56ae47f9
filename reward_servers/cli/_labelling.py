"""Labels in a file that is scored: for each reward how many scores agree, and how well graded ones follow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from reward_servers.cli._errors import UserError
from reward_servers.labels import TOLERANCE, Labels, Match, compare, labels_of_rewards
from trainer_client import Recipe, Rollout, ScoreTable
from trainer_client.result.figures import correlations
from trainer_client.result.grid import NONE, Grid, figure


class Labelling(NamedTuple):
    """How scores are compared with labels.

    Attributes:
        reward: The reward that ``expected.score`` is the label of; None for the first that is asked of a rollout.
        tolerance: How far a score may be from a label other than 0 and 1.
    """

    reward: str | None = None
    tolerance: float = TOLERANCE


def check_label(label: str | None, recipe: Recipe) -> None:
    """Refuse a reward that the recipe does not have.

    Raises:
        UserError: With those that it has.
    """
    if label is not None and label not in recipe.columns:
        raise UserError(f"--label {label}: the recipe has no such reward; it has {', '.join(recipe.columns)}")


class LabelComparison(NamedTuple):
    """What came of it.

    Attributes:
        by_reward: Counts, and correlations of graded labels, of each reward that has labels.
        problems: Labels that cannot be used.
        notes: What a reader should know of the comparison.
    """

    by_reward: dict[str, dict[str, Any]]
    problems: list[str]
    notes: list[str]


def agreement_of_rewards(table: ScoreTable, rollouts: Sequence[Rollout], labelling: Labelling) -> LabelComparison:
    """Compare the scores of each reward with its labels, which some of the table's rollouts have."""
    labelled = {rollout.rollout_id for rollout in rollouts}
    row_of = {rollout_id: row for row, rollout_id in enumerate(table.rollout_ids) if rollout_id in labelled}
    is_asked = table.asked
    names = {
        rollout_id: [name for column, name in enumerate(table.columns) if is_asked[row, column]]
        for rollout_id, row in row_of.items()
    }
    labels_by_reward = labels_of_rewards(rollouts, names, labelling.reward)
    by_reward: dict[str, dict[str, Any]] = {}
    notes = []
    for name, labels in labels_by_reward.items():
        if name in table.columns:
            compared = _compare(table, table.column(name), labels, row_of, labelling.tolerance)
            if compared is not None:
                by_reward[name] = compared
        elif name:
            notes.append(
                f"{len(labels.scores)} labels in expected.scores name {name!r}, which the recipe does not have"
            )
    is_ambiguous = any(len(name) > 1 for name in names.values())
    unnamed = [name for name, labels in labels_by_reward.items() if labels.unnamed]
    if is_ambiguous and labelling.reward is None and unnamed:
        notes.append(
            f"expected.score is compared with {', '.join(unnamed)}: the first reward that is asked of a rollout; "
            "--label REWARD names another, and expected.scores labels each by name"
        )
    return LabelComparison(
        by_reward, [problem for labels in labels_by_reward.values() for problem in labels.problems], notes
    )


def _compare(
    table: ScoreTable, column: int, labels: Labels, row_of: Mapping[str, int], tolerance: float
) -> dict[str, Any] | None:
    counts: Counter[Match] = Counter()
    pairs = []
    for rollout_id, label in labels.scores.items():
        row = row_of[rollout_id]
        if not table.asked[row, column]:
            continue
        score = float(table.scores[row, column]) if table.valid[row, column] else None
        counts[compare(score, label, tolerance)] += 1
        if score is not None:
            pairs.append((score, label))
    if not counts:
        return None
    outcome: dict[str, Any] = {"total": counts.total(), **{match.value: counts[match] for match in Match}}
    graded = any(label not in (0.0, 1.0) for _, label in pairs) or any(score not in (0.0, 1.0) for score, _ in pairs)
    correlation = correlations(*np.array(pairs, np.float64).reshape(-1, 2).T) if graded else None
    if correlation is not None:
        outcome |= {"pearson": correlation[0], "spearman": correlation[1]}
    return outcome


def add_agreement(grid: Grid, agreements: Sequence[Mapping[str, Any] | None]) -> None:
    """Add rows about labels to the table of a run."""
    if not any(agreements):
        return
    rows = {"labels": "total", **{f"  {match.value.replace('_', ' ')}": match.value for match in Match}}
    for name, key in rows.items():
        grid.add(name, [str(agreement[key]) if agreement else NONE for agreement in agreements])
    grid.add(
        "  agree, share",
        [f"{agreement['agree'] / agreement['total']:.2%}" if agreement else NONE for agreement in agreements],
    )
    for name in ("pearson", "spearman"):
        grid.add(f"  {name}", [figure(agreement.get(name)) if agreement else NONE for agreement in agreements])
