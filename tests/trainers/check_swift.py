"""ms-swift computes rewards by the page's plug-in, and what it raises ends the step."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.filterwarnings("ignore")

torch = pytest.importorskip("torch")
pytest.importorskip("swift.rewards")

from swift.rewards import orms  # noqa: E402
from swift.rl_core.data import GRPOSample  # noqa: E402
from swift.rl_core.grpo_algorithm import compute_rewards_per_func  # noqa: E402

from tests.adapters.page import SCORER, lines_of, write_scorer  # noqa: E402
from tests.adapters.surviving import drawn  # noqa: E402
from trainer_client.adapters.missing import MissingRewardError  # noqa: E402

GIVEN = {text: drawn("p", text) for text in map(str, range(8))}


@pytest.fixture
def reward(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    write_scorer(tmp_path, server)
    monkeypatch.syspath_prepend(str(tmp_path))
    exec(lines_of(SCORER, "plugin.py"), {"__name__": "plugin"})
    yield orms.pop("assay")(args=None)
    sys.modules.pop("my_scorer", None)


def test_rewards_of_a_batch(reward: Any) -> None:
    def computed(texts: list[str]) -> Any:
        question = {"role": "user", "content": "p"}
        samples = [
            GRPOSample(messages=[question, {"role": "assistant", "content": text}], extra={"solution": "x"})
            for text in texts
        ]
        return compute_rewards_per_func(samples, [reward], [None], torch.device("cpu"))

    kept = {text: score for text, score in GIVEN.items() if score is not None}
    told = computed(list(kept))
    assert told.shape == (len(kept), 1)
    assert told[:, 0].tolist() == pytest.approx(list(kept.values()), rel=1e-6)
    with pytest.raises(MissingRewardError):
        computed(list(GIVEN))
