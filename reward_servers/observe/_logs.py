"""Logs: one line for each event, as text or as JSON, and never so many that they are the problem.

No line holds a prompt, a response, a reference or a key. A call is known by its request id, run, step and client.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, TextIO

from trainer_client._printable import printable

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_PER_SECOND = 100.0
_BURST = 1000.0
_LONGEST = 8000


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object: time, level, logger, message, and the fields that it carries."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:_LONGEST],
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)[-_LONGEST:]
        return json.dumps(line, ensure_ascii=False, default=str)


class _TextFormatter(logging.Formatter):
    """Writes a record as one line, its traceback below it; texts of others cannot end the line or steer a terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Write what stands before the traceback."""
        fields = getattr(record, "fields", {})
        pairs = "".join(f" {name}={value}" for name, value in fields.items() if value not in ("", 0, None))
        return printable(f"{super().formatMessage(record)}{pairs}", line=True)

    def formatException(self, ei: Any) -> str:
        """Write a traceback, whose message can be text of a response."""
        return printable(super().formatException(ei))


class Allowance:
    """How many records may be written now, and how many were not."""

    def __init__(self, per_second: float = _PER_SECOND, burst: float = _BURST) -> None:
        self._rate = per_second
        self._burst = self._left = burst
        self._filled = time.monotonic()
        self._dropped = 0

    def take(self) -> bool:
        """Whether one more may be written."""
        now = time.monotonic()
        self._left = min(self._burst, self._left + self._rate * (now - self._filled))
        self._filled = now
        if self._left < 1.0:
            self._dropped += 1
            return False
        self._left -= 1.0
        return True

    def dropped(self) -> int:
        """How many were not written since the last time that this was asked."""
        dropped, self._dropped = self._dropped, 0
        return dropped


class FloodFilter(logging.Filter):
    """Lets only so many records of a logger through, and says how many it has not."""

    def __init__(self, per_second: float = _PER_SECOND, burst: float = _BURST) -> None:
        super().__init__()
        self._rate = per_second
        self._burst = burst
        self._allowed: dict[str, Allowance] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is written."""
        allowance = self._allowed.get(record.name)
        if allowance is None:
            allowance = self._allowed[record.name] = Allowance(self._rate, self._burst)
        if not allowance.take():
            return False
        if dropped := allowance.dropped():
            record.msg = f"[{dropped} records of {record.name} were left out] {record.msg}"
        return True


class _GoneFilter(logging.Filter):
    """Lets a caller that has gone pass as one line: gRPC writes a traceback for each that it cannot answer any more."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Take the traceback off; only where debugging is wanted is there a line at all."""
        if record.exc_info and record.exc_info[0] is not None and record.exc_info[0].__name__ == "ExecuteBatchError":
            record.exc_info = record.exc_text = None
            record.levelno, record.levelname = logging.DEBUG, "DEBUG"
            return logging.getLogger(record.name).isEnabledFor(logging.DEBUG)
        return True


def set_up_logging(level: int, form: str, stream: TextIO | None = None) -> None:
    """Send all records to a stream.

    Args:
        level: The lowest level that is written.
        form: ``"text"`` or ``"json"``.
        stream: Where to; standard error unless said.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else _TextFormatter(_TEXT))
    handler.addFilter(_GoneFilter())
    handler.addFilter(FloodFilter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
