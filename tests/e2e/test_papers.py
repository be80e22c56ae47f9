"""The recipes of the papers: each is run by the command in its comment, and gives what the comment works out."""

from __future__ import annotations

import json
import shlex
import subprocess
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from examples.papers.__main__ import recipes_of
from reward_servers.cli import run
from tests.cli.conftest import COMMAND, PATIENCE, read_line
from tests.e2e.test_judge_example import ENDPOINT, ROOT, endpoint
from trainer_client import Recipe
from trainer_client.signals.catalogue import papers

FOLDER = ROOT / "examples" / "papers"
RECIPES = sorted(FOLDER.glob("*.toml"))
RECIPES.remove(FOLDER / "server.toml")
ACCURACY = 1.01e-4
_SHARED = ("server.toml", "reviewer/server.toml", "encoder/server.toml")
_APART = ("panel/server.toml", "ensemble/server.toml")
"""Settings of a judge and of a preference model other than the shared ones: they are served by another process."""


class Run(NamedTuple):
    """A command of a recipe's comment, and what it says comes out."""

    command: list[str]
    expected: dict[str, Any]


def runs_of(recipe: Path) -> list[Run]:
    """The commands in the comment, each with the lines ``#> name = value`` after it."""
    found: list[Run] = []
    lines = recipe.read_text().splitlines()
    comment = lines[: next(place for place, line in enumerate(lines) if not line.startswith("#"))]
    stated: list[list[str]] = []
    for line in comment:
        if line.startswith("#   assay score "):
            found.append(Run(shlex.split(line[1:])[1:], {}))
            stated.append([])
        elif line.startswith("#> "):
            stated[-1].append(line[3:])
    return [Run(one.command, tomllib.loads("\n".join(text))) for one, text in zip(found, stated, strict=True)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Servers of all that the recipes ask, whose judge is the endpoint of the example: the file of their addresses."""
    folder = tmp_path_factory.mktemp("served")
    recipes = [Recipe.load(path) for path in RECIPES]
    servers = [server for recipe in recipes for server in recipe.servers]
    beside = {name for server in servers if server.config not in _APART for name in server.verifiers}
    asked = {reward.verifier for recipe in recipes for reward in recipe.rewards} | beside | {"judge"}
    with (
        endpoint() as url,
        serving(folder / "shared", asked, _SHARED, url) as first,
        serving(folder / "apart", {"judge", "preference"}, _APART, url) as apart,
    ):
        # Both load torch, so they begin side by side.
        shared, other = (read_line(process.stdout).split()[2] for process in (first, apart))
        where = {server.name: other if server.config in _APART else shared for server in servers}
        addresses = {**dict.fromkeys(asked, shared), **where}
        (folder / "endpoints.json").write_text(json.dumps({name: [one] for name, one in addresses.items()}))
        yield folder / "endpoints.json"


@contextmanager
def serving(folder: Path, asked: Collection[str], settings: Sequence[str], url: str) -> Iterator[subprocess.Popen[str]]:
    """A server of some verifiers with these settings files of the recipes; it prints where it is."""
    folder.mkdir()
    text = "\n".join((FOLDER / name).read_text() for name in settings)
    (folder / "server.toml").write_text(text.replace(ENDPOINT, url).replace('"examples/papers/', f'"{FOLDER}/'))
    command = [*COMMAND, "serve", *sorted(asked), "--config", str(folder / "server.toml"), "--workers", "1"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_gives_what_its_comment_works_out(
    recipe: Path, served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = runs_of(recipe)
    assert runs
    for one in runs:
        assert one.expected, "the comment states no result"
        assert one.command[:2] == ["score", one.command[1]]
        assert one.command[3] == f"examples/papers/{recipe.name}"
        monkeypatch.chdir(ROOT)
        command = [word.replace("out/", f"{tmp_path}/out/") for word in one.command]
        code = run([*command, "--endpoints-file", str(served)])
        said = capsys.readouterr()
        assert code == 0, f"{said.out}\n{said.err}"
        assert_stated(one.expected, tmp_path / "out")


def made_before() -> list[tuple[str, list[str]]]:
    """The commands in the comments that make data before a training, each with its recipe's name."""
    return [
        (recipe.stem, shlex.split(line[1:])[1:])
        for recipe in RECIPES
        for line in recipe.read_text().splitlines()
        if line.startswith("#   assay ") and not line.startswith("#   assay score ")
    ]


@pytest.mark.parametrize("command", [pytest.param(command, id=name) for name, command in made_before()])
def test_a_command_of_a_comment_makes_what_comes_before_a_training(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    here = [word.replace("out/", f"{tmp_path}/") for word in command]
    with endpoint("examples.rubrics.endpoint") as url:
        if "--config" in here:
            settings = here.index("--config") + 1
            text = Path(here[settings]).read_text()
            here[settings] = str(tmp_path / "server.toml")
            (tmp_path / "server.toml").write_text(text.replace("http://127.0.0.1:8912/v1", url))
        code = run(here)
    assert code == 0, capsys.readouterr().err
    made = next(word for word in here if word.startswith(f"{tmp_path}/") and not word.endswith("server.toml"))
    assert Path(made).exists()


def test_a_number_that_is_no_label_is_refused(served: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (FOLDER / "empo.toml").read_text().replace('"agreed.cluster"', '"agreed.share"')
    (tmp_path / "empo.toml").write_text(text)
    command = ["score", f"{FOLDER}/votes.jsonl", "-r", f"{tmp_path}/empo.toml", "-o", f"{tmp_path}/out/"]
    assert run([*command, "--endpoints-file", str(served)]) == 1
    assert "0.75 is not a whole number, and this input is a label of groups" in capsys.readouterr().err


def test_the_release_of_c_grpo_leaves_the_rubric_raw(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.9 0.8 0.7 0: mean 0.6, deviation 0.4082."""
    text = (FOLDER / "c-grpo.toml").read_text().replace('name = "c_grpo"', 'name = "release/c_grpo"')
    (tmp_path / "raw.toml").write_text(text.replace('"server.toml"', f'"{FOLDER}/server.toml"'))
    monkeypatch.chdir(ROOT)
    command = ["score", f"{FOLDER}/cited.jsonl", "-r", f"{tmp_path}/raw.toml", "-o", f"{tmp_path}/out/"]
    assert run([*command, "--endpoints-file", str(served)]) == 0
    assert_stated({"advantage": [0.7348, 0.4899, 0.2449, -1.4697]}, tmp_path / "out")


def test_a_judges_words_reach_the_requests(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """ThinkTuning with a judge's reasons: the judge of the example says what it looked for, and did not find."""
    text = (FOLDER / "thinktuning.toml").read_text().replace('guidance = "criteria"', 'guidance = "reasons"')
    (tmp_path / "words.toml").write_text(text)
    asked = {"rubric": [{"id": "right", "text": 'Says "212 km".'}, {"id": "source", "text": 'Names "atlas".'}]}
    said = ["It is 212 km long, says the atlas.", "212 km.", "It is 240 km, says the atlas.", "240 km."]
    rows = [{"prompt": "How long is it?", "response": one, "reference": asked} for one in said]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(ROOT)
    command = ["score", f"{tmp_path}/rows.jsonl", "-r", f"{tmp_path}/words.toml", "-o", f"{tmp_path}/out/"]
    assert run([*command, "--endpoints-file", str(served)]) == 0, capsys.readouterr().err
    requests = {one["rollout_id"]: one for one in lines_of(tmp_path / "out" / "requests.jsonl")}
    told = {name: one["feedback"]["rubric"]["guidance"].splitlines()[1:] for name, one in requests.items()}
    right = "- Meet this: Says \"212 km\". (I looked for '212 km'.)"
    assert told == {"line-3": [right], "line-4": [right, "- Meet this: Names \"atlas\". (I looked for 'atlas'.)"]}


def assert_stated(expected: Mapping[str, Any], out: Path) -> None:
    rows = lines_of(out / "rollouts.jsonl")
    faults = [row["faults"] for row in rows if row.get("faults")]
    assert len(faults) == expected.get("faults", 0), faults
    for name, value in expected.items():
        if name == "faults":
            continue
        if name == "report":
            report = json.loads((out / "report.json").read_text())["report"]
            assert_close({key: report.get(key) for key in value}, value, name)
        elif name in ("pairs", "requests"):
            found = lines_of(out / f"{name}.jsonl")
            assert len(found) == len(value), f"{name}: {found}"
            for one, wanted in zip(sorted_by_names(found), sorted_by_names(value), strict=True):
                details = {key: one["details"][key] for key in wanted.get("details", ())}
                cut = {"details": details} if details else {}
                short = {"chosen": one.get("chosen_id"), "rejected": one.get("rejected_id"), **cut}
                assert_close({key: short[key] if key in short else one[key] for key in wanted}, wanted, name)
        else:
            assert_close([row.get(name) for row in rows], value, name)


def sorted_by_names(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Pairs and requests in one order, whatever the method's."""
    return sorted(found, key=lambda one: [
        str(one.get(f"{key}_id", one.get(key))) for key in ("chosen", "rejected", "rollout_id", "kind")
    ])  # fmt: skip


def assert_close(found: Any, wanted: Any, name: str) -> None:
    if isinstance(wanted, Mapping):
        for key, value in wanted.items():
            assert_close(found[key], value, f"{name}.{key}")
    elif isinstance(wanted, list):
        assert isinstance(found, list), name
        assert len(found) == len(wanted), f"{name}: {found}"
        for place, value in enumerate(wanted):
            assert_close(found[place], value, f"{name}[{place}]")
    elif isinstance(wanted, int | float) and not isinstance(wanted, bool):
        assert found == pytest.approx(wanted, abs=ACCURACY, rel=ACCURACY), name
    else:
        assert found == wanted, name


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_paper_has_a_recipe_and_every_recipe_a_paper() -> None:
    found = {paper.key: recipes_of(paper.key) for paper in papers() if not paper.outside}
    assert [key for key, recipes in found.items() if not recipes] == []
    assert set(RECIPES) - {path for recipes in found.values() for path in recipes} == set()


def test_every_rollout_file_is_used() -> None:
    used = {Path(one.command[1]).name for recipe in RECIPES for one in runs_of(recipe)}
    assert {path.name for path in FOLDER.glob("*.jsonl")} == used
