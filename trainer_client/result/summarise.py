"""Makes a `Summary` of a score table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trainer_client.recipe.recipe import Recipe
from trainer_client.recipe.rewards import Reward
from trainer_client.result.details import PARTIES
from trainer_client.result.figures import figures_of
from trainer_client.result.outcomes import ModelUsage, Outcome
from trainer_client.result.summary import RewardSummary, Summary
from trainer_client.result.verifiers import VerifierId
from trainer_client.signals import Groups

_ERRORS = "rejected_by_error"


class Scores(Protocol):
    """What a summary reads of a score table: see `ScoreTable`."""

    group_ids: list[str]
    columns: tuple[str, ...]
    outcomes: NDArray[np.uint8]
    scores: NDArray[np.float64]
    code_numbers: NDArray[np.int32]
    code_names: tuple[str, ...]
    party_numbers: NDArray[np.uint8]
    versions: tuple[tuple[VerifierId, ...], ...]
    seconds: float

    recipe: Recipe

    @property
    def recipe_now(self) -> Recipe:
        """The recipe as it is at the table's step."""

    @property
    def run_seconds(self) -> NDArray[np.float64]:
        """How long each item ran."""

    @property
    def queue_seconds(self) -> NDArray[np.float64]:
        """How long each item waited."""

    @property
    def cpu_seconds(self) -> NDArray[np.float64]:
        """Processor time of each item."""

    @property
    def cached(self) -> NDArray[np.bool_]:
        """Whether each verdict came from a cache."""

    def spent(self, reward: int) -> ModelUsage:
        """What models did for a reward."""

    def aspects(self, reward: int) -> Mapping[str, NDArray[np.float64]]:
        """Each aspect of the verdicts of a reward."""


def summarise(
    table: Scores,
    rewards: NDArray[np.float64] | None = None,
    mask: NDArray[np.bool_] | None = None,
    incomplete: str = "",
) -> Summary:
    """Figures of a table: see `ScoreTable.summary`.

    Args:
        table: the scores.
        rewards: ``[N]`` rewards; None where the batch cannot be used.
        mask: ``[N]`` rollouts that have one.
        incomplete: why it cannot be used.
    """
    ids = Groups.of(table.group_ids)
    known_rewards = np.where(mask, rewards, np.nan) if rewards is not None and mask is not None else None
    is_asked = (table.outcomes != Outcome.NOT_ASKED).any(axis=1)
    unlearnable = {} if known_rewards is None else _unlearnable(known_rewards, is_asked, ids)
    figures = None if known_rewards is None else figures_of(known_rewards, ids)
    return Summary(
        rollouts=len(table.group_ids),
        groups=len(ids),
        rewarded=0 if known_rewards is None else int((~np.isnan(known_rewards)).sum()),
        mean_reward=None if figures is None else figures.mean,
        degenerate_groups=len(ids) if known_rewards is None else sum(unlearnable.values()),
        unlearnable=unlearnable,
        incomplete=incomplete,
        seconds=table.seconds,
        rewards=[_reward(table, column, ids) for column in range(len(table.columns))],
        combined=figures,
    )


def _unlearnable(rewards: NDArray[np.float64], is_asked: NDArray[np.bool_], ids: Groups) -> dict[str, int]:
    """Groups from which no comparison within a group can learn, by the reason, the commonest first."""
    present = ~np.isnan(rewards)
    groups = ids.take(present)
    reasons: Counter[str] = Counter()
    judged = ids.any(is_asked)
    if idle := int((~judged).sum()):
        reasons["no reward is asked of them"] = idle
    if lost := int((judged & ~ids.any(present)).sum()):
        reasons["all scores missing"] = lost
    if not len(groups):
        return dict(reasons)
    sizes = np.bincount(ids.index[present], minlength=len(ids))
    group_sizes = np.bincount(ids.index, minlength=len(ids))
    if alone := int(((sizes == 1) & (group_sizes == 1)).sum()):
        reasons["a single rollout"] = alone
    if left := int(((sizes == 1) & (group_sizes > 1)).sum()):
        reasons["one reward, the others missing"] = left
    values = rewards[present]
    equal = groups.constant(values) & (groups.sizes > 1)
    for value in groups.first(values)[equal].tolist():
        reasons[f"all rewards {value:.4g}"] += 1
    return dict(reasons.most_common())


