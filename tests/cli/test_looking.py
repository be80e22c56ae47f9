"""``assay report``, ``view``, ``compare`` and ``try``: looking at what was scored."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from reward_servers.cli._fleet_view import ServerView
from reward_servers.cli._top import _rows
from tests.cli.conftest import Cli

EXACT = '[rewards.right]\nverifier = "exact"\n'


def answer(response: str, group: str = "g", **more: Any) -> dict[str, Any]:
    return {"response": response, "group_id": group, "reference": {"answer": "4"}, **more}


def scored(cli: Cli, out: str, *rows: dict[str, Any], recipe: str = EXACT) -> Path:
    source = cli.rollouts("in.jsonl", *rows)
    cli.run("score", source, "-r", cli.write("r.toml", recipe), "-o", out, "--evidence")
    return cli.folder / out


def test_a_group_is_viewed_with_texts_from_the_input(cli: Cli) -> None:
    hostile = "4 \x1b[2J\u202e"
    file = scored(
        cli, "s.jsonl", answer("4"), answer(hostile), answer("4", "h"), answer("5", "h", expected={"score": 1})
    )
    seen = cli.run("view", file, "--rollouts", "in.jsonl", "--group", "g").stdout
    assert "group g: 2 rollouts (group 1 of 2)" in seen
    assert "r0  reward 1, advantage 0.7071" in seen
    assert "  right: 1  accepted" in seen
    assert r"  | 4 \x1b[2J\u202e" in seen
    assert "\x1b" not in seen
    assert "answers" not in seen
    assert "answers" in cli.run("view", file, "--group", "g", "--evidence").stdout
    telling = cli.run("view", file, "--rollouts", "in.jsonl").stdout
    assert telling.startswith("group h")
    assert "[label]" in telling
    assert "name the file that was scored by --rollouts" in cli.run("view", file).stdout
    listed = cli.run("view", file, "--rollouts", "in.jsonl", "--list").stdout
    assert "label: 1 of 2 groups" in listed
    assert "did you mean g?" in cli.error("view", file, "--group", "gg")
    assert "there is no such kind" in cli.error("view", file, "--kind", "odd")
    assert "no group has such a rollout" in cli.error("view", file, "--kind", "masked")
    assert "there is no such file" in cli.error("view", "nothere.jsonl")
    assert "scores: is missing" in cli.error("view", "in.jsonl")


def test_a_report_is_written_of_a_file_and_of_a_folder(cli: Cli) -> None:
    file = scored(cli, "s.jsonl", answer("4"), answer("5"))
    done = cli.run("report", file, "--rollouts", "in.jsonl", "-o", "page.html")
    assert done.stdout == "report: page.html\n"
    assert "<!DOCTYPE html>" in (cli.folder / "page.html").read_text()
    folder = scored(cli, "all/", answer("4"), answer("5"))
    done = cli.run("report", folder)
    assert "the rows have no texts" in done.stderr
    assert (cli.folder / "report.html").exists()
    assert "would be overwritten" in cli.error("report", file, "-o", file)
    assert "nofolder" in cli.error("report", file, "-o", "nofolder/page.html")
    assert "page.html" in cli.error("report", "page.html")


def test_score_writes_a_page_beside_its_results(cli: Cli) -> None:
    source = cli.rollouts("in.jsonl", answer("4"), answer("5"))
    recipe = cli.write("r.toml", EXACT)
    done = cli.run("score", source, "-r", recipe, "--report", "page.html")
    assert "report: page.html" in done.stderr
    page = (cli.folder / "page.html").read_text()
    assert "Latency" in page
    assert "run p99" in page
    assert "the file that was scored" not in page
    assert "would be overwritten" in cli.error("score", source, "-r", recipe, "--report", source)
    assert "nofolder" in cli.error("score", source, "-r", recipe, "--report", "nofolder/page.html")


def test_runs_are_compared_and_the_reason_is_named(cli: Cli) -> None:
    rows = [answer("4"), answer("four"), answer("5"), answer("4", "h")]
    one = scored(cli, "one/", *rows)
    looser = EXACT.replace("right", "right", 1) + "options = { normalise = false }\n"
    del looser
    assert cli.run("compare", one, one).stdout.startswith("4 rollouts in both; 0 verdicts and 0 rewards changed")
    two = scored(cli, "two/", *rows[:3], recipe=EXACT.replace('"exact"', '"length"\noptions = { max = 3 }'))
    done = cli.run("compare", one, two, code=1).stdout
    assert "3 rollouts in both; 2 verdicts and 1 rewards changed" in done
    assert f"only in {one}: 1 (r3)" in done
    assert "right   0 wrong -> 1 accepted  1" in done
    assert "r1  right: 0 wrong -> 0 too_long" in done
    assert "why: the recipes differ" in done
    assert "why: right: exact@" in done
    assert "-> length@" in done
    found = json.loads(cli.run("compare", one, two, "--json", code=1).stdout)
    assert (found["both"], found["changed"], found["only"]) == (3, 2, [["r3"], []])


def test_one_response_is_tried_before_any_verifier(cli: Cli) -> None:
    done = cli.run("try", "math", "--response", r"so \boxed{0.5}", "--reference", "1/2").stdout
    assert done.startswith("score 1  accepted  (math@")
    assert r"so \boxed{⟦0.5⟧}" in done
    assert "answer_form: 1/2" in done
    assert "score 0  wrong" in cli.run("try", "exact", "--response", "5", "--reference", '{"answer": "4"}').stdout
    fault = cli.run("try", "probe/length", "--response", "fault", code=1).stdout
    assert fault.startswith("no score  dataset/bad_reference")
    address = cli.serve("exact")
    found = json.loads(
        cli.run("try", "exact", "--endpoint", address, "--response", "4", "--reference", "4", "--json").stdout
    )
    assert (found["score"], found["code"], found["outcome"], found["verifier"]) == (1.0, "accepted", "verdict", "exact")
    assert "it begins like a JSON object" in cli.error("try", "exact", "--response", "4", "--reference", "{4")
    assert "no verifier 'nosuch' is installed" in cli.error("try", "nosuch", "--response", "4")
    assert "\x1b" not in cli.run("try", "exact", "--response", "\x1b]0;x\x07", "--reference", "4").stdout


def test_a_server_that_was_started_again_has_no_rate_below_zero() -> None:
    """It has counted from 0 since the look before."""
    activity = {"verdicts": 3, "faults": 0, "skips": 0, "cached": 0, "run_p50": 0.0, "run_p99": 0.0, "queue_p99": 0.0}
    info: Any = SimpleNamespace(
        activity=[SimpleNamespace(verifier="exact", **activity)], verifiers={}, items_in_flight=0, items_limit=8
    )
    view, key = ServerView("h:1", "serving", info=info), ("h:1", "exact")
    rate = {before: _rows([view], {key: 3}, {key: before}, 1.0)[0][4] for before in (1, 3, 1000)}
    assert rate == {1: "2", 3: "0", 1000: ""}
