"""Random short answers, and what a published implementation of SQuAD's evaluation says of them.

``python -m tests.verifiers.squad_inputs`` writes its verdicts again where the package ``torchmetrics`` is installed.
"""

from __future__ import annotations

import json
import random
from importlib import import_module

from tests.client.conftest import ROOT

RECORDED = ROOT / "tests" / "data" / "agreement" / "squad.json"
DRAWN = 1000
_WORDS = [
    *("the", "The", "a", "An", "Broncos", "Denver", "denver", "U.S.", "don't", "re-use", "42", "42.0", "1,200", "of"),
    *("the-end", "(Bamako)", "Théodore", "B.", "«ja»", "theatre", "ann", "$5", "“quoted”", "İstanbul", "東京"),
]
_BETWEEN = [" ", " ", "  ", "\n", ", ", "-"]


def inputs() -> list[tuple[str, list[str]]]:
    """Answers, each with the accepted ones."""
    draw = random.Random(11)

    def text() -> str:
        words = [draw.choice(_WORDS)]
        for _ in range(draw.randint(0, 4)):
            words += [draw.choice(_BETWEEN), draw.choice(_WORDS)]
        return "".join(words)

    drawn: list[tuple[str, list[str]]] = []
    while len(drawn) < DRAWN:
        accepted = [text() + " Denver" for _ in range(draw.randint(1, 3))]
        given = draw.choice(accepted).upper() + draw.choice([".", "", "!"]) if draw.random() < 0.3 else text()
        drawn.append((given, accepted))
    return drawn


def main() -> None:
    """Write what the package says."""
    package = "torchmetrics"
    squad = import_module(f"{package}.functional.text").squad
    exact, f1 = [], []
    for number, (given, accepted) in enumerate(inputs()):
        answers = {"text": accepted, "answer_start": [0] * len(accepted)}
        found = squad([{"id": str(number), "prediction_text": given}], [{"id": str(number), "answers": answers}])
        exact.append(int(float(found["exact_match"]) == 100.0))
        f1.append(round(float(found["f1"]) / 100, 6))
    told = {"package": package, "exact": "".join(map(str, exact)), "f1": f1}
    RECORDED.write_text(json.dumps(told) + "\n", "utf-8")


if __name__ == "__main__":
    main()
