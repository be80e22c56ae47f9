"""verifiers 0.1 scores by our rubric, through its own types."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.filterwarnings("ignore")

vf = pytest.importorskip("verifiers")

from tests.adapters.surviving import drawn, recipe  # noqa: E402
from tests.gateway.conftest import Processes  # noqa: E402
from trainer_client import Cell, Recipe, Reward, RewardClient, Rollout, Server  # noqa: E402
from trainer_client.adapters.verifiers import rubric  # noqa: E402

TEXTS = [str(number) for number in range(8)]
EXPECTED = [drawn("p", text) for text in TEXTS]


def test_a_group_of_states(server: str) -> None:
    made = rubric(Recipe.loads(recipe()), server, max_missing=1.0)
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


def test_a_rubric_is_served(tmp_path: Path) -> None:
    here = "verifiers+tests.trainers.their_rubric"
    served = (f"{here}:rubric", f"{here}:groups", f"{here}:load_rubric")
    processes = Processes(tmp_path)
    address = processes.start("serve", *served, "--port", "0", "--workers", "1")
    try:
        plain = _cells(address, served[0], ["42", "41", "raise", "it is certainly 42"])
        assert [cell.score for cell in plain] == [1.5, 0.5, None, 1.0]
        assert plain[0].aspects == {"correct": 1.0, "brief": 1.0, "metric": None}
        assert (plain[2].code, "brief raised RuntimeError" in plain[2].message) == ("verifier_error", True)
        assert [cell.score for cell in _cells(address, served[1], ["42", "41 or so"])] == [1.0, 0.5]
        assert [cell.score for cell in _cells(address, served[2], ["42", "41"])] == [1.0, 0.0]
        (unknown,) = _cells(address, served[0], ["42"], {"other": "42"})
        assert (unknown.score, unknown.code) == (None, "missing_reference")
    finally:
        processes.stop()


def _cells(address: str, name: str, responses: list[str], reference: Any = None) -> list[Cell]:
    server = Server("all", (name,), endpoints=(address,))
    made = Recipe((Reward("r", name),), "rubric", (server,), advantage=None, max_missing=1.0)
    rollouts = [
        Rollout(f"r{row}", prompt="6*7?", response=one, group_id="g", reference=reference or {"answer": "42"})
        for row, one in enumerate(responses)
    ]
    with RewardClient(made) as client:
        table = client.score(rollouts)
    return [table.cell(row, "r") for row in range(len(rollouts))]
