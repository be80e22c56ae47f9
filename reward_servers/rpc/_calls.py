"""Calls that carry rollouts: what they ask, what is being judged, and the answers that wait to be sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial

from reward_servers import wire
from reward_servers.core import (
    Call,
    Evaluation,
    OverloadedError,
    PlainVerdicts,
    Request,
    RequestError,
    Reservation,
    Result,
    Scorer,
    Skip,
    SkipReason,
)
from reward_servers.observe import CallRecord
from reward_servers.rpc._intake import OpenedCall, RequestReader, check_counts, parse
from trainer_client.contract.aspect_names import AspectNames
from trainer_client.contract.v1 import reward_service_pb2 as service_pb2
from trainer_client.contract.v1 import types_pb2

_FLUSH = 0.002
_LONGEST_ID = 1024


class Header:
    """What a call asks, and the aspect names that its results refer to."""

    def __init__(self, scorer: Scorer, first: service_pb2.ScoreRequest, ends: float | None, record: CallRecord) -> None:
        evaluations = wire.read_evaluations(first.evaluations)
        request_id, run = first.request_id[:_LONGEST_ID], first.run[:_LONGEST_ID]
        self.request = Request(evaluations, request_id, first.seed, ends, record.client, run, first.step)
        self.width = len(evaluations)
        self.details = first.result_form != service_pb2.RESULT_FORM_SCORES
        self.in_columns = first.result_form == service_pb2.RESULT_FORM_COLUMNS or not self.details
        self._found = [scorer.hosting.find(evaluation) for evaluation in evaluations]
        self._hosted = [
            bound or scorer.hosted.get(evaluation.verifier)
            for evaluation, bound in zip(evaluations, self._found, strict=True)
        ]
        self.names = [AspectNames(hosted.verifier.aspects if hosted is not None else ()) for hosted in self._hosted]
        record.request_id, record.run, record.step = request_id, run, first.step
        record.verifiers = [evaluation.verifier for evaluation in evaluations]

    def pin(self) -> None:
        """Let what is asked later be judged by the same versions, whatever is hosted by then."""
        pinned = tuple(
            replace(evaluation, digest=bound.identity.digest) if bound is not None else evaluation
            for evaluation, bound in zip(self.request.evaluations, self._found, strict=True)
        )
        self.request = replace(self.request, evaluations=pinned)

    def identities(self) -> list[types_pb2.VerifierIdentity]:
        """The header of an answer."""
        return [
            wire.identity(hosted, evaluation.verifier, names.names)
            for hosted, evaluation, names in zip(self._hosted, self.request.evaluations, self.names, strict=True)
        ]


class Batch:
    """One call of Score: its results are written as they become known."""

    def __init__(self, scorer: Scorer, ends: float | None, record: CallRecord) -> None:
        self._scorer = scorer
        self._ends = ends
        self._record = record
        self._columns: wire.Columns | None = None
        self._header: Header | None = None
        self._response = service_pb2.ScoreResponse()

    def open(self, data: bytes, hold: Reservation) -> OpenedCall:
        """Parse the message and open its call.

        Raises:
            RequestError: It cannot be served as a whole.
        """
        most = self._scorer.limits.max_call_items
        message = parse(service_pb2.ScoreRequest, data, most)
        check_counts(message, most)
        header = self._header = Header(self._scorer, message, self._ends, self._record)
        reader = wire.GroupReader()
        reader.take_blobs(message.blobs)
        groups = list(message.groups)  # an object of Python for each is made once
        items = self._record.items = wire.count_rollouts(groups) * header.width
        if header.in_columns:
            indices: list[int] = []
            columns = self._columns = wire.Columns(header.names, details=header.details)
            deliver, plain = partial(columns.deliver, indices), partial(columns.deliver_plain, indices)
            call = self._scorer.open(
                header.request, deliver, items, hold, plain=plain, longest=len(data), details=header.details
            )
            return OpenedCall(call, reader, groups, indices.extend)
        rows = wire.RowPlaces(self._response, header.names)
        call = self._scorer.open(header.request, rows.deliver, items, hold, plain=rows.deliver_plain, longest=len(data))
        return OpenedCall(call, reader, groups, rows.expect)

    def response(self) -> service_pb2.ScoreResponse:
        """The answer, once every result is known."""
        assert self._header is not None
        if self._columns is not None:
            self._columns.write(self._response)
        self._response.verifiers.extend(self._header.identities())
        return self._response


class Stream:
    """One call of ScoreStream: chunks that are being judged and results that wait to be sent."""

    def __init__(self, scorer: Scorer, ends: float | None, requests: RequestReader, record: CallRecord) -> None:
        self._scorer = scorer
        self._ends = ends
        self._record = record
        self._requests = requests
        self._header: Header | None = None
        self._asked: Sequence[Evaluation] = ()
        self._announced = -1
        self._reader = wire.GroupReader()
        self._calls: set[Call] = set()
        self._ready: wire.Columns | wire.Rows = wire.Rows(())
        self._wake = asyncio.Event()
        self._waiting = 0
        self._read_all = False
        self._error: RequestError | None = None

    async def read(self, requests: AsyncIterator[bytes]) -> None:
        """Take all chunks; an error that ends the stream is raised by `next_response`.

        What comes after an error is thrown away: a generator that is left in the middle would keep its last chunk
        until the garbage collector comes by, which counts objects and not bytes. So would a traceback's frames.
        """
        try:
            async for data in requests:
                self._record.received += len(data)
                if self._error is not None:
                    continue
                try:
                    await self._take(data)
                except RequestError as error:
                    self._error = error.with_traceback(None)
                    self._wake.set()
        finally:
            data = b""
            self._read_all = True
            self._wake.set()

    async def _take(self, data: bytes) -> None:
        try:
            hold, refusal = self._scorer.admission.hold(len(data), self._record.client), None
        except OverloadedError as error:
            hold, refusal = None, Skip(SkipReason.OVERLOADED, error.retry_after)
        try:
            call = await self._requests.take(partial(self._open, data, hold, refusal))
        except BaseException:
            if hold is not None:
                hold.release()
            raise
        self._calls.add(call)

    def _open(self, data: bytes, hold: Reservation | None, refusal: Skip | None) -> OpenedCall:
        most = self._scorer.limits.max_call_items
        chunk = parse(service_pb2.ScoreStreamRequest, data, most).chunk
        check_counts(chunk, most)
        later = self._header is not None
        header = self._header_for(chunk)
        self._reader.take_blobs(chunk.blobs)
        indices: list[int] = []
        ready = self._ready

        def deliver(position: int, result: Result) -> None:
            ready.deliver(indices, position, result)
            self._waiting -= 1
            self._wake.set()

        def deliver_plain(verdicts: PlainVerdicts) -> None:
            ready.deliver_plain(indices, verdicts)
            self._waiting -= len(verdicts.positions)
            self._wake.set()

        groups = list(chunk.groups)
        items = wire.count_rollouts(groups) * header.width
        self._waiting += items
        self._record.items += items
        call = self._scorer.open(
            header.request,
            deliver,
            items,
            hold,
            partial=True,
            plain=deliver_plain,
            longest=len(data),
            details=header.details,
            later=later,
        )
        if not later:
            header.pin()
        if refusal is not None:
            call.skip(refusal)
        return OpenedCall(call, self._reader, groups, indices.extend)

    def _header_for(self, chunk: service_pb2.ScoreRequest) -> Header:
        if self._header is None:
            if not chunk.evaluations:
                raise RequestError("chunk.evaluations: the first chunk names the verifiers")
            self._header = Header(self._scorer, chunk, self._ends, self._record)
            self._asked = self._header.request.evaluations
            names = self._header.names
            details = self._header.details
            self._ready = wire.Columns(names, details=details) if self._header.in_columns else wire.Rows(names)
        elif chunk.evaluations and wire.read_evaluations(chunk.evaluations) != self._asked:
            raise RequestError("chunk.evaluations: they are those of the first chunk; open another stream for others")
        return self._header

    async def next_response(self) -> service_pb2.ScoreStreamResponse | None:
        """Results that are ready, gathered for a moment; None when there will be no more.

        Raises:
            RequestError: A chunk cannot be served.
        """
        while not self._ready:
            if self._error is not None:
                raise self._error
            if self._read_all and self._waiting == 0:
                return None
            self._wake.clear()
            await self._wake.wait()
        if self._waiting or not self._read_all:
            await asyncio.sleep(_FLUSH)
        response = service_pb2.ScoreStreamResponse()
        self._ready.write(response)
        self._calls = {call for call in self._calls if not call.ended}
        response.verifiers.extend(self._identities())
        return response

    def _identities(self) -> list[types_pb2.VerifierIdentity]:
        """The header: first of all, and again when verdicts have named new aspects."""
        if self._header is None:
            return []
        name_count = sum(len(names.names) for names in self._header.names)
        if name_count == self._announced:
            return []
        self._announced = name_count
        return self._header.identities()

    def close(self) -> None:
        """Abandon what is not finished."""
        for call in self._calls:
            call.close()
        self._calls.clear()
