"""The least reward server there is: answers every item at once, for measuring clients."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from trainer_client.contract.v1 import reward_service_pb2 as pb
from trainer_client.contract.v1 import reward_service_pb2_grpc as rpc
from trainer_client.contract.v1 import types_pb2 as types


class Echo(rpc.RewardServiceServicer):
    """Scores a response by its length.

    Attributes:
        cost: what the verifier says that it costs; a client takes trivial ones in one answer, others as a stream.
    """

    def __init__(self, cost: pb.CostClass.ValueType) -> None:
        self.cost = cost

    def _results(self, request: pb.ScoreRequest, answer: Any) -> Any:
        if request.result_form == pb.RESULT_FORM_COLUMNS:
            return self._columns(request, answer)
        add = answer.results.add
        for group in request.groups:
            for rollout in group.rollouts:
                for evaluation in range(len(request.evaluations)):
                    result = add(index=rollout.index, evaluation=evaluation, run_us=10, queue_us=5)
                    result.verdict.score = len(rollout.response.text) % 7
                    result.verdict.code = "accepted"
        return answer

    @staticmethod
    def _columns(request: pb.ScoreRequest, answer: Any) -> Any:
        scores = {
            rollout.index: float(len(rollout.response.text) % 7)
            for group in request.groups
            for rollout in group.rollouts
        }
        columns, count = answer.columns, len(scores)
        columns.index.extend(scores)
        columns.score.extend(scores.values())
        columns.code.extend([0] * count)
        columns.codes.append("accepted")
        columns.queue_us.extend([5] * count)
        columns.run_us.extend([10] * count)
        return answer

    async def Score(self, request: pb.ScoreRequest, context: Any) -> pb.ScoreResponse:
        """Answer a batch."""
        return self._results(request, pb.ScoreResponse())  # type: ignore[no-any-return]

    async def ScoreStream(
        self, requests: AsyncIterator[pb.ScoreStreamRequest], context: Any
    ) -> AsyncIterator[pb.ScoreStreamResponse]:
        """Answer a chunk by one message."""
        async for message in requests:
            yield self._results(message.chunk, pb.ScoreStreamResponse())

    async def ListVerifiers(self, request: Any, context: Any) -> pb.ListVerifiersResponse:
        """Name the verifier."""
        identity = types.VerifierIdentity(name="echo", version="1", digest="d1")
        info = pb.VerifierInfo(identity=identity, score_max=7.0, cost_class=self.cost)
        return pb.ListVerifiersResponse(verifiers=[info])

    async def GetServerInfo(self, request: Any, context: Any) -> pb.GetServerInfoResponse:
        """Set no limits; offer columns."""
        return pb.GetServerInfoResponse(contract="assay.rewards.v1", result_forms=[pb.RESULT_FORM_COLUMNS])


async def main() -> None:
    """Serve on a free port and print it."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    rpc.add_RewardServiceServicer_to_server(Echo(pb.CostClass.Value(sys.argv[1])), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
