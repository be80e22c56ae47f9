"""The example trains: the mean reward rises, with an outage too."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Iterator

import pytest

from tests.gateway.conftest import Processes

pytest.importorskip("trl")

from examples.trl.compare import OUTAGE, final, table
from examples.trl.task import Run, train


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    processes = Processes(tmp_path_factory.mktemp("letters"))
    yield processes.start("serve", "examples.trl.verifiers:letters", "--port", "0", "--workers", "1")
    processes.stop()


@pytest.mark.parametrize("run", [Run("grpo", method="grpo"), Run("outage", outage=OUTAGE)])
def test_the_mean_reward_rises(letters: str, run: Run) -> None:
    means: list[float] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train(run, {"example/letters": [letters]}, seed=0, steps=75, tell=lambda step, mean: means.append(mean))
    assert len(means) == 75
    assert statistics.fmean(means[-20:]) > statistics.fmean(means[:20]) + 0.2


def test_the_table_of_a_comparison() -> None:
    found = {"one": [[0.0] * 5 + [0.5] * 20, [1.0] * 20]}
    assert final(found["one"][0]) == 0.5
    assert table(found)[1].split() == ["one", "0.750", "0.354", "0.500", "1.000"]
