"""Many callers at once, of whom some misbehave, and who may call at all."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import trustme

from tests.gateway.conftest import ANSWERS, FRAIL, Processes, Start, get, post

DOWN = '[servers.a]\nverifiers = ["exact"]\nendpoints = ["127.0.0.1:1"]\n[rewards.a]\nverifier = "exact"\n'


def answer(text: str) -> dict[str, object]:
    return {"prompt": "1+1?", "response": text, "label": "2"}


async def test_slow_malformed_and_gone_callers_cost_no_other_anything(gateway: Start) -> None:
    url = gateway(FRAIL)
    parts = urlsplit(url)

    async def honest(client: httpx.AsyncClient, number: int) -> float:
        text = "good" if number % 3 else "bad"
        response = await client.post("/slime", json={"prompt": str(number), "response": text})
        assert response.status_code == 200, response.text
        return float(response.json()["reward"])

    async def raw(data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(data)
        await writer.drain()
        return reader, writer

    head = b"POST /slime HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
    slow_body = json.dumps({"prompt": "p", "response": "slow"}).encode()
    # One sends its body by halves, one sends rubbish, one hangs up while its rollout is judged.
    _, halting = await raw(head + b"1000\r\n\r\n{")
    rubbish, writer = await raw(b"\x00\xff not HTTP\r\n\r\n")
    _, leaving = await raw(head + f"{len(slow_body)}\r\n\r\n".encode() + slow_body)
    await asyncio.sleep(0.2)
    leaving.close()
    limits = httpx.Limits(max_connections=64)
    async with httpx.AsyncClient(base_url=url, timeout=240, limits=limits) as client:
        rewards = await asyncio.gather(*(honest(client, number) for number in range(256)))
        assert rewards == [float(bool(number % 3)) for number in range(256)]
        assert b"400" in (await rubbish.readline())
        for _ in range(100):
            # The work of the one that left has ended: nothing is under way.
            under_way = (await client.get("/ready")).json()["under_way"]
            if not under_way:
                break
            await asyncio.sleep(0.1)
        assert under_way == 0
    for one in (halting, writer):
        one.close()


def test_a_body_has_bounds(gateway: Start) -> None:
    url = gateway(ANSWERS, settings="[limits]\nmax_body_bytes = 2048\nmax_batch_items = 3\nbody_timeout_s = 0.5\n")
    assert post(f"{url}/slime", json=answer("x" * 5000)).status_code == 413
    rollouts = [{"response": "2", "reference": {"answer": "2"}}] * 4
    refused = post(f"{url}/v1/score", json={"rollouts": rollouts})
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "too_many_items")

    def chunks() -> object:
        yield from (b"x" * 1000 for _ in range(4))

    assert post(f"{url}/slime", content=chunks()).status_code == 413  # type: ignore[arg-type]
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as slow:
        slow.sendall(b"POST /slime HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert b"408" in slow.recv(100)
    assert post(f"{url}/slime", json=answer("2")).json()["reward"] == 1.5


def test_a_full_gateway_says_when_to_try_again(gateway: Start) -> None:
    url = gateway(ANSWERS, settings="[limits]\nmax_items = 2\n")
    refused = post(f"{url}/v1/score", json={"rollouts": [{"response": "2", "reference": {"answer": "2"}}] * 3})
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "1"


def test_callers_need_a_token_where_tokens_are_known(gateway: Start, tmp_path_factory: pytest.TempPathFactory) -> None:
    tokens = tmp_path_factory.mktemp("tokens") / "tokens.toml"
    token = "a-long-random-token"
    powerless = '[clients.other]\ntoken = "another-long-token"\nscopes = []\n'
    tokens.write_text(f'[clients.trainer]\ntoken = "{token}"\n{powerless}')
    url = gateway(ANSWERS, settings=f'[auth]\ntokens = "{tokens}"\n')
    refused = post(f"{url}/slime", json=answer("2"))
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    for wrong in ("Bearer nonsense-nonsense", "Basic %%%", "Basic bm90OnJlYWw="):
        assert post(f"{url}/slime", json=answer("2"), headers={"authorization": wrong}).status_code == 401
    for odd in (b"Basic \xe9\xe9", b"Bearer \xe9", b"Basic", b""):
        assert post(f"{url}/slime", json=answer("2"), headers={b"authorization": odd}).status_code == 401
    other = {"authorization": "Bearer another-long-token"}
    assert post(f"{url}/slime", json=answer("2"), headers=other).status_code == 403
    right = {"authorization": f"Bearer {token}"}
    assert post(f"{url}/slime", json=answer("2"), headers=right).json()["reward"] == 1.5
    # Clients that set no header take the token from the URL.
    within = url.replace("http://", f"http://any:{token}@")
    assert post(f"{within}/slime", json=answer("2")).json()["reward"] == 1.5
    assert get(f"{url}/health").json() == {"status": "ok"}


def test_encrypted_with_certificates_of_both_sides(gateway: Start, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    files = {name: str(folder / f"{name}.pem") for name in ("ca", "certificate", "key", "client")}
    authority.cert_pem.write_to_path(files["ca"])
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(files["key"])
    issued.cert_chain_pems[0].write_to_path(files["certificate"])
    authority.issue_cert("trainer").private_key_and_cert_chain_pem.write_to_path(files["client"])
    tls = f'certificate = "{files["certificate"]}"\nkey = "{files["key"]}"\nclient_ca = "{files["ca"]}"\n'
    url = gateway(ANSWERS, settings=f"[server.tls]\n{tls}")
    assert url.startswith("https://")
    context = ssl.create_default_context(cafile=files["ca"])
    with pytest.raises(httpx.TransportError):
        post(f"{url}/slime", json=answer("2"), verify=context)
    context.load_cert_chain(files["client"])
    assert post(f"{url}/slime", json=answer("2"), verify=context).json()["reward"] == 1.5
    # Both sides go over to another authority while it serves; a pair that does not fit changes nothing.
    host, port = url.removeprefix("https://").split(":")
    shown = ssl.get_server_certificate((host, int(port)))
    other = trustme.CA()
    later = other.issue_cert(host)
    later.private_key_pem.write_to_path(files["key"])
    time.sleep(5)
    assert ssl.get_server_certificate((host, int(port))) == shown
    other.cert_pem.write_to_path(files["ca"])
    later.cert_chain_pems[0].write_to_path(files["certificate"])
    other.issue_cert("trainer").private_key_and_cert_chain_pem.write_to_path(files["client"])
    for _ in range(600):
        if ssl.get_server_certificate((host, int(port))) != shown:
            break
        time.sleep(0.05)
    renewed = ssl.create_default_context(cafile=files["ca"])
    renewed.load_cert_chain(files["client"])
    assert post(f"{url}/slime", json=answer("2"), verify=renewed).json()["reward"] == 1.5
    for stale in (context, ssl.create_default_context(cafile=files["ca"])):
        with pytest.raises(httpx.TransportError):
            post(f"{url}/slime", json=answer("2"), verify=stale)


def test_plain_text_is_refused_on_an_address_that_others_reach(processes: Processes, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(DOWN)
    with pytest.raises(AssertionError, match="pass --insecure"):
        processes.start("gateway", str(recipe), "--host", "0.0.0.0", "--port", "0")
