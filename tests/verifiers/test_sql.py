"""Text-to-SQL: database files of the host, bounds of a query, and which tables are the same."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from reward_servers import StartupError
from reward_servers.core import bind, find
from reward_servers.engines.databases import Database, Equality, Failure, Runner, is_ordered, same_table
from sandbox import Limits, open_sandbox
from tests.verifiers.harness import bench, rollout

FOREVER = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r"
BAG, SET = Equality(), Equality(rows="set")
ANY = Equality(columns="any")


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    found = Runner(open_sandbox, Limits(cpu_s=1.0, memory_bytes=2 << 30), steps=100_000)
    yield found
    found.close()


@pytest.mark.parametrize("dialect", ["sqlite", "duckdb"])
def test_a_query_without_end_is_ended(runner: Runner, dialect: Any) -> None:
    found = runner.run(Database(dialect, "CREATE TABLE t(a INTEGER)"), FOREVER)
    assert isinstance(found, Failure)
    assert found.stage == "limit"


def test_nothing_outlasts_a_query(runner: Runner) -> None:
    database = Database("sqlite", "CREATE TABLE t(a INTEGER); INSERT INTO t VALUES (1)")
    assert isinstance(runner.run(database, "INSERT INTO t VALUES (2)"), Failure)
    assert runner.run(database, "SELECT a FROM t") == [[1]]


def test_values_that_json_has_no_form_for(runner: Runner) -> None:
    query = "SELECT 1.50::DECIMAL(4, 2), DATE '2020-01-31', [1, 2], 'nan'::DOUBLE, '\\x00ff'::BLOB"
    found = runner.run(Database("duckdb", "SELECT 1"), query)
    assert not isinstance(found, Failure)
    assert same_table(found, [[1.5, "2020-01-31", ["list", [1, 2]], ["number", "nan"], found[0][4]]], BAG)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


async def test_files_of_the_host_are_found_as_spider_lays_them(folder: Path) -> None:
    for name, cities in (("one", ["Paris"]), ("two", ["Rome", "Oslo"])):
        (folder / "town").mkdir(exist_ok=True)
        with sqlite3.connect(folder / "town" / f"{name}.sqlite") as made:
            made.execute("CREATE TABLE city(name TEXT)")
            made.executemany("INSERT INTO city VALUES (?)", [[one] for one in cities])
        made.close()
    with duckdb.connect(str(folder / "duck.duckdb")) as other:
        other.execute("CREATE TABLE city AS SELECT 'Bonn' AS name")
    (folder / "outside.txt").write_text("secret")
    right = "SELECT name FROM city"
    async with bench(bind(find("sql"), {"databases": str(folder)})) as running:
        same = await running.verdict("sql", rollout(right, {"query": right, "db_id": "town"}))
        fixed = await running.verdict("sql", rollout("SELECT 'Paris'", {"query": right, "db_id": "town"}))
        duck = await running.verdict(
            "sql", rollout("SELECT 'Bonn'", {"query": right, "db_id": "duck", "dialect": "duckdb"})
        )
        reads = f"SELECT * FROM read_text('{folder}/outside.txt')"
        outside = await running.verdict("sql", rollout(reads, {"query": right, "db_id": "duck", "dialect": "duckdb"}))
        unknown = await running.fault("sql", rollout(right, {"query": right, "db_id": "village"}))
    assert (same.score, dict(fixed.aspects)["databases"], duck.score) == (1.0, 0.5, 1.0)
    assert (fixed.score, outside.code) == (0.0, "not_read_only")
    assert unknown.party.value == "dataset"


async def test_a_folder_that_queries_cannot_see_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="/tmp of their own"):
        async with bench(bind(find("sql"), {"databases": str(tmp_path)})):
            pass


async def test_a_server_without_files_says_so() -> None:
    async with bench(find("sql")) as running:
        fault = await running.fault("sql", rollout("SELECT 1", {"query": "SELECT 1", "db_id": "town"}))
    assert fault.code == "no_databases"


@pytest.mark.parametrize(
    ("given", "right", "equality", "same"),
    [
        ([[1], [1], [2]], [[2], [1], [1]], BAG, True),
        ([[1], [2], [2]], [[2], [1], [1]], BAG, False),
        ([[1], [2], [2]], [[2], [1], [1]], SET, True),
        ([[1], [2]], [[2], [1]], Equality(ordered=True), False),
        ([[1], [1], [2]], [[1], [2], [2]], Equality(ordered=True, rows="set"), True),
        ([[1, "a"]], [["a", 1]], BAG, False),
        ([[1, "a"]], [["a", 1]], ANY, True),
        ([[1, 2], [2, 1]], [[2, 1], [2, 1]], ANY, False),
        ([[1, 1, 2], [2, 1, 1]], [[1, 2, 1], [1, 1, 2]], ANY, True),
        ([[1, 2], [2, 3]], [[3, 2], [2, 1]], ANY, True),
        ([[0.1 + 0.2]], [[0.3]], BAG, True),
        ([[1]], [["1"]], BAG, False),
        ([[True]], [[1]], BAG, True),
        ([[True]], [[1]], Equality(exact_types=True), False),
        ([[None]], [["None"]], BAG, False),
        ([[None]], [[0]], BAG, False),
        ([[10**12 + 1]], [[10**12]], BAG, False),
        ([], [], BAG, True),
        ([[1]], [], BAG, False),
        ([[1, 1]], [[1]], SET, False),
        ([["", 1]], [[1, None]], ANY, False),
    ],
)
def test_which_tables_are_the_same(given: Any, right: Any, equality: Equality, same: bool) -> None:
    assert same_table(given, right, equality) == same


@pytest.mark.parametrize(
    ("query", "ordered"),
    [
        ("SELECT a FROM t ORDER  BY a", True),
        ("SELECT a FROM t order by a LIMIT 3", True),
        ("SELECT * FROM (SELECT a FROM t ORDER BY a LIMIT 3)", False),
        ("SELECT rank() OVER (ORDER BY a) FROM t", False),
        ("SELECT 'order by' FROM t -- ORDER BY a", False),
        ('SELECT "order" FROM t', False),
        ("SELECT a FROM t /* ORDER BY b */", False),
        ("SELECT rank() OVER (ORDER BY a) FROM t ORDER BY 1", True),
    ],
)
def test_whether_a_query_orders(query: str, ordered: bool) -> None:
    assert is_ordered(query) == ordered
