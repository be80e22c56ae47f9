"""The gRPC face of the scorer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf.message import Message

from reward_servers import __version__
from reward_servers.core import (
    Call,
    OverloadedError,
    Request,
    RequestError,
    Reservation,
    Result,
    Scorer,
    Skip,
    SkipReason,
)
from reward_servers.rpc import _wire
from reward_servers.rpc._clients import Clients, NotAllowedError
from reward_servers.rpc._intake import Intake, Opened, check_counts, parse
from trainer_client.contract import CONTRACT
from trainer_client.contract.v1 import reward_service_pb2 as service_pb2
from trainer_client.contract.v1 import types_pb2

__all__ = ["RewardServicer"]

_STATUS = {
    "invalid": grpc.StatusCode.INVALID_ARGUMENT,
    "not_found": grpc.StatusCode.NOT_FOUND,
    "precondition": grpc.StatusCode.FAILED_PRECONDITION,
    "overloaded": grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_PUSHBACK = "grpc-retry-pushback-ms"
_CODE = "assay-code"
_FLUSH = 0.002
_LONGEST_MESSAGE = 1500
_LONGEST_ID = 1024

Context = grpc.aio.ServicerContext[Any, Any]


async def _refuse(context: Context, error: RequestError | NotAllowedError) -> NoReturn:
    # The status travels in a header of limited size: a message beyond it would hide the status behind another.
    message = str(error)[:_LONGEST_MESSAGE]
    if isinstance(error, NotAllowedError):
        await context.abort(error.status, message)
        raise AssertionError("abort does not return")
    metadata: tuple[tuple[str, str], ...] = ((_CODE, error.code),)
    if isinstance(error, OverloadedError):
        metadata += ((_PUSHBACK, str(int(error.retry_after * 1000))),)
    await context.abort(_STATUS[error.kind], message, metadata)
    raise AssertionError("abort does not return")


def _ends(context: Context) -> float | None:
    """When the work ends, on the monotonic clock: before the caller stops waiting, so that what is done arrives."""
    left = context.time_remaining()
    if left is None:
        return None
    return time.monotonic() + max(0.0, float(left) - min(0.25, 0.1 * float(left)))


class _Header:
    """What a call asks, and the aspect names that its results refer to."""

    def __init__(self, scorer: Scorer, first: service_pb2.ScoreRequest, ends: float | None, client: str) -> None:
        evaluations = _wire.read_evaluations(first.evaluations)
        self.request = Request(evaluations, first.request_id[:_LONGEST_ID], first.seed, ends, client)
        self.width = len(evaluations)
        self._hosted = [scorer.hosted.get(one.verifier) for one in evaluations]
        self.names = [_wire.AspectNames(one.verifier.aspects if one is not None else ()) for one in self._hosted]

    def identities(self) -> list[types_pb2.VerifierIdentity]:
        return [
            _wire.identity(hosted, one.verifier, names)
            for hosted, one, names in zip(self._hosted, self.request.evaluations, self.names, strict=True)
        ]


class RewardServicer:
    """Answers the contract's calls from a scorer."""

    def __init__(
        self, scorer: Scorer, origins: Mapping[str, str], facts: Mapping[str, str], clients: Clients | None = None
    ) -> None:
        self._scorer = scorer
        self._clients = clients or Clients()
        self._origins = origins
        self._facts = facts
        self._intake = Intake()
        self.draining = False

    def register(self, server: grpc.aio.Server) -> None:
        """Lets a server answer with this. Messages come as bytes: what cannot be parsed is refused in our own words."""
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        pb = service_pb2
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Score": unary(self.score, None, pb.ScoreResponse.SerializeToString),
            "ScoreStream": stream(self.score_stream, None, pb.ScoreStreamResponse.SerializeToString),
            "ListVerifiers": unary(self.list_verifiers, None, pb.ListVerifiersResponse.SerializeToString),
            "GetServerInfo": unary(self.get_server_info, None, pb.GetServerInfoResponse.SerializeToString),
        }
        name = pb.DESCRIPTOR.services_by_name["RewardService"].full_name
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))

    async def drain(self) -> None:
        """Refuses new calls from now on, and returns when those that have arrived are open."""
        self.draining = True
        await self._intake.emptied()

    async def score(self, data: bytes, context: Context) -> service_pb2.ScoreResponse:
        """Judges a batch and answers when all of it is done, in the order of rollouts and then of evaluations."""
        await self._refuse_while_draining(context)
        try:
            caller = self._clients.check(context)
            batch = _Batch(self._scorer, _ends(context), caller.name)
            with self._scorer.admission.hold(len(data), caller.name) as hold:
                call = await self._intake.take(partial(batch.open, data, hold))
                try:
                    await call.wait()
                finally:
                    call.close()
        except (RequestError, NotAllowedError) as error:
            await _refuse(context, error)
        response = batch.response
        response.verifiers.extend(batch.header.identities())
        response.load.CopyFrom(self._load())
        return response

    async def score_stream(
        self, requests: AsyncIterator[bytes], context: Context
    ) -> AsyncIterator[service_pb2.ScoreStreamResponse]:
        """Judges chunks as they arrive and answers items as they finish."""
        await self._refuse_while_draining(context)
        try:
            caller = self._clients.check(context)
        except NotAllowedError as error:
            await _refuse(context, error)
        stream = _Stream(self._scorer, _ends(context), self._intake, caller.name)
        reader = asyncio.get_running_loop().create_task(stream.read(requests))
        try:
            while (response := await stream.next_response()) is not None:
                response.load.CopyFrom(self._load())
                yield response
            await reader
        except RequestError as error:
            await _refuse(context, error)
        finally:
            reader.cancel()
            stream.close()

    async def list_verifiers(self, data: bytes, context: Context) -> service_pb2.ListVerifiersResponse:
        """Lists what is hosted."""
        await self._read_question(service_pb2.ListVerifiersRequest, data, context)
        return service_pb2.ListVerifiersResponse(
            verifiers=[
                _wire.describe(hosted, self._origins.get(name, ""))
                for name, hosted in sorted(self._scorer.hosted.items())
            ]
        )

    async def get_server_info(self, data: bytes, context: Context) -> service_pb2.GetServerInfoResponse:
        """Tells version, limits and load."""
        await self._read_question(service_pb2.GetServerInfoRequest, data, context)
        limits = self._scorer.limits
        facts = {**self._facts, **{name: str(value) for name, value in self._scorer.facts().items()}}
        return service_pb2.GetServerInfoResponse(
            version=__version__,
            contract=CONTRACT,
            limits=service_pb2.ServerLimits(
                max_items=min(limits.call_items, limits.items),
                max_message_bytes=limits.message_bytes,
                suggested_items=limits.suggested_items,
            ),
            load=self._load(),
            facts=facts,
        )

    async def _read_question(self, kind: type[Message], data: bytes, context: Context) -> None:
        """Refuses what is no such question, and whoever may not ask."""
        try:
            self._clients.check(context)
            parse(kind, data)
        except (RequestError, NotAllowedError) as error:
            await _refuse(context, error)

    def _load(self) -> types_pb2.ServerLoad:
        return _wire.load(self._scorer.admission, self.draining)

    async def _refuse_while_draining(self, context: Context) -> None:
        if self.draining:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the server is draining; ask another replica")


