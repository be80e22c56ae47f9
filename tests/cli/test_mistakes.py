"""What people get wrong at the command line: each is told where it is, why, and what to do instead."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from reward_servers.cli import run

ROW = '{"response": "a", "reference": "a", "group_id": "g"}\n'

FILES = {
    "IN": ("in.jsonl", ROW),
    "BAD": ("bad.toml", "[server]\nprot = 50051\n"),
    "HEADER": ("header.csv", "a,b\n"),
    "PORTLESS": ("portless.json", '{"exact": ["127.0.0.1"]}'),
    "KEYS": ("keys.toml", '[verifiers.exact]\nmodle = "x"\n'),
    "DATE": ("date.toml", "[verifiers.judge]\nsince = 2026-11-30\n"),
    "REGISTRY": ("registry.toml", '[registry]\nendpoints = ["10.0.0.9:50040", "registry://10.0.0.9:50040"]\n'),
    "TABLE": ("table.toml", "[item_limits.exat]\ncpu_s = 1.0\n"),
    "RECIPE": ("recipe.toml", '[rewards.a]\nverifier = "exact"\n'),
    "EMPTY": ("empty.jsonl", ""),
    "STEEP": ("steep.toml", f"x = {'[' * 3000}{']' * 3000}"),
    "LONG": ("long.toml", f"[server]\nport = 1{'0' * 400}\n"),
    "DEEP": ("deep.json", "[" * 100_000),
    "NUL": ("nul.json", r'{"exact": ["a\u0000b:50785"]}'),
    "DRAINED": ("drained.json", '{"exact": []}'),
    "TYPO": ("typo.json", '{"exat": ["127.0.0.1:1"]}'),
}
# The command line, with names of files; PORT is a port that is taken. Then words of the error.
MISTAKES: dict[str, tuple[list[str], list[str]]] = {
    "a verifier's name": (["serve", "exat"], ["no verifier 'exat'", "Did you mean 'exact'?", "assay list"]),
    "a verifier's name without a recipe": (["score", "IN", "--verifier", "exat"], ["--verifier exat", "'exact'"]),
    "a version without a recipe": (
        ["score", "IN", "--verifier", "exact@7"],
        ["--verifier exact@7", "has version", 'write "exact@'],
    ),
    "an option without a recipe": (
        ["score", "IN", "--verifier", "format", "--options", '{"tagz": ["a"]}'],
        ["--options.tagz", "did you mean tags?"],
    ),
    "a port in use": (["serve", "exact", "--port", "PORT"], ["server.port", "in use by another process"]),
    "an address of another host": (
        ["serve", "exact", "--host", "203.0.113.7", "--insecure"],
        ["server.host", "is no address of this host", "0.0.0.0"],
    ),
    "a host that no one knows": (
        ["serve", "exact", "--host", "no-such-host.invalid"],
        ["server.host", "is not known here"],
    ),
    "a date in the settings": (
        ["serve", "exact", "--config", "DATE"],
        ["verifiers.judge.since: cannot be written as JSON", "in quotes"],
    ),
    "a registry's port that is no number": (
        ["serve", "exact", "--host", "0.0.0.0", "--insecure", "--registry", "10.0.0.9:abc"],
        ["registry.endpoints.0: '10.0.0.9:abc' is not the address of a registry; write HOST:PORT"],
    ),
    "a registry without a port": (["serve", "exact", "--registry", "localhost"], ["registry.endpoints.0: 'localhost'"]),
    "a registry's port that cannot be": (
        ["serve", "exact", "--registry", "127.0.0.1:1", "--registry", "127.0.0.1:99999"],
        ["registry.endpoints.1: '127.0.0.1:99999'", "HOST:PORT"],
    ),
    "a registry as clients are given it": (
        ["serve", "exact", "--registry", "registry://127.0.0.1:1"],
        ["registry.endpoints.0: 'registry://127.0.0.1:1'", "without registry://"],
    ),
    "a registry of the settings": (
        ["serve", "exact", "--config", "REGISTRY"],
        ["registry.toml: registry.endpoints.1: 'registry://10.0.0.9:50040'", "HOST:PORT"],
    ),
    "a name that no registry takes": (
        ["serve", "exact", "--registry", "127.0.0.1:1", "--name", "n" * 201],
        ["registry.name: ", "at most 200 characters"],
    ),
    "a key of the settings": (["serve", "exact", "--config", "BAD"], ["server.prot", "did you mean port?"]),
    "settings without an end": (
        ["serve", "exact", "--config", "STEEP"],
        ["steep.toml: it is nested too deeply to be read"],
    ),
    "settings with a number that is none": (
        ["serve", "exact", "--config", "LONG"],
        ["long.toml: server.port: the whole number has more than 64 bits"],
    ),
    "a recipe without an end": (["score", "IN", "-r", "STEEP"], ["steep.toml:1: it is nested too deeply to be read"]),
    "options without an end": (
        ["score", "IN", "--verifier", "exact", "--options", "[" * 100_000],
        ["--options: not JSON: "],
    ),
    "a reference without an end": (
        ["try", "exact", "--response", "a", "--reference", '{"a":' * 20_000],
        ["--reference: it begins like a JSON object, but is not one"],
    ),
    "a state without an end": (
        ["score", "IN", "--verifier", "exact", "--state", "DEEP"],
        ["--state ", "deep.json: not a state (", "remove the file to begin without a state"],
    ),
    "labels that are not there": (["check", "exact", "--cases", "IN"], ["no case has a label in expected.score"]),
    "the input as output": (
        ["score", "IN", "--verifier", "exact", "-o", "IN"],
        ["the input, which would be overwritten"],
    ),
    "a place where nothing can be written": (
        ["score", "IN", "--verifier", "exact", "-o", "/proc/x.jsonl"],
        ["--out /proc/x.jsonl: it cannot be written there", "choose another folder"],
    ),
    "a folder that is not there": (
        ["score", "IN", "--verifier", "exact", "-o", "/no-such-folder/x.jsonl"],
        ["--out /no-such-folder/x.jsonl", "create it first"],
    ),
    "results and page in one file": (
        ["score", "IN", "--verifier", "exact", "-o", "x.html.jsonl", "--report", "./x.html.jsonl"],
        ["--report x.html.jsonl: that is the results, which would be overwritten"],
    ),
    "a spreadsheet as output": (
        ["score", "IN", "--verifier", "exact", "-o", "x.xlsx"],
        ["--out x.xlsx: results are written as JSON Lines (.jsonl), .csv or .parquet"],
    ),
    "a compressed table of another kind": (
        ["score", "IN", "--verifier", "exact", "-o", "x.tsv.gz"],
        ["--out x.tsv.gz: results are written as"],
    ),
    "fields of rollouts without a file": (
        ["score", "IN", "--verifier", "exact", "--keep"],
        ["--keep adds to the rollouts that are written", "give --out"],
    ),
    "evidence without a file": (
        ["score", "IN", "--verifier", "exact", "--evidence"],
        ["--evidence adds", "give --out"],
    ),
    "an id without a second file": (
        ["score", "IN", "--verifier", "exact", "--on", "id"],
        ["--on id: names the id that joins a second file", "give --join FILE"],
    ),
    "a step that no message carries": (
        ["score", "IN", "--verifier", "exact", "--step", "99999999999999999999"],
        ["'--step': "],
    ),
    "a name of a run that is no text": (
        ["score", "IN", "--verifier", "exact", "--run", "\udcff"],
        ["'--run': it is not valid UTF-8"],
    ),
    "a tolerance that is no number": (
        ["score", "IN", "--verifier", "exact", "--tolerance", "nan"],
        ["'--tolerance': "],
    ),
    "an endless pause": (["top", "127.0.0.1:1", "--interval-s", "inf"], ["'--interval-s': "]),
    "a pause that no timer takes": (["top", "127.0.0.1:1", "--interval-s", "1e300"], ["'--interval-s': "]),
    "an endless wait": (
        ["register", "a", "--endpoint", "127.0.0.1:1", "--timeout-s", "inf"],
        ["'--timeout-s': "],
    ),
    "a wait that is no number": (["health", "127.0.0.1:1", "--timeout-s", "nan"], ["'--timeout-s': "]),
    "rollouts without end": (
        ["plan", "IN", "--verifier", "exact", "--rollouts-per-step", "1" + "0" * 400, "--step-s", "1"],
        ["'--rollouts-per-step': "],
    ),
    "standard input twice": (
        ["score", "-", "--join", "-", "--verifier", "exact"],
        ["--join -: standard input is the input already", "as a file"],
    ),
    "arrays without a method": (
        ["score", "IN", "--verifier", "exact", "--arrays", "IN"],
        ["--arrays is for the method of a recipe", "remove --arrays"],
    ),
    "a comparison of what was never scored": (
        ["compare", "IN", "IN"],
        ["in.jsonl: row 1: rollout_id: is missing", "give a file that `assay score` wrote"],
    ),
    "a comparison with an empty file": (["compare", "EMPTY", "EMPTY"], ["empty.jsonl: it has no rows"]),
    "a header alone": (["score", "HEADER", "--verifier", "exact"], ["header.csv: it has no rows"]),
    "an address without a port": (
        ["score", "IN", "--verifier", "exact", "--endpoints-file", "PORTLESS"],
        ["server 'exact'", "'127.0.0.1' is not an address such as"],
    ),
    "a server of which no replica is left": (
        ["score", "IN", "--verifier", "exact", "--endpoints-file", "DRAINED"],
        ["drained.json: server 'exact' has no address at present", "wait until one of its replicas serves"],
    ),
    "the same in the check of a recipe": (
        ["recipe", "RECIPE", "--endpoints-file", "DRAINED"],
        ["drained.json: server 'exact' has no address at present"],
    ),
    "a list where one server is asked": (
        ["register", "exact", "--token", "secret", "--endpoint", "127.0.0.1:1", "--endpoint", "registry://10.0.0.9:1"],
        ["--endpoint registry://10.0.0.9:1: that is a list of servers; give HOST:PORT of one server"],
    ),
    "a file where one server is asked": (
        ["list", "--endpoint", "file:math.json"],
        ["--endpoint file:math.json: that is a list of servers; give HOST:PORT of one server"],
    ),
    "a file of endpoints without an end": (
        ["top", "--endpoints-file", "DEEP"],
        ["deep.json: JSON that is nested too deep", "expected an object such as"],
    ),
    "an address with a character that none has": (
        ["score", "IN", "--verifier", "exact", "--endpoints-file", "NUL"],
        ["server 'exact'", r"'a\x00b:50785' is not an address such as"],
    ),
    "a server's name in a file of endpoints": (
        ["score", "IN", "--verifier", "exact", "--endpoints-file", "TYPO"],
        ["'exat' is not a server of the recipe", "did you mean 'exact'?"],
    ),
    "a name for a new verifier": (["new", "Bad/Name"], ["'Bad/Name' is not a verifier name", "acme/polite"]),
    "a server that is not there": (["health", "127.0.0.1:1"], []),
    "a server without a port": (
        ["score", "IN", "--verifier", "exact", "--endpoint", "127.0.0.1"],
        ["--endpoint: '127.0.0.1' is not an address such as"],
    ),
    "a port that cannot be": (
        ["score", "IN", "--verifier", "exact", "--endpoint", "127.0.0.1:99999"],
        ["--endpoint: '127.0.0.1:99999': the port must be between 1 and 65535"],
    ),
    "a server and a file of servers": (
        ["score", "IN", "--verifier", "exact", "--endpoint", "127.0.0.1:1", "--endpoints-file", "TYPO"],
        ["--endpoint and --endpoints-file both give the addresses of servers; use only one"],
    ),
    "settings for a server that runs": (
        ["score", "IN", "--verifier", "exact", "--endpoint", "127.0.0.1:1", "--config", "KEYS"],
        ["--config is for a server that this command starts", "remove --config"],
    ),
    "settings beside a recipe": (
        ["score", "IN", "-r", "RECIPE", "--config", "KEYS"],
        ["--config is only for --verifier", '[servers.NAME] config = "FILE"'],
    ),
    "settings that are not there": (
        ["score", "IN", "--verifier", "exact", "--config", "none.toml"],
        ["--config: ", "none.toml: No such file", "give the path of a TOML file"],
    ),
    "settings that a verifier does not take": (
        ["score", "IN", "--verifier", "exact", "--config", "KEYS"],
        ["--config: verifiers.exact: the verifier takes no settings; remove modle"],
    ),
    "settings of a mistyped verifier": (
        ["score", "IN", "--verifier", "exact", "--config", "TABLE"],
        ["--config: item_limits.exat: there is no such verifier; did you mean exact?"],
    ),
    "the same settings of a server": (
        ["serve", "exact", "--config", "TABLE"],
        ["item_limits.exat: there is no such verifier; did you mean exact?"],
    ),
    "a judge without a model": (
        ["score", "IN", "--verifier", "judge"],
        ["--verifier judge: ", "give one judge: base_url and model", "[verifiers.judge] in a file (--config)"],
    ),
    "a verifier given twice": (
        ["score", "IN", "--verifier", "exact", "--verifier", "exact@2"],
        ["--verifier exact is given 2 times", "write a recipe"],
    ),
    "a field that no rollout has": (
        ["score", "IN", "--verifier", "exact", "--map", "anwser=x"],
        ["'anwser' is not a field of a rollout", "reference"],
    ),
    "a recipe that is not there": (["score", "IN", "-r", "none.toml"], ["none.toml: No such file"]),
    "neither a recipe nor a verifier": (["score", "IN"], ["--recipe", "--verifier"]),
    "a paper's name": (["methods", "grpoo"], ["did you mean", "grpo"]),
}


ANSWERED_NO = ("labels that are not there", "a server that is not there")


def _told(words: list[str], folder: Path, port: int) -> list[str]:
    places = {name: folder / file for name, (file, _) in FILES.items()} | {"PORT": port}
    return [str(places.get(word, word)) for word in words]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_place_and_remedy(
    mistake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reward_servers.cli._serve._runs_as_module", lambda: True)
    command, words = MISTAKES[mistake]
    for name, text in FILES.values():
        (tmp_path / name).write_text(text)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        code = run(_told(command, tmp_path, taken.getsockname()[1]))
    said = capsys.readouterr().err
    assert code == (1 if mistake in ANSWERED_NO else 2), said
    for word in words:
        assert word in said
    assert "Traceback" not in said


def test_an_error_is_an_object_where_json_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.jsonl").write_text(ROW)
    assert run(["score", f"{tmp_path}/in.jsonl", "--verifier", "exact", "--json", "--map", "x=y"]) == 2
    said = capsys.readouterr()
    assert "'x' is not a field" in json.loads(said.out)["error"]
    assert said.err.startswith("error: ")
