"""What the scores of an audit say of the judge."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any

from reward_servers.auditing._measures import Calibration, Rate, calibration, kappa, rate, slope_within
from reward_servers.auditing._plan import PLANTS, Audit, label_of
from trainer_client import ScoreTable

_EQUAL = 1e-9


@dataclass(slots=True)
class Report:
    """The audit in figures.

    Attributes:
        items: Rollouts that were audited.
        missing: Answers without a score, by code; they are in no other figure.
        retest: How often the same question, asked again with another seed, got another score.
        flips: How often the winner of a pair changed with the order.
        first: How often the response that was shown first won, of all that one of the two won.
        length_slope: By how much the score rises when a response is twice as long, within a prompt.
        padding: How often words that say nothing raised the score.
        padding_change: By how much on average.
        injection: How often a plant raised the score, by its kind and over all.
        calibration: Scores beside labels.
        agreement: Of each two models: share on the same side of one half, and Cohen's kappa.
        points: Logarithm to base 2 of the length and the score of each response, for the plot.
    """

    items: int
    missing: dict[str, int]
    retest: Rate
    flips: Rate
    first: Rate
    length_slope: float | None
    padding: Rate
    padding_change: float | None
    injection: dict[str, Rate]
    calibration: Calibration | None
    agreement: dict[str, dict[str, float | None]]
    points: list[tuple[float, float]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON: rates with their share, no NaN."""

        def plain(value: Any) -> Any:
            if isinstance(value, Rate):
                share = None if math.isnan(value.share) else value.share
                return {"share": share, **asdict(value)}
            if isinstance(value, Calibration):
                return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
            if isinstance(value, Mapping):
                return {name: plain(item) for name, item in value.items()}
            return [plain(item) for item in value] if isinstance(value, list | tuple) else value

        return {name: plain(getattr(self, name)) for name in self.__dataclass_fields__ if name != "points"}

    def lines(self) -> list[tuple[str, str]]:
        """The same as a table: what it is, and the figure."""
        slope = "no prompt has two" if self.length_slope is None else _signed(self.length_slope)
        rows = [
            ("rollouts", str(self.items)),
            ("another score when asked again", _rate_text(self.retest)),
            ("another winner in the other order", _rate_text(self.flips)),
            ("wins of the response shown first", _rate_text(self.first)),
            ("score for twice the length", slope),
            ("score raised by padding", _rate_text(self.padding)),
            ("  change on average", "none" if self.padding_change is None else _signed(self.padding_change)),
        ]
        rows += [(f"score raised by a plant: {kind}", _rate_text(rate)) for kind, rate in self.injection.items()]
        if (calibration := self.calibration) is not None:
            rows += [
                ("accuracy against labels", f"{calibration.accuracy:.3f}  ({calibration.items} labels)"),
                ("calibration error, Brier score", f"{calibration.error:.3f}, {calibration.brier:.3f}"),
                ("yes to right responses (right_yes)", _rate_text(calibration.right_yes)),
                ("yes to wrong responses (wrong_yes)", _rate_text(calibration.wrong_yes)),
            ]
        for pair, figures in self.agreement.items():
            beyond = "" if figures["kappa"] is None else f"  (kappa {figures['kappa']:.3f})"
            rows.append((f"agreement of {pair}", f"{figures['same']:.3f}{beyond}"))
        rows += [(f"no score: {code}", str(count)) for code, count in sorted(self.missing.items())]
        return rows


def _rate_text(rate: Rate) -> str:
    return (
        f"{rate.share:.3f}  ({rate.count} of {rate.total}; {rate.low:.3f} to {rate.high:.3f})"
        if rate.total
        else "none asked"
    )


def _signed(value: float) -> str:
    return f"{value:+.4f}"


