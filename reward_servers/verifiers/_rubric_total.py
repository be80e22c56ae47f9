"""From the scores of a rubric's criteria to one score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from reward_servers import DatasetError
from reward_servers.verifiers._rubric_model import Criterion

Aggregate = Literal["weighted", "range", "all_must", "geometric", "bottom_line", "levels"]
_GATED = ("all_must", "bottom_line", "levels")
_SOFT = 0.01


def counted(values: Mapping[str, float], criteria: Sequence[Criterion]) -> dict[str, float]:
    """The scores, with 0 for criteria that require an unmet one. A pitfall costs in any case."""
    values_by_id, by_id = dict(values), {criterion.id: criterion for criterion in criteria}
    for criterion in criteria:
        if criterion.points > 0 and not all(
            by_id[required].is_met(values_by_id.get(required, 0.0)) for required in criterion.requires
        ):
            values_by_id[criterion.id] = 0.0
    return values_by_id


def gate_without_verdict(values: Mapping[str, float], criteria: Sequence[Criterion], how: Aggregate) -> str:
    """The criterion of a gate that has no score; empty where none lacks it. Such a gate is never passed over."""
    if how not in _GATED:
        return ""
    return next((criterion.id for criterion in criteria if criterion.kind == "must" and criterion.id not in values), "")


def without_positive(values: Mapping[str, float], criteria: Sequence[Criterion], how: Aggregate) -> bool:
    """Whether criteria with positive weight exist and none of them has a score: the others alone measure nothing."""
    counting = [
        criterion
        for criterion in criteria
        if criterion.points > 0 and not (how == "bottom_line" and criterion.kind == "must")
    ]
    return bool(counting) and not any(criterion.id in values for criterion in counting)


def closed_at(values: Mapping[str, float], criteria: Sequence[Criterion], how: Aggregate) -> list[str]:
    """The criteria that close the gates of an aggregate, in their order."""
    if how not in _GATED:
        return []
    shut = [
        criterion.id
        for criterion in criteria
        if criterion.kind == "must" and criterion.id in values and not criterion.is_met(values[criterion.id])
    ]
    return shut[:1] if how == "levels" else shut


def total_of(values: Mapping[str, float], criteria: Sequence[Criterion], how: Aggregate) -> float:
    """One score, 1 at most; where pitfalls are met a weighted sum may be below 0.

    ``weighted``: the weighted sum over the sum of positive weights (HealthBench, arXiv 2505.08775). ``range``: its
    place between its least and its greatest possible value. ``all_must``: the same, and 0 unless every ``must`` is
    met. ``geometric``: the weighted geometric mean of what counts for the response, pitfalls as ``1 - value``; a
    single 0 is 0. ``bottom_line``: ``B * U`` (SearchLLM, arXiv 2603.10473), where ``U`` is the weighted sum of the
    others (where they are pitfalls only, what is left of 1) and ``log B`` the mean over the ``must`` of ``log((s + d)
    / (1 + d))``, ``d = 0.01``. ``levels``: each ``must`` in its order opens what follows; what is behind one that is
    not met counts nothing (ChatShopBuddy's hierarchy: ``sum_l w_l s_l prod_{m<l} [s_m >= met_from_m] / sum_l w_l``
    where every level is a ``must``).

    Args:
        values: Scores by criterion, 0 to 1, after `counted`; a criterion that is missing is left out of all sums.
        criteria: The criteria in their order.
        how: Which of these.

    Raises:
        DatasetError: The weights allow no such score.
    """
    judged = [criterion for criterion in criteria if criterion.id in values and criterion.counts]
    if how == "geometric":
        return _geometric(values, [criterion for criterion in judged if criterion.weight])
    if how == "bottom_line":
        lines = [values[criterion.id] for criterion in judged if criterion.kind == "must"]
        graded = [criterion for criterion in judged if criterion.kind != "must"]
        line = (
            math.exp(math.fsum(math.log((line + _SOFT) / (1 + _SOFT)) for line in lines) / len(lines)) if lines else 1.0
        )
        mean = _weighted if any(criterion.points > 0 for criterion in graded) else _placed
        return line * (mean(values, graded) if any(criterion.weight for criterion in graded) else 1.0)
    if how == "all_must":
        is_met = all(criterion.is_met(values[criterion.id]) for criterion in judged if criterion.kind == "must")
        return _weighted(values, judged) if is_met else 0.0
    if how == "levels":
        is_open, gated = True, dict(values)
        for criterion in judged:
            if not is_open and criterion.points > 0:
                gated[criterion.id] = 0.0
            is_open = is_open and (criterion.kind != "must" or criterion.is_met(values[criterion.id]))
        return _weighted(gated, judged)
    return _weighted(values, judged) if how == "weighted" else _placed(values, judged)


def _sum(values: Mapping[str, float], criteria: Sequence[Criterion]) -> float:
    return math.fsum(criterion.points * values[criterion.id] for criterion in criteria)


def _weighted(values: Mapping[str, float], criteria: Sequence[Criterion]) -> float:
    most = math.fsum(criterion.points for criterion in criteria if criterion.points > 0)
    if most == 0:
        raise DatasetError("reference.rubric: no weight is positive; use option aggregate = 'range'")
    return _sum(values, criteria) / most


def _placed(values: Mapping[str, float], criteria: Sequence[Criterion]) -> float:
    most = math.fsum(criterion.points for criterion in criteria if criterion.points > 0)
    least = math.fsum(criterion.points for criterion in criteria if criterion.points < 0)
    return (_sum(values, criteria) - least) / (most - least)


def _geometric(values: Mapping[str, float], criteria: Sequence[Criterion]) -> float:
    weights = [abs(criterion.points) for criterion in criteria]
    good = [values[criterion.id] if criterion.points > 0 else 1.0 - values[criterion.id] for criterion in criteria]
    if any(share <= 0.0 for share in good):
        return 0.0
    mean = math.fsum(weight * math.log(share) for weight, share in zip(weights, good, strict=True)) / math.fsum(weights)
    return min(1.0, math.exp(mean))