class _Batch:
    """One call of Score: its results are filled in at their places as they become known."""

    def __init__(self, scorer: Scorer, ends: float | None, client: str) -> None:
        self._scorer = scorer
        self._ends = ends
        self._client = client
        self.response = service_pb2.ScoreResponse()
        self.header: _Header

    def open(self, data: bytes, hold: Reservation) -> Opened:
        most = self._scorer.limits.call_items
        message = parse(service_pb2.ScoreRequest, data, most)
        check_counts(message, most)
        header = self.header = _Header(self._scorer, message, self._ends, self._client)
        reader = _wire.GroupReader()
        reader.take_blobs(message.blobs)
        places: list[types_pb2.Result] = []
        width, names, fill = header.width, header.names, _wire.fill_result

        def expect(indices: Sequence[int]) -> None:
            places.extend(_wire.add_results(self.response, indices, width))

        def deliver(position: int, result: Result) -> None:
            fill(places[position], result, names[position % width])

        items = _wire.count_rollouts(message.groups) * width
        return Opened(self._scorer.open(header.request, deliver, items, hold), reader, message.groups, expect)


class _Stream:
    """One call of ScoreStream: chunks that are being judged and results that wait to be sent."""

    def __init__(self, scorer: Scorer, ends: float | None, intake: Intake, client: str) -> None:
        self._scorer = scorer
        self._ends = ends
        self._client = client
        self._intake = intake
        self._header: _Header | None = None
        self._announced = -1
        self._reader = _wire.GroupReader()
        self._calls: set[Call] = set()
        self._ready = service_pb2.ScoreStreamResponse()
        self._wake = asyncio.Event()
        self._waiting = 0
        self._read_all = False
        self._error: RequestError | None = None

    async def read(self, requests: AsyncIterator[bytes]) -> None:
        try:
            async for data in requests:
                await self._take(data)
        except RequestError as error:
            self._error = error
        finally:
            self._read_all = True
            self._wake.set()

    async def _take(self, data: bytes) -> None:
        try:
            hold, refusal = self._scorer.admission.hold(len(data), self._client), None
        except OverloadedError as error:
            hold, refusal = None, Skip(SkipReason.OVERLOADED, error.retry_after)
        try:
            call = await self._intake.take(partial(self._open, data, hold, refusal))
        except BaseException:
            if hold is not None:
                hold.release()
            raise
        self._calls.add(call)

    def _open(self, data: bytes, hold: Reservation | None, refusal: Skip | None) -> Opened:
        most = self._scorer.limits.call_items
        chunk = parse(service_pb2.ScoreStreamRequest, data, most).chunk
        check_counts(chunk, most)
        header = self._header_for(chunk)
        self._reader.take_blobs(chunk.blobs)
        indices: list[int] = []
        width = header.width

        def deliver(position: int, result: Result) -> None:
            rank, evaluation = divmod(position, width)
            place = self._ready.results.add(index=indices[rank], evaluation=evaluation)
            _wire.fill_result(place, result, header.names[evaluation])
            self._waiting -= 1
            self._wake.set()

        items = _wire.count_rollouts(chunk.groups) * header.width
        self._waiting += items
        call = self._scorer.open(header.request, deliver, items, hold, partial=True)
        if refusal is not None:
            call.skip(refusal)
        return Opened(call, self._reader, chunk.groups, indices.extend)

    def _header_for(self, chunk: service_pb2.ScoreRequest) -> _Header:
        if self._header is None:
            if not chunk.evaluations:
                raise RequestError("chunk.evaluations: the first chunk names the verifiers")
            self._header = _Header(self._scorer, chunk, self._ends, self._client)
        elif chunk.evaluations and _wire.read_evaluations(chunk.evaluations) != self._header.request.evaluations:
            raise RequestError("chunk.evaluations: they are those of the first chunk; open another stream for others")
        return self._header

    async def next_response(self) -> service_pb2.ScoreStreamResponse | None:
        """Results that are ready, gathered for a moment; None when there will be no more."""
        while not self._ready.results:
            if self._error is not None:
                raise self._error
            if self._read_all and self._waiting == 0:
                return None
            self._wake.clear()
            await self._wake.wait()
        if self._waiting or not self._read_all:
            await asyncio.sleep(_FLUSH)
        response, self._ready = self._ready, service_pb2.ScoreStreamResponse()
        self._calls = {call for call in self._calls if not call.ended}
        response.verifiers.extend(self._identities())
        return response

    def _identities(self) -> list[types_pb2.VerifierIdentity]:
        """The header: first of all, and again when verdicts have named new aspects."""
        if self._header is None:
            return []
        known = sum(len(names.places) for names in self._header.names)
        if known == self._announced:
            return []
        self._announced = known
        return self._header.identities()

    def close(self) -> None:
        for call in self._calls:
            call.close()
        self._calls.clear()
