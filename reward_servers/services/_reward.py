"""The gRPC face of the scorer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NoReturn

import grpc
import grpc.aio

from protos import CONTRACT
from protos.assay.rewards.v1 import reward_service_pb2 as service_pb2
from protos.assay.rewards.v1 import reward_service_pb2_grpc as service_grpc
from protos.assay.rewards.v1 import types_pb2
from reward_servers import __version__
from reward_servers.core import Evaluation, Overloaded, RequestError, Result, Scorer
from reward_servers.services import _wire

__all__ = ["RewardServicer"]

_STATUS = {
    "invalid": grpc.StatusCode.INVALID_ARGUMENT,
    "not_found": grpc.StatusCode.NOT_FOUND,
    "precondition": grpc.StatusCode.FAILED_PRECONDITION,
    "overloaded": grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_PUSHBACK = "grpc-retry-pushback-ms"
_FLUSH = 0.002

Context = grpc.aio.ServicerContext[Any, Any]


async def _refuse(context: Context, error: RequestError) -> NoReturn:
    metadata: tuple[tuple[str, str], ...] = ()
    if isinstance(error, Overloaded):
        metadata = ((_PUSHBACK, str(int(error.retry_after * 1000))),)
    await context.abort(_STATUS[error.kind], str(error), metadata)
    raise AssertionError("abort does not return")


def _remaining(context: Context) -> float | None:
    """Seconds that the work may take: a little less than the caller waits, so that what is done still arrives."""
    left = context.time_remaining()
    if left is None:
        return None
    return max(0.0, float(left) - min(0.25, 0.1 * float(left)))


class _Header:
    """The evaluations of a call, and the aspect names that its results refer to."""

    def __init__(self, scorer: Scorer, evaluations: Sequence[Evaluation]) -> None:
        self.evaluations = evaluations
        self.hosted = [scorer.hosted.get(one.verifier) for one in evaluations]
        self.names = [_wire.AspectNames(one.verifier.aspects if one is not None else ()) for one in self.hosted]

    def identities(self) -> list[types_pb2.VerifierIdentity]:
        return [
            _wire.identity(hosted, one.verifier, names)
            for hosted, one, names in zip(self.hosted, self.evaluations, self.names, strict=True)
        ]

    def encode_all(self, results: Mapping[int, Result], indices: Sequence[int]) -> list[types_pb2.Result]:
        width, encode = len(self.evaluations), _wire.encode_result
        return [
            encode(results[rank * width + place], index, place, names)
            for rank, index in enumerate(indices)
            for place, names in enumerate(self.names)
        ]

    def encode(self, position: int, result: Result, indices: Sequence[int]) -> types_pb2.Result:
        rank, evaluation = divmod(position, len(self.evaluations))
        return _wire.encode_result(result, indices[rank], evaluation, self.names[evaluation])


class RewardServicer(service_grpc.RewardServiceServicer):
    """Answers the contract's calls from a scorer."""

    def __init__(self, scorer: Scorer, origins: Mapping[str, str], facts: Mapping[str, str]) -> None:
        self._scorer = scorer
        self._origins = origins
        self._facts = facts
        self.draining = False

    async def Score(self, request: service_pb2.ScoreRequest, context: Context) -> service_pb2.ScoreResponse:
        """Judges a batch and answers when all of it is done."""
        await self._refuse_while_draining(context)
        header = _Header(self._scorer, _wire.read_evaluations(request.evaluations))
        results: dict[int, Result] = {}
        try:
            core_request, indices = _wire.read_request(request, header.evaluations, _remaining(context), set())
            call = self._scorer.open(core_request, results.__setitem__)
        except RequestError as error:
            await _refuse(context, error)
        try:
            await call.wait()
        finally:
            call.close()
        encoded = header.encode_all(results, indices)
        return service_pb2.ScoreResponse(verifiers=header.identities(), results=encoded, load=self._load())

    async def ScoreStream(
        self, request_iterator: AsyncIterator[service_pb2.ScoreStreamRequest], context: Context
    ) -> AsyncIterator[service_pb2.ScoreStreamResponse]:
        """Judges chunks as they arrive and answers items as they finish."""
        await self._refuse_while_draining(context)
        stream = _Stream(self._scorer, _remaining(context))
        reader = asyncio.get_running_loop().create_task(stream.read(request_iterator))
        try:
            while (batch := await stream.next_results()) is not None:
                yield service_pb2.ScoreStreamResponse(
                    verifiers=stream.take_identities(), results=batch, load=self._load()
                )
            await reader
        except RequestError as error:
            await _refuse(context, error)
        finally:
            reader.cancel()
            stream.close()

    async def ListVerifiers(
        self, request: service_pb2.ListVerifiersRequest, context: Context
    ) -> service_pb2.ListVerifiersResponse:
        """Lists what is hosted."""
        return service_pb2.ListVerifiersResponse(
            verifiers=[
                _wire.describe(hosted, self._origins.get(name, ""))
                for name, hosted in sorted(self._scorer.hosted.items())
            ]
        )

    async def GetServerInfo(
        self, request: service_pb2.GetServerInfoRequest, context: Context
    ) -> service_pb2.GetServerInfoResponse:
        """Tells version, limits and load."""
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

    def _load(self) -> types_pb2.ServerLoad:
        return _wire.load(self._scorer.admission, self.draining)

    async def _refuse_while_draining(self, context: Context) -> None:
        if self.draining:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the server is draining; ask another replica")


