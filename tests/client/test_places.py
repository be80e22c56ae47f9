"""Lists of addresses that break, change or lie, and names that stop to resolve: what was known last counts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trainer_client import TLS, AsyncRewardClient, Recipe, RecipeError, Retries, RewardClient, Rollout
from trainer_client._settings import check_address
from trainer_client._transport import addresses, discovery, fleet
from trainer_client._transport.addresses import AddressBook
from trainer_client._transport.credentials import Credentials
from trainer_client._transport.failures import UnusableReplyError
from trainer_client._transport.registry import RegistryView
from trainer_client._transport.replica import Replica
from trainer_client._transport.tls_check import find_mistake
from trainer_client.testing import FakeServer

RECIPE = Recipe.loads('[rewards.main]\nverifier = "echo"\ndeadline_s = 120.0\n')
HURRIED = Recipe.loads('max_missing = 1.0\n[rewards.main]\nverifier = "echo"\ndeadline_s = 0.5\n')


class Names:
    """A name service that knows what it is told.

    It does not answer for names that have None, and leaves those that begin with "slow" waiting while it is `silent`.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **known: list[str] | None) -> None:
        self.known = known
        self._answers = threading.Event()
        self._answers.set()
        real = socket.getaddrinfo

        def answer(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
            name = str(host).partition(".test")[0]
            if not str(host).endswith(".test"):
                return real(host, port, *args, **kwargs)
            if name.startswith("slow"):
                self._answers.wait()
            if not self.known.get(name):
                raise socket.gaierror(socket.EAI_AGAIN, "the name service is away")
            return [entry for one in self.known[name] or () for entry in real(one, port, *args, **kwargs)]

        monkeypatch.setattr(socket, "getaddrinfo", answer)

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        self._answers.clear()
        try:
            yield
        finally:
            self._answers.set()


def book(*told: str) -> AddressBook:
    return AddressBook("echo", told, Credentials(None))


async def places(of: AddressBook) -> list[str]:
    return [place.address for place in await of.look()]


@pytest.mark.parametrize(
    "broken", ["", "{", '{"echo": "h:1"', "[]", "null", "{}", '{"echo": 7}', '{"echo": [""]}', "[" * 100_000, "\udcff"]
)
async def test_a_file_that_is_broken_leaves_its_servers_beside_others(
    tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "endpoints.json"
    file.write_text('{"echo": ["127.0.0.1:1", "127.0.0.1:2"]}')
    told = book(f"file:{file}", "127.0.0.1:3")
    assert await places(told) == ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]
    assert told.trouble == ""
    file.write_bytes(broken.encode("utf-8", "surrogateescape"))
    for _ in range(2):
        assert await places(told) == ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]
    assert "what it said last counts" in told.trouble
    assert len([one for one in caplog.messages if str(file) in one]) == 1
    file.unlink()
    assert await places(told) == ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]
    file.write_text('{"echo": "127.0.0.1:4"}')
    assert await places(told) == ["127.0.0.1:4", "127.0.0.1:3"]
    assert told.trouble == ""
    file.write_text('{"echo": []}')
    assert await places(told) == ["127.0.0.1:3"]
    assert "lists no address of server 'echo'" in told.trouble


PORTS = ["h:0", "h:70000", "dns:///h:70000", f"dns:///h:{10**20 - 1}", "dns:h:\u00b2", "ipv4:10.0.0.1:1,10.0.0.2:70000"]
"""Addresses whose port none can have."""
STEERING = ["a\0b:1", "dns:///a\0b:1", "a\x1bb:1", "\ud800:1"]
"""Addresses with characters that none has."""


@pytest.mark.parametrize(
    "wrong", ["h", "::1:1", "a b:1", "file:/etc/hosts", "registry://h:1", "ray:", *PORTS, *STEERING]
)
async def test_what_a_list_says_that_is_no_address_is_named_and_left_out(tmp_path: Path, wrong: str) -> None:
    file = tmp_path / "endpoints.json"
    file.write_text(json.dumps({"echo": [wrong, "[::1]:5"]}))
    told = book(f"file:{file}")
    assert await places(told) == ["[::1]:5"]
    assert repr(wrong) in told.trouble


