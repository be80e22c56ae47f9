"""Attacks `assay gateway` over raw HTTP beside a caller who behaves, and checks what must hold.

Attackers send what no client sends, hang up, dribble heads, send heads without end and read no answers. Every whole
request is answered, by a status that the page of the gateway names and by JSON; the one who behaves always gets the
same rewards; afterwards nothing is under way, and no traceback was written. The most memory that the gateway had is
told beside its bound.

    python -m tests.gateway_fuzz [--seconds 60] [--seed 1] [--attackers 64]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from tests.gateway.conftest import Processes

_STATUSES = {200, 400, 401, 403, 404, 405, 408, 409, 413, 422, 429, 431, 502, 503}
_HELD = 128 << 20
_PATIENCE = 600.0
"""Seconds for any answer: the gateway counts its own turns, of which a starved process has few, and not seconds."""
_ROUTES = (
    "/v1/score", "/openrlhf", "/slime", "/slime/number", "/verify", "/seed_session", "/aggregate_metrics", "/evaluate",
    "/score", "/pooling", "/classify", "/aws", "/fireworks", "/run_code",
    "/health", "/ready", "/v1/recipe", "/openapi.json", "/none", "//",
)  # fmt: skip
_KEYS = (
    "rollouts", "prompt", "response", "label", "query", "prompts", "labels", "requests", "history", "text_1", "text_2",
    "input", "messages", "step", "seed", "stream", "advantages", "detail", "metadata", "reference", "rollout_id",
    "group_id", "documents", "token_ids", "finish_reason", "responses_create_params", "output", "role", "content",
    "code", "language", "run_timeout", "required_rewards", "id", "ground_truth",
    "trajectories", "reference_answer",
)  # fmt: skip
_RECIPE = """
[rewards.correct]
verifier = "exact"
[rewards.short]
verifier = "length"
options = { max = 100 }
[servers.all]
verifiers = ["exact", "length"]
"""


class Attacker:
    """Makes requests that no client sends, or that one sends by mistake."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def value(self, depth: int = 0) -> Any:
        """Some JSON value."""
        draw = self._random
        kind = draw.randrange(12 if depth < 4 else 8)
        if kind < 8:
            return draw.choice(
                [
                    None,
                    True,
                    0,
                    -1,
                    1 << 70,
                    1e308,
                    0.1,
                    "",
                    "a" * draw.randrange(3000),
                    "\ud83d",
                    "\0",
                    "é",
                    "2",
                    [],
                    {},
                ]
            )
        if kind < 10:
            return [self.value(depth + 1) for _ in range(draw.randrange(4))]
        return {draw.choice(_KEYS): self.value(depth + 1) for _ in range(draw.randrange(5))}

    def body(self) -> bytes:
        """A body: broken, extreme, or nearly right."""
        draw = self._random
        near = {
            "prompt": "p", "response": "2", "label": "2", "query": ["p2"], "prompts": ["p"], "labels": ["2"],
            "rollouts": [{"response": "2", "reference": {"answer": "2"}}], "text_1": "p", "text_2": ["2"],
            "input": ["2"], "requests": [{"history": [{"text": "2"}], "required_rewards": ["correct"]}],
        }  # fmt: skip
        kind = draw.randrange(12)
        if kind < 5:
            near[draw.choice([*near, *_KEYS])] = self.value()
            return json.dumps(near).encode()
        if kind == 5:
            return draw.randbytes(draw.randrange(200))
        if kind == 6:
            depth = draw.choice([50, 500, 20_000])
            return b'{"prompt": "p", "response": "2", "label": ' + b"[" * depth + b"]" * depth + b"}"
        if kind == 7:
            return b'{"prompt": "p", "response": "2", "label": %s}' % draw.choice(
                [b"NaN", b"Infinity", b"-Infinity", b"1e999"]
            )
        if kind == 8:
            return b'{"response": "2", "response": "3", "prompt": "p", "prompt": [], "label": "2"}'
        if kind == 9:
            return b'{"prompt": "p", "response": "' + b"x" * draw.choice([1 << 16, 1 << 20]) + b'"}'
        if kind == 10:
            return b'{"prompt": "p", "response": "\xff\xfe\xc3", "label": "\xed\xa0\x80"}'
        return json.dumps(self.value()).encode()

    def head(self, size: int) -> bytes:
        """The head of a request for a body of that size."""
        draw = self._random
        method = draw.choice(["POST"] * 12 + ["GET", "PUT", "DELETE", "OPTIONS", "HEAD"])
        lines = [f"{method} {draw.choice(_ROUTES)} HTTP/1.1", "host: x", "connection: close", f"content-length: {size}"]
        if draw.random() < 0.3:
            lines.append(draw.choice(_ODD_HEADERS))
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


