"""`OpenCall`: one call under way, from its request to its last result."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

import grpc
import grpc.aio

from trainer_client._transport import wire
from trainer_client._transport.failures import (
    INTERRUPTED,
    OUT_OF_TIME,
    SETTLED,
    CallFailure,
    CallInterruptedError,
    UnusableReplyError,
    read_failure,
    unusable,
)
from trainer_client._transport.plan import Chunk
from trainer_client._transport.replica import Replica, StreamCall, UnaryCall, task_is_cancelled
from trainer_client.contract.v1 import reward_service_pb2 as service
from trainer_client.result.outcomes import OutcomeStore

_LAST_WORDS = 0.5
"""Seconds in which a server that has answered everything ends the call; nothing is to be had of one that does not."""
_OVERDUE = 1.0
"""Seconds after the deadline in which gRPC says that it has passed. Its timers do not survive every fork."""


class OpenCall:
    """One call under way.

    Args:
        chunk: what it asks.
        replica: whom.
        store: where verdicts go.
        rows: the rollouts that are in the request.
        take: called with what each reply says: the call, the number of verdicts, the results without a score.
        stalled: called with the call and the seconds without a result, when others have time.

    Attributes:
        chunk: what it asks.
        replica: whom.
        started: when it was sent, on the loop's clock.
        heard: when it last gave a result, or was sent.
        moved: whether its open items were given to another replica as well.
    """

    def __init__(
        self,
        chunk: Chunk,
        replica: Replica,
        store: OutcomeStore,
        rows: list[int],
        take: Take,
        stalled: Callable[[OpenCall, float], None],
    ) -> None:
        spec = chunk.spec
        expected = [replica.expected(spec.evaluations[p].verifier, spec.evaluations[p].digest) for p in chunk.asked]
        self.chunk = chunk
        self.replica = replica
        self._stalled = stalled
        self._reader = wire.ReplyReader(store, chunk.columns, rows, expected)
        self._take = take
        self._loop = asyncio.get_running_loop()
        self.started = self.heard = self._loop.time()
        self.moved = False
        self._call: UnaryCall | StreamCall | None = None
        self._why: CallFailure | None = None
        self._ending: asyncio.TimerHandle | None = None

    async def run(self, request: service.ScoreStreamRequest) -> CallFailure | None:
        """Send the request and take the replies.

        Returns:
            How it failed; None when every item was answered or is named as left out.
        """
        spec = self.chunk.spec
        expires = spec.expires
        timeout = expires - self._loop.time()
        if timeout <= 0:
            return OUT_OF_TIME
        self.replica.calls.add(self)
        try:
            async with asyncio.timeout(timeout + _OVERDUE):
                await self._ask(request, timeout)
            if self._reader.awaited:
                self._take(self, 0, self._reader.unanswered())
        except CallInterruptedError:
            return INTERRUPTED
        except TimeoutError:
            return self._why or OUT_OF_TIME
        except UnusableReplyError as error:
            return unusable(str(error))
        except grpc.aio.AioRpcError as error:
            return self._why or read_failure(error, expires - self._loop.time())
        except asyncio.CancelledError:
            if task_is_cancelled():
                raise
            return self._why or INTERRUPTED
        finally:
            self.replica.calls.discard(self)
            if self._ending is not None:
                self._ending.cancel()
            if self._call is not None:
                self._call.cancel()
        return None

    async def _ask(self, request: service.ScoreStreamRequest, seconds: float) -> None:
        spec = self.chunk.spec
        if spec.at_once:
            unary = self._call = self.replica.score(request, seconds, spec.trace)
            self._read(wire.parse_response(await unary))
            return
        stream = self._call = self.replica.stream(request, seconds, spec.trace)
        async for raw in stream:
            self._read(wire.parse_results(raw))

    def _read(self, reply: service.ScoreResponse | service.ScoreStreamResponse) -> None:
        now = self._loop.time()
        verdicts, scoreless = self._reader.read(reply, self.chunk.spec.expires - now)
        if verdicts or scoreless:
            self.heard = now
            self._take(self, verdicts, scoreless)
            if self._ending is None and not self._reader.awaited:
                self._ending = self._loop.call_later(_LAST_WORDS, self.end, SETTLED)

    @property
    def unanswered(self) -> int:
        """Items without a result."""
        return len(self._reader.awaited)

    def take_over(self, silence: float) -> None:
        """The call has given no result for that many seconds, and another replica is free."""
        if not self.moved:
            self.moved = True
            self._stalled(self, silence)

    def end(self, why: CallFailure) -> None:
        """End the call; `run` returns the reason."""
        if self._call is not None and self._why is None:
            self._why = why
            self._call.cancel()


Take: TypeAlias = Callable[[OpenCall, int, list[wire.ScorelessResult]], None]
