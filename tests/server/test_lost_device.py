"""A device that computes no more: its process is replaced, and where none can be started, the server drains."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import grpc.aio

from reward_servers.core import Verdict
from tests.core.helpers import as_fault, group, outcomes, request, scoring
from tests.core.unruly import Batch
from tests.typed import declared, stub_of
from trainer_client.contract.v1 import reward_service_pb2 as pb
from trainer_client.contract.v1 import types_pb2 as types


async def test_the_process_of_a_lost_device_is_replaced_and_the_next_one_judges_the_others() -> None:
    async with scoring(declared(Batch)) as scorer:
        first, lost, third = await outcomes(scorer, request("test/batch", group("a", "unplug", "bb")))
        (again,) = await outcomes(scorer, request("test/batch", group("ccc")))
    assert [one.score for one in (first, third, again) if isinstance(one, Verdict)] == [1.0, 2.0, 3.0]
    fault = as_fault(lost)
    assert (fault.party.value, fault.code, fault.retryable) == ("service", "worker_killed", True)
    assert "its device was lost" in fault.message


async def test_where_no_process_can_be_started_again_the_server_drains_and_its_items_go_elsewhere(
    tmp_path: Path,
) -> None:
    gone, settings = tmp_path / "gone", tmp_path / "server.toml"
    settings.write_text(f'[verifiers."test/batch"]\ngone = "{gone}"\n')
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reward_servers", "serve", "tests.core.unruly:Batch", "--config", str(settings)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    address = (await process.stdout.readline()).decode().split()[2]
    gone.touch()
    asked = pb.ScoreRequest(evaluations=[types.Evaluation(verifier="test/batch")])
    asked.groups.add(group_id="g").rollouts.add(index=0, response=types.Content(text="unplug"))
    async with grpc.aio.insecure_channel(address) as channel:
        answer = await stub_of(channel).Score(asked, timeout=240.0)
    fault = answer.results[0].fault
    assert (fault.code, fault.retryable) == ("workers_unavailable", True)
    assert "no device was found" in fault.message
    _, said = await process.communicate()
    assert b"a device can no longer be used" in said
    assert b"draining" in said
    assert process.returncode == 0
