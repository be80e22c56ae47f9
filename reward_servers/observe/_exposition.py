"""Metrics in the text format that Prometheus reads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reward_servers.core import BOUNDS, Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass
class Family:
    """Samples of one name.

    Attributes:
        name: The name, such as ``assay_items_total``.
        kind: ``counter``, ``gauge`` or ``histogram``.
        help: What it counts, in a sentence.
        samples: Lines: the suffix of the name, labels and value.
    """

    name: str
    kind: str
    help: str
    samples: list[tuple[str, Mapping[str, str], float]] = field(default_factory=list)

    def add(self, value: float, **labels: str) -> Family:
        """Add a sample.

        Returns:
            The family itself.
        """
        self.samples.append(("", labels, value))
        return self

    def add_histogram(self, histogram: Histogram, **labels: str) -> Family:
        """Add the samples of a histogram.

        Returns:
            The family itself.
        """
        counts = histogram.cumulative
        for bound, count in zip((*BOUNDS, math.inf), counts, strict=True):
            self.samples.append(("_bucket", {**labels, "le": _number(bound)}, count))
        self.samples.append(("_sum", labels, histogram.seconds))
        self.samples.append(("_count", labels, counts[-1]))
        return self


def exposition(families: Iterable[Family]) -> bytes:
    """Write families as text."""
    lines: list[str] = []
    for family in families:
        lines.append(f"# HELP {family.name} {family.help}")
        lines.append(f"# TYPE {family.name} {family.kind}")
        for suffix, labels, value in family.samples:
            label_text = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            name = f"{family.name}{suffix}"
            lines.append(f"{name}{{{label_text}}} {_number(value)}" if label_text else f"{name} {_number(value)}")
    return ("\n".join(lines) + "\n").encode()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(int(value)) if float(value).is_integer() and abs(value) < 1 << 53 else repr(float(value))
