"""Which items took long recently, and why."""

from __future__ import annotations

import json
from collections.abc import Iterable

from reward_servers.core import SlowItem


def slow_report(items: Iterable[SlowItem]) -> bytes:
    """The slowest items as JSON, the slowest first; names and times only."""
    rows = [
        {
            "verifier": item.verifier,
            "rollout_id": item.rollout_id,
            "request_id": item.origin[0],
            "run": item.origin[1],
            "step": item.origin[2],
            "code": item.code,
            "queue_ms": item.queue_us / 1000,
            "run_ms": item.run_us / 1000,
            "cpu_ms": item.cpu_us / 1000,
            "why": item.why,
            "at": item.at,
        }
        for item in items
    ]
    return json.dumps(rows, ensure_ascii=False).encode()
