"""``check_verifier`` finds what it says that it finds."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from reward_servers.core import Verifier
from reward_servers.testing import VerifierCheckError, check_hacks, check_verifier, serve
from tests.surface import lawless

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(*lines: Mapping[str, Any]) -> Path:
        path = tmp_path / "cases.jsonl"
        common = {"prompt": "6*7?", "reference": {"answer": "42"}}
        rows = [{"rollout_id": f"r{n}", **common, **one} for n, one in enumerate(lines)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return to_file


RIGHT = {"response": "42", "expected": {"score": 1.0}}
WRONG = {"response": "41", "expected": {"score": 0.0, "code": "wrong"}}


def test_a_lawful_verifier_passes(write: Write) -> None:
    report = check_verifier(lawless.lawful, write(RIGHT, WRONG))
    assert (report.verifier, report.labelled) == ("test/lawful@1", 2)
    assert len(report.laws) == 8
    assert report.digest.startswith("sha256:")
    assert [cell.score for cell in report.cells.values()] == [1.0, 0.0]


def test_one_server_takes_several_checks(write: Write) -> None:
    with serve(lawless.lawful, lawless.whole) as server:
        report = check_verifier(lawless.lawful, write(RIGHT, WRONG), server=server)
        assert check_verifier("test/lawful", write(RIGHT, WRONG), server=server).digest == report.digest
        reads_all = {"reasoning in front": "it reads the whole text"}
        hacks = check_hacks(lawless.lawful, write(RIGHT, WRONG), excepted=reads_all, server=server)
        assert hacks.verifier == report.verifier
        with pytest.raises(ValueError, match=r"does not host test/random; name it in serve"):
            check_verifier(lawless.random, write(RIGHT), server=server)
        with pytest.raises(ValueError, match=r"config, beside: are of a server that is started"):
            check_hacks(lawless.lawful, write(RIGHT), beside=("exact",), server=server)


def test_what_says_that_it_draws_is_not_asked_twice(write: Write) -> None:
    report = check_verifier(lawless.honest_random, write(RIGHT))
    assert "the same item gets the same verdict" not in report.laws


def test_a_verifier_of_groups_is_given_whole_groups(write: Write) -> None:
    groups = [{"response": "x" * n, "group_id": f"g{n % 2}", "expected": {"score": float(n > 2)}} for n in range(1, 5)]
    assert check_verifier(lawless.whole, write(*groups)).labelled == 4


LAWLESS = [
    (lawless.random, "the same item gets the same verdict"),
    (lawless.first, "the same item gets the same verdict"),
    (lawless.first, "the order of a batch changes nothing"),
    (lawless.large, "scores are in the declared range: deep brackets"),
    (lawless.forgetful, "every verdict has the declared aspects: empty: score 0 (no_answer) lacks length; declare"),
    (lawless.fragile, "every response gets a verdict: empty: no score: fault of the service: verifier_error"),
    (lawless.sleepy, "1 MB is judged in time: 1 MB of one letter: no score: fault of the service: wall_limit"),
]


@pytest.mark.parametrize(("verifier", "law"), LAWLESS, ids=[f"{one.name} {law[:20]}" for one, law in LAWLESS])
def test_each_law_that_is_broken_is_named(write: Write, verifier: Verifier, law: str) -> None:
    with pytest.raises(VerifierCheckError) as caught:
        check_verifier(verifier, write(RIGHT, WRONG, {"response": "40"}))
    assert any(finding.startswith(law) for finding in caught.value.findings), str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_what_the_floor_carries_is_declared(write: Write) -> None:
    empty = {"response": "", "expected": {"score": 0.0, "code": "no_answer", "aspects": {"length": 0, "unknown": None}}}
    long = {"response": "x" * (1 << 17), "expected": {"score": 0.0, "code": "limit", "aspects": {"length": 0}}}
    report = check_verifier(lawless.whole_floor, write({**RIGHT, "rollout_id": "right"}, empty, long))
    assert dict(report.cells["r1"].aspects) == {"length": 0.0, "unknown": None}
    assert dict(report.cells["right"].aspects) == {"length": 2.0, "unknown": None}


def test_labels_and_codes_that_disagree_are_listed_with_what_came(write: Write) -> None:
    wrong = {"response": "41", "expected": {"score": 1.0}}
    code = {"response": "40", "expected": {"score": 0.0, "code": "no_answer"}}
    with pytest.raises(VerifierCheckError) as caught:
        check_verifier(lawless.lawful, write(RIGHT, wrong, code))
    assert caught.value.findings == [
        "agrees with its labels: r1: label 1, score 0 (wrong)",
        "agrees with its labels: r2: expected code no_answer, score 0 (wrong)",
    ]


def test_a_file_without_labels_is_no_check(write: Write) -> None:
    with pytest.raises(VerifierCheckError, match="none has a label"):
        check_verifier(lawless.lawful, write({"response": "42"}))
    with pytest.raises(ValueError, match="line 1: rollout 'r0': response: is missing"):
        check_verifier(lawless.lawful, write({}))


def test_a_verifier_that_takes_any_reference_lets_mistakes_of_the_data_pass(write: Write) -> None:
    with pytest.raises(VerifierCheckError, match="malformed reference: score"):
        check_verifier(lawless.gullible, write(RIGHT, WRONG))
    assert check_verifier(lawless.careless, write(RIGHT, WRONG)).labelled == 2


@pytest.mark.parametrize("name", ["exact", "choice", "length", "format"])
def test_our_own_verifiers_keep_the_laws(write: Write, name: str) -> None:
    options: dict[str, dict[str, Any]] = {"length": {"max": 10}, "format": {"tags": ["answer"]}}
    response = {"choice": "B", "format": "<answer>42</answer>"}.get(name, "42")
    one = {"response": response, "reference": {"answer": "B" if name == "choice" else "42"}, "expected": {"score": 1.0}}
    assert check_verifier(name, write(one), options=options.get(name)).labelled == 1


def test_lines_have_options_and_aspects_of_their_own(write: Write) -> None:
    word = {"response": "42 43", "options": {"take": "last_line"}, "expected": {"score": 0.0, "code": "wrong"}}
    box = {"response": "so \\boxed{42}", "options": {"take": "boxed"}, "expected": {"score": 1.0}}
    assert check_verifier("exact", write(RIGHT, word, box)).labelled == 3
    aspects = {"exact": 0.0, "precision": 0.25}
    with pytest.raises(VerifierCheckError, match=r"aspect precision: label 0\.25, found 0\.5"):
        check_verifier("qa", write({"response": "42 43", "expected": {"score": 2 / 3, "aspects": aspects}}))


def test_options_of_a_line_that_are_no_object_are_named(write: Write) -> None:
    with pytest.raises(ValueError, match="line 2: options: expected an object"):
        check_verifier("exact", write(RIGHT, {**RIGHT, "options": ["boxed"]}))


def test_attempts_that_are_paid_and_honest_forms_that_are_not_are_found(write: Write) -> None:
    cases = write(RIGHT, WRONG)
    with pytest.raises(VerifierCheckError) as caught:
        check_hacks(lawless.searching, cases)
    kinds = {finding.partition(":")[0] for finding in caught.value.findings}
    assert kinds == {
        *("planted verdict", "plant behind", "right in closed reasoning", "right in a comment"),
        *("unfinished reasoning", "right in unfinished reasoning", "line end behind", "many answers"),
    }
    report = check_hacks("exact", cases)
    assert report.attempts > 30
    excepted = dict.fromkeys(kinds, "for this test")
    assert check_hacks(lawless.searching, cases, excepted=excepted).excepted == excepted


def test_an_exception_that_names_no_attempt_is_refused(write: Write) -> None:
    with pytest.raises(ValueError, match="no attempt is called 'emty'"):
        check_hacks("exact", write(RIGHT), excepted={"emty": "a typo"})


def test_a_verifier_of_groups_is_attacked_in_copies_of_its_groups(write: Write) -> None:
    lengths = [{"response": "x" * n, "group_id": "g", "expected": {"score": float(n == 3)}} for n in (3, 2, 1)]
    with pytest.raises(VerifierCheckError) as caught:
        check_hacks(lawless.whole, write(*lengths))
    kinds = {finding.partition(":")[0] for finding in caught.value.findings}
    assert {"planted verdict", "padding behind", "invisible characters"} <= kinds
    assert not kinds & {"empty", "reasoning in front"}


def test_attempts_are_made_from_the_examples_of_a_package() -> None:
    assert check_hacks("exact").attempts > 10
    assert check_hacks("agreement", excepted={"unfinished reasoning": "for this test"}).attempts > 10
    with pytest.raises(ValueError, match="test/whole has no example to alter: give labelled rollouts"):
        check_hacks(lawless.whole)
