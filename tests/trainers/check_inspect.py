"""Scorers of inspect_ai are served: its own, and ones as its users write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.filterwarnings("ignore")

pytest.importorskip("inspect_ai")

from tests.gateway.conftest import Processes  # noqa: E402
from trainer_client import Cell, Recipe, Reward, RewardClient, Rollout, Server  # noqa: E402


def test_scorers_are_served(tmp_path: Path) -> None:
    theirs, several = "inspect+tests.trainers.their_scorer:by_content", "inspect+tests.trainers.their_scorer:several"
    served = (theirs, f"{several}?value=short&target=no", several, "inspect+inspect_ai.scorer:includes")
    processes = Processes(tmp_path)
    address = processes.start("serve", *served, "--port", "0", "--workers", "1")
    try:
        cells = _cells(address, theirs, ["42", "41", "raise", "none", "unscored", "odd"])
        assert [cell.score for cell in cells] == [1.0, 0.5, None, None, None, None]
        codes = [cell.code for cell in cells[2:]]
        assert codes == ["verifier_error", "not_applicable", "not_applicable", "invalid_score"]
        assert cells[0].evidence["extracted"] == "42"
        assert cells[0].note == "against 42"
        (cell,) = _cells(address, served[1], ["x"], {})
        assert (cell.score, cell.aspects) == (0.25, {"right": 1.0, "short": 0.25})
        (cell,) = _cells(address, several, ["x"])
        assert (cell.score, cell.code) == (None, "invalid_score")
        assert [cell.score for cell in _cells(address, served[3], ["it is 42", "41"])] == [1.0, 0.0]
        # An empty target would be part of every response.
        (cell,) = _cells(address, served[3], ["anything"], {})
        assert (cell.score, cell.code) == (None, "missing_reference")
    finally:
        processes.stop()


def _cells(address: str, name: str, responses: list[str], reference: Any = None) -> list[Cell]:
    server = Server("all", (name,), endpoints=(address,))
    made = Recipe((Reward("r", name),), "scorer", (server,), advantage=None, max_missing=1.0)
    given = {"answer": "42"} if reference is None else reference
    rollouts = [Rollout(f"r{row}", prompt="6*7?", response=one, reference=given) for row, one in enumerate(responses)]
    with RewardClient(made) as client:
        table = client.score(rollouts)
    return [table.cell(row, "r") for row in range(len(rollouts))]