def _reward(table: Scores, column: int, ids: Groups) -> RewardSummary:
    outcomes = table.outcomes[:, column]
    codes, parties = table.code_numbers[:, column], table.party_numbers[:, column]
    scored = outcomes == Outcome.VERDICT
    faulty = outcomes == Outcome.FAULT
    figures = figures_of(np.where(scored, table.scores[:, column], np.nan), ids)
    run = table.run_seconds[scored, column] if scored.any() else np.zeros(1)
    queue = table.queue_seconds[scored, column] if scored.any() else np.zeros(1)
    # Verdicts that another reward was asked for, too, have cost nothing more.
    fresh = ~table.cached[:, column] & (column not in table.recipe_now.read_columns)
    aspects = table.aspects(column)
    return RewardSummary(
        **{field.name: getattr(figures, field.name) for field in fields(figures)},
        name=table.columns[column],
        verifier=table.recipe_now.rewards[column].verifier,
        weight=_weight(table.recipe.rewards[column], table.recipe_now.rewards[column], table.recipe),
        aspects={
            name: float(np.nanmean(values))
            for name, values in aspects.items()
            if name != _ERRORS and not np.isnan(values).all()
        },
        versions=[f"{v.name}@{v.version} {v.digest}" for v in table.versions[column]],
        asked=int((outcomes != Outcome.NOT_ASKED).sum()),
        scored=int(scored.sum()),
        codes=_counted(codes[scored], table.code_names),
        faults=_counted(codes[faulty], table.code_names, parties[faulty]),
        skips=_counted(codes[outcomes == Outcome.SKIP], table.code_names),
        run_p50=float(np.quantile(run, 0.5)),
        run_p99=float(np.quantile(run, 0.99)),
        run_max=float(run.max()),
        queue_p99=float(np.quantile(queue, 0.99)),
        cached=int(table.cached[:, column].sum()),
        run_seconds=float(table.run_seconds[fresh, column].sum()),
        cpu_seconds=float(table.cpu_seconds[fresh, column].sum()),
        rejected_by_error=_shares(table.group_ids, aspects[_ERRORS]) if _ERRORS in aspects else {},
        **table.spent(column)._asdict(),
    )


def _weight(reward: Reward, now: Reward, recipe: Recipe) -> str:
    """What a score counts for."""
    if now.gate is not None:
        return f"gate, {now.weight:g}"
    role = recipe.role_of(reward)
    return f"{now.weight:g}, {role}" if role else f"{now.weight:g}"


def _shares(group_ids: list[str], errors: NDArray[np.float64]) -> dict[str, float]:
    """Mean of each group that has any, highest first."""
    shares: dict[str, list[float]] = {}
    for row in np.flatnonzero(~np.isnan(errors)).tolist():
        shares.setdefault(group_ids[row], []).append(float(errors[row]))
    means = {group: sum(values) / len(values) for group, values in shares.items() if any(values)}
    return dict(sorted(means.items(), key=lambda pair: -pair[1]))


def _counted(
    codes: NDArray[np.int32], names: tuple[str, ...], parties: NDArray[np.uint8] | None = None
) -> dict[str, int]:
    """How often each code is there, behind its party where that is told; the commonest first, then the first met."""
    numbers = codes if parties is None else codes + parties.astype(np.int64) * len(names)
    found, first, counts = np.unique(numbers, return_index=True, return_counts=True)
    counted = {}
    for at in np.lexsort((first, -counts)).tolist():
        party, code = divmod(int(found[at]), len(names))
        counted[names[code] if parties is None else f"{PARTIES[party]}/{names[code]}"] = int(counts[at])
    return counted
