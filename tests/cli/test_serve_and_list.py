"""``assay serve`` and ``assay list``."""

from __future__ import annotations

import gc
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import sandbox
from reward_servers.cli import _list, run
from tests.cli.conftest import COMMAND, PATIENCE, Cli, read_line, wait_until
from tests.ports import kept_port


def test_the_ready_line_names_address_and_verifiers_and_sigterm_ends_it(cli: Cli) -> None:
    process = cli.start("serve", "exact", "probe/length", "--workers", "1")
    line = read_line(process.stdout)
    assert line.startswith("listening on 127.0.0.1:")
    assert line.endswith(" verifiers=exact,probe/length")
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (0, "")


def test_a_server_that_cannot_start_gives_standard_output_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reward_servers.cli._serve._runs_as_module", lambda: True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        before = sys.stdout, os.fstat(1)
        with warnings.catch_warnings():
            warnings.simplefilter("error", ResourceWarning)
            assert run(["serve", "exact", "--port", str(taken.getsockname()[1])]) == 2
            gc.collect()
        assert (sys.stdout, os.fstat(1)) == before


def _answers(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_server_that_was_started_without_standard_streams_serves(closed: str, cli: Cli) -> None:
    with kept_port() as port:
        command = shlex.join([*COMMAND, "serve", "exact", "--workers", "1", "--port", str(port)])
        process = subprocess.Popen(["sh", "-c", f"exec {command} {closed}"], cwd=cli.folder, env=cli.env)
        try:
            wait_until(lambda: _answers(port) or process.poll() is not None, "the server")
            assert process.poll() is None
            cli.run("try", "exact", "--endpoint", f"127.0.0.1:{port}", "--response", "4", "--reference", "4")
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("    while True:\n        try:\n            await asyncio.sleep(60)\n        except asyncio.CancelledError:\n"
         "            pass\n", "LoopExecutor"),
        ("    await asyncio.to_thread(time.sleep, 600)\n    return 1.0\n", "_0"),
    ],
)  # fmt: skip
def test_what_a_verifier_never_ends_does_not_keep_a_stopped_server(cli: Cli, body: str, named: str) -> None:
    cli.write(
        "endless.py",
        "import asyncio, time\n"
        "from reward_servers import Rollout, verifier\n"
        "@verifier('endless', version='1')\n"
        f"async def judge(rollout: Rollout) -> float:\n{body}",
    )
    cli.write("server.toml", "[item_limits.endless]\nwall_s = 1\n[server]\ndrain_timeout_s = 1\n")
    process = cli.start("serve", "endless:judge", "--config", "server.toml")
    address = read_line(process.stdout).split()[2]
    cli.run("try", "endless", "--endpoint", address, "--response", "x", code=1)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert named in said


def test_the_console_script_serves_too(cli: Cli) -> None:
    script = shutil.which("assay", path=str(Path(sys.executable).parent))
    assert script is not None
    with subprocess.Popen(
        [script, "serve", "exact", "--workers", "1"], cwd=cli.folder, stdout=subprocess.PIPE, text=True
    ) as process:
        assert "verifiers=exact" in read_line(process.stdout)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_a_verifier_of_the_working_directory_is_served_by_its_path(cli: Cli) -> None:
    cli.write(
        "mine.py",
        "from reward_servers import Rollout, verifier\n"
        "@verifier('mine', version='1')\n"
        "def judge(rollout: Rollout) -> bool:\n"
        "    return True\n",
    )
    address = cli.serve("mine:judge")
    (row,) = json.loads(cli.run("list", "--endpoint", address, "--json").stdout)
    assert (row["name"], row["origin"]) == ("mine", "mine:judge")


def test_refusals_name_the_remedy(cli: Cli) -> None:
    assert "Did you mean 'math'?" in cli.error("serve", "maths")
    assert "pip install -e" in cli.error("serve", "nosuch")
    assert cli.error("serve", "probe/refuses").endswith("a thing is missing here; install the missing thing")
    assert "--insecure" in cli.error("serve", "exact", "--host", "0.0.0.0")
    assert "missing.toml" in cli.error("serve", "exact", "--config", "missing.toml")
    port = cli.serve("exact").rpartition(":")[2]
    assert port in cli.error("serve", "exact", "--port", port)


