"""Certificates that are replaced while servers and clients use them."""

from __future__ import annotations

import logging
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import trustme

from reward_servers.core import Scorer, ServerLimits
from reward_servers.observe import exposition, server_families
from tests.ports import kept_port
from trainer_client import TLS, Recipe, RecipeError, Retries, Reward, RewardClient, Rollout
from trainer_client._certificates import FollowedCertificates, read_usable

RECIPE = Recipe((Reward("right", "exact", deadline_s=240.0),), advantage=None)
ROLLOUTS = [Rollout(str(n), "q", ("good", "bad")[n % 2], reference={"answer": "good"}) for n in range(64)]
EXPECTED = [1.0, 0.0] * 32
OLD = datetime(2020, 1, 1, tzinfo=UTC)


class Server:
    """A server process over TLS, with what it says, and its files."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder = folder
        self.said: list[str] = []
        settings = folder / "server.toml"
        names = {"certificate": "server.pem", "key": "server.key", "client_ca": "clients.pem"}
        settings.write_text("[server.tls]\n" + "".join(f'{key} = "{folder / name}"\n' for key, name in names.items()))
        line = ["serve", "exact", "--config", str(settings), "--workers", "1", "--port", str(port)]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "reward_servers", *line],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().split()[2]
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        self.said.extend(self._process.stderr)

    @property
    def shown(self) -> str:
        """The certificate that a new connection gets."""
        host, _, port = self.address.rpartition(":")
        return ssl.get_server_certificate((host, int(port)))

    def until(self, words: str) -> None:
        wait_for(lambda: any(words in line for line in self.said))

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=240)
        self._listener.join(timeout=240)
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture
def port() -> Iterator[int]:
    with kept_port() as kept:
        yield kept


def wait_for(holds: Callable[[], bool]) -> None:
    for _ in range(4000):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it never came to be")


def write_pair(
    folder: Path, name: str, authority: trustme.CA, host: str = "127.0.0.1", ends: datetime | None = None
) -> str:
    """Replace a certificate and its key by new ones; the certificate as text."""
    begins = ends - timedelta(days=365) if ends else None
    issued = authority.issue_cert(host, not_before=begins, not_after=ends)
    issued.private_key_pem.write_to_path(folder / f"{name}.key")
    issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    return issued.cert_chain_pems[0].bytes().decode()


def trust(folder: Path, name: str, *authorities: trustme.CA) -> None:
    (folder / f"{name}.pem").write_bytes(b"".join(one.cert_pem.bytes() for one in authorities))


def write_both(folder: Path, authority: trustme.CA) -> str:
    """A certificate for either side, and what each trusts; the server's certificate as text."""
    written = write_pair(folder, "server", authority)
    write_pair(folder, "client", authority, "trainer")
    trust(folder, "servers", authority)
    trust(folder, "clients", authority)
    return written


def client_files(folder: Path) -> TLS:
    return TLS(*(str(folder / name) for name in ("servers.pem", "client.pem", "client.key")))


@contextmanager
def under_load(address: str, tls: TLS) -> Iterator[list[np.ndarray]]:
    """A client of its own thread that asks all the time; yields the scores that it has got."""
    got: list[np.ndarray] = []
    ended = threading.Event()
    failed: list[Exception] = []

    def ask() -> None:
        try:
            with RewardClient(RECIPE, address, tls=tls, retries=Retries(unavailable_timeout_s=240.0)) as client:
                while not ended.is_set():
                    got.append(client.score(ROLLOUTS).scores[:, 0])
        except Exception as error:  # noqa: BLE001 (told by the test)
            failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        wait_for(lambda: len(got) > 2 or bool(failed))
        yield got
    finally:
        ended.set()
        thread.join(timeout=280)
    assert not failed, failed
    assert all(scores.tolist() == EXPECTED for scores in got)


def test_both_sides_change_certificates_and_authority_under_load(tmp_path: Path, port: int) -> None:
    first, second = trustme.CA(), trustme.CA()
    write_both(tmp_path, first)
    server = Server(tmp_path, port)
    try:
        with under_load(server.address, client_files(tmp_path)) as got:
            trust(tmp_path, "servers", first, second)
            trust(tmp_path, "clients", first, second)
            later = write_pair(tmp_path, "server", second)
            wait_for(lambda: server.shown == later)
            server.until("read again")
            write_pair(tmp_path, "client", second, "trainer")
            trust(tmp_path, "servers", second)
            trust(tmp_path, "clients", second)
            # The connection that is open goes on; the next one, to a server that knows the new authority alone, is
            # made by the same client with what its files hold now.
            seen = len(got)
            wait_for(lambda: len(got) > seen + 2)
            server.stop()
            server = Server(tmp_path, port)
            seen = len(got)
            wait_for(lambda: len(got) > seen + 2)
    finally:
        server.stop()


