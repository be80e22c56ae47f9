"""Items that the client gives up do not run at real servers; the others run once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.client.conftest import ROOT, rollouts_of
from trainer_client import Recipe, RewardClient


def test_of_a_call_in_which_some_are_given_up_only_the_others_run_and_each_once(tmp_path: Path) -> None:
    log = tmp_path / "judged"
    log.touch()
    recipe = Recipe.loads('[rewards.main]\nverifier = "probe/counted"\n')
    command = [sys.executable, "-m", "reward_servers", "serve", "tests.e2e.counted:counted", "--workers", "2"]
    environment = {**os.environ, "PROBE_LOG": str(log), "PYTHONPATH": str(ROOT)}

    def judged() -> list[str]:
        return log.read_text().split()

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[2]
            with RewardClient(recipe, address) as client:
                futures = [client.submit(rollout) for rollout in rollouts_of([f"x{n}" for n in range(200)])]
                end = time.monotonic() + 60
                while len(judged()) < 8 and time.monotonic() < end:
                    time.sleep(0.01)
                for future in futures[40:]:
                    future.cancel()
                assert [future.result(60).reward for future in futures[:40]] == [0.5] * 40
                # As many as two workers hold, besides what they had begun.
                assert len(judged()) == len(set(judged())) < 100
        finally:
            server.kill()
