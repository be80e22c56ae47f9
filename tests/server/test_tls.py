"""Encrypted connections, with certificates made for the test: the server's, and the client's where one is asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from reward_servers.config import load_config
from reward_servers.core import SettingsError
from reward_servers.server import running
from tests.fakes.chat_server import FakeChatServer
from trainer_client import (
    TLS,
    AsyncRewardClient,
    Recipe,
    RequestRejectedError,
    Reward,
    RewardClient,
    Rollout,
)

RECIPE = Recipe((Reward("right", "exact", deadline_s=240.0),), advantage=None)
ROLLOUTS = [Rollout(text, "q", text, reference={"answer": "good"}) for text in ("good", "bad")]


@dataclass(frozen=True)
class Files:
    """Where the certificates are."""

    ca: str
    certificate: str
    key: str


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for place, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(folder / "certificate.pem", append=place > 0)
    return Files(*(str(folder / f"{name}.pem") for name in ("ca", "certificate", "key")))


def settings(folder: Path, files: Files, *, asks_clients: bool = False, more: str = "") -> Path:
    path = folder / f"server-{asks_clients}.toml"
    ca = f'client_ca = "{files.ca}"' if asks_clients else ""
    path.write_text(f'[server.tls]\ncertificate = "{files.certificate}"\nkey = "{files.key}"\n{ca}\n{more}')
    return path


@contextmanager
def serving(config: Path, *names: str) -> Iterator[str]:
    command = [sys.executable, "-P", "-m", "reward_servers", "serve", *names, "--config", str(config), "--workers", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        try:
            yield line.split()[2]
        finally:
            process.terminate()
            process.communicate(timeout=240)


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-P", "-m", "reward_servers", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=240)


def test_scores_arrive_over_tls_and_plain_text_does_not(files: Files, tmp_path: Path) -> None:
    with serving(settings(tmp_path, files), "exact") as address:
        with RewardClient(RECIPE, {"exact": address}, tls=TLS(ca=files.ca)) as client:
            assert client.score(ROLLOUTS).scores[:, 0].tolist() == [1.0, 0.0]
        recipe = Recipe(RECIPE.rewards, advantage=None, max_missing=1.0)
        with (
            RewardClient(recipe, {"exact": f"grpc://{address}"}, tls=TLS(ca=files.ca)) as client,
            pytest.raises(RequestRejectedError, match="the server is encrypted and this client is not"),
        ):
            client.score(ROLLOUTS)
        with (
            RewardClient(recipe, {"exact": f"grpcs://{address}"}) as client,
            pytest.raises(RequestRejectedError, match="not signed by an authority that this system trusts"),
        ):
            client.score(ROLLOUTS)


def test_a_server_may_ask_clients_for_a_certificate(files: Files, tmp_path: Path) -> None:
    recipe = Recipe(RECIPE.rewards, advantage=None, max_missing=1.0)
    with serving(settings(tmp_path, files, asks_clients=True), "exact") as address:
        known = TLS(files.ca, files.certificate, files.key)
        with RewardClient(recipe, {"exact": address}, tls=known) as client:
            assert client.score(ROLLOUTS).scores[:, 0].tolist() == [1.0, 0.0]
        with (
            RewardClient(recipe, {"exact": address}, tls=TLS(files.ca)) as client,
            pytest.raises(RequestRejectedError, match="it asks for a certificate of the client"),
        ):
            client.score(ROLLOUTS)
        with_key = ("--ca", files.ca, "--cert", files.certificate, "--key", files.key)
        listed = command("list", "--endpoint", address, "--json", *with_key)
        assert [one["name"] for one in json.loads(listed.stdout)] == ["exact"]
        refused = command("list", "--endpoint", address, "--ca", files.ca)
        assert (refused.returncode, refused.stderr.startswith("error: --endpoint")) == (2, True)
        alone = command("list", "--endpoint", address, "--ca", files.ca, "--cert", files.certificate)
        assert alone.stderr == "error: --cert and --key go together; give both\n"


def test_the_command_scores_over_tls_beside_servers_of_its_own(files: Files, tmp_path: Path) -> None:
    own = settings(tmp_path, files)
    with serving(own, "exact") as address:
        (tmp_path / "recipe.toml").write_text(
            f'[servers.away]\nverifiers = ["exact"]\nendpoints = ["{address}"]\n'
            f'[servers.here]\nverifiers = ["length"]\nconfig = "{own.name}"\n'
            '[rewards.right]\nverifier = "exact"\n[rewards.brief]\nverifier = "length"\noptions = { max = 3 }\n'
        )
        rows = [{"rollout_id": one.rollout_id, "response": one.response, "reference": "good"} for one in ROLLOUTS]
        (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        out = tmp_path / "out.jsonl"
        done = command("score", tmp_path / "in.jsonl", "-r", tmp_path / "recipe.toml", "-o", out, "--ca", files.ca)
    assert done.returncode == 0, done.stderr
    scores = [json.loads(line)["scores"] for line in out.read_text().splitlines()]
    assert scores == [{"right": 1.0, "brief": 0.0}, {"right": 0.0, "brief": 1.0}]


async def test_a_server_asks_another_one_with_its_own_certificate(files: Files, tmp_path: Path) -> None:
    fake = FakeChatServer(lambda asked, number: "correct: yes")
    with fake.running() as url:
        judging = settings(
            tmp_path, files, asks_clients=True, more=f'[verifiers.judge]\nbase_url = "{url}"\nmodel = "m"\n'
        )
        with serving(judging, "judge") as address:
            asking = tmp_path / "asking.toml"
            asking.write_text(
                f'[endpoints]\njudge = "{address}"\n'
                f'[client.tls]\nca = "{files.ca}"\ncertificate = "{files.certificate}"\nkey = "{files.key}"\n'
            )
            recipe = Recipe((Reward("quality", "rubric"),), advantage=None)
            rollout = Rollout("a", "q", "text", reference={"rubric": [{"id": "a", "text": "It is fine."}]})
            async with (
                running(load_config(asking, workers=1), ["rubric"]) as server,
                AsyncRewardClient(recipe, {"rubric": server.address}) as client,
            ):
                table = await client.score([rollout])
    assert table.scores.tolist() == [[1.0]]


def test_a_missing_file_is_named_before_anything_is_asked(files: Files, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        RewardClient(RECIPE, "127.0.0.1:1", tls=TLS(ca="nowhere.pem"))
    line = command("list", "--endpoint", "127.0.0.1:1", "--ca", "nowhere.pem").stderr
    assert line == "error: nowhere.pem: No such file or directory\n"
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('[server.tls]\ncertificate = "nowhere.pem"\nkey = "k"\n')
    refused = command("serve", "exact", "--config", wrong)
    assert (refused.returncode, "server.tls: " in refused.stderr) == (2, True)
    key, foreign = tmp_path / "foreign.pem", trustme.CA().issue_cert("127.0.0.1")
    foreign.private_key_pem.write_to_path(key)
    wrong.write_text(f'[server.tls]\ncertificate = "{files.certificate}"\nkey = "{key}"\n')
    refused = command("serve", "exact", "--config", wrong)
    said = f"error: server.tls: {key} is not the key of {files.certificate}; give its own\n"
    assert (refused.returncode, refused.stderr) == (2, said)
    wrong.write_text('[client.tls]\ncertificate = "c"\n')
    with pytest.raises(SettingsError, match=r"client\.tls: certificate and key go together"):
        load_config(wrong)


def test_plain_text_on_an_address_that_others_reach_is_refused() -> None:
    refused = command("serve", "exact", "--host", "0.0.0.0")
    assert (refused.returncode, "--insecure" in refused.stderr) == (2, True)
