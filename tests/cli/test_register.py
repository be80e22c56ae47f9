"""``assay register`` and ``assay retire`` against a server as users start it."""

from __future__ import annotations

import signal

import trustme

from tests.cli.conftest import PATIENCE, Cli, read_line
from tests.hosting.conftest import PLAN, REGISTER

SETTINGS = '[auth]\ntokens = "tokens.toml"\n[registration]\nfolders = ["verifiers"]\n'
OTHER = PLAN.format(version="1", score=0.5, seconds=0).replace("acme/plan", "acme/other")


def test_a_user_registers_upgrades_and_retires(cli: Cli) -> None:
    folder = cli.folder / "verifiers"
    folder.mkdir()
    cli.write("tokens.toml", f'[clients.operator]\ntoken = "{REGISTER}"\nscopes = ["register", "score"]\n')
    cli.write("server.toml", SETTINGS)
    module = folder / "planned.py"
    module.write_text(PLAN.format(version="1", score=0.25, seconds=0))
    (folder / "ends.py").write_text("import sys\nsys.exit(3)\n")
    server = cli.start("serve", "exact", "--config", "server.toml", "--workers", 1)
    address = read_line(server.stdout).split()[2]
    asked = ("--endpoint", address, "--token", REGISTER)

    assert "hosts acme/plan@1 sha256:" in cli.run("register", "planned:plan", *asked).stdout
    assert "was hosted already: acme/plan@1" in cli.run("register", "planned:plan", *asked).stdout
    module.write_text(PLAN.format(version="2", score=0.75, seconds=0))
    said = cli.run("register", "planned:plan", *asked).stdout
    assert "hosts acme/plan@2 sha256:" in said
    assert "is kept for runs that have pinned it" in said
    for version, score in (("@1", "0.25"), ("@2", "0.75"), ("", "0.75")):
        assert f"score {score}" in cli.run("try", f"acme/plan{version}", "--response", "x", *asked).stdout

    for version in ("@", "@sha256:"):
        assert "there is no version after the @" in cli.error("retire", f"acme/plan{version}", *asked)
    (folder / "says.py").write_text("import os\nprint('listening on 192.0.2.1:1')\nos.write(1, b'raw')\n" + OTHER)
    assert "hosts acme/other@1" in cli.run("register", "says:plan", *asked).stdout

    refused = cli.run("register", "ends:plan", *asked, code=1).stdout
    assert "refused: ends:plan ends the process that loads it (exit code 3)" in refused
    (folder / "steers.py").write_text("raise ValueError('\\x1b[2J')\n")
    refused = cli.run("register", "steers:plan", *asked, code=1).stdout
    assert "ValueError: \\x1b[2J" in refused
    assert "give --token" in cli.run("register", "planned:plan", "--endpoint", address, code=1).stdout
    assert "no server answers" in cli.run("retire", "acme/plan", "--endpoint", "127.0.0.1:1", code=1).stdout

    said = cli.run("retire", "acme/plan@2", *asked).stdout
    assert "retired acme/plan@2" in said
    assert "current is 1 sha256:" in said
    assert "retired acme/plan@1" in cli.run("retire", "acme/plan", *asked).stdout
    assert "not hosted here; hosted: acme/other, exact" in cli.run("retire", "acme/plan", *asked, code=1).stdout
    server.send_signal(signal.SIGTERM)
    said, log = server.communicate(timeout=PATIENCE)
    assert said == ""
    assert "listening on 192.0.2.1:1" in log


def test_mistakes_of_encryption_and_of_tokens_are_named(cli: Cli) -> None:
    authority, other = trustme.CA(), trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(cli.folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(cli.folder / "certificate.pem")
    authority.cert_pem.write_to_path(cli.folder / "ca.pem")
    other.cert_pem.write_to_path(cli.folder / "other.pem")
    cli.write("tokens.toml", f'[clients.operator]\ntoken = "{REGISTER}"\nscopes = ["register"]\n')
    files = 'certificate = "certificate.pem"\nkey = "key.pem"\n'
    settings = '[auth]\ntokens = "tokens.toml"\n[registration]\npackages = true\n'
    cli.write("secret.toml", f"{settings}[server.tls]\n{files}")
    cli.write("mutual.toml", f'{settings}[server.tls]\n{files}client_ca = "ca.pem"\n')
    cli.write("plain.toml", settings)
    secret, mutual, plain = (
        read_line(cli.start("serve", "exact", "--config", f"{name}.toml", "--workers", 1).stdout).split()[2]
        for name in ("secret", "mutual", "plain")
    )
    trusting, known = ("--ca", "ca.pem"), ("--token", REGISTER)

    def refused(address: str, *how: str) -> str:
        return cli.run("register", "choice", "--endpoint", address, *how, code=1).stdout

    assert "the server is encrypted and this client is not; give --ca FILE" in refused(secret, *known)
    assert "not signed by the authorities in other.pem" in refused(secret, "--ca", "other.pem", *known)
    assert "a token is needed" in refused(secret, *trusting)
    assert "the token is not known" in refused(secret, *trusting, "--token", "another that no one knows")
    assert "asks for a certificate of the client; give --cert FILE --key FILE" in refused(mutual, *trusting, *known)
    assert "it speaks plain text; write grpc:// before its address" in refused(plain, *trusting, *known)
    assert "other.pem.missing: No such file" in cli.error(
        "register", "choice", "--endpoint", secret, "--ca", "other.pem.missing"
    )
    assert "not sent unencrypted" in cli.error("register", "choice", "--endpoint", "192.0.2.1:50051", *known)
    registry = read_line(cli.start("registry", "--port", 0).stdout).split()[2]
    assert "takes no registrations: it is not a reward server" in refused(registry, *known)
    assert "hosts choice@" in cli.run("register", "choice", "--endpoint", secret, *trusting, *known).stdout