def test_list_shows_what_is_installed_and_what_cannot_be_loaded(cli: Cli) -> None:
    rows = {row["name"]: row for row in json.loads(cli.run("list", "--json").stdout)}
    assert {"exact", "math", "probe/length"} <= rows.keys()
    probe = rows["probe/length"]
    assert (probe["version"], probe["scope"], probe["runs"]) == ("3", "rollout", "process")
    assert probe["origin"] == "assay-probe 0.1, assay_probe:length"
    assert {rows[name]["state"] for name in ("exact", "probe/length", "code")} == {"ready"}
    assert rows["similarity"]["state"] == "settings"
    assert "path: is missing; see [verifiers.similarity] in a settings file" in rows["similarity"]["problem"]
    assert "probe/length" in cli.run("list").stdout


def test_a_broken_package_does_not_hide_the_others(cli: Cli, tmp_path: Path) -> None:
    metadata = tmp_path / "other" / "broken-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(
        "[assay.verifiers]\nbroken = nowhere_to_be_found:broken\nrotten = rotten:rotten\n"
    )
    (metadata.parent / "rotten.py").write_text("rotten = undefined_name\n")
    cli.env["PYTHONPATH"] += f":{metadata.parent}"
    rows = {row["name"]: row for row in json.loads(cli.run("list", "--json").stdout)}
    assert "nowhere_to_be_found" in rows["broken"]["problem"]
    assert "undefined_name" in rows["rotten"]["problem"]
    assert rows["exact"]["problem"] == ""
    assert "rotten:rotten cannot be loaded: NameError" in cli.error("serve", "rotten")


def test_a_verifier_that_needs_the_sandbox_is_missing_where_there_is_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses() -> None:
        raise sandbox.SandboxUnavailableError("namespaces", "allow them", "forbidden")

    # All verifiers are loaded before: a module that is loaded meanwhile would keep what refuses.
    assert run(["list", "--json"]) == 0
    capsys.readouterr()
    monkeypatch.setattr("sandbox.open_sandbox", refuses)
    _list._sandbox_lack.cache_clear()
    assert run(["list", "--json"]) == 0
    _list._sandbox_lack.cache_clear()
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert (rows["code"]["state"], rows["exact"]["state"]) == ("missing", "ready")
    assert "allow them" in rows["code"]["problem"]


def test_list_of_a_running_server(cli: Cli) -> None:
    address = cli.serve("exact", "probe/length")
    rows = {row["name"]: row for row in json.loads(cli.run("list", "--endpoint", address, "--json").stdout)}
    assert rows.keys() == {"exact", "probe/length"}
    assert rows["probe/length"]["score_range"] == [0.0, 1000.0]
    assert rows["probe/length"]["options_schema"]["properties"]["by"]["default"] == 0.0
    assert rows["exact"]["digest"].startswith("sha256:")
    assert "no reward server answers" in cli.error("list", "--endpoint", "127.0.0.1:1")


def test_a_verifier_whose_extra_is_not_installed_refuses_to_start(cli: Cli) -> None:
    said = cli.error("serve", "probe/needy")
    assert "probe/needy needs assay-not-there>=1 (not installed), typer>=1000 (" in said
    assert said.endswith("install it with: pip install 'assay-probe[rare]'")
    rows = {row["name"]: row for row in json.loads(cli.run("list", "--json").stdout)}
    assert "assay-not-there" in rows["probe/needy"]["problem"]
    assert rows["probe/needy"]["state"] == "missing"
    assert not rows["exact"]["problem"]


def test_math_does_not_start_without_what_its_harder_items_need(cli: Cli) -> None:
    metadata = cli.folder / "old" / "python_flint-0.1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: python-flint\nVersion: 0.1\n")
    cli.env["PYTHONPATH"] = f"{metadata.parent}:{cli.env['PYTHONPATH']}"
    said = cli.error("serve", "math")
    assert "math needs python-flint>=0.6 (0.1)" in said
    assert "pip install 'assay[math]'" in said
