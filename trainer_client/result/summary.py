"""`Summary`: a score table in figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trainer_client.recipe.recipe import Recipe
from trainer_client.result.outcomes import Outcome, Spent
from trainer_client.result.verifiers import VerifierId

_ERRORS = "rejected_by_error"
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class RewardSummary:
    """One reward in figures.

    Attributes:
        name: the reward.
        verifier: what the recipe asks for.
        versions: the verifiers that answered, ``name@version digest``.
        asked: items asked for.
        scored: items with a score.
        mean: mean score; None when nothing was scored.
        std: standard deviation of the scores (the population's); None when nothing was scored.
        codes: verdicts by code.
        faults: faults by ``party/code``.
        skips: skips by code.
        run_p50: median run time of an item, in seconds.
        run_p99: its 99th percentile.
        run_max: its maximum.
        queue_p99: 99th percentile of the time that an item waited at the server, in seconds.
        cached: verdicts that came from a cache.
        rejected_by_error: for each group whose reference made its own checker or tests raise errors: the share of its
            tests in which they did, highest first. One that is high in most groups, or near 1, is worth a look.
        upstream_calls: calls of models.
        input_tokens: tokens that models read.
        output_tokens: tokens that models wrote.
        cost: what the calls cost, by the prices that the servers' operators gave.
    """

    name: str
    verifier: str
    versions: list[str]
    asked: int
    scored: int
    mean: float | None
    std: float | None
    codes: dict[str, int]
    faults: dict[str, int]
    skips: dict[str, int]
    run_p50: float
    run_p99: float
    run_max: float
    queue_p99: float
    cached: int
    rejected_by_error: dict[str, float]
    upstream_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Summary:
    """A batch in figures.

    Attributes:
        rollouts: number of rollouts.
        groups: number of groups.
        rewarded: rollouts that have a reward.
        mean_reward: mean of those rewards; None when there is none.
        degenerate_groups: groups whose rewards are all equal, or missing except one: they teach nothing.
        incomplete: why the batch cannot be used; empty when it can.
        seconds: time from handing over the batch to its last outcome.
        rewards: one entry for each reward.
    """

    rollouts: int
    groups: int
    rewarded: int
    mean_reward: float | None
    degenerate_groups: int
    incomplete: str
    seconds: float
    rewards: list[RewardSummary]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and loggers."""
        return asdict(self)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Titles of columns, and a row of texts for each reward."""
        titles = ["reward", "verifier", "scored", "mean", "std", "run p50", "run p99"]
        return titles, [_row(reward) for reward in self.rewards]

    def lines(self) -> list[str]:
        """What is said below the table: outcomes of each reward by code, and the batch as a whole."""
        lines = [f"{reward.name}  {_outcomes(reward)}" for reward in self.rewards]
        lines.append(
            f"{self.rollouts} rollouts in {self.groups} groups, {self.degenerate_groups} degenerate; "
            f"{self.rewarded} with a reward, mean {_figure(self.mean_reward)}; {self.seconds:.1f} s"
        )
        lines += filter(None, map(_errors, self.rewards))
        lines += filter(None, map(_spent, self.rewards))
        if self.incomplete:
            lines.append(f"incomplete: {self.incomplete}")
        return lines

    def __str__(self) -> str:
        """The table and what is said below it, for a terminal."""
        titles, rows = self.table()
        widths = [max(map(len, cells)) for cells in zip(titles, *rows, strict=True)]
        table = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (titles, *rows)
        ]
        return "\n".join(table + self.lines())


class Scores(Protocol):
    """What a summary reads of a score table: see `ScoreTable`."""

    recipe: Recipe
    group_ids: list[str]
    columns: tuple[str, ...]
    outcomes: NDArray[np.uint8]
    scores: NDArray[np.float64]
    code_numbers: NDArray[np.int32]
    code_names: tuple[str, ...]
    versions: tuple[tuple[VerifierId, ...], ...]
    seconds: float

    @property
    def parties(self) -> NDArray[np.str_]:
        """Whose failure each fault is."""

    @property
    def run_seconds(self) -> NDArray[np.float64]:
        """How long each item ran."""

    @property
    def queue_seconds(self) -> NDArray[np.float64]:
        """How long each item waited."""

    @property
    def cached(self) -> NDArray[np.bool_]:
        """Whether each verdict came from a cache."""

    def aspect(self, reward: int, name: str) -> NDArray[np.float64]:
        """One aspect of the verdicts of a reward."""

    def spent(self, reward: int) -> Spent:
        """What the models that a reward asked have cost."""


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
    group_number = {group: number for number, group in enumerate(dict.fromkeys(table.group_ids))}
    rewarded, mean, degenerate = 0, None, len(group_number)
    if rewards is not None and mask is not None:
        rewarded = int(mask.sum())
        mean = float(rewards[mask].mean()) if rewarded else None
        numbers = np.array([group_number[group] for group in table.group_ids], np.int64)[mask]
        low = np.full(len(group_number), np.inf)
        high = np.full(len(group_number), -np.inf)
        np.minimum.at(low, numbers, rewards[mask])
        np.maximum.at(high, numbers, rewards[mask])
        degenerate = int((low >= high).sum())
    return Summary(
        rollouts=len(table.group_ids),
        groups=len(group_number),
        rewarded=rewarded,
        mean_reward=mean,
        degenerate_groups=degenerate,
        incomplete=incomplete,
        seconds=table.seconds,
        rewards=[_reward(table, column) for column in range(len(table.columns))],
    )


def _reward(table: Scores, column: int) -> RewardSummary:
    outcomes = table.outcomes[:, column]
    codes = np.array(table.code_names)[table.code_numbers[:, column]]
    scored = outcomes == Outcome.VERDICT
    faulty = outcomes == Outcome.FAULT
    scores = table.scores[scored, column]
    run = table.run_seconds[scored, column] if scored.any() else np.zeros(1)
    queue = table.queue_seconds[scored, column] if scored.any() else np.zeros(1)
    parties = table.parties[faulty, column]
    return RewardSummary(
        name=table.columns[column],
        verifier=table.recipe.rewards[column].verifier,
        versions=[f"{v.name}@{v.version} {v.digest}" for v in table.versions[column]],
        asked=int((outcomes != Outcome.NOT_ASKED).sum()),
        scored=int(scored.sum()),
        mean=float(scores.mean()) if scores.size else None,
        std=float(scores.std()) if scores.size else None,
        codes=_counted(codes[scored].tolist()),
        faults=_counted([f"{p}/{c}" for p, c in zip(parties.tolist(), codes[faulty].tolist(), strict=True)]),
        skips=_counted(codes[outcomes == Outcome.SKIP].tolist()),
        run_p50=float(np.quantile(run, 0.5)),
        run_p99=float(np.quantile(run, 0.99)),
        run_max=float(run.max()),
        queue_p99=float(np.quantile(queue, 0.99)),
        cached=int(table.cached[:, column].sum()),
        rejected_by_error=_shares(table.group_ids, table.aspect(column, _ERRORS)),
        **table.spent(column)._asdict(),
    )


def _shares(group_ids: list[str], errors: NDArray[np.float64]) -> dict[str, float]:
    """Mean of each group that has any, highest first."""
    found: dict[str, list[float]] = {}
    for row in np.flatnonzero(~np.isnan(errors)).tolist():
        found.setdefault(group_ids[row], []).append(float(errors[row]))
    means = {group: sum(values) / len(values) for group, values in found.items() if any(values)}
    return dict(sorted(means.items(), key=lambda pair: -pair[1]))


def _errors(reward: RewardSummary) -> str:
    """A line about references that raise errors of their own; empty where there is none."""
    shares = reward.rejected_by_error
    if not shares:
        return ""
    shown = ", ".join(f"{group} {share:.0%}" for group, share in list(shares.items())[:_SHOWN])
    more = f" and {len(shares) - _SHOWN} more" if len(shares) > _SHOWN else ""
    return f"{reward.name}: tests rejected by an error of the reference's own code, by group: {shown}{more}"


def _spent(reward: RewardSummary) -> str:
    """A line about the models that were asked; empty where there was none."""
    if not (reward.upstream_calls or reward.input_tokens):
        return ""
    calls = f"{reward.upstream_calls:,} calls of models, " if reward.upstream_calls else ""
    tokens = f"{reward.input_tokens:,} tokens read and {reward.output_tokens:,} written"
    return f"{reward.name}: {calls}{tokens}" + (f"; cost {reward.cost:.6g}" if reward.cost else "")


def _counted(names: list[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())


def _row(reward: RewardSummary) -> list[str]:
    return [
        reward.name,
        reward.verifier,
        f"{reward.scored}/{reward.asked}",
        _figure(reward.mean),
        _figure(reward.std),
        _duration(reward.run_p50),
        _duration(reward.run_p99),
    ]


def _outcomes(reward: RewardSummary) -> str:
    kinds = {"verdicts": reward.codes, "faults": reward.faults, "skips": reward.skips}
    said = [f"{kind}: {_counts(counts)}" for kind, counts in kinds.items() if counts]
    return "; ".join(said) or "not asked of any rollout"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _duration(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"
