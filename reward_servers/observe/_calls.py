"""Calls: counted, logged and traced from their beginning to their end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from reward_servers.core import Stats
from reward_servers.observe._tracing import Metadata, Tracing

__all__ = ["CallLog", "CallRecord"]

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

    @contextmanager
    def recorded(self, method: str, metadata: Metadata) -> Iterator[CallRecord]:
        """A call, for the length of a block; what is known of it is filled in meanwhile.

        Args:
            method: Its method.
            metadata: What came with it; a span of the caller among it becomes the parent of the call's.
        """
        record = CallRecord(method)
        started = time.perf_counter()
        with self._tracing.span(f"assay.{method}", metadata) as span:
            try:
                yield record
            except asyncio.CancelledError:
                record.status = "CANCELLED"
                raise
            except BaseException:
                if record.status == "OK":
                    record.status = "UNKNOWN"
                raise
            finally:
                self._end(record, time.perf_counter() - started)
                span.set(self._fields(record))

    def _end(self, record: CallRecord, seconds: float) -> None:
        self._stats.note_call(record.method, record.status, record.client, record.items)
        self._stats.received_bytes += record.received
        if _log.isEnabledFor(logging.INFO):
            fields = {**self._fields(record), "ms": round(seconds * 1000, 2)}
            _log.info("%s %s", record.method, record.status, extra={"fields": fields})

    @staticmethod
    def _fields(record: CallRecord) -> dict[str, str | int]:
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
