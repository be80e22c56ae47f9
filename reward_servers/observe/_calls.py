"""Calls: counted, logged and traced from their beginning to their end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType

from reward_servers.core import Stats
from reward_servers.observe._logs import Allowance
from reward_servers.observe._tracing import Metadata, Span, Tracing

_log = logging.getLogger("assay.access")
_LONGEST_ID = 100


@dataclass(slots=True)
class CallRecord:
    """One call, as it becomes known.

    Attributes:
        method: Its method.
        client: Who asks.
        status: How it ended.
        request_id: The caller's name for it.
        run: Name of the training run.
        step: Training step.
        items: Rollouts times evaluations.
        received: Bytes of its requests.
        verifiers: The verifiers asked.
    """

    method: str
    client: str = ""
    status: str = "OK"
    request_id: str = ""
    run: str = ""
    step: int = 0
    items: int = 0
    received: int = 0
    verifiers: Sequence[str] = field(default_factory=tuple)


class CallLog:
    """Counts calls, writes a line for each, and makes each a span."""

    def __init__(self, stats: Stats, tracing: Tracing | None = None) -> None:
        self._stats = stats
        self._tracing = tracing or Tracing(None)
        self._allowance = Allowance()

    def recorded(self, method: str, metadata: Metadata) -> _Recording:
        """A call, for the length of a block, which is given its record; what is known is filled in meanwhile.

        Args:
            method: Its method.
            metadata: What came with it; a span of the caller among it becomes the parent of the call's.
        """
        return _Recording(self, CallRecord(method), self._tracing.span(f"assay.{method}", metadata))

    def end(self, record: CallRecord, seconds: float) -> None:
        """Count and log a call that has ended."""
        self._stats.note_call(record.method, record.status, record.client, record.items)
        self._stats.received_bytes += record.received
        # Asked before the record is made, which costs more than a small call.
        if _log.isEnabledFor(logging.INFO) and self._allowance.take():
            fields = {**self.fields(record), "ms": round(seconds * 1000, 2)}
            if left_out := self._allowance.dropped():
                fields["left_out_before"] = left_out
            _log.info("%s %s", record.method, record.status, extra={"fields": fields})

    @staticmethod
    def fields(record: CallRecord) -> dict[str, str | int]:
        """What is known of a call."""
        return {
            "client": record.client,
            "request_id": record.request_id[:_LONGEST_ID],
            "run": record.run[:_LONGEST_ID],
            "step": record.step,
            "verifiers": ",".join(record.verifiers)[:_LONGEST_ID],
            "items": record.items,
            "bytes": record.received,
            "status": record.status,
        }


class _Recording:
    """A call while it lasts. Not a generator: entering and leaving one costs as much as the rest."""

    __slots__ = ("_log", "_record", "_span", "_started")

    def __init__(self, log: CallLog, record: CallRecord, span: Span) -> None:
        self._log = log
        self._record = record
        self._span = span
        self._started = time.perf_counter()

    def __enter__(self) -> CallRecord:
        self._span.__enter__()
        return self._record

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        record = self._record
        if isinstance(error, asyncio.CancelledError):
            record.status = "CANCELLED"
        elif error is not None and record.status == "OK":
            record.status = "UNKNOWN"
        self._log.end(record, time.perf_counter() - self._started)
        if self._span.goes_somewhere:
            self._span.set(self._log.fields(record))
        self._span.__exit__(kind, error, trace)
