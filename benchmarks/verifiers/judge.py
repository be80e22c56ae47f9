"""CPU time of judging an item, against the bare client library sending the same conversation and reading nothing.

Both ask one server, in a process of its own, with as many requests in flight. Rounds alternate; the figures are medians
of the ratios of neighbouring rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

import openai

from reward_servers.core import Evaluation, Group, PromptContext, Request, Result, Rollout, Scorer, Verdict, bind, find
from reward_servers.engines.judging import Protocol, Question
from tests.fakes.chat_server import FakeChatServer

_IN_FLIGHT = 32
_REPLY = "The answer follows from the second line, and the steps before it hold.\n" * 8 + "Score: 7"


def _serve(ready: Connection) -> None:
    with FakeChatServer(lambda request, number: _REPLY).running() as url:
        ready.send(url)
        ready.recv()


def _rollouts(count: int, size: int) -> list[Rollout]:
    context = PromptContext("g", "What is the sum of the first ten odd numbers?", b'{"answer": "100"}')
    text = "We add them one after the other and note the squares. "
    return [
        Rollout(f"{number}: " + (text * (size // len(text) + 1))[:size], context, str(number))
        for number in range(count)
    ]


async def _ours(scorer: Scorer, rollouts: list[Rollout]) -> None:
    results: list[Result] = []
    options = json.dumps({"protocol": "likert_1_10"}).encode()
    request = Request([Evaluation("judge", options=options)])
    call = scorer.open(request, lambda place, result: results.append(result), len(rollouts))
    call.add([Group(rollouts[0].prompt_context, rollouts)])
    await call.wait()
    assert all(isinstance(one.outcome, Verdict) for one in results)


async def _bare(client: openai.AsyncOpenAI, conversations: list[list[dict[str, str]]]) -> None:
    slots = asyncio.Semaphore(_IN_FLIGHT)

    async def ask(messages: list[dict[str, str]]) -> None:
        async with slots:
            await client.chat.completions.create(model="m", messages=messages, max_tokens=2048, temperature=0.0)  # type: ignore[arg-type]

    await asyncio.gather(*map(ask, conversations))


async def _timed(run: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    await run()
    return time.process_time() - cpu, time.perf_counter() - wall


async def _measure(url: str, items: int, size: int, rounds: int) -> None:
    rollouts = _rollouts(items, size)
    conversations = [
        Question(Protocol.LIKERT_1_10, "It is right.", one.prompt, (one.response,), "100").messages()
        for one in rollouts
    ]
    scorer = Scorer([bind(find("judge"), {"base_url": url, "model": "m", "concurrency": _IN_FLIGHT})])
    await scorer.start()
    client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    ratios: list[tuple[float, float]] = []
    per_item = 0.0
    for turn in range(rounds + 1):
        ours = await _timed(lambda: _ours(scorer, rollouts))
        bare = await _timed(lambda: _bare(client, conversations))
        if turn:  # the first round opens the connections
            ratios.append((ours[0] / bare[0], ours[1] / bare[1]))
            per_item = ours[0] / items
    await client.close()
    await scorer.close()
    cpu, wall = (statistics.median(values) for values in zip(*ratios, strict=True))
    print(f"{items} items of {size} characters, {_IN_FLIGHT} in flight")
    print(f"CPU time, judge / bare client: {cpu:.2f}   wall time: {wall:.2f}   ({per_item * 1e3:.2f} ms CPU per item)")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--size", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,))
    server.start()
    try:
        asyncio.run(_measure(ours.recv(), options.items, options.size, options.rounds))
    finally:
        ours.send(None)
        server.join()


if __name__ == "__main__":
    main()
