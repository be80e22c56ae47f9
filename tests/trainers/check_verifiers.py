"""verifiers 0.1 scores by our rubric, through its own types."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytestmark = pytest.mark.filterwarnings("ignore")

vf = pytest.importorskip("verifiers")

from tests.adapters.surviving import drawn, recipe  # noqa: E402
from trainer_client import Recipe  # noqa: E402
from trainer_client.adapters.verifiers import rubric  # noqa: E402

TEXTS = [str(number) for number in range(8)]
EXPECTED = [drawn("p", text) for text in TEXTS]


def test_a_group_of_states(server: str) -> None:
    made = rubric(Recipe.loads(recipe()), server, fault_limit=1.0)
    assert isinstance(made, vf.Rubric)
    states: list[Any] = []
    for text in TEXTS:
        state = vf.State({"prompt": "p", "answer": "x", "info": {}, "example_id": 0, "task": "t"})
        state["completion"] = [{"role": "assistant", "content": text}]
        state["prompt"], state["trajectory"] = "p", []
        states.append(state)
    asyncio.run(made.score_group(states))
    kept = [one for one in EXPECTED if one is not None]
    for state, expected in zip(states, EXPECTED, strict=True):
        assert isinstance(state.get("error"), vf.Error) == (expected is None)
        centred = 0.0 if expected is None else expected - sum(kept) / len(kept)
        assert state["advantage"] == pytest.approx(centred, rel=1e-6, abs=1e-12)
