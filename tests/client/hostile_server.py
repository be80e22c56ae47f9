"""A peer that answers the reward protocol wrongly: bytes, ids, scores, statuses, and pages of other protocols.

It speaks real gRPC and does one wrong thing, always. Its identity and its list of
verifiers are those of an honest replica, unless they are what is wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio

from tests.client.hostile_pages import PAGES
from trainer_client.contract.v1 import reward_service_pb2 as pb
from trainer_client.contract.v1 import types_pb2 as types

Results = list[types.Result]
Twist = Callable[[Results], Results]

SERVICE = "assay.rewards.v1.RewardService"


def honest(request: pb.ScoreRequest) -> Results:
    """What a replica that works would answer: the score is in the response's text."""
    return [
        types.Result(
            index=rollout.index,
            evaluation=number,
            verdict=types.Verdict(score=float(rollout.response.text), code="accepted"),
        )
        for group in request.groups
        for rollout in group.rollouts
        for number in range(len(request.evaluations))
    ]


def each(change: Callable[[types.Result, int], None]) -> Twist:
    """A twist that changes every result in place."""

    def twist(results: Results) -> Results:
        for position, result in enumerate(results):
            change(result, position)
        return results

    return twist


def _score(value: float) -> Twist:
    return each(lambda result, _: setattr(result.verdict, "score", value))


def _code(code: Callable[[int], str]) -> Twist:
    return each(lambda result, position: setattr(result.verdict, "code", code(position)))


def _fault(**fields: Any) -> Twist:
    return each(lambda result, _: result.fault.CopyFrom(types.Fault(**fields)))


def _skip(reason: int, seconds: int = 0) -> Twist:
    def change(result: types.Result, _: int) -> None:
        result.skip.reason = reason  # type: ignore[assignment]
        result.skip.retry_after.seconds = seconds

    return each(change)


def _index(step: Callable[[int], int]) -> Twist:
    return each(lambda result, _: setattr(result, "index", step(result.index)))


def _far_retry() -> Twist:
    def change(result: types.Result, _: int) -> None:
        result.fault.CopyFrom(types.Fault(code="busy", party=types.PARTY_SERVICE, retryable=True))
        result.fault.retry_after.seconds = 10**9

    return each(change)


TWISTS: dict[str, Twist] = {
    "half of the results": lambda results: results[::2],
    "one result": lambda results: results[:1],
    "foreign ids": _index(lambda index: index + 1000),
    "ids of neighbours": _index(lambda index: (index + 16) % 64),
    "each result twice": lambda results: results + results,
    "twice with another score": lambda results: results + _score(0.5)([_copy(result) for result in results]),
    "wrong evaluation": each(lambda result, _: setattr(result, "evaluation", 7)),
    "score too high": _score(1e9),
    "score just too high": _score(math.nextafter(1.0, 2.0)),
    "score too low": _score(-1.0),
    "score NaN": _score(math.nan),
    "score infinite": _score(math.inf),
    "score minus infinite": _score(-math.inf),
    "no outcome": each(lambda result, _: result.ClearField("verdict")),
    "a code of a megabyte": _code(lambda _: "x" * (1 << 16)),
    "a code with control characters": _code(lambda _: "ok\n\x1b[31m"),
    "a fault without a code": _fault(party=types.PARTY_SERVICE),
    "a fault of no known party": each(lambda result, _: _odd_party(result)),
    "faults that may pass": _fault(code="busy", party=types.PARTY_SERVICE, retryable=True),
    "faults that may pass in 30 years": _far_retry(),
    "final faults": _fault(code="broken", party=types.PARTY_SERVICE),
    "faults of the data set": _fault(code="bad_reference", party=types.PARTY_DATASET),
    "faults of the caller": _fault(code="invalid_options", party=types.PARTY_CALLER),
    "another digest, item by item": _fault(code="digest_mismatch", party=types.PARTY_CALLER),
    "skips as past the deadline": _skip(types.SKIP_REASON_DEADLINE),
    "skips as not needed": _skip(types.SKIP_REASON_NOT_NEEDED),
    "skips as overloaded": _skip(types.SKIP_REASON_OVERLOADED),
    "skips as overloaded for 30 years": _skip(types.SKIP_REASON_OVERLOADED, 10**9),
    "skips for no known reason": _skip(99),
}
"""Results that are wrong in a message that can be read."""

STATUSES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


def _index_only(columns: pb.ResultColumns) -> None:
    columns.CopyFrom(pb.ResultColumns(index=columns.index))