def test_what_cannot_be_used_is_said_and_the_old_certificate_serves_on(tmp_path: Path) -> None:
    authority = trustme.CA()
    first = write_both(tmp_path, authority)
    server = Server(tmp_path)
    try:
        with under_load(server.address, client_files(tmp_path)) as got:
            other = authority.issue_cert("127.0.0.1")
            other.private_key_pem.write_to_path(tmp_path / "server.key")
            server.until(f"{tmp_path}/server.key is not the key of {tmp_path}/server.pem")
            assert server.shown == first
            write_pair(tmp_path, "server", authority, ends=OLD)
            server.until("certificate has expired")
            assert server.shown == first
            (tmp_path / "server.pem").unlink()
            server.until("server.pem: No such file or directory")
            assert server.shown == first
            seen = len(got)
            wait_for(lambda: len(got) > seen + 2)
            with RewardClient(RECIPE, server.address, tls=client_files(tmp_path)) as late:
                assert late.score(ROLLOUTS).scores[:, 0].tolist() == EXPECTED
            mended = write_pair(tmp_path, "server", authority)
            wait_for(lambda: server.shown == mended)
    finally:
        server.stop()


def test_a_client_keeps_what_it_could_use(tmp_path: Path, port: int, caplog: pytest.LogCaptureFixture) -> None:
    authority = trustme.CA()
    write_both(tmp_path, authority)
    server = Server(tmp_path, port)
    try:
        with caplog.at_level(logging.WARNING, "trainer_client"), under_load(server.address, client_files(tmp_path)):
            (tmp_path / "client.key").write_text("half a k")
            server.stop()
            wait_for(lambda: "what was read before stays in use" in caplog.text)
            server = Server(tmp_path, port)
    finally:
        server.stop()
    assert "are not a certificate and its unencrypted private key" in caplog.text


def test_files_that_cannot_be_used_are_told_before_anything_is_asked(tmp_path: Path) -> None:
    authority = trustme.CA()
    write_pair(tmp_path, "client", authority, "trainer")
    (tmp_path / "servers.pem").write_text("none\n")
    with pytest.raises(RecipeError, match=r"servers\.pem holds no certificate of an authority in PEM"):
        RewardClient(RECIPE, "127.0.0.1:1", tls=client_files(tmp_path))
    with pytest.raises(RecipeError, match="go together"):
        RewardClient(RECIPE, "127.0.0.1:1", tls=TLS(cert=str(tmp_path / "client.pem")))
    write_pair(tmp_path, "client", authority, "trainer", ends=OLD)
    with pytest.raises(RecipeError, match="certificate has expired"):
        RewardClient(RECIPE, "127.0.0.1:1", tls=TLS(None, str(tmp_path / "client.pem"), str(tmp_path / "client.key")))


@pytest.mark.parametrize("is_server", [True, False])
def test_a_chain_counts_by_its_first_certificate(tmp_path: Path, is_server: bool) -> None:
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    issued = trustme.CA().create_child_ca().issue_cert("127.0.0.1", not_after=ends)
    for place, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(tmp_path / "chain.pem", append=place > 0)
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    assert read_usable(None, tmp_path / "chain.pem", tmp_path / "key.pem", is_server=is_server).ends == ends.timestamp()


def test_files_in_the_middle_of_a_change_are_not_spoken_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    authority = trustme.CA()
    write_pair(tmp_path, "a", authority)
    paths = (tmp_path / "a.pem", tmp_path / "a.key")
    with caplog.at_level(logging.INFO):
        files = FollowedCertificates(None, *paths, is_server=True, logger=logging.getLogger("t"), name="here")
        issued = authority.issue_cert("127.0.0.1")
        issued.private_key_pem.write_to_path(paths[1])
        assert not files.look()
        assert not caplog.records
        issued.cert_chain_pems[0].write_to_path(paths[0])
        assert files.look()
        assert not files.look()
    assert (files.generation, [record.levelname for record in caplog.records]) == (1, ["INFO"])


def test_metrics_tell_when_the_certificate_ends() -> None:
    scorer = Scorer([], ServerLimits(), workers=1)
    there, not_there = (
        exposition(server_families(scorer, "1", draining=False, certificate_ends=ends)).decode() for ends in (5e9, None)
    )
    assert "assay_certificate_end_timestamp_seconds 5000000000" in there
    assert "\nassay_certificate_end" not in not_there