_ODD_HEADERS = (
    "authorization: Basic \xe9\xe9", "authorization: Basic ====", "authorization: Bearer \xe9", "authorization: Bearer",
    "authorization:", "content-type: application/x-www-form-urlencoded", "content-encoding: gzip",
    "expect: 100-continue", "x-a: " + "b" * 4000, "traceparent: 00-zz-11",
    "content-type: application/json; charset=utf-16",
)  # fmt: skip


async def _one(attacker: Attacker, draw: random.Random, host: str, port: int, seen: Counter[str]) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        body = attacker.body()
        head = attacker.head(len(body))
        way = draw.randrange(13)
        if way == 12:
            await _flood(reader, writer, seen)
            return
        if way == 10:
            await _dribble(reader, writer, seen)
            return
        if way == 11:
            await _read_nothing(writer, seen)
            return
        if way == 0:  # hangs up within the head or the body
            data = head + body
            writer.write(data[: draw.randrange(len(data))])
            await writer.drain()
            seen["hung up"] += 1
            return
        if way == 1:  # sends in pieces, with pauses
            data = head + body
            for at in range(0, min(len(data), 4000), 500):
                writer.write(data[at : at + 500])
                await asyncio.sleep(0.005)
            writer.write(data[4000:])
        else:
            writer.write(head + body)
        if way == 2:  # goes before it is answered
            await writer.drain()
            seen["left"] += 1
            return
        answer = await asyncio.wait_for(reader.read(), _PATIENCE)
        _check(head, body, answer, seen)
    except ConnectionError:
        seen["reset"] += 1
    finally:
        writer.close()


async def _dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Counter[str]) -> None:
    """Begin a head, and see that the connection is ended."""
    writer.write(b"POST /slime HTTP/1.1\r\nx-slow: ")
    answer = await asyncio.wait_for(reader.read(), _PATIENCE)
    assert answer == b"", answer
    seen["dribbled"] += 1


async def _flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Counter[str]) -> None:
    """Send a head that never ends, as fast as it is taken, until the connection is ended."""
    writer.write(b"POST /slime HTTP/1.1\r\n")
    for _ in range(20_000):
        writer.write(b"x-a: " + b"b" * 4000 + b"\r\n")
        try:
            await writer.drain()
        except ConnectionError:
            seen["flooded"] += 1
            return
        if reader.at_eof():
            break
    answer = await asyncio.wait_for(reader.read(), _PATIENCE)
    assert answer.startswith(b"HTTP/1.1 431"), answer[:200]
    seen["flooded"] += 1


