"""The gRPC face of the scorer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any, NoReturn, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from reward_servers import __version__, wire
from reward_servers.core import OverloadedError, RequestError, Scorer
from reward_servers.observe import CallLog, CallRecord
from reward_servers.rpc._calls import Batch, Stream
from reward_servers.rpc._clients import Clients, NotAllowedError
from reward_servers.rpc._intake import RequestReader, parse
from trainer_client.contract import CONTRACT
from trainer_client.contract.v1 import registry_service_pb2 as registry_pb2
from trainer_client.contract.v1 import reward_service_pb2 as service_pb2
from trainer_client.contract.v1 import types_pb2

_STATUS = {
    "invalid": grpc.StatusCode.INVALID_ARGUMENT,
    "not_found": grpc.StatusCode.NOT_FOUND,
    "precondition": grpc.StatusCode.FAILED_PRECONDITION,
    "overloaded": grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_PUSHBACK = "grpc-retry-pushback-ms"
_CODE = "assay-code"
_LONGEST_MESSAGE = 1500

Context = grpc.aio.ServicerContext[Any, Any]
_M = TypeVar("_M", bound=Message)


async def _refuse(context: Context, error: RequestError | NotAllowedError, record: CallRecord) -> NoReturn:
    # gRPC keeps a call and the error that aborts it in a circle, which only the garbage collector frees. It counts
    # objects and not bytes: no frame that holds a message may be reached from there.
    error.__traceback__ = error.__context__ = error.__cause__ = None
    # The status travels in a header of limited size: a message beyond it would hide the status behind another.
    message = str(error)[:_LONGEST_MESSAGE]
    status = error.status if isinstance(error, NotAllowedError) else _STATUS[error.kind]
    record.status = status.name
    metadata: tuple[tuple[str, str], ...] = ()
    if isinstance(error, RequestError):
        metadata = ((_CODE, error.code),)
    if isinstance(error, OverloadedError):
        metadata += ((_PUSHBACK, str(int(error.retry_after * 1000))),)
    try:
        await context.abort(status, message, metadata)
    except grpc.aio.AbortError:
        raise
    except Exception:
        # A caller that has gone cannot be told; a traceback for each of them would fill the log.
        if context.done():
            raise asyncio.CancelledError from None
        raise
    raise AssertionError("abort does not return")


def _ends(context: Context) -> float | None:
    """When the work ends, on the monotonic clock: before the caller stops waiting, so that what is done arrives."""
    left = context.time_remaining()
    if left is None:
        return None
    return time.monotonic() + max(0.0, float(left) - min(0.25, 0.1 * float(left)))


class RewardServicer:
    """Answers the contract's calls from a scorer."""

    def __init__(
        self,
        scorer: Scorer,
        origins: Mapping[str, str],
        facts: Mapping[str, str],
        clients: Clients | None = None,
        log: CallLog | None = None,
    ) -> None:
        self._scorer = scorer
        self._clients = clients or Clients()
        self._log = log or CallLog(scorer.stats)
        self._origins = origins
        self._facts = facts
        self._requests = RequestReader()
        self.draining = False

    def register(self, server: grpc.aio.Server) -> None:
        """Let a server answer with this. Messages come as bytes: what cannot be parsed is refused in our own words."""
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        pb = service_pb2
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Score": unary(self.score, None, self._write),
            "ScoreStream": stream(self.score_stream, None, self._write),
            "ListVerifiers": unary(self.list_verifiers, None, self._write),
            "GetServerInfo": unary(self.get_server_info, None, self._write),
        }
        name = pb.DESCRIPTOR.services_by_name["RewardService"].full_name
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))

    def describe_entry(self, address: str, name: str) -> registry_pb2.ServerEntry:
        """What the server tells a registry of itself now, but for the name of its process.

        Args:
            address: Where clients reach it.
            name: What recipes call it; empty where it goes by its verifiers.
        """
        return wire.entry(self._scorer, address, name, self.draining)

    async def drain(self) -> None:
        """Refuse new calls from now on, and return when those that have arrived are open."""
        self.draining = True
        await self._requests.wait_idle()

    async def score(self, data: bytes, context: Context) -> service_pb2.ScoreResponse:
        """Judge a batch and answers when all of it is done, in the order of rollouts and then of evaluations."""
        with self._log.recorded("Score", context.invocation_metadata() or ()) as record:
            record.received = len(data)
            await self._refuse_while_draining(context, record)
            batch = Batch(self._scorer, _ends(context), record)
            try:
                record.client = self._clients.check(context).name
                with self._scorer.admission.hold(len(data), record.client) as hold:
                    call = await self._requests.take(partial(batch.open, data, hold))
                    try:
                        await call.wait()
                    finally:
                        call.close()
            except (RequestError, NotAllowedError) as error:
                data = b""
                await _refuse(context, error, record)
            response = batch.response()
            response.load.CopyFrom(self._load())
            return response

    async def score_stream(
        self, requests: AsyncIterator[bytes], context: Context
    ) -> AsyncIterator[service_pb2.ScoreStreamResponse]:
        """Judge chunks as they arrive and answers items as they finish."""
        with self._log.recorded("ScoreStream", context.invocation_metadata() or ()) as record:
            await self._refuse_while_draining(context, record)
            try:
                record.client = self._clients.check(context).name
            except NotAllowedError as error:
                await _refuse(context, error, record)
            stream = Stream(self._scorer, _ends(context), self._requests, record)
            reader = asyncio.get_running_loop().create_task(stream.read(requests))
            try:
                while (response := await stream.next_response()) is not None:
                    response.load.CopyFrom(self._load())
                    yield response
                await reader
            except RequestError as error:
                await _refuse(context, error, record)
            finally:
                reader.cancel()
                stream.close()

    async def list_verifiers(self, data: bytes, context: Context) -> service_pb2.ListVerifiersResponse:
        """List what is hosted."""
        with self._log.recorded("ListVerifiers", ()) as record:
            await self._read_question(service_pb2.ListVerifiersRequest, data, context, record)
            hosting, response = self._scorer.hosting, service_pb2.ListVerifiersResponse()
            for hosted in hosting.all():
                description = wire.describe(hosted, self._origins.get(hosted.identity.digest, ""))
                listed = response.verifiers if hosted is hosting.current[hosted.identity.name] else response.earlier
                listed.append(description)
            return response

    async def get_server_info(self, data: bytes, context: Context) -> service_pb2.GetServerInfoResponse:
        """Tell version, limits and load, and what the verifiers have done where that is asked for."""
        # Not logged: clients ask every few seconds whether a server is alive.
        record = CallRecord("GetServerInfo")
        question = await self._read_question(service_pb2.GetServerInfoRequest, data, context, record)
        limits = self._scorer.limits
        facts = {**self._facts, **{name: str(value) for name, value in self._scorer.facts().items()}}
        response = service_pb2.GetServerInfoResponse(
            version=__version__,
            contract=CONTRACT,
            limits=service_pb2.ServerLimits(
                max_items=min(limits.max_call_items, limits.max_items),
                max_message_bytes=limits.max_message_bytes,
                suggested_items=limits.suggested_items,
            ),
            load=self._load(),
            facts=facts,
            result_forms=[service_pb2.RESULT_FORM_COLUMNS, service_pb2.RESULT_FORM_SCORES],
            client=wire.client_share(self._scorer, record.client),
        )
        if question.with_activity:
            response.activity.extend(wire.activity(self._scorer))
            response.slow_items.extend(wire.slow_items(self._scorer))
            if self._sees_others(context):
                response.clients.extend(wire.clients(self._scorer))
        return response

    def _sees_others(self, context: Context) -> bool:
        """Whether a caller may be told of the others."""
        if not self._clients.told_apart:
            return True
        try:
            self._clients.check(context, "admin")
        except NotAllowedError:
            return False
        return True

    async def _read_question(self, kind: type[_M], data: bytes, context: Context, record: CallRecord) -> _M:
        """Read a question; refuse what is none, and a client that may not ask."""
        try:
            record.client = self._clients.check(context).name
            return parse(kind, data)
        except (RequestError, NotAllowedError) as error:
            await _refuse(context, error, record)

    def _write(self, message: Message) -> bytes:
        """Write an answer."""
        data = message.SerializeToString()
        self._scorer.stats.sent_bytes += len(data)
        return data

    def _load(self) -> types_pb2.ServerLoad:
        return wire.load(self._scorer.admission, self.draining)

    async def _refuse_while_draining(self, context: Context, record: CallRecord) -> None:
        if self.draining:
            record.status = "UNAVAILABLE"
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the server is draining; ask another replica")
