"""`Summary`: a score table in figures, and as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trainer_client._printable import printable
from trainer_client.result.figures import Figures
from trainer_client.result.grid import NONE, Grid, add_counts, add_figures, duration, figure

COMBINED = "= reward"
_SHOWN = 5
_ASPECTS_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardSummary(Figures):
    """One reward in figures; those of its scores are `Figures`.

    Attributes:
        name: the reward.
        verifier: what the recipe asks for.
        weight: what a score counts for: its factor in the sum, and whether it is a gate or a monitor.
        aspects: mean of each aspect of its verdicts that any has.
        versions: the verifiers that answered, ``name@version digest``.
        asked: items asked for.
        scored: items with a score.
        codes: verdicts by code.
        faults: faults by ``party/code``.
        skips: skips by code.
        run_p50: median run time of an item, in seconds.
        run_p99: its 99th percentile.
        run_max: its maximum.
        queue_p99: 99th percentile of the time that an item waited at the server, in seconds.
        cached: verdicts that came from a cache.
        run_seconds: time that its items ran, in all; verdicts from a cache left out.
        cpu_seconds: processor time of those items.
        rejected_by_error: for each group whose reference made its own checker or tests raise errors: the share of its
            tests in which they did, highest first. One that is high in most groups, or near 1, is worth a look.
        upstream_calls: calls of models.
        input_tokens: tokens that models read.
        output_tokens: tokens that models wrote.
        cost: what the calls cost, by the prices that the servers' operators gave.
    """

    name: str
    verifier: str
    weight: str
    aspects: dict[str, float]
    versions: list[str]
    asked: int
    scored: int
    codes: dict[str, int]
    faults: dict[str, int]
    skips: dict[str, int]
    run_p50: float
    run_p99: float
    run_max: float
    queue_p99: float
    cached: int
    run_seconds: float
    cpu_seconds: float
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
        rewarded: rollouts that have a reward; the others are masked.
        mean_reward: mean of those rewards; None when there is none.
        degenerate_groups: groups whose rewards are all equal, or missing except one: they teach nothing.
        unlearnable: those groups by the reason.
        incomplete: why the batch cannot be used; empty when it can.
        seconds: time from handing over the batch to its last outcome.
        rewards: one entry for each reward.
        combined: figures of the rewards that the recipe makes of them; None when the batch cannot be used.
    """

    rollouts: int
    groups: int
    rewarded: int
    mean_reward: float | None
    degenerate_groups: int
    unlearnable: dict[str, int]
    incomplete: str
    seconds: float
    rewards: list[RewardSummary]
    combined: Figures | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and loggers."""
        return asdict(self)

    def __str__(self) -> str:
        """Everything in words and one table, for a terminal."""
        return "\n".join([summary_grid(self).text(), *summary_lines(self)])


def summary_grid(summary: Summary) -> Grid:
    """The figures of a summary: a column for each reward, and one for what they make together."""
    rewards = summary.rewards
    grid = Grid([reward.name for reward in rewards] + [COMBINED])
    grid.add("verifier", [reward.verifier for reward in rewards])
    grid.add("weight", [reward.weight for reward in rewards])
    total = f"{summary.rewarded}/{summary.rollouts}"
    grid.add("scored", [f"{reward.scored}/{reward.asked}" for reward in rewards] + [total])
    grid.add("masked", [NONE] * len(rewards) + [str(summary.rollouts - summary.rewarded)])
    add_counts(grid, "fault", [reward.faults for reward in rewards])
    add_counts(grid, "skip", [reward.skips for reward in rewards])
    add_figures(grid, [*rewards, *([summary.combined] if summary.combined is not None else [])])
    aspects = list(dict.fromkeys(name for reward in rewards for name in reward.aspects))
    for name in aspects[:_ASPECTS_SHOWN]:
        grid.add(f"aspect {name}", [figure(reward.aspects.get(name)) for reward in rewards])
    add_counts(grid, "verdict", [reward.codes for reward in rewards])
    _add_costs(grid, rewards)
    return grid


def _add_costs(grid: Grid, rewards: Sequence[RewardSummary]) -> None:
    scored = [reward.scored > 0 for reward in rewards]
    times = {"run p50": "run_p50", "run p99": "run_p99", "queue p99": "queue_p99"}
    for name, attribute in times.items():
        grid.add(
            name,
            [
                duration(getattr(reward, attribute)) if is_scored else NONE
                for reward, is_scored in zip(rewards, scored, strict=True)
            ],
        )
    totals = {"run, all": "run_seconds", "CPU, all": "cpu_seconds"}
    for name, attribute in totals.items():
        spent = [getattr(reward, attribute) for reward in rewards]
        grid.add(name, [duration(seconds) if seconds else NONE for seconds in spent])
    for name in ("upstream_calls", "input_tokens", "output_tokens"):
        numbers = [getattr(reward, name) for reward in rewards]
        grid.add(name.replace("_", " "), [f"{number:,}" if number else NONE for number in numbers])
    grid.add("cost", [f"{reward.cost:.4g}" if reward.cost else NONE for reward in rewards])
    grid.add("from the cache", [str(reward.cached) if reward.cached else NONE for reward in rewards])


def summary_lines(summary: Summary) -> list[str]:
    """What is said below the table: the batch as a whole, and what no method can learn from."""
    learnable = summary.groups - summary.degenerate_groups
    lines = [
        f"{summary.rollouts} rollouts in {summary.groups} groups; {summary.rewarded} with a reward; "
        f"{summary.seconds:.1f} s"
    ]
    if summary.degenerate_groups and not summary.incomplete:
        parts = [f"{reason}: {count}" for reason, count in summary.unlearnable.items()]
        more = [f"{len(parts) - _SHOWN} other reasons"] if len(parts) > _SHOWN else []
        lines.append(
            f"{learnable} of {summary.groups} groups differ in their rewards; {summary.degenerate_groups} teach "
            f"nothing by comparison ({', '.join([*parts[:_SHOWN], *more])})"
        )
    short = max((reward.short for reward in summary.rewards), default=0)
    if short:
        lines.append(f"groups with fewer scores than the highest k, which it leaves out: {short}")
    lines += filter(None, map(_errors, summary.rewards))
    if summary.incomplete:
        lines.append(f"incomplete: {summary.incomplete}")
    return [printable(line, line=True) for line in lines]


def _errors(reward: RewardSummary) -> str:
    """A line about references that raise errors of their own; empty where there is none."""
    shares = reward.rejected_by_error
    if not shares:
        return ""
    groups_shown = ", ".join(f"{group} {share:.0%}" for group, share in list(shares.items())[:_SHOWN])
    more = f" and {len(shares) - _SHOWN} more" if len(shares) > _SHOWN else ""
    return f"{reward.name}: tests rejected by an error of the reference's own code, by group: {groups_shown}{more}"
