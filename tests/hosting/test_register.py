"""Verifiers that a running server takes, over real gRPC."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path

import grpc
import pytest

from reward_servers.config import ServerConfig
from reward_servers.core import SettingsError
from reward_servers.registry import serving as registry_serving
from reward_servers.server import running
from tests.hosting.conftest import GOOD, PLAN, REGISTER, SCORE, Host, client, register, retire, rollouts, scores
from tests.typed import changed
from trainer_client import RequestRejectedError, describe_server

PERMISSION, UNKNOWN = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND
INVALID, PRECONDITION = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION


async def test_a_running_server_takes_a_verifier_and_a_client_sees_it(host: Host) -> None:
    host.write("plan_a")
    async with host.serving() as server, client(server.address) as asker:
        with pytest.raises(RequestRejectedError, match="is not hosted there"):
            await asker.score(rollouts())
        taken = await register(server.address, "plan_a:plan")
        who = taken.verifier.identity
        assert (who.name, who.version, taken.unchanged) == ("acme/plan", "1", False)
        assert await scores(asker) == [0.25] * 8
        info = await asyncio.to_thread(describe_server, server.address, token=SCORE)
        assert info.verifiers["acme/plan"].origin == "plan_a:plan"
        again = await register(server.address, "plan_a:plan")
        assert again.unchanged


async def test_runs_keep_the_version_that_they_have_pinned(host: Host) -> None:
    host.write("plan_b", "1", 0.25)
    async with host.serving() as server, client(server.address) as early:
        await register(server.address, "plan_b:plan")
        assert await scores(early) == [0.25] * 8
        host.write("plan_b", "2", 0.75)
        taken = await register(server.address, "plan_b:plan")
        assert [one.version for one in taken.earlier] == ["1"]
        assert await scores(early, 16) == [0.25] * 16
        async with client(server.address) as late:
            assert await scores(late) == [0.75] * 8
            assert [one.version for one in (await late.score(rollouts())).versions[0]] == ["2"]
        async with client(server.address, "acme/plan@1") as chosen:
            assert await scores(chosen) == [0.25] * 8
        # Workers that are started after the files have changed still run the code that was registered.
        for executor in server.scorer.hosting.owned:
            for worker in list(getattr(executor, "_workers", ())):
                os.kill(worker.pid, signal.SIGKILL)
        assert await scores(early, 24) == [0.25] * 24
        await retire(server.address, "acme/plan", version="1")
        with pytest.raises(RequestRejectedError, match="no replica hosts the version"):
            await early.score(rollouts(32))


async def test_a_module_beside_a_verifier_is_part_of_it(host: Host) -> None:
    (host.folder / "plan_k.py").write_text(PLAN.format(version="1", score="beside_k.WORTH", seconds=0))
    beside = host.folder / "beside_k.py"
    with (host.folder / "plan_k.py").open("a") as file:
        file.write("\n\nimport beside_k\n")
    beside.write_text("WORTH = 0.25\n")
    async with host.serving() as server, client(server.address) as early:
        first = (await register(server.address, "plan_k:plan")).verifier.identity
        assert await scores(early) == [0.25] * 8
        beside.write_text("WORTH = 0.75\n")
        taken = await register(server.address, "plan_k:plan")
        assert not taken.unchanged
        assert taken.verifier.identity.digest != first.digest
        assert await scores(early, 16) == [0.25] * 16
        async with client(server.address) as late:
            assert await scores(late) == [0.75] * 8


async def test_going_back_makes_the_earlier_version_current(host: Host) -> None:
    host.write("plan_c", "1", 0.25)
    async with host.serving() as server:
        await register(server.address, "plan_c:plan")
        host.write("plan_c", "2", 0.75)
        await register(server.address, "plan_c:plan")
        left = await retire(server.address, "acme/plan", version="2")
        assert (left.retired[0].version, left.current.version) == ("2", "1")
        async with client(server.address) as asker:
            assert await scores(asker) == [0.25] * 8


async def test_what_was_admitted_is_judged_when_it_is_retired_under_load(host: Host) -> None:
    host.write("plan_d", seconds=0.2)
    async with host.serving() as server, client(server.address) as asker:
        await register(server.address, "plan_d:plan")
        running_batch = asyncio.create_task(scores(asker, 10))
        while not server.scorer.admission.items:
            await asyncio.sleep(0.01)
        await retire(server.address, "acme/plan")
        assert await running_batch == [0.25] * 10
        assert "acme/plan" not in server.scorer.hosted
        with pytest.raises(RequestRejectedError):
            await asker.score(rollouts())
        # What ran it has ended.
        assert len(server.scorer.hosting.owned) == 1


async def test_a_name_of_an_installed_verifier_stays_with_its_package(host: Host) -> None:
    host.write("plan_l")
    file = host.folder / "plan_l.py"
    file.write_text(file.read_text().replace("acme/plan", "choice"))
    async with host.serving() as server:
        with pytest.raises(
            grpc.aio.AioRpcError, match=r"choice is the name of reward_servers\..*installed here"
        ) as refused:
            await register(server.address, "plan_l:plan")
        assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
        assert "choice" not in server.scorer.hosted


async def test_a_digest_that_says_nothing_retires_nothing(host: Host) -> None:
    async with host.serving() as server:
        for digest in ("sha256:", "sha"):
            with pytest.raises(grpc.aio.AioRpcError, match="begins every digest") as refused:
                await retire(server.address, "exact", digest=digest)
            assert refused.value.code() is INVALID
        assert "exact" in server.scorer.hosted


async def test_a_name_that_is_taken_stays_with_its_owner(host: Host) -> None:
    host.write("plan_e")
    host.write("plan_f", "9")
    async with host.serving() as server:
        await register(server.address, "plan_e:plan")
        with pytest.raises(grpc.aio.AioRpcError, match="is the name of plan_e:plan here") as refused:
            await register(server.address, "plan_f:plan")
        assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS


TARGETS = {
    "": INVALID,
    "../evil:plan": INVALID,
    "/etc/passwd:plan": INVALID,
    "evil.py:plan": UNKNOWN,
    "a b:plan": INVALID,
    "x" * 300: INVALID,
    "os:system": UNKNOWN,
    "json:loads": PRECONDITION,
    "linked:plan": PERMISSION,
    "package.linked:plan": PERMISSION,
    "missing:plan": UNKNOWN,
    "exact": PERMISSION,
}


async def test_only_modules_of_the_folders_may_be_named(host: Host, tmp_path: Path) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text("raise SystemExit('was run')")
    (host.folder / "linked.py").symlink_to(outside)
    (host.folder / "package").mkdir()
    (host.folder / "package" / "__init__.py").write_text("")
    (host.folder / "package" / "linked.py").symlink_to(outside)
    (host.folder / "json.py").write_text("def loads(): ...")
    async with host.serving() as server:
        for target, status in TARGETS.items():
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await register(server.address, target)
            assert refused.value.code() is status, (target, refused.value.details())


async def test_only_the_scope_registers_and_refusals_are_written_down(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    host.write("plan_g")
    caplog.set_level(logging.INFO, "assay.audit")
    async with host.serving() as server:
        for token, status in (("", grpc.StatusCode.UNAUTHENTICATED), (SCORE, PERMISSION)):
            for ask in (register, retire):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await ask(server.address, "plan_g:plan", token)
                assert refused.value.code() is status
        await register(server.address, "plan_g:plan")
        await retire(server.address, "acme/plan")
    said = [record.getMessage() for record in caplog.records]
    assert sum("was refused to" in line for line in said) == 4
    assert [line.partition(" sha256")[0] for line in said[-2:]] == [
        "token:m registered acme/plan@1",
        "token:m retired acme/plan@1",
    ]
    assert REGISTER not in "".join(said)


async def test_what_a_caller_has_changed_is_written_down_though_it_has_left(
    host: Host, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gate = tmp_path / "gate"
    waits = f"while not os.path.exists({str(gate)!r}):\n        time.sleep(0.02)"
    host.write("plan_m")
    module = host.folder / "plan_m.py"
    module.write_text("import os\n" + module.read_text().replace("time.sleep(0.0)", waits))
    caplog.set_level(logging.INFO, "assay.audit")
    async with host.serving() as server, client(server.address) as asker:
        await register(server.address, "plan_m:plan")
        judged = asyncio.create_task(scores(asker, 1))
        while not server.scorer.admission.items:
            await asyncio.sleep(0.01)
        leaving = asyncio.create_task(retire(server.address, "acme/plan"))
        while "acme/plan" in server.scorer.hosted:
            await asyncio.sleep(0.01)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        gate.touch()
        assert await judged == [0.25]
        audited = [record.getMessage() for record in caplog.records if record.name == "assay.audit"]
        assert audited[-1].startswith("token:m retired acme/plan@1")


async def test_modules_in_plain_folders_and_behind_links_are_taken(host: Host) -> None:
    (host.folder / "rewards_n" / "math").mkdir(parents=True)
    (host.folder / "rewards_n" / "math" / "hard.py").write_text(GOOD)
    linked = host.folder.with_name("linked")
    linked.symlink_to(host.folder)
    async with host.serving(folders=[linked]) as server, client(server.address) as asker:
        await register(server.address, "rewards_n.math.hard:plan")
        assert await scores(asker) == [0.25] * 8
        with pytest.raises(grpc.aio.AioRpcError, match=r"there is no module 'rewards_n\.math\.easy'") as refused:
            await register(server.address, "rewards_n.math.easy:plan")
        assert refused.value.code() is UNKNOWN


async def test_it_is_off_unless_the_settings_allow_it(host: Host) -> None:
    async with host.serving(folders=[], packages=False) as server:
        with pytest.raises(grpc.aio.AioRpcError, match="takes no registrations") as refused:
            await register(server.address, "exact")
        assert refused.value.code() is PERMISSION
    with pytest.raises(ValueError, match="tokens"):
        ServerConfig.model_validate({"registration": {"packages": True}})


async def test_an_installed_verifier_is_taken_by_its_name(host: Host) -> None:
    async with host.serving(packages=True, folders=[]) as server:
        await register(server.address, "choice")
        with pytest.raises(grpc.aio.AioRpcError, match="no verifier 'formt' is installed") as refused:
            await register(server.address, "formt")
        assert refused.value.code() is UNKNOWN
        info = await asyncio.to_thread(describe_server, server.address, token=SCORE)
        assert info.verifiers["choice"].origin.startswith("assay ")


async def test_no_more_are_taken_than_the_settings_say(host: Host) -> None:
    host.write("plan_h")
    (host.folder / "more.py").write_text((host.folder / "plan_h.py").read_text().replace("acme/plan", "acme/more"))
    async with host.serving(max_verifiers=1) as server:
        await register(server.address, "plan_h:plan")
        with pytest.raises(grpc.aio.AioRpcError, match="have been registered") as refused:
            await register(server.address, "more:plan")
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await retire(server.address, "acme/plan")
        await register(server.address, "more:plan")


async def test_registering_the_same_at_once_hosts_it_once(host: Host) -> None:
    host.write("plan_i")
    async with host.serving() as server:
        taken = await asyncio.gather(*(register(server.address, "plan_i:plan") for _ in range(3)))
        assert sorted(one.unchanged for one in taken) == [False, True, True]


async def test_a_registry_tells_clients_of_what_came_and_went(host: Host) -> None:
    host.write("plan_j")
    async with registry_serving(changed(host.config(), auth=ServerConfig().auth)) as registry:
        told = host.config().with_registry([registry], "")
        async with running(told, ["exact"]) as server, client(f"registry://{registry}/acme/plan") as asker:
            await register(server.address, "plan_j:plan")
            assert await scores(asker) == [0.25] * 8


async def test_a_folder_that_everyone_may_write_to_is_refused(host: Host) -> None:
    host.folder.chmod(0o777)
    with pytest.raises(SettingsError, match="every user of this host"):
        async with host.serving():
            pass
