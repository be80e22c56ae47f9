"""Writes two reward models into a folder, as two heads on one backbone.

``python -m examples.papers.ensemble examples/papers/ensemble`` has written the files beside this one. As in
`examples.papers.reviewer` what the heads see is the last word alone, so that each one's output is the number below.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

from examples.papers.reviewer.__main__ import OTHER, write

OUTPUTS = {
    OTHER: (0.0, 0.0),
    "crow.": (0.9, 0.7),
    "once.": (0.2, 0.4),
    "sea!": (0.3, 0.1),
    "jar.": (0.6, 0.5),
}
"""Of the two models, by the last word."""

if __name__ == "__main__":
    write(
        Path(sys.argv[1]),
        {word: tuple(1 / (1 + math.exp(-logit)) for logit in logits) for word, logits in OUTPUTS.items()},
    )
