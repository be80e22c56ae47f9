"""The file of a registry: full, locked, damaged, older, and written again."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from reward_servers.registry import MOST_BYTES, FullError, Registry, TakenError
from tests.registry.test_registry import Clock, addresses, entry


def announce(registry: Registry, *names: str) -> None:
    for name in names:
        registry.announce(entry(name, identity=b"x" * 2000))


def test_a_full_disk_costs_the_registry_nothing_and_is_caught_up_with(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "assay.server")
    clock, path = Clock(), tmp_path / "state.db"
    registry = Registry(path, clock)
    base = registry._state._base
    assert base is not None
    (pages,) = base.execute("PRAGMA page_count").fetchone()
    base.execute(f"PRAGMA max_page_count = {pages}")
    announce(registry, *(f"a:{number}" for number in range(1, 9)))
    assert len(addresses(registry)) == 8
    registry.withdraw("a:8", "one")
    assert [record.levelname for record in caplog.records] == ["ERROR"], "it is said once"
    base.execute("PRAGMA max_page_count = 100000")
    clock.now = 2.0
    announce(registry, "a:1")  # a renewal, which by itself writes nothing
    assert "is written again" in caplog.text
    registry.close()
    again = Registry(path, clock)
    assert addresses(again) == [f"a:{number}" for number in range(1, 8)]


def test_a_file_belongs_to_one_registry(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "state.db")
    announce(registry, "a:1")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        Registry(tmp_path / "state.db")
    announce(registry, "b:1")
    registry.close()
    assert addresses(Registry(tmp_path / "state.db")) == ["a:1", "b:1"]


def _text(path: Path) -> None:
    path.write_text("no database at all, but something that a user wants to keep" * 40)


def _other_table(path: Path) -> None:
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE servers (name TEXT)")


def _no_announcement(path: Path) -> None:
    registry = Registry(path)
    registry.announce(entry()._replace(message=b"\xff\xff"))
    registry.close()


def _no_lease(path: Path) -> None:
    registry = Registry(path)
    announce(registry, "a:1")
    registry.close()
    with sqlite3.connect(path) as base:
        base.execute("UPDATE servers SET lease = 'soon'")


@pytest.mark.parametrize("spoil", [_text, _other_table, _no_announcement, _no_lease])
def test_a_file_that_is_damaged_or_another_is_refused_and_left_alone(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    path = tmp_path / "state.db"
    spoil(path)
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(sqlite3.Error):
            Registry(path)
    if spoil is _text:
        assert path.read_bytes() == before


def test_a_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as base:
        base.execute(
            "CREATE TABLE servers (address TEXT PRIMARY KEY, instance TEXT NOT NULL, identity BLOB NOT NULL, "
            "message BLOB NOT NULL, lease REAL NOT NULL)"
        )
        base.execute("INSERT INTO servers VALUES ('a:1', 'one', x'00', ?, 15.0)", (entry().message,))
    registry = Registry(path)
    assert addresses(registry) == ["a:1"]
    announce(registry, "b:1")
    registry.close()
    assert addresses(Registry(path)) == ["a:1", "b:1"]


def test_an_address_stays_with_the_caller_that_announced_it_until_the_lease_ends(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "state.db"
    registry = Registry(path, clock)
    ours, theirs = entry()._replace(owner="token:a"), entry(instance="two")._replace(owner="token:b")
    registry.announce(ours)
    with pytest.raises(TakenError):
        registry.announce(theirs)
    assert not registry.withdraw("a:1", "one", "token:b")
    registry.announce(ours._replace(instance="three"))  # a restart of the same operator's server
    registry.close()
    registry = Registry(path, clock)
    with pytest.raises(TakenError):
        registry.announce(theirs)
    clock.now = 15.0
    registry.announce(theirs)
    assert registry.withdraw("a:1", "two", "token:b")


def test_large_announcements_do_not_fill_the_memory() -> None:
    registry = Registry()
    large = entry()._replace(message=b"x" * (MOST_BYTES // 2))
    registry.announce(large)
    registry.announce(large._replace(instance="again"))
    registry.announce(large._replace(address="b:1"))
    with pytest.raises(FullError):
        registry.announce(entry("c:1"))
    registry.withdraw("b:1", "one")
    registry.announce(entry("c:1"))