Spoil = Callable[[pb.ResultColumns], object]

COLUMNS: dict[str, Spoil] = {
    "a column too short": lambda columns: columns.score.pop(),
    "a column too long": lambda columns: columns.run_us.extend([1] * (len(columns.index) + 1)),
    "nothing but an index": _index_only,
    "a code that is not listed": lambda columns: columns.ClearField("codes"),
    "an evaluation beyond the call": lambda columns: columns.evaluation.extend([9] * len(columns.index)),
    "an index of four billion": lambda columns: columns.index.__setitem__(0, (1 << 32) - 1),
    "one item twice": lambda columns: columns.index.__setitem__(0, columns.index[-1]),
    "rows for the same items beside them": lambda columns: None,
}
"""What can be wrong with columns besides what they say of an item."""


def in_columns(results: Results) -> pb.ScoreStreamResponse:
    """Results as a server writes them that was asked for columns."""
    message = pb.ScoreStreamResponse()
    columns, codes = message.columns, dict[str, int]()
    for result in results:
        if not result.HasField("verdict"):
            message.results.append(result)
            continue
        columns.index.append(result.index)
        columns.score.append(result.verdict.score)
        columns.code.append(codes.setdefault(result.verdict.code, len(codes)))
        columns.run_us.append(7 + result.index)
        columns.evaluation.append(result.evaluation)
    columns.codes.extend(codes)
    if not any(columns.evaluation):
        columns.ClearField("evaluation")
    return message


OTHER_REPLIES = (
    "garbage", "cut short", "text that is no UTF-8", "no message", "an empty message", "silence",
    "silence half-way", "INTERNAL half-way", "UNAVAILABLE half-way", "another verifier answers",
    "another version answers", "too many verifiers answer", "RESOURCE_EXHAUSTED with odd delays",
    "evidence that is no JSON", "evidence without end", "all results and no end", "all results and noise without end",
)  # fmt: skip

INFOS = (
    "garbage list", "garbage info", "silent info", "an empty list", "a list with a name twice",
    "a range upside down", "a range of NaN", "a floor out of range", "another digest", "always draining",
    "one item a call", "one byte a message",
)  # fmt: skip

KINDS = (
    *TWISTS, *COLUMNS, *(f"status {code.name}" for code in STATUSES), *OTHER_REPLIES, *INFOS, *PAGES,
)  # fmt: skip


def _copy(result: types.Result) -> types.Result:
    copy = types.Result()
    copy.CopyFrom(result)
    return copy


def _odd_party(result: types.Result) -> None:
    result.fault.code = "odd"
    result.fault.party = 77  # type: ignore[assignment]


