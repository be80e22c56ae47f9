"""What is started for the servers of a recipe."""

from __future__ import annotations

from pathlib import Path

from reward_servers.fleet import programs_of
from trainer_client import Server


def test_each_replica_may_have_a_device_of_its_own() -> None:
    devices = {"CUDA_VISIBLE_DEVICES": "{replica}", "PLAIN": "a {b}"}
    servers = [Server("model", ("preference",), replicas=3, env=devices), Server("one", ("exact",), env=devices)]
    found = [dict(one.env) for one in programs_of(servers, Path())]
    assert found == [{"CUDA_VISIBLE_DEVICES": number, "PLAIN": "a {b}"} for number in ("0", "1", "2", "0")]