@pytest.mark.parametrize(
    ("wrong", "words"), [*((a, "port must be") for a in PORTS), *((a, "address") for a in STEERING)]
)
def test_an_address_that_none_can_have_is_refused_as_a_setting(wrong: str, words: str) -> None:
    with pytest.raises(RecipeError, match=rf"endpoints.*{words}"):
        RewardClient(RECIPE, wrong)


@pytest.mark.parametrize("address", ["dns:///h", "dns:h:1", "dns://10.0.0.9/h:1", "dns:///[::1]:1", "ipv6:[::1]:1"])
def test_an_address_that_grpc_resolves_is_taken(address: str) -> None:
    check_address(address, "")


async def test_a_named_pipe_in_place_of_a_list_holds_nothing_up(tmp_path: Path) -> None:
    file, pipe = tmp_path / "endpoints.json", tmp_path / "pipe"
    file.write_text('{"echo": ["127.0.0.1:1"]}')
    told = book(f"file:{file}")
    assert await places(told) == ["127.0.0.1:1"]
    os.mkfifo(pipe)
    file.unlink()
    file.symlink_to(pipe)

    def write() -> None:
        # Who waits for a list here gets one, so that the test ends.
        with contextlib.suppress(BrokenPipeError), pipe.open("w") as writer:
            writer.write('{"echo": ["127.0.0.1:2"]}')

    writer = threading.Thread(target=write)
    writer.start()
    assert await places(told) == ["127.0.0.1:1"]
    assert "no regular file" in told.trouble
    assert "what it said last counts" in told.trouble
    reader = os.open(pipe, os.O_RDWR)
    await asyncio.to_thread(writer.join)
    os.close(reader)


@pytest.mark.parametrize("address", ["a\0b:1", f"{'a' * 64}:1", "h:\u00b2", "127.0.0.1:99999"])
async def test_where_no_one_can_connect_no_mistake_of_encryption_is_found(address: str) -> None:
    assert await find_mistake(address, None) == ""
    assert await find_mistake(address, TLS()) == ""


async def test_a_server_that_is_told_twice_is_one_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, two=["127.0.0.1", "127.0.0.2"])
    same = ["127.0.0.1:1", "grpc://127.0.0.1:1", "ipv4:127.0.0.1:1,127.0.0.1:2", "two.test:1"]
    assert await places(book(*same)) == ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.2:1"]
    assert await places(book("h.invalid:1", "dns:h.invalid:1", "dns:///h.invalid:1")) == ["h.invalid:1"]
    assert len(await places(book("127.0.0.1:1", "grpcs://127.0.0.1:1"))) == 2


async def test_a_name_that_does_not_resolve_for_a_while_keeps_its_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch, rewards=None)
    told = book("rewards.test:1")
    assert await places(told) == ["rewards.test:1"]  # gRPC says why it cannot be reached
    names.known["rewards"] = ["127.0.0.1", "127.0.0.2"]
    assert await places(told) == ["127.0.0.1:1", "127.0.0.2:1"]
    names.known["rewards"] = None
    assert await places(told) == ["127.0.0.1:1", "127.0.0.2:1"]
    names.known["rewards"] = ["127.0.0.3"]
    assert await places(told) == ["rewards.test:1"]


@pytest.mark.parametrize("name", ["a" * 64, "a..b", "xn--\u0080"])
async def test_a_name_that_none_can_have_is_left_to_grpc(name: str) -> None:
    assert await places(book(f"{name}:1")) == [f"{name}:1"]


