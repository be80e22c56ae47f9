"""``assay check``: labels against scores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reward_servers.labels import Match, compare, read_labels
from tests.cli.conftest import Cli
from trainer_client import Rollout

REQUIRED = {
    "verifier", "version", "total", "agree", "false_positive", "false_negative", "other_code", "unscored",
    "disagreements",
}  # fmt: skip


@pytest.mark.parametrize(
    ("score", "label", "match"),
    [
        (0.51, 1.0, Match.AGREE),
        (0.5, 1.0, Match.FALSE_NEGATIVE),
        (0.5, 0.0, Match.AGREE),
        (0.9, 0.0, Match.FALSE_POSITIVE),
        (None, 1.0, Match.UNSCORED),
        (0.3, 0.3000005, Match.AGREE),
        (0.3, 0.300002, Match.FALSE_NEGATIVE),
        (0.6, 0.3, Match.FALSE_POSITIVE),
        (7.0, 7.0, Match.AGREE),
    ],
)
def test_compare(score: float | None, label: float, match: Match) -> None:
    assert compare(score, label) is match


def test_labels_are_numbers_that_a_float_holds() -> None:
    given = [1, True, 0.5, None, 10**400, -(10**400), float("inf"), float("nan"), "1", [1]]
    labels = read_labels(Rollout(f"r{n}", "q", "a", expected={"score": value}) for n, value in enumerate(given))
    assert labels.scores == {"r0": 1.0, "r1": 1.0, "r2": 0.5}
    assert [problem.partition("'")[2][:2] for problem in labels.problems] == ["r4", "r5", "r6", "r7", "r8", "r9"]
    assert labels.problems[0] == f"rollout 'r4': expected.score: 1{'0' * 99}... is not a finite number or null"


def labelled(cli: Cli) -> Path:
    return cli.rollouts(
        "cases.jsonl",
        {"response": "abc", "expected": {"score": 3.0}},
        {"response": "abc", "expected": {"score": 2.5}},
        {"response": "", "expected": {"score": 1}},
        {"response": "a", "expected": {"score": 0}},
        {"response": "a", "expected": {"score": True}},
        {"response": "fault", "expected": {"score": 1.0}},
        {"response": "fault", "expected": {"score": None}},
        {"response": "unlabelled"},
    )


def test_json_report(cli: Cli) -> None:
    cases = labelled(cli)
    with cases.open("a") as file:
        file.write("not json\n")
    done = cli.run("check", "probe/length", "--cases", cases, "--json")
    report = json.loads(done.stdout)
    assert report.keys() >= REQUIRED
    assert (report["verifier"], report["version"]) == ("probe/length", "3")
    counts = {name: report[name] for name in ("total", "agree", "false_positive", "false_negative", "unscored")}
    assert counts == {"total": 6, "agree": 2, "false_positive": 2, "false_negative": 1, "unscored": 1}
    kinds = {case["rollout_id"]: case["kind"] for case in report["disagreements"]}
    assert kinds == {"r1": "false_positive", "r2": "false_negative", "r3": "false_positive"}
    assert report["disagreements"][0]["evidence"] == {"extracted": "abc", "expected": 1}
    assert [case["rollout_id"] for case in report["unscored_cases"]] == ["r5"]
    assert report["unscored_cases"][0]["message"] == "the reference is unusable"
    assert [case["rollout_id"] for case in report["unlabelled_cases"]] == ["r6", "r7"]
    assert report["lines_left_out"][0]["line"] == 9
    assert "line 9: not JSON" in done.stderr


def test_people_see_counts_and_each_disagreement_with_its_evidence(cli: Cli) -> None:
    text = cli.run("check", "probe/length", "--cases", labelled(cli)).stdout
    assert "probe/length@3: 2 of 6 agree" in text
    assert "false positive: r1: label 2.5, score 3" in text
    assert "extracted: abc" in text
    assert "unscored: r5: label 1, no score (bad_reference)" in text
    assert "2 without a label are not counted" in text


def test_fail_under_decides_the_exit_code(cli: Cli) -> None:
    served = ("check", "probe/length", "--endpoint", cli.serve("probe/length"), "--cases")
    cases = labelled(cli)
    cli.run(*served, cases, "--fail-under", 0.3)
    cli.run(*served, cases, "--fail-under", 0.5, code=1)
    nothing = cli.rollouts("none.jsonl", {"response": "a"})
    assert "no case has a label" in cli.run(*served, nothing, code=1).stderr


def test_options_reach_the_verifier(cli: Cli) -> None:
    cases = cli.rollouts("cases.jsonl", {"response": "abc", "expected": {"score": 5}})
    served = ("check", "probe/length", "--endpoint", cli.serve("probe/length"), "--cases", cases, "--options")
    assert json.loads(cli.run(*served, '{"by": 2}', "--json").stdout)["agree"] == 1
    assert "by" in cli.error(*served, '{"by": "much"}')
    assert "--options" in cli.error(*served, "{")
    assert "--options" in cli.error(*served, "[]")


def test_a_running_server_can_be_asked(cli: Cli) -> None:
    cases = labelled(cli)
    address = cli.serve("probe/length")
    done = cli.run("check", "probe/length@3", "--cases", cases, "--endpoint", address, "--json")
    assert json.loads(done.stdout)["agree"] == 2
    assert "exact" in cli.error("check", "exact", "--cases", cases, "--endpoint", address)


def test_what_a_verifier_asks_is_hosted_with_it(cli: Cli) -> None:
    cli.write(
        "mine.py",
        "from reward_servers import Context, Rollout, verifier\n"
        "@verifier('mine', version='1')\n"
        "async def judge(rollout: Rollout, ctx: Context) -> float:\n"
        "    return (await ctx.score('exact', rollout)).score\n",
    )
    row = {"response": "4", "reference": {"answer": "4"}, "expected": {"score": 1}}
    cases = cli.rollouts("cases.jsonl", row)
    alone = json.loads(cli.run("check", "mine:judge", "--cases", cases, "--json").stdout)
    assert alone["unscored"] == 1
    together = json.loads(cli.run("check", "mine:judge", "--with", "exact", "--cases", cases, "--json").stdout)
    assert together["agree"] == 1


def test_a_version_that_is_not_there_is_said(cli: Cli) -> None:
    assert "version" in cli.error("check", "probe/length@2", "--cases", labelled(cli))


def test_a_verifier_of_the_working_directory_is_checked_by_its_path(cli: Cli) -> None:
    cli.write(
        "mine.py",
        "from reward_servers import Rollout, verifier\n"
        "@verifier('mine', version='1')\n"
        "def judge(rollout: Rollout) -> bool:\n"
        "    return True\n",
    )
    cases = cli.rollouts("cases.jsonl", {"response": "a", "expected": {"score": 1}})
    report = json.loads(cli.run("check", "mine:judge", "--cases", cases, "--json").stdout)
    assert (report["verifier"], report["agree"]) == ("mine", 1)


def test_what_cannot_be_checked_is_said(cli: Cli) -> None:
    cases = labelled(cli)
    assert "nosuch" in cli.error("check", "nosuch", "--cases", cases)
    assert "nothere" in cli.error("check", "exact", "--cases", "nothere.jsonl")
    assert "install the missing thing" in cli.error("check", "probe/refuses", "--cases", cases)
    assert "no reward server answers" in cli.error("check", "exact", "--cases", cases, "--endpoint", "127.0.0.1:1")


def test_attempts_to_cheat(cli: Cli) -> None:
    reference = {"prompt": "6*7?", "reference": {"answer": "42"}}
    cases = cli.rollouts(
        "cases.jsonl",
        {**reference, "response": "42", "expected": {"score": 1.0}},
        {**reference, "response": "41", "expected": {"score": 0.0}},
    )
    assert "exact@2: none of" in cli.run("check", "exact", "--cases", cases, "--hacks").stdout
    assert "exact@2: none of" in cli.run("check", "exact", "--hacks").stdout
    assert "probe/length has no example to alter" in cli.error("check", "probe/length", "--hacks")
    assert "give the labelled rollouts to compare with: --cases FILE" in cli.error("check", "exact")
    found = cli.run("check", "probe/length", "--cases", labelled(cli), "--hacks", "--json", code=1)
    assert any(finding.startswith("planted verdict") for finding in json.loads(found.stdout)["findings"])
    assert "--hacks" in cli.error("check", "exact", "--cases", cases, "--except", "empty")
    assert "--endpoint" in cli.error("check", "exact", "--cases", cases, "--hacks", "--endpoint", "127.0.0.1:1")
    assert "no attempt is called 'emty'" in cli.error("check", "exact", "--cases", cases, "--hacks", "--except", "emty")


def test_a_response_cannot_steer_the_terminal(cli: Cli) -> None:
    row = {"prompt": "q", "reference": {"answer": "42"}, "expected": {"score": 1.0}}
    cases = cli.rollouts("cases.jsonl", {**row, "response": "\x1b[2J41"})
    said = cli.run("check", "exact", "--cases", cases).stdout
    assert "compared: \\x1b[2j41" in said
    assert "\x1b" not in said


def test_lines_have_options_and_codes_of_their_own(cli: Cli) -> None:
    reference = {"prompt": "6*7?", "reference": {"answer": "42"}}
    cases = cli.rollouts(
        "cases.jsonl",
        {**reference, "response": "42", "expected": {"score": 1.0, "code": "accepted"}},
        {**reference, "response": "so \\boxed{42}", "options": {"take": "boxed"}, "expected": {"score": 1.0}},
        {**reference, "response": "41", "expected": {"score": 0.0, "code": "no_answer"}},
    )
    done = cli.run("check", "exact", "--cases", cases, "--fail-under", "1", code=1)
    assert "2 of 3 agree" in done.stdout
    assert "(wrong; expected no_answer)" in done.stdout
    wrong = cli.rollouts("wrong.jsonl", {**reference, "response": "42", "options": ["boxed"]})
    assert "line 1: options: expected an object" in cli.error("check", "exact", "--cases", wrong)
