"""A reward server that misbehaves on request.

It speaks the real protocol over real gRPC. What it does with an item is written into the item's response as a JSON
object, so that a test scripts failures rollout by rollout:

    {"score": 0.5}                     a verdict
    {"delay": 2.0, ...}                the same, later
    {"fault": "busy", "party": 2, "retryable": true, "times": 1}   a fault, the first so many times
    {"overloaded": 2}                  "server full", the first so many times
    {"exit": true}                     the process dies
    {"break": 14}                      the call ends with that status code

Runs in a test's own loop, or as a process: ``python -m tests.client.scripted_server PORT NAME,NAME DIGEST``.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from typing import Any

import grpc
import grpc.aio

from protos.assay.rewards.v1 import reward_service_pb2 as pb
from protos.assay.rewards.v1 import reward_service_pb2_grpc as rpc
from protos.assay.rewards.v1 import types_pb2 as types

CODES = {code.value[0]: code for code in grpc.StatusCode}


class Scripted(rpc.RewardServiceServicer):
    """The service. Attributes may be changed while it runs.

    Attributes:
        verifiers: digest by name.
        group_verifiers: those that judge groups.
        requests: every chunk received.
        received: set once there was one.
        finished: how often each ``(rollout_id, verifier)`` was answered by a verdict.
        full: calls to refuse with RESOURCE_EXHAUSTED.
        draining: what GetServerInfo says.
        trivial: whether verifiers claim to take microseconds.
        unary: calls of Score.
    """

    def __init__(self, verifiers: dict[str, str] | None = None, group_verifiers: tuple[str, ...] = ()) -> None:
        self.verifiers = verifiers or {"echo": "d1"}
        self.group_verifiers = group_verifiers
        self.requests: list[pb.ScoreRequest] = []
        self.finished: Counter[tuple[str, str]] = Counter()
        self.seen: Counter[tuple[str, str]] = Counter()
        self.in_flight: set[str] = set()
        self.cancelled = 0
        self.received = asyncio.Event()
        self.full = 0
        self.draining = False
        self.trivial = False
        self.unary = 0
        self.items_limit = 0
        self.max_items = 0
        self.max_message_bytes = 0
        self.silent = False

    async def ListVerifiers(self, request: Any, context: Any) -> pb.ListVerifiersResponse:
        return pb.ListVerifiersResponse(
            verifiers=[
                pb.VerifierInfo(
                    identity=self._identity(name),
                    description="does what the response says",
                    scope=pb.SCOPE_GROUP if name in self.group_verifiers else pb.SCOPE_ROLLOUT,
                    cost_class=pb.COST_CLASS_TRIVIAL if self.trivial else pb.COST_CLASS_NETWORK,
                    score_max=1.0,
                    floor=0.0,
                )
                for name in self.verifiers
            ]
        )

    def _identity(self, name: str) -> types.VerifierIdentity:
        return types.VerifierIdentity(name=name, version="1", digest=self.verifiers[name], aspects=["length"])

    async def GetServerInfo(self, request: Any, context: Any) -> pb.GetServerInfoResponse:
        return pb.GetServerInfoResponse(
            contract="assay.rewards.v1",
            limits=pb.ServerLimits(max_items=self.max_items, max_message_bytes=self.max_message_bytes),
            load=types.ServerLoad(items_limit=self.items_limit, draining=self.draining),
        )

    async def Score(self, request: pb.ScoreRequest, context: Any) -> pb.ScoreResponse:
        self.unary += 1

        async def only() -> Any:
            yield pb.ScoreStreamRequest(chunk=request)

        answer = pb.ScoreResponse()
        async for response in self.ScoreStream(only(), context):
            answer.verifiers.extend(response.verifiers)
            answer.results.extend(response.results)
        return answer

    async def ScoreStream(self, requests: Any, context: Any) -> Any:
        if self.full:
            self.full -= 1
            self.requests += [pb.ScoreRequest()] if self.trivial else []
            context.set_trailing_metadata((("grpc-retry-pushback-ms", "20"),))
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")
        async for message in requests:
            chunk = message.chunk
            self.requests.append(chunk)
            self.received.set()
            for evaluation in chunk.evaluations:
                if evaluation.verifier not in self.verifiers:
                    await context.abort(grpc.StatusCode.NOT_FOUND, f"evaluations: {evaluation.verifier} is not hosted")
                if evaluation.options_json and b"endpoint" in evaluation.options_json:
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "evaluations[0].options.endpoint: unknown")
                digest = self.verifiers[evaluation.verifier]
                if evaluation.expected_digest not in ("", digest):
                    await context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"hosts {digest}")
            async for response in self._answer(chunk, context):
                yield response

    async def _answer(self, chunk: pb.ScoreRequest, context: Any) -> Any:
        self.in_flight.add(chunk.request_id)
        identities = [self._identity(evaluation.verifier) for evaluation in chunk.evaluations]
        tasks = []
        ready: list[types.Result] = []
        try:
            for group in chunk.groups:
                for rollout in group.rollouts:
                    for number, evaluation in enumerate(chunk.evaluations):
                        script = self._script(rollout)
                        if script.get("exit"):
                            os._exit(1)
                        if "block" in script:
                            time.sleep(script["block"])
                        if "break" in script:
                            await context.abort(CODES[script["break"]], "as scripted")
                        if script.get("delay"):
                            tasks.append(
                                asyncio.ensure_future(self._later(script, group, rollout, number, evaluation.verifier))
                            )
                        elif not self.silent:
                            ready += self._result(script, group, rollout, number, evaluation.verifier)
            if ready:
                yield pb.ScoreStreamResponse(verifiers=identities, results=ready)
                identities = []
            for task in asyncio.as_completed(tasks):
                yield pb.ScoreStreamResponse(verifiers=identities, results=await task)
                identities = []
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            for pending in tasks:
                pending.cancel()

    def _script(self, rollout: types.Rollout) -> dict[str, Any]:
        text = rollout.response.text
        return json.loads(text) if text.startswith("{") else {"score": len(text) / 1000}

    async def _later(self, script: dict[str, Any], *rest: Any) -> list[types.Result]:
        await asyncio.sleep(script["delay"])
        return self._result(script, *rest)

    def _result(
        self, script: dict[str, Any], group: types.Group, rollout: types.Rollout, number: int, verifier: str
    ) -> list[types.Result]:
        key = (rollout.rollout_id, verifier)
        self.seen[key] += 1
        result = types.Result(index=rollout.index, evaluation=number, queue_us=10, run_us=20)
        if self.seen[key] <= script.get("overloaded", 0):
            result.skip.reason = types.SKIP_REASON_OVERLOADED
        elif "fault" in script and self.seen[key] <= script.get("times", 10**9):
            result.fault.code = script["fault"]
            result.fault.party = script.get("party", types.PARTY_SERVICE)
            result.fault.retryable = script.get("retryable", False)
            result.fault.message = "as scripted"
        elif script.get("lost"):
            return []
        else:
            self.finished[key] += 1
            result.verdict.score = script.get("score", 0.0)
            result.verdict.code = script.get("code", "accepted")
            result.verdict.note = "said so"
            result.verdict.evidence_json = json.dumps(
                {"group": group.group_id, "size": group.size, "present": len(group.rollouts)}
            ).encode()
            result.verdict.aspects.add(name=0, value=float(len(rollout.response.text)))
        return [result]


async def start(service: Scripted, port: int = 0) -> tuple[grpc.aio.Server, int]:
    """Serve on a port; 0 picks a free one."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)])
    rpc.add_RewardServiceServicer_to_server(service, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    return server, bound


async def main(port: int, names: str, digest: str) -> None:
    server, bound = await start(Scripted(dict.fromkeys(names.split(","), digest)), port)
    print(bound, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