async def test_a_name_service_that_does_not_answer_costs_no_more_than_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = Names(monkeypatch, slow=["127.0.0.1"])
    with names.silent():
        async with AsyncRewardClient(HURRIED, "slow.test:1") as client, asyncio.timeout(60):
            table = await client.score([Rollout("r", "p", "x")])
            assert table.cell(0, "main").code == "deadline"


async def test_a_name_that_resolves_slowly_holds_no_other_address_up(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch, slow=["127.0.0.1", "127.0.0.2"], two=["127.0.0.3", "127.0.0.4"])
    told = book("slow.test:1", "two.test:1", "127.0.0.5:1")
    others = ["127.0.0.3:1", "127.0.0.4:1", "127.0.0.5:1"]
    async with asyncio.timeout(60):
        with names.silent():
            while await places(told) != ["slow.test:1", *others]:
                await asyncio.sleep(0.01)
            assert "slow.test:1" in told.trouble
            assert "not resolve within" in told.trouble
        # What comes late counts, and the name is no longer slow when it has been asked for again.
        while told.trouble:
            found = await places(told)
            await asyncio.sleep(0.01)
        assert found == ["127.0.0.1:1", "127.0.0.2:1", *others]
        with names.silent():
            assert await places(told) == found
            assert "slow.test:1" in told.trouble


async def test_registries_are_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    both = asyncio.Event()

    async def look(view: RegistryView) -> list[str]:
        asked.append(view._target)
        if len(asked) == 2:
            both.set()
        await asyncio.wait_for(both.wait(), 60)
        return [f"192.0.2.{len(view._target)}:1"]

    monkeypatch.setattr(RegistryView, "look", look)
    book = AddressBook("s", ["registry://a:5", "registry://bb:5"], Credentials(None))
    assert [place.address for place in await book.look()] == ["192.0.2.3:1", "192.0.2.4:1"]


def test_a_name_that_is_not_answered_keeps_no_process_from_its_end() -> None:
    program = """if True:
        import socket, threading
        from trainer_client import Recipe, RewardClient, Rollout
        socket.getaddrinfo = lambda *_, **__: threading.Event().wait()
        recipe = Recipe.loads('max_missing = 1.0\\n[rewards.main]\\nverifier = "echo"\\ndeadline_s = 0.5\\n')
        with RewardClient(recipe, "rewards.test:1") as client:
            print(client.score([Rollout("r", "p", "x")]).cell(0, "main").code)
    """
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=100
    )
    assert (done.stdout, done.returncode) == ("deadline\n", 0), done.stderr


def test_who_waits_for_a_server_hears_of_its_address_however_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "_UNUSED", 0.0)
    monkeypatch.setattr(addresses, "_FILE_INTERVAL", 0.02)
    file = tmp_path / "endpoints.json"
    looked, read = threading.Semaphore(0), AddressBook.look

    async def look(self: AddressBook) -> Any:
        looked.release()
        return await read(self)

    monkeypatch.setattr(AddressBook, "look", look)
    patient = Retries(unavailable_timeout_s=90.0)
    with (
        FakeServer({"echo": lambda item: 0.5}) as server,
        RewardClient(RECIPE, f"file:{file}", retries=patient) as client,
    ):
        future = client.submit(Rollout("r", "p", "x"))
        for _ in range(3):
            assert looked.acquire(timeout=60), "no one looks any more"
        file.write_text(json.dumps({"echo": server.address}))
        assert future.result(60).reward == 0.5