async def _read_nothing(writer: asyncio.StreamWriter, seen: Counter[str]) -> None:
    """Ask for a long answer, and read none of it until the connection is ended."""
    body = json.dumps({"responses_create_params": {}, "response": {"output": []}, "filler": "x" * (8 << 20)}).encode()
    transport = writer.transport
    transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(b"POST /verify HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()
    await asyncio.sleep(25)
    seen["unread"] += 1


def _check(head: bytes, body: bytes, answer: bytes, seen: Counter[str]) -> None:
    answer = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    told, _, content = answer.partition(b"\r\n\r\n")
    status = int(told.split(b" ", 2)[1]) if told.startswith(b"HTTP/1.1 ") else 0
    seen[str(status)] += 1
    said = f"{head[:200]!r} {body[:300]!r} -> {answer[:600]!r}"
    assert status in _STATUSES, said
    if b"application/json" in told.lower() and not head.startswith(b"HEAD"):
        value = json.loads(content)
        if status >= 400:
            assert value.get("error") or value.get("status"), said


async def _behave(host: str, port: int, until: float) -> int:
    asked = 0
    while time.monotonic() < until:
        reader, writer = await asyncio.open_connection(host, port)
        for text, expected in (("2", 2.0), ("3", 1.0)):
            body = json.dumps({"prompt": f"p{asked}", "response": text, "label": "2"}).encode()
            writer.write(b"POST /slime HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            try:
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _PATIENCE)
            except (asyncio.IncompleteReadError, ConnectionResetError) as error:
                answered = isinstance(error, asyncio.IncompleteReadError) and error.partial
                if text == "3" and not answered:
                    # A connection that was idle for too long, since this process had no turn: what was sent into it
                    # meets its end or a reset, and clients ask again.
                    break
                raise
            size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            answer = json.loads(await reader.readexactly(size))
            assert answer["reward"] == expected, answer
            asked += 1
        writer.close()
        await asyncio.sleep(0.02)
    return asked


async def _watch(pid: int, seen: list[int]) -> None:
    """Note the memory of a process, in bytes."""
    process = psutil.Process(pid)
    while True:
        seen.append(process.memory_info().rss)
        await asyncio.sleep(0.2)


async def _attack(url: str, pid: int, seed: int, seconds: float, attackers: int) -> None:
    parts = urlsplit(url)
    host, port = str(parts.hostname), int(parts.port or 0)
    seen: Counter[str] = Counter()
    attacker, draw = Attacker(seed), random.Random(seed + 1)

    async def attack(until: float) -> None:
        while time.monotonic() < until:
            await _one(attacker, draw, host, port, seen)

    resident: list[int] = [psutil.Process(pid).memory_info().rss]
    watching = asyncio.create_task(_watch(pid, resident))
    for part in (0.2, 0.8):
        until = time.monotonic() + seconds * part
        async with asyncio.TaskGroup() as tasks:
            honest = tasks.create_task(_behave(host, port, until))
            for _ in range(attackers):
                tasks.create_task(attack(until))
        if part < 0.5:
            before = len(resident)
    watching.cancel()
    for _ in range(200):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET /ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        ready = json.loads((await reader.read()).partition(b"\r\n\r\n")[2])
        writer.close()
        if not ready["under_way"]:
            break
        await asyncio.sleep(0.05)
    assert ready == {"status": "ready", "under_way": 0}, ready
    print(dict(sorted(seen.items())))
    first, then = max(resident[:before]), max(resident[before:])
    print(f"honest requests {honest.result()}, nothing under way")
    print(
        f"memory {resident[0] >> 20} MiB at first, at most {first >> 20} in the first fifth and {then >> 20} then "
        f"({then / first:.2f} times), {resident[-1] >> 20} at the end; {_HELD >> 20} of callers were allowed"
    )


def main() -> int:
    """Attack; 1 where something broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.gateway_fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--attackers", type=int, default=64, help="connections at a time beside the one who behaves")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "recipe.toml"
        recipe.write_text(_RECIPE)
        settings = Path(folder) / "gateway.toml"
        settings.write_text(f"[limits]\nbody_timeout_s = 20.0\nmax_held_bytes = {_HELD}\n")
        processes = Processes(Path(folder))
        try:
            url = processes.start(
                "gateway", str(recipe), "--config", str(settings), "--port", "0", "--workers", "1", "--run-code", "1"
            )
            (started,) = processes._running
            asyncio.run(_attack(url, started.process.pid, told.seed, told.seconds, told.attackers))
        finally:
            processes.stop()
            for log in Path(folder).glob("*.log"):
                said = log.read_text()
                print(*said.splitlines()[-15:], sep="\n")
                assert "Traceback" not in said
    return 0


if __name__ == "__main__":
    sys.exit(main())
