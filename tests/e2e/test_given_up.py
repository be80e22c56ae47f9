"""Items that the client gives up do not run at real servers; the others run once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import grpc

from tests.client.conftest import ROOT, rollouts_of
from trainer_client import Recipe, RewardClient
from trainer_client.contract.v1 import reward_service_pb2 as pb
from trainer_client.contract.v1 import reward_service_pb2_grpc as rpc


def test_of_a_call_in_which_some_are_given_up_only_the_others_run_and_each_once(tmp_path: Path) -> None:
    log, gate = tmp_path / "judged", tmp_path / "gate"
    log.touch()
    recipe = Recipe.loads('[rewards.main]\nverifier = "probe/counted"\ndeadline_s = 600.0\n')
    command = [sys.executable, "-m", "reward_servers", "serve", "tests.e2e.counted:counted", "--workers", "2"]
    environment = {**os.environ, "PROBE_LOG": str(log), "PROBE_GATE": str(gate), "PYTHONPATH": str(ROOT)}

    def judged() -> list[str]:
        return log.read_text().split()

    def until(condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.01)

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[2]
            with RewardClient(recipe, address) as client, grpc.insecure_channel(address) as channel:
                stub = rpc.RewardServiceStub(channel)
                futures = [client.submit(rollout) for rollout in rollouts_of([f"x{n}" for n in range(200)])]
                until(lambda: len(judged()) == 2)
                for future in futures[40:]:
                    future.cancel()
                # What was begun waits until the server has heard of it.
                until(lambda: stub.GetServerInfo(pb.GetServerInfoRequest()).load.items_in_flight == 40)
                gate.touch()
                assert [future.result(120).reward for future in futures[:40]] == [0.5] * 40
                # As many as two workers hold, besides what they had begun.
                assert len(judged()) == len(set(judged())) < 100
        finally:
            server.kill()
