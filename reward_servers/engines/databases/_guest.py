"""Runs one query on one database: the part that stands inside the sandbox.

Its source is the driver of a program, so it imports nothing of ours. The query may only read: it is one statement, and
the database refuses whatever else it does.
"""

from __future__ import annotations

import datetime
import decimal
import json
import math
import uuid
from typing import Any

_INSTRUCTIONS = 1000
_LONGEST_VALUE = 4 << 20


class RefusedError(Exception):
    """The query is not one statement that reads."""


def answer(request: bytes) -> bytes:
    """Run what is asked for.

    Args:
        request: JSON with ``dialect``, ``script`` or ``path``, ``query``, ``rows``, ``bytes`` and ``steps``.

    Returns:
        JSON with ``rows``, or with the ``stage`` that failed and the ``error``; see ``Failure``.
    """
    order: dict[str, Any] = json.loads(request)
    opened, run = (_open_sqlite, _run_sqlite) if order["dialect"] == "sqlite" else (_open_duckdb, _run_duckdb)
    try:
        connection = opened(order)
    except Exception as error:  # noqa: BLE001 - what the engine says is the answer
        return _error_reply("setup", error)
    try:
        rows = run(connection, order)
        encoded = [[_plain(value) for value in row] for row in rows[: order["rows"]]]
        reply = json.dumps({"rows": encoded, "more": len(rows) > order["rows"]}, allow_nan=False).encode()
    except RefusedError as error:
        return _error_reply("refused", error)
    except Exception as error:  # noqa: BLE001 - what the engine says is the answer
        return _error_reply("limit" if "interrupted" in str(error).lower() else "query", error)
    return reply if len(reply) <= order["bytes"] else _error_reply("limit", ValueError(f"{len(reply)} bytes"))


def _error_reply(stage: str, error: Exception) -> bytes:
    return json.dumps({"stage": stage, "error": f"{type(error).__name__}: {error}"[:2000]}).encode()


def _plain(value: Any) -> Any:
    """A value as JSON: what JSON has no form for is a pair of its kind and its text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else ["number", repr(value)]
    if isinstance(value, decimal.Decimal):
        return ["number", str(value)]
    if isinstance(value, bytes | bytearray | memoryview):
        return ["bytes", bytes(value).hex()]
    if isinstance(value, datetime.date | datetime.time):
        return ["text", value.isoformat(" ") if isinstance(value, datetime.datetime) else value.isoformat()]
    if isinstance(value, list | tuple):
        return ["list", [_plain(item) for item in value]]
    if isinstance(value, dict):
        return ["list", [[_plain(key), _plain(item)] for key, item in value.items()]]
    return ["text", str(value) if isinstance(value, datetime.timedelta | uuid.UUID) else repr(value)]


def _open_sqlite(order: dict[str, Any]) -> Any:
    import sqlite3
    from urllib.parse import quote

    if order["path"]:
        # A file that nothing else writes: no lock, no journal beside it.
        connection = sqlite3.connect(f"file:{quote(order['path'])}?mode=ro&immutable=1", uri=True, isolation_level=None)
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    else:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.executescript(order["script"])
    connection.text_factory = lambda value: value.decode("utf-8", "backslashreplace")
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
    reads = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}

    def allow(action: int, first: str | None, second: str | None, *_: Any) -> int:
        loads = action == sqlite3.SQLITE_FUNCTION and second in ("load_extension", "fts3_tokenizer")
        return sqlite3.SQLITE_OK if action in reads and not loads else sqlite3.SQLITE_DENY

    connection.set_authorizer(allow)
    left = [order["steps"] // _INSTRUCTIONS]

    def tick() -> int:
        left[0] -= 1
        return int(left[0] < 0)

    connection.set_progress_handler(tick, _INSTRUCTIONS)
    return connection


def _run_sqlite(connection: Any, order: dict[str, Any]) -> list[Any]:
    import sqlite3

    try:
        cursor = connection.execute(order["query"])
    except (sqlite3.ProgrammingError, sqlite3.Warning) as error:
        raise RefusedError(str(error)) from None
    except sqlite3.DatabaseError as error:
        if any(sign in str(error) for sign in ("not authorized", "authorization denied", "prohibited")):
            raise RefusedError(str(error)) from None
        raise
    if cursor.description is None:
        raise RefusedError("the statement returns no table")
    return list(cursor.fetchmany(order["rows"] + 1))


def _open_duckdb(order: dict[str, Any]) -> Any:
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1,
        "memory_limit": "400MB",
        "enable_external_access": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "temp_directory": "",
    }
    connection = duckdb.connect(order["path"] or ":memory:", read_only=bool(order["path"]), config=config)
    if not order["path"]:
        connection.execute(order["script"])
    connection.execute("SET lock_configuration = true")
    connection.execute("BEGIN TRANSACTION READ ONLY")
    return connection


def _run_duckdb(connection: Any, order: dict[str, Any]) -> list[Any]:
    import duckdb

    statements = connection.extract_statements(order["query"])
    if len(statements) != 1:
        raise RefusedError(f"{len(statements)} statements; one is run")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise RefusedError(f"a statement of the kind {statements[0].type}; only those that read are run")
    try:
        return list(connection.execute(statements[0]).fetchmany(order["rows"] + 1))
    except (duckdb.PermissionException, duckdb.InvalidInputException, duckdb.TransactionException) as error:
        raise RefusedError(str(error)) from None
