"""What a command reads, or has just written, is never written over: each case is refused before a server starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from reward_servers.cli import run

ROWS = '{"response": "a", "reference": "a"}\n'
RECIPE = '[servers.s]\nverifiers = ["exact"]\nconfig = "set.toml"\n[rewards.a]\nverifier = "exact"\n'
FILES = {
    **dict.fromkeys(("in.jsonl", "data/train-00000.jsonl", "data/train-00001.jsonl"), ROWS),
    **{f"out/{name}": ROWS for name in ("rollouts.jsonl", "report.json", "pairs.jsonl", "requests.jsonl")},
    "r.toml": RECIPE,
    "set.toml": "[server]\nport = 0\n",
    "arrays.npz": "",
    "steps/step-1.jsonl": ROWS,
}
EXACT = ["--verifier", "exact"]
# The command line, and what it would write over.
CASES: dict[str, tuple[list[str], str]] = {
    **{
        f"{name} of a folder of results": (["score", f"out/{name}", *EXACT, "-o", "out/"], "the input")
        for name in ("rollouts.jsonl", "report.json", "pairs.jsonl", "requests.jsonl")
    },
    "a link to such a file": (["score", "in.jsonl", *EXACT, "-o", "linked/"], "the input"),
    "a file of a pattern": (["score", "data/*.jsonl", *EXACT, "-o", "data/train-00000.jsonl"], "the input"),
    "a file of a folder": (["score", "data", *EXACT, "-o", "data/train-00001.jsonl"], "the input"),
    "a file of a joined folder": (
        ["score", "in.jsonl", "--join", "data", *EXACT, "-o", "data/train-00001.jsonl"],
        "the joined file",
    ),
    "settings": (["score", "in.jsonl", *EXACT, "--config", "set.toml", "-o", "set.toml"], "the settings"),
    "settings of the recipe": (
        ["score", "in.jsonl", "-r", "r.toml", "--state", "set.toml"],
        "the settings of server 's'",
    ),
    "the results by the state": (["score", "in.jsonl", *EXACT, "-o", "x.jsonl", "--state", "x.jsonl"], "the results"),
    "what is kept by the state": (
        ["score", "in.jsonl", *EXACT, "-o", "x.jsonl", "--resume", "--state", "x.jsonl.partial"],
        "the results",
    ),
    "a file of results by the state": (
        ["score", "in.jsonl", *EXACT, "-o", "new/", "--state", "new/report.json"],
        "the results",
    ),
    "the input by the state": (["score", "in.jsonl", *EXACT, "--state", "in.jsonl"], "the input"),
    "the page by the state": (["score", "in.jsonl", *EXACT, "--report", "x", "--state", "./x"], "the page"),
    "a file of results by the page": (
        ["score", "in.jsonl", *EXACT, "-o", "new/", "--report", "new/rollouts.jsonl"],
        "the results",
    ),
    "scored rows of a folder": (["report", "out", "-o", "out/rollouts.jsonl"], "the scored file"),
    "scored rows of a record": (["report", "steps", "-o", "steps/step-1.jsonl"], "the scored file"),
    "rows of a step": (["data", "noise", "data/*.jsonl", "-o", "data/train-00000.jsonl"], "the input"),
    "settings of a server that is started": (
        ["up", "r.toml", "--endpoints-file", "set.toml"],
        "the settings of server 's'",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_read_or_written_is_not_written_over(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for path, text in FILES.items():
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_text(text)
    Path("linked").mkdir()
    Path("linked/pairs.jsonl").symlink_to("../in.jsonl")
    arguments, what = CASES[name]
    assert run(arguments) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"that is {what}, which would be overwritten; choose another name" in error
    assert {path: Path(path).read_text() for path in FILES} == FILES


def test_a_page_in_the_folder_of_results_is_written_again(tmp_path: Path) -> None:
    scored = '{"rollout_id": "r", "group_id": "g", "scores": {"a": 1.0}, "codes": {"a": ""}, "reward": 1.0}\n'
    (tmp_path / "rollouts.jsonl").write_text(scored)
    for _ in range(2):
        assert run(["report", str(tmp_path), "-o", str(tmp_path / "report.html")]) == 0
