"""``assay top``: what a fleet of servers is doing, live."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reward_servers.cli._access import Ca, Cert, Key, Token, tls_of
from reward_servers.cli._numbers import seconds

if TYPE_CHECKING:
    from reward_servers.cli._fleet_view import ServerView

_COLUMNS = (
    *("server", "state", "in flight", "verifier", "items/s", "verdicts", "faults", "skips", "cached"),
    *("run p50", "run p99", "wait p99", "version", "digest"),
)
_SLOW_COLUMNS = ("server", "verifier", "rollout", "step", "code", "waited", "ran", "cpu", "why")
_NO_ANSWER = 1
_SHORT = 12
"""Characters of a digest that tell versions apart."""
_MOST_CLIENTS = 20
_CLEAR = "\x1b[H\x1b[2J"

Counts = Mapping[tuple[str, str], int]


def top(
    endpoints: Annotated[list[str] | None, typer.Argument(metavar="HOST:PORT...", help="Servers to watch.")] = None,
    endpoints_file: Annotated[Path | None, typer.Option(help="A file that says where servers are (JSON).")] = None,
    interval_s: Annotated[float, seconds("Seconds between two looks.", least=0.1)] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print one table and end.")] = False,
    slow: Annotated[bool, typer.Option("--slow", help="Show the slowest items of the last minutes instead.")] = False,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    token: Token = None,
) -> int:
    """Show what servers are doing: items per second, outcomes, times, versions, who asks, and what is slow.

    With --once the exit code is 1 when a server does not answer.
    """
    from reward_servers.cli._console import print_line, print_table
    from reward_servers.cli._fleet_view import look, servers_told

    tls, told = tls_of(ca, cert, key), servers_told(endpoints or [], endpoints_file)
    before: Counts = {}
    looked = 0.0
    while True:
        replicas, now = look(told, tls, token, timeout=5.0), time.monotonic()
        counts = _counts(replicas)
        rows = _slow_rows(replicas) if slow else _rows(replicas, counts, before, now - looked)
        if not once and sys.stdout.isatty():
            sys.stdout.write(_CLEAR)
        if rows:
            print_table(_SLOW_COLUMNS if slow else _COLUMNS, rows)
        else:
            print("no item of the last ten minutes took longer than 50 ms")
        if not slow and (asking := _asking(replicas)):
            print()
            print_table(("who asks", "in flight", "items"), asking)
        for replica in replicas:
            if replica.info is None:
                print_line(f"{replica.address}: {replica.problem}")
        if once:
            return 0 if all(replica.info is not None for replica in replicas) else _NO_ANSWER
        sys.stdout.flush()
        before, looked = counts, now
        time.sleep(interval_s)


def _counts(replicas: Sequence[ServerView]) -> dict[tuple[str, str], int]:
    return {
        (replica.address, row.verifier): row.verdicts + row.faults + row.skips
        for replica in replicas
        if replica.info is not None
        for row in replica.info.activity
    }


def _rows(replicas: Sequence[ServerView], counts: Counts, before: Counts, seconds: float) -> list[list[str]]:
    rows: list[list[str]] = []
    for replica in replicas:
        if replica.info is None:
            rows.append([replica.address, replica.state, *[""] * (len(_COLUMNS) - 2)])
            continue
        for row in replica.info.activity:
            key = (replica.address, row.verifier)
            hosted = replica.info.verifiers.get(row.verifier)
            # A server that was started again has counted from 0.
            is_known = key in before and counts[key] >= before[key]
            rate = f"{(counts[key] - before[key]) / seconds:.0f}" if is_known else ""
            rows.append(
                [
                    replica.address,
                    replica.state,
                    f"{replica.info.items_in_flight}/{replica.info.items_limit}",
                    row.verifier,
                    rate,
                    *map(str, (row.verdicts, row.faults, row.skips, row.cached)),
                    *(_time(value) if counts[key] else "" for value in (row.run_p50, row.run_p99, row.queue_p99)),
                    hosted.id.version if hosted is not None else "gone",
                    hosted.id.digest.removeprefix("sha256:")[:_SHORT] if hosted is not None else "",
                ]
            )
    return rows


def _asking(replicas: Sequence[ServerView]) -> list[list[str]]:
    """Who asks, over all servers, most items first."""
    clients: dict[str, list[int]] = {}
    for client in (client for replica in replicas if replica.info is not None for client in replica.info.clients):
        counted = clients.setdefault(client.name, [0, 0])
        counted[0] += client.items_in_flight
        counted[1] += client.items
    ordered = sorted(clients.items(), key=lambda pair: (-pair[1][1], pair[0]))
    return [[name, *map(str, counted)] for name, counted in ordered[:_MOST_CLIENTS]]


def _slow_rows(replicas: Sequence[ServerView]) -> list[list[str]]:
    items = [
        (replica.address, item) for replica in replicas if replica.info is not None for item in replica.info.slow_items
    ]
    items.sort(key=lambda pair: -(pair[1].queue_seconds + pair[1].run_seconds))
    return [
        [
            address,
            item.verifier,
            item.rollout_id,
            str(item.step),
            item.code,
            *(_time(value) for value in (item.queue_seconds, item.run_seconds, item.cpu_seconds)),
            item.why,
        ]
        for address, item in items[:30]
    ]


def _time(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1e3:.1f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f} µs"