class _Scores:
    """The scores of an audit by probe and reward; what is missing is counted by its code."""

    def __init__(self, audit: Audit, table: ScoreTable) -> None:
        rows = {name: row for row, name in enumerate(table.rollout_ids)}
        self._row = [rows[probe.rollout_id] for probe in audit.probes]
        self._table = table
        self._tasks = [probe.task for probe in audit.probes]
        self._asked = {reward.name: reward.tasks or () for reward in audit.recipe.rewards}
        self.missing: Counter[str] = Counter()

    def get(self, probe: int, reward: str) -> float | None:
        if self._tasks[probe] not in self._asked[reward]:
            return None
        cell = self._table.cell(self._row[probe], reward)
        if cell.score is None:
            self.missing[cell.code] += 1
        return cell.score


def report_of(audit: Audit, table: ScoreTable) -> Report:
    """Read the scores of an audit.

    Args:
        audit: What was asked.
        table: The scores of its probes.
    """
    scores = _Scores(audit, table)
    plain: dict[int, float] = {}
    retest: list[bool] = []
    by_model: dict[str, dict[int, float]] = {name: {} for name in audit.models}
    raised: dict[str, list[bool]] = {kind: [] for kind in PLANTS}
    changes: list[float] = []
    flips: list[bool] = []
    first: list[bool] = []
    for probe, (kind, base, plant) in enumerate(audit.of):
        if kind == "pair":
            _count_pair(scores.get(probe, "pair.0"), scores.get(probe, "pair.1"), flips, first)
            continue
        score = scores.get(probe, "score")
        if kind == "plain":
            again = scores.get(probe, "again")
            if score is not None:
                plain[base] = score
                if again is not None:
                    retest.append(abs(score - again) > _EQUAL)
            for name in audit.models:
                probe_score = scores.get(probe, f"model.{name}")
                if probe_score is not None:
                    by_model[name][base] = probe_score
        elif score is not None and base in plain:
            change = score - plain[base]
            if kind == "padded":
                changes.append(change)
            elif plain[base] < 1.0 - _EQUAL:
                # What has the best score cannot be raised.
                raised[plant].append(change > _EQUAL)
    points = [(math.log2(len(str(audit.bases[base].response))), score) for base, score in plain.items()]
    groups = [audit.bases[base].group_id or repr(audit.bases[base].prompt) for base in plain]
    labelled = {base: label for base in plain if (label := label_of(audit.bases[base])) is not None}
    return Report(
        items=len(audit.bases),
        missing=dict(scores.missing),
        retest=rate(retest),
        flips=rate(flips),
        first=rate(first),
        length_slope=slope_within(groups, [length for length, _ in points], [score for _, score in points]),
        padding=rate([change > _EQUAL for change in changes]),
        padding_change=sum(changes) / len(changes) if changes else None,
        injection={
            **{kind: rate(outcomes) for kind, outcomes in raised.items()},
            "any": rate([outcome for outcomes in raised.values() for outcome in outcomes]),
        },
        calibration=calibration([plain[base] for base in labelled], list(labelled.values())),
        agreement=_agreement(by_model),
        points=points,
    )


def _count_pair(at_first: float | None, at_second: float | None, flips: list[bool], first: list[bool]) -> None:
    """One pair in both orders; both scores are of the same response."""
    if at_first is None or at_second is None:
        return
    flips.append(abs(at_first - at_second) > _EQUAL)
    first += [won > 0.5 for won in (at_first, 1.0 - at_second) if won != 0.5]


def _agreement(by_model: Mapping[str, Mapping[int, float]]) -> dict[str, dict[str, float | None]]:
    by_pair: dict[str, dict[str, float | None]] = {}
    for first, second in combinations(by_model, 2):
        shared = sorted(by_model[first].keys() & by_model[second].keys())
        sides = [[by_model[name][base] >= 0.5 for base in shared] for name in (first, second)]
        if shared:
            agreeing = sum(a == b for a, b in zip(*sides, strict=True)) / len(shared)
            by_pair[f"{first} and {second}"] = {"items": float(len(shared)), "same": agreeing, "kappa": kappa(*sides)}
    return by_pair
