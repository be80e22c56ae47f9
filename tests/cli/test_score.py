"""``assay score``: files in, scores and advantages out."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import COMMAND, PATIENCE, Cli, read_terminal, servers_of, wait_until

EXACT = '[rewards.right]\nverifier = "exact"\n'


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def answer(response: str, group: str = "g", **more: Any) -> dict[str, Any]:
    return {"response": response, "group_id": group, "reference": {"answer": "4"}, **more}


def test_writes_a_line_per_rollout_in_order_with_advantages(cli: Cli) -> None:
    recipe = cli.write("r.toml", EXACT + '[rewards.long]\nverifier = "probe/length"\nweight = 0.5\ntasks = ["t"]\n')
    source = cli.rollouts(
        "in.jsonl",
        answer("4", "g1", task="t"),
        answer("five", "g2"),
        answer("5", "g1", task="t"),
        answer("4", "g2"),
    )
    done = cli.run("score", source, "--recipe", recipe, "-o", "out.jsonl")
    rows = lines_of(cli.folder / "out.jsonl")
    assert [row["rollout_id"] for row in rows] == ["r0", "r1", "r2", "r3"]
    assert rows[0]["scores"] == {"right": 1.0, "long": 1.0}
    assert rows[1]["scores"] == {"right": 0.0}
    assert rows[0]["codes"]["right"] == "accepted"
    assert rows[0]["notes"]["long"] == "counted"
    assert [row["reward"] for row in rows] == [1.5, 0.0, 0.5, 1.0]
    assert rows[0]["advantage"] > 0 > rows[2]["advantage"]
    assert rows[0]["advantage"] == pytest.approx(-rows[2]["advantage"])
    assert "evidence" not in rows[0]
    assert "probe/length" in done.stdout
    assert "4 rollouts in 2 groups; 4 with a reward" in done.stdout
    shown = {line[:18].strip(): line[18:].split() for line in done.stdout.splitlines()}
    assert shown["zero"][-1] == "0"
    assert shown["pass@2"][0] == "1.0000"


def test_json_is_one_object_with_figures_and_agreement(cli: Cli) -> None:
    recipe = cli.write("r.toml", EXACT)
    source = cli.rollouts(
        "in.jsonl",
        answer("4", expected={"score": 1}),
        answer("5", expected={"score": 1.0}),
        answer("6", expected={"score": None}),
        answer("7", expected={"score": "high"}),
        answer("4", "alone"),
    )
    done = cli.run("score", source, "-r", recipe, "-o", "out.jsonl", "--json", "--evidence")
    outcome = json.loads(done.stdout)
    (reward,) = outcome["rewards"]
    assert reward["mean"] == 0.4
    assert reward["codes"] == {"wrong": 3, "accepted": 2}
    assert reward["agreement"] == {"total": 2, "agree": 1, "false_positive": 0, "false_negative": 1, "unscored": 0}
    assert (outcome["rollouts"], outcome["groups"], outcome["degenerate_groups"]) == (5, 2, 1)
    assert "expected.score" in outcome["label_problems"][0]
    assert lines_of(cli.folder / "out.jsonl")[0]["evidence"]["right"]


def test_lines_that_cannot_be_used_are_reported_and_the_others_scored(cli: Cli) -> None:
    recipe = cli.write("r.toml", EXACT)
    source = cli.rollouts("in.jsonl", answer("4"), answer("5"))
    with source.open("ab") as file:
        file.write(b'{"rollout_id": "x"\n\xff\xfe\n{"rollout_id": "r0", "prompt": "q", "response": "again"}\n')
        file.write(b'{"rollout_id": "y", "prompt": "q", "response": true}\n')
    done = cli.run("score", source, "-r", recipe, "-o", "out.jsonl", "--json")
    outcome = json.loads(done.stdout)
    assert [problem["line"] for problem in outcome["lines_left_out"]] == [3, 4, 5, 6]
    assert "line 4: not UTF-8" in done.stderr
    assert [row["scores"]["right"] for row in lines_of(cli.folder / "out.jsonl")] == [1.0, 0.0]


def test_a_missing_score_is_null_with_its_fault_and_too_many_exit_1(cli: Cli) -> None:
    recipe = cli.write("r.toml", 'max_missing = 0.4\n[rewards.long]\nverifier = "probe/length"\n')
    few = cli.rollouts("few.jsonl", answer("fault"), answer("a"), answer("abc"))
    cli.run("score", few, "-r", recipe, "-o", "few.out")
    first, second, third = lines_of(cli.folder / "few.out")
    assert first["scores"] == {"long": None}
    assert first["faults"]["long"]["party"] == "dataset"
    assert first["faults"]["long"]["code"] == "bad_reference"
    assert (first["reward"], first["advantage"]) == (None, None)
    assert second["advantage"] < 0 < third["advantage"]

    many = cli.rollouts("many.jsonl", answer("fault"), answer("fault"), answer("abc"))
    done = cli.run("score", many, "-r", recipe, "-o", "many.out", "--json", code=1)
    assert "max_missing" in json.loads(done.stdout)["incomplete"]
    rows = lines_of(cli.folder / "many.out")
    assert [row["scores"]["long"] for row in rows] == [None, None, 3.0]
    assert all(row["reward"] is None and row["advantage"] is None for row in rows)


def test_what_a_user_gets_wrong_is_one_line_and_exit_2(cli: Cli) -> None:
    recipe = cli.write("r.toml", EXACT)
    source = cli.rollouts("in.jsonl", answer("4"))
    empty = cli.write("empty.jsonl", "\n{}\n")
    assert "nothere.jsonl" in cli.error("score", "nothere.jsonl", "-r", recipe, "-o", "o")
    assert "no line can be used" in cli.error("score", empty, "-r", recipe, "-o", "o")
    assert "nofolder" in cli.error("score", source, "-r", recipe, "-o", "nofolder/o")
    wrong = cli.write("wrong.toml", '[rewards.a]\nverifier = "exact"\nweight = "high"\n')
    assert "wrong.toml:3" in cli.error("score", source, "-r", wrong, "-o", "o")
    unknown = cli.write("unknown.toml", '[rewards.a]\nverifier = "nosuch"\n')
    assert "no verifier 'nosuch' is installed" in cli.error("score", source, "-r", unknown, "-o", "o")
    options = cli.write("options.toml", '[rewards.a]\nverifier = "probe/length"\noptions = { endpoint = "h:1" }\n')
    assert "endpoint" in cli.error("score", source, "-r", options, "-o", "o")
    away = cli.write("away.json", '{"exact": ["127.0.0.1:1"]}')
    assert "server 'exact'" in cli.error("score", source, "-r", recipe, "-o", "o", "--endpoints-file", away)
    assert "it is a folder" in cli.error("score", source, "-r", recipe, "-o", cli.folder)
    judge = cli.write("judge.toml", '[rewards.a]\nverifier = "judge"\n')
    line = cli.error("score", source, "-r", judge, "-o", "o")
    assert "verifiers.judge: give one judge" in line
    named = 'a file, named by config = "FILE" of a [servers.NAME] with that verifier'
    assert line.endswith(f"see [verifiers.judge] in {named}")
    endpoints = cli.write("endpoints.json", '{"exact": 1}')
    assert "endpoints.json" in cli.error("score", source, "-r", recipe, "-o", "o", "--endpoints-file", endpoints)
    assert not (cli.folder / "o").exists()


def test_servers_that_run_already_are_used(cli: Cli) -> None:
    address = cli.serve("exact")
    recipe = cli.write("r.toml", EXACT)
    endpoints = cli.write("endpoints.json", json.dumps({"exact": [address]}))
    source = cli.rollouts("in.jsonl", answer("4"))
    process = cli.start("score", source, "-r", recipe, "-o", "out.jsonl", "--endpoints-file", endpoints, "-v")
    _, log = process.communicate(timeout=PATIENCE)
    assert (process.returncode, log) == (0, "")
    assert lines_of(cli.folder / "out.jsonl")[0]["scores"] == {"right": 1.0}


def test_a_server_killed_in_the_middle_changes_no_value(cli: Cli) -> None:
    recipe = cli.write("r.toml", '[rewards.slow]\nverifier = "probe/slow"\n')
    source = cli.rollouts("in.jsonl", *(answer(f"{i:0{1 + i % 37}}", f"g{i // 8}") for i in range(300)))
    seen, held = Path(cli.env["PROBE_SEEN"]), cli.folder / "seen.held"

    def score(out: str, kill: bool) -> bytes:
        seen.write_text("")
        if kill:
            # It stays in the middle until it is killed.
            held.write_text("150")
        process = cli.start("score", source, "-r", recipe, "-o", out, "--workers", 2, "-v")
        if kill:
            wait_until(lambda: seen.stat().st_size >= 150, "work under way")
            (server,) = servers_of(process.pid)
            os.kill(server.pid, signal.SIGKILL)
            assert seen.stat().st_size < 300
            held.unlink()
        _, log = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, log
        assert ("ended with signal SIGKILL" in log) == kill
        return (cli.folder / out).read_bytes()

    undisturbed = score("calm.jsonl", kill=False)
    assert len(undisturbed.splitlines()) == 300
    assert score("killed.jsonl", kill=True) == undisturbed


def test_ctrl_c_leaves_no_server_and_no_file(cli: Cli) -> None:
    recipe = cli.write("r.toml", '[rewards.slow]\nverifier = "probe/slow"\n')
    source = cli.rollouts("in.jsonl", *(answer(str(i), f"g{i}") for i in range(2000)))
    process = cli.start("score", source, "-r", recipe, "-o", "out.jsonl", "--workers", 1)
    seen = Path(cli.env["PROBE_SEEN"])
    wait_until(lambda: seen.exists() and seen.stat().st_size > 10, "work under way")
    servers = servers_of(process.pid)
    process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Traceback" not in log
    assert servers
    assert not any(server.is_running() for server in servers)
    assert not (cli.folder / "out.jsonl").exists()


def test_a_recipe_without_advantages_scores_all_the_same(cli: Cli) -> None:
    recipe = cli.write("r.toml", 'advantage = "none"\n' + EXACT)
    cli.run("score", cli.rollouts("in.jsonl", answer("4")), "-r", recipe, "-o", "out.jsonl")
    (row,) = lines_of(cli.folder / "out.jsonl")
    assert (row["reward"], row["advantage"]) == (1.0, None)


def test_output_is_as_readable_as_the_users_other_files(cli: Cli) -> None:
    recipe = cli.write("r.toml", EXACT)
    cli.run("score", cli.rollouts("in.jsonl", answer("4")), "-r", recipe, "-o", "out.jsonl")
    subprocess.run(["touch", "plain"], cwd=cli.folder, check=True)
    assert (cli.folder / "out.jsonl").stat().st_mode == (cli.folder / "plain").stat().st_mode


def test_a_terminal_gets_a_progress_bar_and_a_table(cli: Cli) -> None:
    recipe = cli.write("r.toml", '[rewards.slow]\nverifier = "probe/slow"\n')
    source = cli.rollouts("in.jsonl", *(answer(str(i), f"g{i}") for i in range(100)))
    ours, theirs = os.openpty()
    command = [*COMMAND, "score", str(source), "-r", str(recipe), "-o", "out.jsonl", "--workers", "1"]
    with subprocess.Popen(command, cwd=cli.folder, env=cli.env, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = read_terminal(ours)
    assert process.returncode == 0, shown
    assert "scoring" in shown
    assert "/100" in shown
    assert "probe/slow" in shown


def raw(cli: Cli, name: str, *rows: dict[str, Any]) -> Path:
    path = cli.folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_output_never_destroys_what_is_there(cli: Cli) -> None:
    recipe = cli.write("r.toml", EXACT)
    source = cli.rollouts("in.jsonl", answer("4"), answer("5"))
    before = source.read_text()
    alias = cli.folder / "alias.jsonl"
    alias.symlink_to(source)
    for place, what in (
        (source, "the input"),
        (alias, "the input"),
        (recipe, "the recipe"),
        ("./in.jsonl", "the input"),
    ):
        assert f"that is {what}, which would be overwritten" in cli.error("score", source, "-r", recipe, "-o", place)
    assert source.read_text() == before
    assert recipe.read_text() == EXACT


def test_links_are_followed_and_devices_and_pipes_are_written_to(cli: Cli) -> None:
    recipe = cli.write("r.toml", EXACT)
    source = cli.rollouts("in.jsonl", answer("4"), answer("5"))
    target, link = cli.folder / "target.jsonl", cli.folder / "link.jsonl"
    link.symlink_to(target)
    cli.run("score", source, "-r", recipe, "-o", link)
    assert link.is_symlink()
    assert [row["reward"] for row in lines_of(target)] == [1.0, 0.0]

    device = cli.folder / "null"
    with contextlib.suppress(PermissionError):
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        cli.run("score", source, "-r", recipe, "-o", device)
        assert stat.S_ISCHR(device.stat().st_mode)

    pipe = cli.folder / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    cli.run("score", source, "-r", recipe, "-o", pipe)
    reader.join(PATIENCE)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert len(read[0].splitlines()) == 2


def test_the_output_may_be_left_out_or_be_standard_output(cli: Cli) -> None:
    recipe = cli.write("r.toml", EXACT)
    source = cli.rollouts("in.jsonl", answer("4"), answer("5"))
    before = sorted(cli.folder.iterdir())
    done = cli.run("score", source, "-r", recipe)
    assert "2 rollouts in 1 groups" in done.stdout
    assert "written to" not in done.stdout
    done = cli.run("score", source, "-r", recipe, "-o", "-")
    assert [json.loads(line)["reward"] for line in done.stdout.splitlines()] == [1.0, 0.0]
    assert "2 rollouts in 1 groups" in done.stderr
    assert sorted(cli.folder.iterdir()) == before
    told = cli.run("score", source, "-r", recipe, "-o", "-", "--json", code=2)
    assert "standard output" in told.stderr
    assert "standard output" in json.loads(told.stdout)["error"]


def test_a_file_in_another_shape_is_scored_by_naming_its_columns(cli: Cli) -> None:
    recipe = cli.write("r.toml", EXACT)
    rows = [{"question": f"q{n // 2}", "completion": str(4 + n % 2), "answer": 4, "id": n} for n in range(4)]
    source = raw(cli, "own.jsonl", *rows)
    said = cli.error("score", source, "-r", recipe)
    assert "Columns here: question, completion, answer, id" in said
    proposed = "--map response=completion --map reference.answer=answer --map prompt=question"
    assert proposed in said
    done = cli.run("score", source, "-r", recipe, "-o", "out.jsonl", *proposed.split(), "--map", "rollout_id=id")
    scored = lines_of(cli.folder / "out.jsonl")
    assert [row["rollout_id"] for row in scored] == ["0", "1", "2", "3"]
    assert [row["reward"] for row in scored] == [1.0, 0.0, 1.0, 0.0]
    assert all(row["advantage"] > 0 for row in scored[::2])
    assert "4 rollouts have no group_id; those with the same prompt are one group" in done.stderr
    assert "2 groups" in done.stdout
    assert "FIELD=COLUMN" in cli.error("score", source, "-r", recipe, "--map", "completion")
    assert "is not a field of a rollout" in cli.error("score", source, "-r", recipe, "--map", "respnse=completion")


def test_a_plain_reference_is_an_answer(cli: Cli) -> None:
    recipe = cli.write("r.toml", EXACT + '[rewards.tags]\nverifier = "format"\noptions = { tags = ["a"] }\n')
    plain = [
        {"rollout_id": str(n), "group_id": "g", "response": "4", "reference": value}
        for n, value in enumerate(["4", 4, "5"])
    ]
    source = raw(cli, "plain.jsonl", *plain)
    done = cli.run("score", source, "-r", recipe, "-o", "out.jsonl")
    assert [row["scores"]["right"] for row in lines_of(cli.folder / "out.jsonl")] == [1.0, 1.0, 0.0]
    assert "fault" not in done.stdout


def test_rows_from_which_nothing_can_be_learned_say_so(cli: Cli) -> None:
    recipe = cli.write("r.toml", EXACT)
    source = raw(cli, "bare.jsonl", {"response": "4", "reference": "4"}, {"response": "5", "reference": "4"})
    done = cli.run("score", source, "-r", recipe)
    assert "2 rollouts have neither group_id nor prompt" in done.stderr


def test_a_mistyped_server_in_a_file_of_endpoints_is_an_error(cli: Cli) -> None:
    recipe = cli.write("r.toml", EXACT)
    source = cli.rollouts("in.jsonl", answer("4"))
    typo = cli.write("typo.json", '{"exat": ["127.0.0.1:1"]}')
    assert "did you mean 'exact'" in cli.error("score", source, "-r", recipe, "--endpoints-file", typo)
    other = cli.write("other.json", '{"judge": ["127.0.0.1:1"]}')
    assert "but the recipe's servers are 'exact'" in cli.error("score", source, "-r", recipe, "--endpoints-file", other)


def test_one_verifier_is_asked_without_a_recipe(cli: Cli) -> None:
    source = cli.write("answers.csv", "completion,answer\n4,4\nfive,5\n5,5\n")
    told = ("--verifier", "exact", "--map", "response=completion", "--map", "reference.answer=answer")
    done = cli.run("score", source, *told, "-o", "out.jsonl")
    assert [row["scores"] for row in lines_of(cli.folder / "out.jsonl")] == [
        {"exact": 1.0},
        {"exact": 0.0},
        {"exact": 1.0},
    ]
    assert "each is a group of its own" in done.stderr
    options = '{"by": 2}'
    source = cli.rollouts("in.jsonl", {"response": "abc"})
    cli.run("score", source, "--verifier", "probe/length@3", "--options", options, "-o", "out.jsonl")
    assert lines_of(cli.folder / "out.jsonl")[0]["scores"] == {"probe/length": 5.0}
    recipe = cli.write("r.toml", EXACT)
    assert "either a recipe" in cli.error("score", source)
    assert "either a recipe" in cli.error("score", source, "-r", recipe, "--verifier", "exact")
    assert "--options is only for --verifier" in cli.error("score", source, "-r", recipe, "--options", "{}")
    assert "for one --verifier" in cli.error(
        "score", source, "--verifier", "exact", "--verifier", "length", "--options", "{}"
    )


def test_one_server_may_host_everything_that_is_asked(cli: Cli) -> None:
    address = cli.serve("exact", "probe/length")
    source = cli.rollouts("in.jsonl", {"response": "abc", "reference": "abc"})
    cli.run(
        "score", source, "--verifier", "exact", "--verifier", "probe/length", "--endpoint", address, "-o", "a.jsonl"
    )
    assert lines_of(cli.folder / "a.jsonl")[0]["scores"] == {"exact": 1.0, "probe/length": 3.0}
    recipe = cli.write("r.toml", EXACT)
    assert address in cli.run("recipe", recipe, "--endpoint", address).stdout
    cli.run("score", source, "-r", recipe, "--endpoint", address, "-o", "b.jsonl")
    assert lines_of(cli.folder / "b.jsonl")[0]["scores"] == {"right": 1.0}
    assert "it hosts exact, probe/length" in cli.error("score", source, "--verifier", "length", "--endpoint", address)


def test_a_server_that_is_started_without_a_recipe_has_its_settings(cli: Cli) -> None:
    source = cli.rollouts("in.jsonl", {"response": "abc", "reference": "abc"})
    config = cli.write("settings.toml", '[verifiers."probe/refuses"]\nremedy = "as the settings say"\n')
    told = ("score", source, "--verifier", "exact", "--verifier", "probe/refuses", "--config", config)
    assert cli.error(*told).endswith("a thing is missing here; as the settings say")


def test_a_server_that_is_started_has_the_variables_of_its_table(cli: Cli) -> None:
    seen = cli.folder / "of the recipe"
    recipe = cli.write(
        "r.toml",
        '[rewards.a]\nverifier = "probe/slow"\n[servers.s]\nverifiers = ["probe/slow"]\n'
        f'env = {{ PROBE_SEEN = "{seen}" }}\n',
    )
    cli.run("score", cli.rollouts("in.jsonl", {"response": "abc"}), "-r", recipe)
    assert seen.read_text() == "."


def test_a_recipe_says_which_column_is_which_field(cli: Cli) -> None:
    recipe = cli.write("r.toml", '[columns]\nresponse = "completion"\nreference.answer = "gold"\n' + EXACT)
    source = raw(cli, "own.jsonl", {"completion": "4", "gold": 4, "answer": 5})
    cli.run("score", source, "-r", recipe, "-o", "out.jsonl")
    assert lines_of(cli.folder / "out.jsonl")[0]["reward"] == 1.0
    cli.run("score", source, "-r", recipe, "-o", "out.jsonl", "--map", "reference.answer=answer")
    assert lines_of(cli.folder / "out.jsonl")[0]["reward"] == 0.0
    said = cli.error("score", source, "-r", recipe, "--map", "response=completon")
    assert "own.jsonl: response=completon: there is no such column here; did you mean completion?" in said
    wrong = cli.write("w.toml", '[columns]\nrespnse = "completion"\n' + EXACT)
    assert "w.toml:2: columns.respnse: 'respnse' is not a field of a rollout" in cli.error("score", source, "-r", wrong)
