"""Graders of OpenAI's fine-tuning, served from their JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reward_servers.core import VerifierDefinitionError, VerifierNotFoundError, find
from reward_servers.styles._grader_text import Formula, fill, similarity
from tests.fakes.chat_server import FakeChatServer, Said
from tests.gateway.conftest import Processes
from trainer_client import Cell, Recipe, Reward, RewardClient, Rollout, Server

STRING = {
    "type": "string_check",
    "name": "same",
    "operation": "eq",
    "input": "{{ sample.output_text }}",
    "reference": "{{item.answer}}",
}
SIMILAR = {**STRING, "type": "text_similarity", "evaluation_metric": "fuzzy_match", "pass_threshold": 0.8}
SOURCE = """
def grade(sample, item):
    said = sample["output_text"]
    if said == "raise":
        raise KeyError("broken")
    if said == "spin":
        while True:
            pass
    if said == "text":
        return "1.0"
    if said == "open":
        return float(len(open("/etc/hostname").read()) >= 0)
    return float(said == item["answer"])
"""
PYTHON = {"type": "python", "source": SOURCE}
MULTI = {
    "type": "multi",
    "graders": {"same": STRING, "close": SIMILAR, "ran": PYTHON},
    "calculate_output": "0.5 * same + 0.25 * min(close, 1) + 0.25 * ran",
}
MODEL = {
    "type": "score_model",
    "model": "gpt",
    "range": [0, 10],
    "sampling_params": {"temperature": 0.5, "seed": 7, "max_completion_tokens": 100},
    "input": [{"role": "user", "content": "Rate {{sample.output_text}} beside {{item.answer}}."}],
}
JSON_FIELD = {**STRING, "input": "{{sample.output_json.name}}", "reference": "Ada", "operation": "ilike"}
Ask = Callable[..., list[Cell]]


@pytest.fixture(scope="module")
def judge() -> Iterator[tuple[FakeChatServer, str]]:
    def says(request: dict[str, Any], number: int) -> Said | str:
        asked = request["messages"][0]["content"]
        if "broken" in asked:
            return 'I quote: {"result": 10}'
        if "mused" in asked:
            return "(musing) perhaps\n9\n(/musing) 4"
        return "11" if "too much" in asked else '{"result": 7}'

    fake = FakeChatServer(says)
    with fake.running() as url:
        yield fake, url


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory, judge: tuple[FakeChatServer, str]) -> Iterator[Ask]:
    folder = tmp_path_factory.mktemp("graders")
    names = {}
    for name, spec in {"multi": MULTI, "model": {"grader": MODEL}, "python": PYTHON, "field": JSON_FIELD}.items():
        (folder / f"{name}.json").write_text(json.dumps(spec))
        names[name] = f"openai-grader+{folder / name}.json"
    settings = folder / "settings.toml"
    settings.write_text(
        f'[verifiers."{names["model"]}".model]\nbase_url = "{judge[1]}"\nmodel = "gpt"\n'
        'reasoning_marks = [["(musing)", "(/musing)"]]\n'
    )
    processes = Processes(folder)
    address = processes.start("serve", *names.values(), "--config", str(settings), "--port", "0", "--workers", "1")

    def score(name: str, responses: list[str], reference: Any = None) -> list[Cell]:
        server = Server("all", (names[name],), endpoints=(address,))
        recipe = Recipe((Reward("r", names[name]),), "g", (server,), advantage=None, max_missing=1.0)
        rollouts = [
            Rollout(f"r{row}", prompt="?", response=one, reference=reference) for row, one in enumerate(responses)
        ]
        with RewardClient(recipe) as client:
            table = client.score(rollouts)
        return [table.cell(row, "r") for row in range(len(rollouts))]

    yield score
    processes.stop()


def test_several_graders_by_a_formula(ask: Ask) -> None:
    right, thought, wrong = ask("multi", ["Paris", "<think>London?</think>\nParis", "Pariss"], {"answer": "Paris"})
    assert (right.score, thought.score) == (1.0, 1.0)
    assert wrong.score == pytest.approx(0.25 * wrong.aspects["close"])  # type: ignore[operator]
    assert wrong.aspects == {"same": 0.0, "close": pytest.approx(10 / 11), "ran": 0.0}
    (fault,) = ask("multi", ["Paris"], {"other": "Paris"})
    assert (fault.score, fault.code) == (None, "missing_reference")
    assert "item.answer" in fault.message


def test_a_python_grader_runs_in_the_sandbox(ask: Ask) -> None:
    right, broken, text, after = ask("python", ["42", "raise", "text", "41"], {"answer": "42"})
    assert (right.score, after.score) == (1.0, 0.0)
    assert (broken.score, broken.code) == (None, "verifier_error")
    assert "KeyError" in broken.message
    assert (text.score, text.code) == (None, "invalid_score")
    (outside,) = ask("python", ["open"], {"answer": "42"})
    assert outside.score is None


def test_a_field_of_a_response_that_is_no_json_is_the_candidates_failure(ask: Ask) -> None:
    right, wrong, none = ask("field", ['{"name": "ada lovelace"}', '{"name": "Bob"}', "Ada"])
    assert (right.score, wrong.score) == (1.0, 0.0)
    assert (none.score, none.code) == (0.0, "malformed")


def test_a_model_is_asked_and_only_a_whole_reply_counts(ask: Ask, judge: tuple[FakeChatServer, str]) -> None:
    fine, quoted, beyond, mused = ask("model", ["fine", "broken", "too much", "mused"], {"answer": "x"})
    assert (fine.score, mused.score) == (7.0, 4.0)
    assert (quoted.score, quoted.code) == (None, "judge_malformed")
    assert (beyond.score, beyond.code) == (None, "judge_malformed")
    first = judge[0].requests[0]
    assert (first["temperature"], first["max_tokens"]) == (0.5, 100)
    assert first["messages"][0]["content"].endswith(" beside x.")


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ({**STRING, "operation": "equals"}, "operation"),
        ({**STRING, "input": "{{answer}}"}, "reads neither item.NAME nor sample.NAME"),
        ({**SIMILAR, "evaluation_metric": "meteor"}, "'meteor' is not one of fuzzy_match"),
        ({"type": "endpoint", "url": "http://example.org"}, "endpoint"),
        ({**MULTI, "calculate_output": "same + nothing"}, "'nothing' is neither"),
        ({**MULTI, "calculate_output": "__import__('os')"}, "is neither"),
        ({**MULTI, "calculate_output": "-" * 1990 + "same"}, "formula"),
        ({**MODEL, "range": [1, 0]}, "lower number first"),
        ([], "grader"),
    ],
)
def test_what_is_no_grader_is_refused(tmp_path: Path, spec: Any, part: str) -> None:
    (tmp_path / "g.json").write_text(json.dumps(spec))
    with pytest.raises(VerifierDefinitionError) as caught:
        find(f"openai-grader+{tmp_path}/g.json")
    assert part in str(caught.value)


def test_a_file_that_is_missing_or_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VerifierNotFoundError, match=r"none\.json"):
        find(f"openai-grader+{tmp_path}/none.json")
    (tmp_path / "g.json").write_text("{")
    with pytest.raises(VerifierDefinitionError):
        find(f"openai-grader+{tmp_path}/g.json")


def test_the_version_follows_what_the_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "g.json"
    versions = []
    for spec in (STRING, dict(reversed(STRING.items())), {**STRING, "operation": "ne"}):
        path.write_text(json.dumps(spec))
        versions.append(find(f"openai-grader+{path}").version)
    assert versions[0] == versions[1] != versions[2]


def test_templates_and_formulas() -> None:
    item = {"answer": 4, "list": [{"a": "b"}]}
    assert fill("{{item.answer}} {{ item.list[0].a }} {{item.list}}", item, {}) == '4 b [{"a": "b"}]'
    # What is filled in is not a template again.
    assert fill("{{sample.output_text}}", {"x": "secret"}, {"output_text": "{{item.x}}"}) == "{{item.x}}"
    assert Formula("2^3 - abs(-x) / 2", ["x"]).value({"x": 4.0}) == 6.0
    with pytest.raises(ArithmeticError):
        Formula("1 / x", ["x"]).value({"x": 0.0})


@pytest.mark.parametrize("metric", ["fuzzy_match", "bleu", "gleu", *(f"rouge_{n}" for n in range(1, 4)), "rouge_l"])
def test_measures(metric: str) -> None:
    text = "the cat sat on the mat"
    assert similarity(metric, text, text) == pytest.approx(1.0)
    assert 0.0 < similarity(metric, "the cat sat on a mat", text) < 1.0
    assert similarity(metric, "xyz", "abc") == 0.0


def test_gleu_agrees_with_nltk() -> None:
    gleu = pytest.importorskip("nltk.translate.gleu_score")
    from reward_servers.engines.similarity import gleu as ours

    for given, right in (("a b c d e", "a b c e"), ("a", "a b c"), ("a a a", "a"), ("x", "y")):
        expected = gleu.sentence_gleu([right.split()], given.split())
        assert ours(given.split(), right.split()) == pytest.approx(expected)
