"""Files that change while a server follows them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from reward_servers.hosting import follow_files
from reward_servers.server import running
from tests.hosting.conftest import Host, client, scores


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what follows a change."""
    async with asyncio.timeout(240):
        while not condition():
            await asyncio.sleep(0.05)


async def test_a_verifier_is_served_as_its_files_are(
    host: Host, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(host.folder))
    caplog.set_level(logging.INFO, "assay.server")
    host.write("written", "1", 0.25)
    async with running(host.config(folders=[]), ["written:plan"]) as server:
        following = asyncio.create_task(follow_files(server.registrar))
        hosting = server.scorer.hosting
        async with client(server.address) as asker:
            assert await scores(asker) == [0.25] * 8
        await asyncio.sleep(1.0)
        # Of the same length, and within the second: bytecode of the old text would be taken for that of the new one.
        host.write("written", "1", 0.75)
        before = hosting.current["acme/plan"]
        await until(lambda: hosting.current["acme/plan"] is not before)
        assert not hosting.earlier
        async with client(server.address) as asker:
            assert await scores(asker) == [0.75] * 8

        kept = hosting.current["acme/plan"]
        (host.folder / "written.py").write_text("def half(")
        await until(lambda: "goes on as it was" in caplog.text)
        async with client(server.address) as asker:
            assert await scores(asker, 16) == [0.75] * 16
        assert hosting.current["acme/plan"] is kept
        host.write("written", "2", 0.5)
        await until(lambda: hosting.current["acme/plan"] is not kept)
        following.cancel()


async def test_files_are_followed_after_one_that_cannot_be_read(
    host: Host, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(host.folder))
    host.write("deep", "1", 0.25)
    async with running(host.config(max_verifiers=1), ["deep:plan"]) as server:
        following = asyncio.create_task(follow_files(server.registrar))
        async with asyncio.timeout(240):
            while "goes on as it was" not in caplog.text:  # a change before the first look is none
                (host.folder / "deep.py").write_text("one = " + "+".join(["1"] * 20_000))
                await asyncio.sleep(1.0)
        # Each replaces the one before it: none of them takes a place of those that others may register.
        for version in ("2", "3", "4"):
            host.write("deep", version, 0.5)
            await until(lambda: server.scorer.hosting.current["acme/plan"].identity.version == version)  # noqa: B023
        following.cancel()
        with pytest.raises(asyncio.CancelledError):
            await following
