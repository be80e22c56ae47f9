"""``assay doctor``: what is missing, and the command that mends it."""

from __future__ import annotations

import json
import socket
from typing import Any

from tests.cli.conftest import Cli


def findings(cli: Cli, *arguments: object, code: int = 0) -> dict[str, dict[str, Any]]:
    report = json.loads(cli.run("doctor", *arguments, "--json", code=code).stdout)
    assert report["ok"] == (code == 0)
    return {f"{one['area']}/{one['what']}": one for one in report["findings"]}


def test_without_names_nothing_is_required_and_everything_is_looked_at(cli: Cli) -> None:
    found = findings(cli)
    areas = {key.partition("/")[0] for key in found}
    assert areas >= {"host", "packages", "sandbox", "device", "network"}
    assert found["packages/assay[server]"]["ok"]
    assert "grpcio-reflection" in found["packages/assay[server]"]["detail"]


def test_what_a_named_verifier_needs_is_there(cli: Cli) -> None:
    found = findings(cli, "exact", "probe/length")
    assert found["verifiers/probe/length"]["detail"].startswith("probe/length@3")
    assert not any(key.startswith(("sandbox", "device")) for key in found)


def test_what_is_looked_at_follows_from_what_a_verifier_uses(cli: Cli) -> None:
    """Not from its name: a sandbox for every one that runs programs, a device for every one with a model."""
    assert "sandbox/isolation" in findings(cli, "mutation")
    assert any(key.startswith("device") for key in findings(cli, "likelihood"))


def test_what_is_missing_is_named_with_its_remedy(cli: Cli) -> None:
    found = findings(cli, "nosuch", code=1)
    assert not found["verifiers/nosuch"]["ok"]
    assert found["verifiers/nosuch"]["remedy"]
    assert "missing for nosuch: nosuch" in cli.run("doctor", "nosuch", code=1).stdout


def test_a_package_that_is_missing_is_named_with_the_command(cli: Cli) -> None:
    # A module of this name on the path hides nothing: versions are read from the metadata of what is installed.
    metadata = cli.folder / "site" / "openai-0.1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: openai\nVersion: 0.1\n")
    cli.env["PYTHONPATH"] = f"{metadata.parent}:{cli.env['PYTHONPATH']}"
    lacking = findings(cli)["packages/assay[judge]"]
    assert not lacking["ok"]
    assert "openai>=" in lacking["detail"]
    assert lacking["remedy"] == "pip install 'assay[judge]'"


def test_a_system_without_the_c_plus_plus_runtime_is_told_what_to_install(cli: Cli) -> None:
    """As in a slim image, where grpc is installed and cannot be imported."""
    shadow = cli.folder / "slim" / "grpc"
    shadow.mkdir(parents=True)
    said = "libstdc++.so.6: cannot open shared object file: No such file or directory"
    (shadow / "__init__.py").write_text(f"raise ImportError({said!r})\n")
    cli.env["PYTHONPATH"] = f"{shadow.parent}:{cli.env['PYTHONPATH']}"
    found = findings(cli, "exact", code=1)["host/grpc"]
    assert (found["ok"], found["detail"]) == (False, said)
    assert "install libstdc++6" in found["remedy"]
    refused = cli.run("serve", "exact", "--port", "0", code=2).stderr
    assert refused.splitlines()[-1].startswith(f"error: {said}; install libstdc++6")
    assert "Traceback" not in refused


def test_a_port_that_is_taken_is_said(cli: Cli) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not findings(cli, "exact", "--port", port, code=1)[f"network/port {port}"]["ok"]
