"""CPU time of the client per item, against a bare ``grpc.aio`` client that sends and reads the same bytes.

Both talk to the same minimal server process, in turns, in one run. The bare client builds each message, sends it
as a unary call (or, for the same reading with early results, as a stream) and reads index and score; the reward
client plans, cuts, sends, fills a table and computes rewards and GRPO advantages. The goal is a ratio of at most 1.4
to the unary call, and to the stream where results are streamed.

    python -m benchmarks.client.cpu
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import grpc.aio

from benchmarks.client._common import LATEX, echo_server
from trainer_client import AsyncRewardClient, Batching, Recipe, Rollout
from trainer_client.contract.v1 import reward_service_pb2 as pb

RECIPE = Recipe.loads('[rewards.echo]\nverifier = "echo"\n')
GOAL = 1.4


class Bare:
    """What a client costs that does nothing but call."""

    def __init__(self, address: str, *, streamed: bool) -> None:
        self._streamed = streamed
        self._channel = grpc.aio.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)])
        self._score = self._channel.unary_unary(
            "/assay.rewards.v1.RewardService/Score",
            request_serializer=pb.ScoreRequest.SerializeToString,
            response_deserializer=pb.ScoreResponse.FromString,
        )

        self._stream = self._channel.unary_stream(
            "/assay.rewards.v1.RewardService/ScoreStream",
            request_serializer=pb.ScoreStreamRequest.SerializeToString,
            response_deserializer=pb.ScoreStreamResponse.FromString,
        )

    async def score(self, rollouts: Sequence[Rollout], per_call: int) -> None:
        """Score a batch, all calls at once."""
        await asyncio.gather(
            *(self._call(rollouts[start : start + per_call]) for start in range(0, len(rollouts), per_call))
        )

    async def _call(self, rollouts: Sequence[Rollout]) -> list[tuple[int, float]]:
        message = pb.ScoreStreamRequest()
        request = message.chunk
        request.request_id = "bare"
        request.result_form = pb.RESULT_FORM_COLUMNS
        request.evaluations.add(verifier="echo")
        add = request.groups.add(group_id="g").rollouts.add
        for index, rollout in enumerate(rollouts):
            add(index=index, rollout_id=rollout.rollout_id).response.text = str(rollout.response)
        if not self._streamed:
            response = await self._score(request)
            return list(zip(response.columns.index, response.columns.score, strict=True))
        return [
            pair
            async for response in self._stream(message)
            for pair in zip(response.columns.index, response.columns.score, strict=True)
        ]

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()


def rollouts_of(count: int, size: int = 2048) -> list[Rollout]:
    """Rollouts with responses of LaTeX-like text, in groups of eight."""
    text = (LATEX * (size // len(LATEX) + 1))[: size - 12]
    return [
        Rollout(f"r{number}", "What is it?", f"{number:>10}: {text}", group_id=f"g{number // 8}")
        for number in range(count)
    ]


async def measure(address: str, per_call: int, rounds: int = 15) -> dict[str, float]:
    """Microseconds of CPU per item of the bare clients and of ours: the least disturbed of alternating rounds."""
    rollouts = rollouts_of(8 * per_call if per_call < 256 else 4 * per_call)
    repeats = max(1, 16384 // len(rollouts))
    bare = {name: Bare(address, streamed=name == "bare stream") for name in ("bare", "bare stream")}
    times: dict[str, list[float]] = {"bare": [], "bare stream": [], "ours": []}
    async with AsyncRewardClient(RECIPE, address, batching=Batching(max_items=per_call, max_bytes=8 << 20)) as client:
        for number in range(rounds + 1):
            for name in times:
                started = time.process_time()
                for _ in range(repeats):
                    if name in bare:
                        await bare[name].score(rollouts, per_call)
                    else:
                        table = await client.score(rollouts)
                        table.advantages  # noqa: B018
                if number:
                    times[name].append((time.process_time() - started) / repeats / len(rollouts) * 1e6)
    for one in bare.values():
        await one.close()
    return {name: min(found) for name, found in times.items()}


def main() -> None:
    """Print one line for each way to answer and size of a call."""
    for way, cost in (("one answer", "COST_CLASS_TRIVIAL"), ("streamed", "COST_CLASS_CPU")):
        with echo_server(cost) as address:
            for per_call in (64, 512):
                found = asyncio.run(measure(address, per_call))
                ours = found["ours"]
                print(
                    f"{way}, {per_call} items a call: "
                    + ", ".join(f"{name} {cost:.2f}" for name, cost in found.items())
                    + f" us of CPU per item; ratio {ours / found['bare']:.2f} to a call (goal {GOAL}), "
                    f"{ours / found['bare stream']:.2f} to a stream"
                )


if __name__ == "__main__":
    main()
