"""Servers for these tests: what becomes of an item is written into the item's response as a JSON object.

    {"score": 0.5}                     a verdict
    {"delay_s": 2.0, ...}              the same, later
    {"fault": "busy", "party": "upstream", "retryable": true, "times": 1}   a fault, the first so many times
    {"overloaded": 2}                  "server full", the first so many times
    {"lost": true}                     no result
    {"exit": true}                     the process dies
    {"block": 1.0}                     the server hangs for that long
    {"break": "INTERNAL"}              the call ends with that status code

Runs in a thread of the test, or as a process: ``python -m tests.client.scripted_server PORT NAME,NAME DIGEST``.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from trainer_client.testing import EndCall, FakeServer, Item, NoAnswer, Outcome, Skip, Verdict, by_response


class Scripted(FakeServer):
    """A server that does what responses say.

    Attributes:
        finished: how often each ``(rollout_id, verifier)`` was answered by a verdict.
        under_way: calls of ``ScoreStream`` that have not ended.
    """

    def __init__(
        self, verifiers: dict[str, str] | None = None, group_verifiers: tuple[str, ...] = (), port: int = 0
    ) -> None:
        digests = verifiers or {"echo": "d1"}
        super().__init__(
            dict.fromkeys(digests, self._script), group_verifiers=group_verifiers, aspects=("length",), port=port
        )
        self.digests = dict(digests)
        self.finished: Counter[tuple[str, str]] = Counter()
        self.under_way = 0

    async def ScoreStream(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        """See the contract."""
        self.under_way += 1
        try:
            async for response in super().ScoreStream(requests, context):
                yield response
        finally:
            self.under_way -= 1

    @property
    def asked(self) -> Counter[tuple[str, str]]:
        """How often each ``(rollout_id, verifier)`` was asked about."""
        return Counter((item.rollout_id, item.verifier) for item in self.items)

    def _script(self, item: Item) -> Outcome:
        told = json.loads(item.response) if item.response.startswith("{") else {}
        if "endpoint" in item.options:
            return EndCall("INVALID_ARGUMENT", "evaluations[0].options.endpoint: unknown")
        if told.pop("exit", False):
            os._exit(1)
        time.sleep(told.pop("block", 0.0))
        if "break" in told:
            return EndCall(told["break"])
        if item.attempt <= told.pop("overloaded", 0):
            return Skip("overloaded")
        if told.pop("lost", False):
            return NoAnswer()
        outcome = by_response(replace(item, response=json.dumps(told)) if told else item)
        if not isinstance(outcome, Verdict):
            return outcome
        self.finished[item.rollout_id, item.verifier] += 1
        evidence = {"group": item.group_id, "size": item.group_size, "present": item.group_present}
        return replace(outcome, note="said so", evidence=evidence, aspects={"length": float(len(item.response))})


def main(port: int, names: str, digest: str) -> None:
    with Scripted(dict.fromkeys(names.split(","), digest), port=port) as server:
        print(server.address.rpartition(":")[2], flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