class Hostile:
    """One wrong replica.

    Attributes:
        kind: what is wrong with it, one of ``KINDS``.
        calls: how often it was asked for scores.
        token: bearer token that it asks for; empty for none.
        trivial: whether its verifier claims to take microseconds, so that it is asked for all results at once.
        columns: whether it offers to write results in columns.
    """

    def __init__(self, kind: str, *, trivial: bool = False, token: str = "", columns: bool = False) -> None:
        self.kind = kind
        self.columns = columns
        self.calls = 0
        self.token = token
        self.trivial = trivial

    async def _admit(self, context: Any) -> None:
        sent = dict(context.invocation_metadata()).get("authorization")
        if self.token and sent != f"Bearer {self.token}":
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "send a token of mine")

    async def list_verifiers(self, request: bytes, context: Any) -> bytes:
        await self._admit(context)
        kind = self.kind
        if kind == "garbage list":
            return b"\xff\xff\xff"
        info = pb.VerifierInfo(
            identity=types.VerifierIdentity(name="echo", version="1", digest="d1"),
            cost_class=pb.COST_CLASS_TRIVIAL if self.trivial else pb.COST_CLASS_CPU,
            deterministic=True,
            score_max=1.0,
        )
        if kind == "another digest":
            info.identity.digest = "d2"
        elif kind == "a range upside down":
            info.score_min = 2.0
        elif kind == "a range of NaN":
            info.score_max = math.nan
        elif kind == "a floor out of range":
            info.floor = 5.0
        count = {"an empty list": 0, "a list with a name twice": 2}.get(kind, 1)
        return pb.ListVerifiersResponse(verifiers=[info] * count).SerializeToString()

    async def get_server_info(self, request: bytes, context: Any) -> bytes:
        await self._admit(context)
        if self.kind == "garbage info":
            return b"\x0a\xff"
        if self.kind == "silent info":
            await asyncio.sleep(3600)
        answer = pb.GetServerInfoResponse(contract="assay.rewards.v1")
        if self.columns:
            answer.result_forms.append(pb.RESULT_FORM_COLUMNS)
        answer.load.draining = self.kind == "always draining"
        answer.limits.max_items = int(self.kind == "one item a call")
        answer.limits.max_message_bytes = int(self.kind == "one byte a message")
        return answer.SerializeToString()

    async def score(self, raw: bytes, context: Any) -> bytes:
        await self._admit(context)
        self.calls += 1
        answer = b""
        # Fields of one name have one number in both answers, so bytes of several messages are one message.
        async for part in self._replies(pb.ScoreRequest.FromString(raw), context):
            answer += part
        return answer

    async def score_stream(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        await self._admit(context)
        self.calls += 1
        async for raw in requests:
            async for part in self._replies(pb.ScoreStreamRequest.FromString(raw).chunk, context):
                yield part

    @staticmethod
    def _written(request: pb.ScoreRequest, results: Results) -> pb.ScoreStreamResponse:
        if request.result_form == pb.RESULT_FORM_COLUMNS:
            return in_columns(results)
        return pb.ScoreStreamResponse(results=results)

    async def _replies(self, request: pb.ScoreRequest, context: Any) -> AsyncIterator[bytes]:
        kind, results = self.kind, honest(request)
        message = self._written(request, results)
        if kind in TWISTS:
            yield self._written(request, TWISTS[kind](results)).SerializeToString()
        elif kind in COLUMNS:
            COLUMNS[kind](message.columns)
            if kind.startswith("rows"):
                message.results.extend(results)
            yield message.SerializeToString()
        elif kind.startswith("status "):
            await context.abort(grpc.StatusCode[kind.removeprefix("status ")], "as it likes")
        elif kind == "garbage":
            yield b"\xff" * 40
        elif kind == "cut short":
            yield message.SerializeToString()[:-3]
        elif kind == "text that is no UTF-8":
            yield message.SerializeToString().replace(b"accepted", b"accept\xff\xfe")
        elif kind == "an empty message":
            yield b""
        elif kind == "silence":
            await asyncio.sleep(3600)
        elif kind.endswith("half-way"):
            yield self._written(request, results[::2]).SerializeToString()
            if kind.startswith("silence"):
                await asyncio.sleep(3600)
            await context.abort(grpc.StatusCode[kind.partition(" ")[0]], "half-way")
        elif kind.endswith(("verifier answers", "version answers", "verifiers answer")):
            name, digest = ("other", "d1") if kind == "another verifier answers" else ("echo", "d2")
            count = 3 if kind.startswith("too many") else 1
            identity = types.VerifierIdentity(name=name, version="1", digest=digest)
            message.verifiers.extend([identity] * count)
            yield message.SerializeToString()
        elif kind == "RESOURCE_EXHAUSTED with odd delays":
            delay = ("soon", "nan", "-5", "1e12")[self.calls % 4]
            context.set_trailing_metadata((("grpc-retry-pushback-ms", delay),))
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")
        elif kind.startswith("evidence"):
            for result in results:
                result.verdict.evidence_json = b"[" * 100_000 if kind.endswith("end") else b"{\xff"
            yield type(message)(results=results).SerializeToString()
        elif kind.startswith("all results and"):
            yield message.SerializeToString()
            while True:
                await asyncio.sleep(3600 if kind.endswith("no end") else 0.01)
                yield b""
        elif kind != "no message":
            yield message.SerializeToString()


@contextlib.asynccontextmanager
async def serve(
    peer: Hostile, host: str = "127.0.0.1", port: int = 0, credentials: grpc.ServerCredentials | None = None
) -> AsyncIterator[str]:
    """Serve on a port, 0 for a free one; gives the address."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)])
    handlers: dict[str, Any] = {
        "ListVerifiers": grpc.unary_unary_rpc_method_handler(peer.list_verifiers),
        "GetServerInfo": grpc.unary_unary_rpc_method_handler(peer.get_server_info),
        "Score": grpc.unary_unary_rpc_method_handler(peer.score),
        "ScoreStream": grpc.stream_stream_rpc_method_handler(peer.score_stream),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    if credentials is None:
        bound = server.add_insecure_port(f"{host}:{port}")
    else:
        bound = server.add_secure_port(f"{host}:{port}", credentials)
    await server.start()
    try:
        yield f"{host}:{bound}"
    finally:
        await server.stop(None)
