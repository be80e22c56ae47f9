"""What deadlines, cancellation, faults, evidence and fairness each cost the server, per item of a verifier on the loop.

One process, no transport: a call is parsed, judged and written, once as it is and once with one of the five taken out,
in turn. The difference of the medians is what that one costs; both are told beside the cost of an echo that parses the
same texts and answers a number for each. What is taken out:

- deadlines: reading the caller's, the timer of the call
- cancellation: which positions wait, the books of calls that can be abandoned
- faults: catching what a verifier raises, checking what it returns, references that cannot be used
- evidence: timing each item, the outcome's counters, name, version and digest in the answer
- fairness: who asks, shares of clients, one message at a time

Usage: ``python -m benchmarks.server.parts [--rounds 15]``
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from statistics import median
from typing import Any
from unittest import mock

import uvloop

from benchmarks.server import verifiers
from benchmarks.server.bare import Request, Response
from benchmarks.server.overhead import bare_batch, our_batch
from reward_servers.core import Call, Rollout, Scorer, VerifierStats, bind
from reward_servers.core._admission import Admission
from reward_servers.core._work import Job
from reward_servers.core.executors._loop import LoopExecutor
from reward_servers.core.executors._loop_budget import InlineOutcomes
from reward_servers.rpc import Clients, RewardServicer, _servicer
from reward_servers.rpc._calls import Header
from reward_servers.rpc._clients import Caller
from trainer_client.contract.v1 import reward_service_pb2 as pb

_CALLER = Caller("bench", frozenset({"score"}))


class _Context:
    """What gRPC tells of a call."""

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        return (("user-agent", "grpc-python"),)

    def time_remaining(self) -> float:
        return 60.0

    def auth_context(self) -> dict[str, Sequence[bytes]]:
        return {}

    def peer(self) -> str:
        return "ipv4:127.0.0.1:5555"


async def _trusting(
    self: LoopExecutor, job: Job, rollouts: Sequence[Rollout], found: InlineOutcomes, details: bool
) -> None:
    """Judge rollouts as if no verifier ever failed: all that is left is the call and its time."""
    assert self._instance is not None
    function, clock = self._instance.function, time.perf_counter_ns
    started = clock()
    for rollout in rollouts:
        found.scores.append(await function(rollout))
        ended = clock()
        found.run_us.append((ended - started) // 1000)
        started = ended
    found.done = len(rollouts)


class _NoTurn:
    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_: object) -> None:
        return None


# Functions and not mocks, each call of which costs more than what is measured.
def _answer_true(*_: object) -> bool:
    return True


def _answer_zero() -> int:
    return 0


def _answer_none_of_them(*_: object) -> list[Any]:
    return []


def _answer_caller(*_: object) -> Caller:
    return _CALLER


def _answer_block(*_: object) -> Any:
    return nullcontext()


@contextmanager
def _without(part: str, servicer: RewardServicer) -> Iterator[None]:
    """Take one of the five out."""

    def nothing(*_: object, **__: object) -> None:
        return None

    def end(call: Call) -> None:
        call._ended = True
        if call._timer is not None:
            call._timer.cancel()
        if call._hold is not None:
            call._hold.release()

    patches: dict[str, list[Any]] = {
        "deadlines": [mock.patch.object(_servicer, "_ends", nothing), mock.patch.object(Call, "arm", nothing)],
        "cancellation": [
            mock.patch.object(Call, "_close_all", _answer_true),
            mock.patch.object(Call, "_end", end),
        ],
        "faults": [mock.patch.object(LoopExecutor, "_judge_one_by_one", _trusting)],
        "evidence": [
            mock.patch.object(VerifierStats, "note_plain", nothing),
            mock.patch.object(time, "perf_counter_ns", _answer_zero),
            mock.patch.object(Header, "identities", _answer_none_of_them),
        ],
        "fairness": [
            mock.patch.object(Clients, "check", _answer_caller),
            mock.patch.object(Admission, "hold", _answer_block),
            mock.patch.object(Admission, "admit", nothing),
            mock.patch.object(Admission, "give_back", nothing),
            mock.patch.object(servicer._requests, "_turn", _NoTurn()),
        ],
    }
    with ExitStack() as stack:
        for patch in patches.get(part, []):
            stack.enter_context(patch)
        yield


def _echo(data: bytes) -> bytes:
    request, response = Request.FromString(data), Response()
    for item in request.items:
        response.items.add(id=item.id, score=float(len(item.text)))
    return bytes(response.SerializeToString())


_PARTS = ("", "deadlines", "cancellation", "faults", "evidence", "fairness")


async def _measure(size: int, rounds: int) -> dict[str, float]:
    """Microseconds of CPU of an item, as it is, without each part, and of the echo."""
    scorer = Scorer([bind(verifiers.inline)])
    await scorer.start()
    servicer, calls = RewardServicer(scorer, {}, {}), max(4, 4096 // size)
    build = our_batch("bench/inline", pb.RESULT_FORM_COLUMNS)
    ours = [build(size, number * size) for number in range(calls)]
    bare = [bare_batch(size, number * size) for number in range(calls)]
    costs: dict[str, list[float]] = {part: [] for part in (*_PARTS, "echo")}

    async def timed(name: str, run: Callable[[], Any]) -> None:
        started = time.process_time()
        waiting = run()
        if waiting is not None:
            await waiting
        costs[name].append((time.process_time() - started) / calls / size * 1e6)

    async def score() -> None:
        for data in ours:
            servicer._write(await servicer.score(data, _Context()))  # type: ignore[arg-type]

    for turn in range(rounds):
        for part in _PARTS if turn % 2 else reversed(_PARTS):
            with _without(part, servicer):
                await timed(part, score)
        await timed("echo", lambda: [_echo(data) for data in bare] and None)
    await scorer.close()
    return {name: median(found[1:]) for name, found in costs.items()}


def main() -> None:
    """Print a line for each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    for size in (64, 512):
        found = uvloop.run(_measure(size, rounds))
        whole = found[""]
        print(f"{size} per call: {whole:.2f} us per item without transport; echo {found['echo']:.2f}")
        for part in _PARTS[1:]:
            print(f"  {part:<14}{whole - found[part]:>6.2f} us per item, {100 * (1 - found[part] / whole):>5.1f} %")


if __name__ == "__main__":
    main()
