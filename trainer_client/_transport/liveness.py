"""`LivenessProbe`: notices a replica that holds work and does not say any more that it is alive.

A process that hangs (stopped, swapped out, its loop blocked, its node lost) keeps its connections, so its calls do not
break. A server answers the question what it is at any load, so silence means that its work should go elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc
import grpc.aio

from trainer_client._transport.background import BackgroundTask
from trainer_client._transport.failures import CallFailure, CallInterruptedError, FailureClass
from trainer_client._transport.replica import Replica, task_is_cancelled

_OVERDUE = 1.0
"""Seconds after its time in which gRPC says that a question has no answer. Its timers do not survive every fork."""
_PERIOD = 2.0


class LivenessProbe(BackgroundTask):
    """Asks one replica now and then, for as long as calls to it are under way.

    Args:
        replica: whom to ask.
        silence: seconds without an answer after which it counts as hung.
        hung: what to do then.
    """

    def __init__(self, replica: Replica, silence: float, hung: Callable[[Replica, CallFailure], None]) -> None:
        super().__init__(self._ask)
        self._replica = replica
        self._silence = silence
        self._hung = hung

    async def _ask(self) -> None:
        while True:
            await asyncio.sleep(min(_PERIOD, self._silence))
            # Items are counted before their call begins.
            if not self._replica.outstanding:
                return
            started = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(self._silence + _OVERDUE):
                    await self._replica.ask(self._silence)
            except TimeoutError:
                self._is_silent()
                return
            except grpc.aio.AioRpcError as error:
                # Whatever else it says, or why it cannot be reached, its calls tell themselves.
                waited = asyncio.get_running_loop().time() - started
                if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and waited > self._silence / 2:
                    self._is_silent()
                    return
            except CallInterruptedError:
                pass
            except asyncio.CancelledError:
                if task_is_cancelled():
                    raise

    def _is_silent(self) -> None:
        words = f"has not said for {self._silence:g} s that it is alive"
        self._hung(self._replica, CallFailure(FailureClass.GONE, "silent", words, code="unavailable"))
