"""What held-out rows show of each head of a model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import permutations
from typing import Any

import numpy as np

from reward_servers.training._pairs import Preference, PreferencePair, RatedResponse, ScoredList
from reward_servers.training._report import Report, report_on

_ONLY = "logit"


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """A held-out row with what the model gives.

    Attributes:
        row: The row.
        outputs: Of each of its conversations, by output.
        tokens: Of each.
    """

    row: Preference
    outputs: Sequence[Sequence[float]]
    tokens: Sequence[int]


@dataclass(frozen=True, slots=True)
class RatingReport:
    """How close a head, squashed, comes to ratings.

    Attributes:
        ratings: How many.
        mean_error: Mean distance.
        correlation: Of the two; None where one of them does not vary.
        loss: Mean cross-entropy in nats.
        loss_of_mean: The same for saying the mean rating always.
    """

    ratings: int
    mean_error: float
    correlation: float | None
    loss: float
    loss_of_mean: float


@dataclass(frozen=True, slots=True)
class HeadFindings:
    """What held-out rows show of one head.

    Attributes:
        mean: Of its outputs.
        std: Their deviation.
        pairs: Of pairs, those of lists and those of ratings of one prompt included; None without any.
        ratings: Of ratings; None without any.
    """

    mean: float
    std: float
    pairs: Report | None
    ratings: RatingReport | None


@dataclass(frozen=True, slots=True)
class Findings:
    """What held-out rows show.

    Attributes:
        heads: By name; one without a name for a model with one head.
    """

    heads: dict[str, HeadFindings]

    @property
    def reports(self) -> dict[str, Report]:
        """Of pairs, by head."""
        return {name or _ONLY: head.pairs for name, head in self.heads.items() if head.pairs is not None}

    @property
    def only(self) -> Report:
        """Of pairs of the first head that has any.

        Raises:
            ValueError: There are no pairs.
        """
        report = next(iter(self.reports.values()), None)
        if report is None:
            raise ValueError("there are no pairs to report on; hold some out")
        return report

    def as_json(self) -> dict[str, Any]:
        """The findings as plain data."""
        return {"heads": {name or _ONLY: asdict(head) for name, head in self.heads.items()}}


def find(scored: Sequence[ScoredRow], heads: Sequence[str]) -> Findings:
    """What held-out rows show of each head, in the order of the outputs."""
    return Findings({name: _of_head(scored, name, place) for place, name in enumerate(heads)})


def _of_head(scored: Sequence[ScoredRow], name: str, place: int) -> HeadFindings:
    values = np.array([values[place] for s in scored for values in s.outputs], float)
    pairs = [*_pairs(scored, name, place), *_pairs_of_ratings(scored, name, place)]
    ratings = [
        (s.outputs[0][place], rating)
        for s in scored
        if isinstance(s.row, RatedResponse)
        for head, rating in s.row.ratings
        if head == name
    ]
    report = None
    if pairs:
        first, second, longer = zip(*pairs, strict=True)
        report = report_on(first, second, longer)
    return HeadFindings(float(values.mean()), float(values.std()), report, _rated(ratings) if ratings else None)


Gap = tuple[float, float, int]
"""Output of the better response, that of the worse one, and how many tokens the better one has more."""


def _pairs(scored: Sequence[ScoredRow], name: str, place: int) -> Iterator[Gap]:
    for item in scored:
        row, outputs, tokens = item.row, item.outputs, item.tokens
        if isinstance(row, PreferencePair) and row.head == name:
            yield outputs[0][place], outputs[1][place], tokens[0] - tokens[1]
        elif isinstance(row, ScoredList) and row.head == name:
            for better, worse in permutations(range(len(row.scores)), 2):
                if row.scores[better] > row.scores[worse]:
                    yield outputs[better][place], outputs[worse][place], tokens[better] - tokens[worse]


def _pairs_of_ratings(scored: Sequence[ScoredRow], name: str, place: int) -> Iterator[Gap]:
    """Responses to one prompt that are rated differently."""
    by_prompt: dict[Any, list[tuple[float, float, int]]] = {}
    for item in scored:
        if isinstance(item.row, RatedResponse) and name in item.row.heads:
            rating = (dict(item.row.ratings)[name], item.outputs[0][place], item.tokens[0])
            by_prompt.setdefault(item.row.prompt, []).append(rating)
    for rated in by_prompt.values():
        for better, worse in permutations(rated, 2):
            if better[0] > worse[0]:
                yield better[1], worse[1], better[2] - worse[2]


def _rated(pairs: Sequence[tuple[float, float]]) -> RatingReport:
    outputs, targets = (np.array(column, float) for column in zip(*pairs, strict=True))
    chances = 0.5 * (1.0 + np.tanh(outputs / 2.0))
    varies = chances.std() > 0 and targets.std() > 0
    # In log-odds, so that what is sure costs no more than it should.
    losses = np.logaddexp(0.0, outputs) - targets * outputs
    mean = float(targets.mean())
    entropy = -sum(chance * math.log(chance) for chance in (mean, 1.0 - mean) if chance > 0)
    return RatingReport(
        len(pairs),
        float(np.abs(chances - targets).mean()),
        float(np.corrcoef(chances, targets)[0, 1]) if varies else None,
        float(losses.mean()),
        entropy,
    )