def test_a_server_that_is_listed_no_more_is_left_when_its_calls_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "_UNUSED", 0.0)
    monkeypatch.setattr(addresses, "_FILE_INTERVAL", 0.02)
    file, answers, left = tmp_path / "endpoints.json", threading.Event(), threading.Event()
    close = Replica.close

    async def note(replica: Replica) -> None:
        await close(replica)
        if replica.address == old.address:
            left.set()

    def script(item: Any) -> float:
        answers.wait()
        return 0.5

    def put(address: str) -> None:
        (tmp_path / "part").write_text(json.dumps({"echo": address}))
        (tmp_path / "part").rename(file)

    monkeypatch.setattr(Replica, "close", note)
    patient = Retries(unavailable_timeout_s=90.0, heartbeat_timeout_s=120.0)
    with FakeServer({"echo": script}) as old, FakeServer({"echo": lambda item: 0.25}) as new:
        put(old.address)
        with RewardClient(RECIPE, f"file:{file}", retries=patient) as client:
            future = client.submit(Rollout("r", "p", "x"))
            old.wait_for_items()
            try:
                put(new.address)
                while not new.items:
                    late = client.submit(Rollout("later", "p", "x"))
                    with contextlib.suppress(TimeoutError):
                        late.result(0.1)
                assert not left.is_set()
            finally:
                answers.set()
            assert future.result(60).reward == 0.5
            assert left.wait(60), "its channel stays open"


def test_a_look_that_fails_as_no_one_foresaw_is_told_once_and_followed_by_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(addresses, "_FILE_INTERVAL", 0.02)
    file = tmp_path / "endpoints.json"
    failed: list[threading.Semaphore] = [threading.Semaphore(0)]
    read = AddressBook.look

    async def look(self: AddressBook) -> Any:
        for count in tuple(failed):
            count.release()
            raise OverflowError("unforeseen")
        return await read(self)

    monkeypatch.setattr(AddressBook, "look", look)
    with (
        FakeServer({"echo": lambda item: 0.5}) as server,
        RewardClient(RECIPE, f"file:{file}", retries=Retries(unavailable_timeout_s=90.0)) as client,
    ):
        file.write_text(json.dumps({"echo": server.address}))
        future = client.submit(Rollout("r", "p", "x"))
        for _ in range(3):
            assert failed[0].acquire(timeout=60), "no one looks any more"
        failed.clear()
        assert future.result(60).reward == 0.5
        failed.append(threading.Semaphore(0))
        for _ in range(3):
            assert failed[0].acquire(timeout=60), "no one looks any more"
        assert client.score([Rollout("r", "p", "x")]).valid.all()
    # Once for each time that it began to fail.
    assert len([one for one in caplog.messages if "OverflowError('unforeseen')" in one]) == 2


class Crowd:
    """Servers that do not answer, beside those that do.

    Attributes:
        dead: their addresses.
        asked: who was asked, in order.
        peak: how many of the dead were asked at once.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        self.dead = [f"127.0.0.1:{port}" for port in range(1, count + 1)]
        self.asked: list[str] = []
        self.peak = self._asking = 0
        real = Replica.describe

        async def describe(replica: Replica, **options: Any) -> Any:
            self.asked.append(replica.address)
            if replica.address not in self.dead:
                return await real(replica, **options)
            self._asking += 1
            self.peak = max(self.peak, self._asking)
            await asyncio.sleep(0)
            self._asking -= 1
            raise UnusableReplyError("dead")

        monkeypatch.setattr(Replica, "describe", describe)


async def test_a_server_among_many_that_are_dead_is_asked_in_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "_MOST_PROBES", 4)
    crowd = Crowd(monkeypatch, 40)
    patient = Retries(unavailable_timeout_s=90.0)
    async with (
        FakeServer({"echo": lambda item: 0.5}) as server,
        AsyncRewardClient(RECIPE, [*crowd.dead, server.address], retries=patient) as client,
    ):
        assert (await client.score([Rollout("r", "p", "x")])).valid.all()
    assert crowd.peak == 4
    assert len(set(crowd.asked[:41])) == 41, "one was asked again before another was asked at all"


async def test_a_message_names_few_of_many_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = Crowd(monkeypatch, 40)
    async with AsyncRewardClient(RECIPE, crowd.dead, retries=Retries(unavailable_timeout_s=0.2)) as client:
        cell = (await client.score([Rollout("r", "p", "x")])).cell(0, "main")
    assert cell.code == "unavailable"
    assert "127.0.0.1:8: unusable reply dead; and 32 more" in cell.message