class _Stream:
    """One call of ScoreStream: chunks that are being judged and results that wait to be sent."""

    def __init__(self, scorer: Scorer, remaining: float | None) -> None:
        self._scorer = scorer
        self._ends = None if remaining is None else asyncio.get_running_loop().time() + remaining
        self._header: _Header | None = None
        self._announced = -1
        self._seen: set[int] = set()
        self._calls: set[Any] = set()
        self._ready: list[types_pb2.Result] = []
        self._wake = asyncio.Event()
        self._waiting = 0
        self._read_all = False
        self._error: RequestError | None = None

    async def read(self, requests: AsyncIterator[service_pb2.ScoreStreamRequest]) -> None:
        try:
            async for message in requests:
                self._open(message.chunk)
        except RequestError as error:
            self._error = error
        finally:
            self._read_all = True
            self._wake.set()

    def _open(self, chunk: service_pb2.ScoreRequest) -> None:
        if chunk.evaluations:
            evaluations = _wire.read_evaluations(chunk.evaluations)
            if self._header is None:
                self._header = _Header(self._scorer, evaluations)
            elif evaluations != self._header.evaluations:
                raise RequestError(
                    "chunk.evaluations: they are those of the first chunk; open another stream for others"
                )
        header = self._header
        if header is None:
            raise RequestError("chunk.evaluations: the first chunk names the verifiers")
        left = None if self._ends is None else max(0.0, self._ends - asyncio.get_running_loop().time())
        request, indices = _wire.read_request(chunk, header.evaluations, left, self._seen)
        self._waiting += len(indices) * len(header.evaluations)

        def deliver(position: int, result: Result) -> None:
            self._ready.append(header.encode(position, result, indices))
            self._waiting -= 1
            self._wake.set()

        call = self._scorer.open(request, deliver, partial=True)
        self._calls.add(call)

    async def next_results(self) -> list[types_pb2.Result] | None:
        """Results that are ready, gathered for a moment; None when there will be no more."""
        while not self._ready:
            if self._error is not None:
                raise self._error
            if self._read_all and self._waiting == 0:
                return None
            self._wake.clear()
            await self._wake.wait()
        if self._waiting or not self._read_all:
            await asyncio.sleep(_FLUSH)
        batch, self._ready = self._ready, []
        self._calls = {call for call in self._calls if not call.ended}
        return batch

    def take_identities(self) -> list[types_pb2.VerifierIdentity]:
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
