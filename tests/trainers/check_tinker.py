"""tinker-cookbook plays a group with the page's environment; a trajectory without a reward is left out of it."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.filterwarnings("ignore")

pytest.importorskip("tinker_cookbook")

from tinker import ModelInput  # noqa: E402
from tinker_cookbook.completers import TokenCompleter, TokensWithLogprobs  # noqa: E402
from tinker_cookbook.rl.data_processing import compute_advantages  # noqa: E402
from tinker_cookbook.rl.problem_env import ProblemGroupBuilder  # noqa: E402
from tinker_cookbook.rl.rollout_strategy import MinViableGroup  # noqa: E402
from tinker_cookbook.rl.rollouts import do_group_rollout  # noqa: E402

from tests.adapters.page import SCORER, lines_of, write_scorer  # noqa: E402
from tests.adapters.surviving import KEYS, drawn  # noqa: E402

TEXTS = [str(number) for number in range(8)]
EXPECTED = {text: drawn("p", text) for text in TEXTS}


class Renderer:
    """Tokens of this test are places in its texts."""

    def get_stop_sequences(self) -> list[str]:
        return ["</s>"]

    def build_generation_prompt(self, messages: Any) -> Any:
        return ModelInput.from_ints([0])

    def parse_response(self, action: list[int]) -> tuple[dict[str, str], Any]:
        return {"role": "assistant", "content": TEXTS[action[0]]}, SimpleNamespace(is_clean=True)


class Policy(TokenCompleter):  # type: ignore[misc]
    """Gives one text after the other."""

    def __init__(self) -> None:
        self._next = itertools.count()

    async def __call__(self, model_input: Any, stop: Any, *, max_tokens: int | None = None) -> Any:
        return TokensWithLogprobs([next(self._next)], [0.0])


@pytest.fixture
def judged(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    write_scorer(tmp_path, server)
    (tmp_path / "my_env.py").write_text(lines_of(SCORER, "my_env.py"))
    monkeypatch.syspath_prepend(str(tmp_path))
    import my_env  # type: ignore[import-not-found]

    yield my_env.Judged
    for name in ("my_env", "my_scorer"):
        sys.modules.pop(name, None)


def test_a_group(judged: Any) -> None:
    class Sums(judged):  # type: ignore[misc]
        def get_question(self) -> str:
            return "p"

        def get_reference_answer(self) -> str:
            return "x"

        def check_answer(self, sample_str: str) -> bool:
            raise AssertionError("the recipe judges")

        check_format = check_answer

    builder = ProblemGroupBuilder(env_thunk=lambda: Sums(Renderer()), num_envs=len(TEXTS))
    group = asyncio.run(do_group_rollout(builder, Policy(), strategy=MinViableGroup(min_successful=2, max_retries=0)))
    texts = [TEXTS[one.transitions[0].ac.tokens[0]] for one in group.trajectories_G]
    kept = {text: score for text, score in EXPECTED.items() if score is not None}
    assert sorted(texts) == sorted(kept)
    assert group.get_total_rewards() == [kept[text] for text in texts]
    assert [one.error_type for one in group.rollout_errors] == ["MissingRewardError"] * (len(TEXTS) - len(kept))
    (advantages,) = compute_advantages([group])
    mean = sum(kept.values()) / len(kept)
    np.testing.assert_allclose(advantages, [kept[text] - mean for text in texts], rtol=1e-6, atol=1e-6)
    assert group.trajectories_G[0].transitions[0].metrics.keys() == KEYS
