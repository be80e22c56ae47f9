"""`FakeServer`: the real protocol, over real gRPC, with outcomes from a script."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, Self

import grpc
import grpc.aio

from trainer_client.contract.v1 import reward_service_pb2 as service_pb2
from trainer_client.contract.v1 import reward_service_pb2_grpc as service_grpc
from trainer_client.contract.v1 import types_pb2
from trainer_client.testing._script import EndCall, Fault, Item, NoAnswer, Outcome, Script, Verdict, message_of


class FakeServer(service_grpc.RewardServiceServicer):
    """A reward server on loopback, in a thread of its own, as a context manager (``with`` or ``async with``).

    Attributes may be changed while it runs.

    Args:
        verifiers: what becomes of the items of each verifier that it hosts.
        group_verifiers: those that judge groups.
        aspects: names of the parts that verdicts may have.
        port: where it listens; 0 picks a free port.

    Attributes:
        address: ``host:port``, once it runs.
        digests: digest of each verifier, as clients pin it.
        versions: version of each verifier.
        items: every item asked about, in order of arrival.
        requests: the requests as they came over the wire.
        unary_calls: calls of ``Score``.
        stream_calls: calls of ``ScoreStream``.
        cancelled: calls that the client ended.
        refusals: calls to refuse as "server full" from now on.
        draining: whether it says that it is about to stop.
        cost: what its verifiers say they cost: a client takes ``"trivial"`` ones in one answer, others as a stream.
        max_items: largest request, as told to clients; 0 for no limit. Likewise ``max_message_bytes``.
        items_limit: items it says it can hold; 0 for no limit.
        score_range: lowest and highest score, as told to clients, which believe no other; two zeros: it tells none.
        floor: score for a candidate that gave nothing to judge, as told to clients; within ``score_range``.
        deterministic: whether it says that the same item always gets the same verdict.
    """

    def __init__(
        self,
        verifiers: Mapping[str, Script],
        *,
        group_verifiers: tuple[str, ...] = (),
        aspects: tuple[str, ...] = (),
        port: int = 0,
    ) -> None:
        self.address = ""
        self.verifiers = dict(verifiers)
        self.group_verifiers = group_verifiers
        self.aspects = aspects
        self.digests = dict.fromkeys(verifiers, "d1")
        self.versions = dict.fromkeys(verifiers, "1")
        self.items: list[Item] = []
        self.requests: list[service_pb2.ScoreRequest] = []
        self.unary_calls = 0
        self.stream_calls = 0
        self.cancelled = 0
        self.refusals = 0
        self.draining = False
        self.cost: Literal["trivial", "cpu", "network"] = "network"
        self.max_items = 0
        self.max_message_bytes = 0
        self.items_limit = 0
        self.score_range = (0.0, 0.0)
        self.floor = 0.0
        self.deterministic = True
        self._port = port
        self._asked: Counter[tuple[str, str]] = Counter()
        self._arrived = threading.Condition()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    # Its life

    def start(self) -> Self:
        """Listen.

        Raises:
            OSError: the port cannot be had.
        """
        ready: list[BaseException | None] = []
        started = threading.Event()

        def run() -> None:
            asyncio.run(self._serve(ready, started))

        self._thread = threading.Thread(target=run, name="fake-reward-server", daemon=True)
        self._thread.start()
        started.wait()
        if ready[0] is not None:
            raise OSError(f"port {self._port} cannot be had: {ready[0]}") from ready[0]
        return self

    async def _serve(self, ready: list[BaseException | None], started: threading.Event) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)])
        service_grpc.add_RewardServiceServicer_to_server(self, server)
        try:
            port = server.add_insecure_port(f"127.0.0.1:{self._port}")
            await server.start()
        except Exception as error:  # noqa: BLE001 (raised by `start`, in the thread that waits)
            ready.append(error)
            started.set()
            return
        self.address = f"127.0.0.1:{port}"
        ready.append(None)
        started.set()
        await self._stopping.wait()
        await server.stop(None)

    def stop(self) -> None:
        """End every call and stop listening."""
        thread, self._thread = self._thread, None
        if thread is not None and self._loop is not None and self._stopping is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stopping.set)
            thread.join()

    def wait_for_items(self, count: int = 1, timeout_s: float = 30.0) -> None:
        """Wait until that many items have come.

        Raises:
            TimeoutError: they have not.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.items) >= count, timeout_s):
                raise TimeoutError(f"{len(self.items)} of {count} items after {timeout_s:g} s")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    # What it says of itself

    async def ListVerifiers(self, request: Any, context: Any) -> service_pb2.ListVerifiersResponse:
        """See the contract."""
        cost = service_pb2.CostClass.Value(f"COST_CLASS_{self.cost.upper()}")
        return service_pb2.ListVerifiersResponse(
            verifiers=[
                service_pb2.VerifierInfo(
                    identity=self._identity(name),
                    description="Does what its script says.",
                    scope=service_pb2.SCOPE_GROUP if name in self.group_verifiers else service_pb2.SCOPE_ROLLOUT,
                    cost_class=cost,
                    deterministic=self.deterministic,
                    score_min=self.score_range[0],
                    score_max=self.score_range[1],
                    floor=self.floor,
                )
                for name in self.verifiers
            ]
        )

    async def GetServerInfo(self, request: Any, context: Any) -> service_pb2.GetServerInfoResponse:
        """See the contract."""
        return service_pb2.GetServerInfoResponse(
            contract="assay.rewards.v1",
            limits=service_pb2.ServerLimits(max_items=self.max_items, max_message_bytes=self.max_message_bytes),
            load=types_pb2.ServerLoad(items_limit=self.items_limit, draining=self.draining),
        )

    def _identity(self, name: str) -> types_pb2.VerifierIdentity:
        return types_pb2.VerifierIdentity(
            name=name, version=self.versions[name], digest=self.digests[name], aspects=self.aspects
        )

    # Scoring

    async def Score(self, request: service_pb2.ScoreRequest, context: Any) -> service_pb2.ScoreResponse:
        """See the contract."""
        self.unary_calls += 1

        async def only() -> AsyncIterator[service_pb2.ScoreStreamRequest]:
            yield service_pb2.ScoreStreamRequest(chunk=request)

        answer = service_pb2.ScoreResponse()
        async for response in self._responses(only(), context):
            answer.verifiers.extend(response.verifiers)
            answer.results.extend(response.results)
        return answer

    async def ScoreStream(
        self, requests: AsyncIterator[service_pb2.ScoreStreamRequest], context: Any
    ) -> AsyncIterator[service_pb2.ScoreStreamResponse]:
        """See the contract."""
        self.stream_calls += 1
        async for response in self._responses(requests, context):
            yield response

    async def _responses(
        self, requests: AsyncIterator[service_pb2.ScoreStreamRequest], context: Any
    ) -> AsyncIterator[service_pb2.ScoreStreamResponse]:
        if self.refusals:
            self.refusals -= 1
            context.set_trailing_metadata((("grpc-retry-pushback-ms", "20"),))
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")
        async for message in requests:
            self.requests.append(message.chunk)
            await self._refuse_what_is_not_hosted(message.chunk, context)
            async for response in self._answer(message.chunk, context):
                yield response

    async def _refuse_what_is_not_hosted(self, chunk: service_pb2.ScoreRequest, context: Any) -> None:
        for evaluation in chunk.evaluations:
            name = evaluation.verifier
            if name not in self.verifiers:
                await context.abort(grpc.StatusCode.NOT_FOUND, f"evaluations: {name} is not hosted")
            if evaluation.expected_digest not in ("", self.digests[name]):
                await context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"hosts {self.digests[name]}")

    async def _answer(
        self, chunk: service_pb2.ScoreRequest, context: Any
    ) -> AsyncIterator[service_pb2.ScoreStreamResponse]:
        identities = [self._identity(evaluation.verifier) for evaluation in chunk.evaluations]
        ready: list[types_pb2.Result] = []
        later: list[asyncio.Future[types_pb2.Result]] = []
        try:
            for item, index, number in self._items(chunk):
                outcome = self._outcome(item)
                if isinstance(outcome, EndCall):
                    await context.abort(grpc.StatusCode[outcome.status], outcome.message)
                elif not isinstance(outcome, NoAnswer):
                    result = message_of(outcome, index, number, self.aspects)
                    if outcome.delay_s:
                        later.append(asyncio.ensure_future(asyncio.sleep(outcome.delay_s, result)))
                    else:
                        ready.append(result)
            if ready:
                yield service_pb2.ScoreStreamResponse(verifiers=identities, results=ready)
                identities = []
            for task in asyncio.as_completed(later):
                yield service_pb2.ScoreStreamResponse(verifiers=identities, results=[await task])
                identities = []
        except (asyncio.CancelledError, GeneratorExit):
            # The latter where the call ends while an answer is written: what writes it hears of that, and asks no more.
            self.cancelled += 1
            raise
        finally:
            for pending in later:
                pending.cancel()

    def _outcome(self, item: Item) -> Outcome:
        with self._arrived:
            self.items.append(item)
            self._arrived.notify_all()
        try:
            outcome = self.verifiers[item.verifier](item)
        except Exception as error:  # noqa: BLE001 (a mistake in a test's script shows where its outcome is read)
            return Fault("script_failed", message=repr(error))
        return Verdict(float(outcome)) if isinstance(outcome, int | float) else outcome

    def _items(self, chunk: service_pb2.ScoreRequest) -> Iterator[tuple[Item, int, int]]:
        """The items of a request, each with its rollout's index and the number of its evaluation."""
        for group in chunk.groups:
            for rollout in group.rollouts:
                for number, evaluation in enumerate(chunk.evaluations):
                    key = (rollout.rollout_id, evaluation.verifier)
                    self._asked[key] += 1
                    item = Item(
                        verifier=evaluation.verifier,
                        rollout_id=rollout.rollout_id,
                        group_id=group.group_id,
                        prompt=group.prompt.text,
                        response=rollout.response.text,
                        reference=json.loads(rollout.reference_json or group.reference_json or b"null"),
                        metadata=json.loads(rollout.metadata_json or b"null"),
                        options=json.loads(evaluation.options_json or b"{}"),
                        attempt=self._asked[key],
                        group_size=group.size,
                        group_present=len(group.rollouts),
                        run=chunk.run,
                        step=chunk.step,
                        seed=chunk.seed,
                    )
                    yield item, rollout.index, number
