"""What is wrong with a recipe is said when it is loaded: all of it, with lines, before a server is started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reward_servers.cli import run
from reward_servers.recipes.ranges import Range, reward_range
from reward_servers.recipes.schema import schema_problem
from tests.cli.conftest import Cli
from trainer_client import Recipe

# What is written, and for each mistake its line, key, and some words.
WRONG: list[tuple[str, list[tuple[int, str, str]]]] = [
    ('[rewards.a]\nverifier = "exat"', [(2, "rewards.a.verifier", "Did you mean 'exact'?")]),
    ('[rewards.a]\nverifier = "exact@7"', [(2, "rewards.a.verifier", 'write "exact@')]),
    (
        '[rewards.a]\nverifier = "format"\noptions = { tagz = ["x"] }',
        [(3, "rewards.a.options.tagz", "did you mean tags?")],
    ),
    (
        '[rewards.a]\nverifier = "length"\noptions = { max = { from = 9, to = 1, stesp = 3 } }',
        [(3, "rewards.a.options.max", "what follows the step is written { from = 4000, to = 1000, steps = 300 }")],
    ),
    ('[rewards.a]\nverifier = "format"\noptions = { tags = 3 }', [(3, "rewards.a.options.tags", "valid array")]),
    ('[rewards.a]\nverifier = "exact"\ngate = { at_least = 3.0 }', [(3, "rewards.a.gate", "never opens")]),
    (
        '[rewards.a]\nverifier = "exact"\nweight = 0\nrequired = false',
        [(1, "advantage", "is always 0, since every weight is, and nothing would be learned")],
    ),
    (
        'advantage = ["grpo", "rloo"]\n[rewards.a]\nverifier = "exact"',
        [(1, "advantage", "rloo makes advantages of its own, and those of grpo would be lost")],
    ),
    (
        '[rewards.a]\nverifier = "exact"\non_missing = { judge_unavailble = "drop_group" }',
        [(3, "rewards.a.on_missing.judge_unavailble", "did you mean judge_unavailable?")],
    ),
    (
        '[rewards.a]\nverifier = "exact"\n[servers.s]\nverifiers = ["exact", "lenght"]',
        [(4, "servers.s.verifiers", "Did you mean 'length'?")],
    ),
    (
        '[rewards.a]\nverifier = "exact"\n[servers.s]\nverifiers = ["exact"]\nconfig = "none.toml"',
        [(5, "servers.s.config", "give the path of a TOML file")],
    ),
    (
        '[rewards.a]\nverifier = "similarity"',
        [(2, "rewards.a.verifier", 'path: is missing; see [verifiers.similarity] in a file, named by config = "FILE"')],
    ),
    (
        '[rewards.a]\nverifier = "judge"\n[servers.s]\nverifiers = ["judge"]',
        [(3, "servers.s.config", "see [verifiers.judge] in a file, named by config")],
    ),
    (
        'advantage = "asymmetric_shaping"\n[rewards.a]\nverifier = "exact"\nweight = 2\n'
        '[rewards.b]\nverifier = "exact"',
        [(1, "advantage", "may be 0 to 3; multiply the weights by 0.3333")],
    ),
    ('advantage = "dno"\n[rewards.a]\nverifier = "exact"', [(1, "advantage", "times = 6")]),
    (
        'advantage = "dno"\n[inputs]\nrewards = { from = "a", times = 4.0 }\n[rewards.a]\nverifier = "exact"',
        [(3, "inputs.rewards", "counts rewards of at least min_score = 5")],
    ),
    (
        'advantage = "c_grpo"\n[inputs]\nrubric_rewards = "a.lenght"\n[rewards.a]\nverifier = "length"\n'
        "options = { max = 10 }",
        [(3, "inputs.rubric_rewards", "did you mean length?")],
    ),
    (
        'advantage = "c_grpo"\n[inputs]\nrubric_reward = "a"\nlengths = "b"\n[rewards.a]\nverifier = "exact"',
        [(3, "inputs.rubric_reward", "did you mean rubric_rewards"), (4, "inputs.lengths", "'b' is not a source")],
    ),
    (
        'advantage = ["hapo", "weighted_sum"]\n[inputs]\ncomponents = ["stage.hapo", "a"]\n'
        '[rewards.a]\nverifier = "exact"',
        [(3, "inputs.components", "stage.hapo is a whole input and cannot be a column of a list; name it alone")],
    ),
    (
        '[rewards.a]\nverifier = "exat"\nwieght = 2\n[rewards.b]\nverifier = "exact@9"\n'
        '[rewards.c]\nverifier = "exact"\ndeadline_s = "x"\n[server.d]\n',
        [
            (3, "rewards.a.wieght", "did you mean weight?"),
            (5, "rewards.b.verifier", "and 9 is asked for"),
            (8, "rewards.c.deadline_s", "expected a number"),
            (9, "server", "did you mean servers?"),
        ],
    ),
]


@pytest.mark.parametrize(("text", "wrong"), WRONG, ids=[case[1][0][1] for case in WRONG])
def test_everything_that_is_wrong_is_said_with_its_line(
    text: str, wrong: list[tuple[int, str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    assert run(["recipe", str(path)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == len(wrong)
    for line, (number, key, words) in zip(said, wrong, strict=True):
        assert line.startswith(f"{path}:{number}: {key}: ")
        assert words in line
    assert run(["recipe", str(path), "--json"]) == 2
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert [(one["line"], one["key"]) for one in problems] == [(number, key) for number, key, _ in wrong]


@pytest.mark.parametrize(("text", "wrong"), WRONG, ids=[case[1][0][1] for case in WRONG])
def test_no_command_begins_with_such_a_recipe(
    text: str, wrong: list[tuple[int, str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def started(*_: Any, **__: Any) -> None:
        raise AssertionError("a server was started")

    monkeypatch.setattr("reward_servers.supervisor.supervisor.Supervisor.__aenter__", started)
    path = tmp_path / "r.toml"
    path.write_text(text)
    (tmp_path / "in.jsonl").write_text('{"response": "a", "reference": "a", "group_id": "g"}\n')
    for command in (["score", f"{tmp_path}/in.jsonl", "-r", str(path)], ["up", str(path)], ["gateway", str(path)]):
        assert run(command) == 2, command
        said = capsys.readouterr().err
        assert f"error: {path}:" in said, command
        assert len(wrong) == 1 or f"`assay recipe {path}` lists them" in said


def test_an_aspect_of_another_number_is_no_slip_and_one_with_another_name_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.toml"
    text = (
        'advantage = "dense_grpo"\n[inputs]\nprefix_scores = ["a.prefix_0", "a.prefix_1", "a.prefix_12"]\n'
        'steps = "extra.steps"\n[rewards.a]\nverifier = "prefixes"\noptions = { verifier = "item_set" }\n'
    )
    path.write_text(text)
    assert run(["recipe", str(path)]) == 0
    path.write_text(text.replace("prefix_12", "prefx_2"))
    assert run(["recipe", str(path)]) == 2
    assert "no aspect 'prefx_2'; did you mean prefix_0?" in capsys.readouterr().err


def test_what_it_means_is_said_for_each_reward_and_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.toml"
    path.write_text(
        'advantage = ["dynamic_sampling", "c_grpo"]\n[inputs]\nrubric_rewards = "metadata.rubric"\n'
        '[rewards.right]\nverifier = "exact"\n[rewards.short]\nverifier = "length"\noptions = { max = 10 }\n'
        'weight = 0\ntasks = ["math"]\nrequired = false\n'
    )
    assert run(["recipe", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"]
    rewards = {one["reward"]: one for one in found["rewards"]}
    assert rewards["right"]["verifier"].startswith("exact@")
    assert (rewards["short"]["weight"], rewards["short"]["tasks"]) == ("0 (monitor)", "math")
    assert rewards["short"]["aspects"] == ["length"]
    assert found["range"] == "0 to 1"
    sources = {one["input"]: one["source"] for one in found["method"]["inputs"]}
    assert sources["rubric_rewards"] == "metadata.rubric"
    assert sources["rewards"] == "the weighted sum of the rewards"
    assert run(["recipe", str(path)]) == 0
    assert "metadata.rubric" in capsys.readouterr().out


def test_what_runs_is_asked_what_it_hosts(cli: Cli) -> None:
    address = cli.serve("exact")
    cli.write("e.json", json.dumps({"exact": [address]}))
    cli.write(
        "r.toml",
        '[rewards.a]\nverifier = "exact@99"\n[rewards.b]\nverifier = "exact"\noptions = { cases = 1 }\n'
        '[rewards.c]\nverifier = "exat"\n[servers.exact]\nverifiers = ["exact", "exat"]\n',
    )
    first, second, third = cli.run("recipe", "r.toml", "--endpoints-file", "e.json", code=2).stderr.splitlines()
    assert "r.toml:2: rewards.a.verifier: exact has version" in first
    assert address in first
    assert "r.toml:5: rewards.b.options" in second
    assert "r.toml:7: rewards.c.verifier" in third
    assert "did you mean 'exact'?" in third
    cli.write("r.toml", '[rewards.a]\nverifier = "exact"\n')
    cli.write("e.json", json.dumps({"exact": ["127.0.0.1:9"]}))
    assert "server 'exact': not asked what it hosts" in cli.run("recipe", "r.toml", "--endpoints-file", "e.json").stderr


def test_a_verifier_that_no_package_announces_is_found_beside_the_recipe(cli: Cli) -> None:
    folder = cli.folder / "mine"
    folder.mkdir()
    (folder / "beside.py").write_text(
        "from reward_servers import Rollout, verifier\n\n\n"
        '@verifier("me/short", version="1")\n'
        "def short(rollout: Rollout) -> bool:\n"
        '    """Whether the response is short."""\n'
        "    return len(rollout.response) < 3\n"
    )
    (folder / "r.toml").write_text('advantage = "none"\n[rewards.brief]\nverifier = "beside:short"\n')
    rows = cli.rollouts("in.jsonl", {"response": "ab"}, {"response": "abcd"})
    assert "me/short@1" in cli.run("recipe", "mine/r.toml").stdout
    lines = cli.run("score", rows, "-r", "mine/r.toml", "-o", "-").stdout.splitlines()
    assert [json.loads(line)["scores"] for line in lines] == [{"brief": 1.0}, {"brief": 0.0}]
    # The same recipe asks a server that was started by itself, whichever name it is known by there.
    cli.write("beside.py", (folder / "beside.py").read_text())
    cli.write("e.json", json.dumps({"beside:short": [cli.serve("beside:short")]}))
    lines = cli.run("score", rows, "-r", "mine/r.toml", "--endpoints-file", "e.json", "-o", "-").stdout.splitlines()
    assert [json.loads(line)["scores"] for line in lines] == [{"brief": 1.0}, {"brief": 0.0}]
    (folder / "r.toml").write_text('[rewards.brief]\nverifier = "beside:shrt"\n')
    said = cli.error("score", rows, "-r", "mine/r.toml")
    assert "beside:shrt is not a verifier" in said
    assert "there is beside:short" in said
    (folder / "r.toml").write_text('[rewards.brief]\nverifier = "besied:short"\n')
    said = cli.error("score", rows, "-r", "mine/r.toml")
    assert "No module named 'besied'; modules are found in the working directory, beside a recipe, and" in said
    table = '[rewards.brief]\nverifier = "me/short"\n[servers.s]\nverifiers = ["beside:short"]\n'
    (folder / "r.toml").write_text(table)
    said = cli.error("score", rows, "-r", "mine/r.toml")
    assert 'rewards.brief.verifier: the servers have it as beside:short; write verifier = "beside:short"' in said


@pytest.mark.parametrize(
    ("schema", "value", "said"),
    [
        (
            {"properties": {"tags": {}}, "additionalProperties": False},
            {"tagz": 1},
            "o.tagz: there is no such field; did",
        ),
        ({"properties": {"a": {"type": "integer"}}}, {"a": 1.5}, "o.a: expected integer"),
        ({"properties": {"a": {"type": "integer", "minimum": 2}}}, {"a": 1}, "o.a: 1 is not at least 2"),
        ({"properties": {"a": {"enum": ["x", "y"]}}}, {"a": "z"}, "o.a: 'z' is not one of 'x', 'y'"),
        ({"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}, {"a": 1}, "o.a: expected string"),
        ({"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}, {"a": None}, ""),
        ({"properties": {"a": {"type": "array", "items": {"type": "string"}}}}, {"a": ["x", 2]}, "o.a.1: expected"),
        ({"properties": {}, "required": ["a"]}, {}, "o.a: is missing"),
        (
            {"$defs": {"R": {"type": "boolean"}}, "properties": {"a": {"$ref": "#/$defs/R"}}},
            {"a": 1},
            "o.a: expected b",
        ),
    ],
)
def test_a_schema_says_what_does_not_fit(schema: dict[str, Any], value: Any, said: str) -> None:
    found = schema_problem(schema, value, "o")
    assert found.startswith(said) if said else not found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[rewards.a]\nverifier = "v"\nweight = 2\n[rewards.b]\nverifier = "v"\nweight = -1', Range(-1.0, 2.0)),
        # A rollout is of one task: rewards of different tasks are never added.
        ('[rewards.a]\nverifier = "v"\ntasks = ["x"]\n[rewards.b]\nverifier = "v"\ntasks = ["y"]', Range(0.0, 1.0)),
        ('[rewards.a]\nverifier = "v"\ntasks = ["x"]\n[rewards.b]\nverifier = "v"', Range(0.0, 2.0)),
        ('[rewards.a]\nverifier = "v"\ngate = { at_least = 1.0, closed = -3.0 }', Range(-3.0, 1.0)),
    ],
)
def test_a_rewards_range_follows_weights_gates_and_tasks(text: str, expected: Range) -> None:
    from reward_servers.recipes import Offer

    recipe = Recipe.loads(f'advantage = "none"\n{text}')
    offer = Offer("v", "1", "here", False, 0.0, 1.0, (), lambda _: "")
    assert reward_range(recipe, {reward.name: offer for reward in recipe.rewards}) == expected


def test_a_verifier_is_found_on_any_replica(cli: Cli) -> None:
    """Replicas that are replaced one by one host different things for a while."""
    cli.write(
        "r.toml", '[rewards.a]\nverifier = "length"\noptions = { max = 3 }\n[servers.s]\nverifiers = ["length"]\n'
    )
    addresses = [cli.serve("exact"), cli.serve("length")]
    for order in (addresses, addresses[::-1]):
        cli.write("e.json", json.dumps({"s": order}))
        cli.run("recipe", "r.toml", "--endpoints-file", "e.json")
    cli.write("e.json", json.dumps({"s": [addresses[0], "127.0.0.1:9"]}))
    said = cli.run("recipe", "r.toml", "--endpoints-file", "e.json", code=2).stderr
    assert f"server 's' ({addresses[0]}, 127.0.0.1:9) does not host 'length'; it hosts exact" in said
