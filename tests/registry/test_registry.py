"""What is announced, until when, and across restarts."""

from __future__ import annotations

from pathlib import Path

import pytest

from reward_servers.registry import MOST_OF_ONE, MOST_SERVERS, Entry, FullError, Registry
from trainer_client.contract.v1 import registry_service_pb2 as pb


class Clock:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def entry(address: str = "a:1", instance: str = "one", identity: bytes = b"math", lease: float = 15.0) -> Entry:
    message = pb.ServerEntry(address=address, instance=instance, name=identity.decode()).SerializeToString()
    return Entry(address, instance, identity, message, lease)


def addresses(registry: Registry) -> list[str]:
    return [one.address for one in registry.servers()]


def test_a_server_is_there_until_its_lease_ends() -> None:
    clock = Clock()
    registry = Registry(clock=clock)
    assert registry.announce(entry(lease=10)) == 10
    clock.now = 9.9
    assert addresses(registry) == ["a:1"]
    registry.announce(entry(lease=10))
    clock.now = 19.8
    assert addresses(registry) == ["a:1"]
    clock.now = 20
    assert addresses(registry) == []


@pytest.mark.parametrize(("asked", "granted"), [(0, 2), (-5, 2), (1e9, 300)])
def test_leases_are_bounded(asked: float, granted: float) -> None:
    assert Registry().announce(entry(lease=asked)) == granted


def test_the_revision_changes_with_what_clients_must_know_and_with_nothing_else() -> None:
    registry = Registry()
    revisions = [registry.revision()]
    registry.announce(entry())
    revisions.append(registry.revision())
    registry.announce(entry())
    assert registry.revision() == revisions[-1], "a renewal changes nothing"
    registry.announce(entry(identity=b"math 2"))
    revisions.append(registry.revision())
    registry.announce(entry(instance="two", identity=b"math 2"))
    revisions.append(registry.revision())
    registry.announce(entry("b:1"))
    revisions.append(registry.revision())
    registry.withdraw("b:1", "one")
    assert registry.revision() == revisions[-2], "the same list has the same revision"
    assert len(set(revisions)) == len(revisions)


def test_fields_of_an_entry_do_not_run_into_each_other() -> None:
    one, other = Registry(), Registry()
    one.announce(entry("a:1", "1x", b"y"))
    other.announce(entry("a:11", "x", b"y"))
    assert one.revision() != other.revision()


def test_only_the_process_that_announced_an_address_withdraws_it() -> None:
    """A server that drains late does not take its successor out of the list."""
    registry = Registry()
    registry.announce(entry(instance="old"))
    registry.announce(entry(instance="new"))
    registry.withdraw("a:1", "old")
    assert addresses(registry) == ["a:1"]
    registry.withdraw("a:1", "new")
    assert addresses(registry) == []


def test_a_restart_costs_nothing(tmp_path: Path) -> None:
    """What was there before has a lease to renew; what was withdrawn or ended does not come back."""
    clock = Clock()
    registry = Registry(tmp_path / "state.db", clock)
    for address in ("a:1", "b:1", "c:1"):
        registry.announce(entry(address, lease=2 if address == "c:1" else 15))
    registry.withdraw("b:1", "one")
    clock.now = 3
    before = registry.revision(), registry.servers()
    registry.close()

    clock.now = 1000
    again = Registry(tmp_path / "state.db", clock)
    assert (again.revision(), again.servers()) == before
    clock.now = 1014.9
    again.announce(entry())
    assert addresses(again) == ["a:1"]


def test_it_does_not_fill_the_memory() -> None:
    registry = Registry(clock=Clock())
    for number in range(MOST_SERVERS):
        registry.announce(entry(f"a:{number}"))
    with pytest.raises(FullError):
        registry.announce(entry("b:1"))
    registry.announce(entry("a:7"))


def test_no_announcer_takes_the_places_of_others() -> None:
    clock = Clock()
    registry = Registry(clock=clock)
    for number in range(MOST_OF_ONE):
        registry.announce(entry(f"a:{number}", lease=10 if number else 20), "addr:one")
    with pytest.raises(FullError, match=r"addr:one has announced 1000 .* token of their own"):
        registry.announce(entry("b:1"), "addr:one")
    registry.announce(entry("a:7"), "addr:one")
    registry.announce(entry("b:1"), "addr:other")
    registry.withdraw("a:1", "one")
    registry.announce(entry("b:2"), "addr:one")
    with pytest.raises(FullError):
        registry.announce(entry("b:3"), "addr:one")
    registry.announce(entry("b:2"), "addr:other")
    registry.announce(entry("b:3"), "addr:one")
    clock.now = 10
    for number in range(4, 100):
        registry.announce(entry(f"b:{number}"), "addr:one")


def test_a_share_outlives_a_restart_where_announcers_are_told_apart(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "state.db")
    for number in range(MOST_OF_ONE):
        registry.announce(entry(f"a:{number}")._replace(owner="token:one"), "token:one")
    registry.close()
    again = Registry(tmp_path / "state.db")
    with pytest.raises(FullError, match="token:one"):
        again.announce(entry("b:1")._replace(owner="token:one"), "token:one")
    again.announce(entry("b:1")._replace(owner="token:other"), "token:other")
    again.close()
