"""Spans of time named in a reply (TempSamp-R1)."""

from __future__ import annotations

import math
import re

Span = tuple[float, float]

_TIME = re.compile(r"\d+(?::\d{1,2}){1,2}(?:\.\d+)?|\d+(?:\.\d+)?")


def read_span(answer: str) -> Span | None:
    """Start and end, in seconds, that an answer names; None unless it names exactly two times.

    Times are numbers of seconds, or ``minutes:seconds`` with hours before them if there are any.
    """
    times = [_seconds(text) for text in _TIME.findall(answer)]
    return (times[0], times[1]) if len(times) == 2 else None


def temporal_iou(predicted: Span, gold: Span) -> float:
    """Overlap of two spans over what they cover together, 0 to 1; 0 for a span that ends before it starts.

    Raises:
        ValueError: a time is not finite, or the gold span ends before it starts.
    """
    if not all(map(math.isfinite, (*predicted, *gold))) or gold[1] < gold[0]:
        raise ValueError(f"spans {predicted} and {gold}: times must be finite, and the gold span must not be reversed")
    if predicted[1] < predicted[0]:
        return 0.0
    covered = max(predicted[1], gold[1]) - min(predicted[0], gold[0])
    shared = min(predicted[1], gold[1]) - max(predicted[0], gold[0])
    return max(shared, 0.0) / covered if covered > 0 else 0.0


def _seconds(text: str) -> float:
    total = 0.0
    for part in text.split(":"):
        total = 60.0 * total + float(part)
    return total
