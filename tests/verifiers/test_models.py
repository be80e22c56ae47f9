"""Verifiers with models of their own: what transformers gives, and a typed outcome for what cannot be used."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers.normalizers import Replace
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    LlamaForTokenClassification,
)

from reward_servers.core import BoundVerifier, Fault, Message, Part, StartupError, Verdict, bind
from reward_servers.engines.preference import split_steps
from reward_servers.verifiers.models.comparison import Comparison
from reward_servers.verifiers.models.likelihood import Likelihood
from reward_servers.verifiers.models.process import Process
from reward_servers.verifiers.models.similarity import Similarity
from reward_servers.verifiers.pairwise import pairwise
from tests.engines.models import tiny
from tests.engines.models.causal import causal
from tests.typed import declared
from tests.verifiers.harness import Bench, bench, evidence, group, rollout

torch.set_num_threads(1)
LONG = " ".join(["w1"] * 20_000)


def _tokens(path: Path, labels: int) -> Path:
    torch.manual_seed(0)
    LlamaForTokenClassification(tiny.llama_config(labels)).save_pretrained(path)  # type: ignore[no-untyped-call]
    tiny.tokenizer(path)
    return path


def _bound(verifier: Any, path: Path, **settings: Any) -> BoundVerifier:
    return bind(declared(verifier), {"path": str(path), "threads": 1, **settings})


def _serve(verifier: Any, path: Path, **settings: Any) -> Any:
    return bench(_bound(verifier, path, **settings))


def _spoil(path: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(path)
    with torch.no_grad():
        model.get_input_embeddings().weight[tiny.SPECIAL.index("<unk>")] = math.nan
    model.save_pretrained(path)


async def _odd(running: Bench, name: str, reference: Any, options: dict[str, Any] | None = None) -> None:
    """Too many tokens, nothing, and odd characters cost themselves alone."""
    texts = ["w1 w2", "", LONG, "\ufffd\0 w3", "w4"]
    items = [rollout(text, reference, prompt="w9", rollout_id=str(place)) for place, text in enumerate(texts)]
    found = await running.outcomes(name, items, options)
    codes = [one.code if isinstance(one, Verdict) else repr(one) for one in found]
    assert codes[1:3] == ["no_answer", "limit"]
    assert {codes[place] for place in (0, 3, 4)} <= {"partial", "accepted", "wrong"}


@pytest.mark.parametrize("labels", [1, 2])
async def test_steps_are_scored_where_the_model_was_trained_to_be_read(tmp_path: Path, labels: int) -> None:
    path = _tokens(tmp_path, labels)
    settings = {"separator": " [SEP]", "good": "LABEL_1" if labels == 2 else "0", "bad": "0" if labels == 2 else ""}
    text = "w1 w2\n\n  w3 <eos>\n\n\n\nw4"
    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModelForTokenClassification.from_pretrained(path).eval()
    ids, places = [1, *tokenizer("w9", add_special_tokens=False)["input_ids"]], []
    for step in ("w1 w2", "w3 < eos>", "w4"):
        ids += [*tokenizer(step, add_special_tokens=False)["input_ids"], 6]
        places.append(len(ids) - 1)
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0, places].double()
    wanted = torch.sigmoid(logits[:, 0]) if labels == 1 else torch.softmax(logits, -1)[:, 1]
    async with _serve(Process, path, **settings) as running:
        found = await running.verdict("process", rollout(text, prompt="w9"))
        mean = await running.verdict("process", rollout(text, prompt="w9"), {"aggregate": "mean"})
        await _odd(running, "process", None)
    assert [one.score for one in found.steps] == pytest.approx(wanted.tolist(), abs=1e-6)
    assert [text[one.start : one.end] for one in found.steps] == ["w1 w2", "w3 <eos>", "w4"]
    assert found.score == pytest.approx(float(wanted.min()), abs=1e-6)
    assert mean.score == pytest.approx(float(wanted.mean()), abs=1e-6)
    assert dict(found.aspects)["product"] == pytest.approx(float(wanted.prod()), abs=1e-6)


async def test_steps_of_a_conversation_name_their_message(tmp_path: Path) -> None:
    talk = (
        Message("assistant", (Part("text", "w1"),)),
        Message("tool", (Part("text", "w2"),)),
        Message("assistant", (Part("text", "w3\n\nw4"),)),
    )
    async with _serve(Process, _tokens(tmp_path, 2), separator="[SEP]") as running:
        found = await running.verdict("process", rollout(talk, prompt="w9"))
    assert [(one.message, one.start, one.end) for one in found.steps] == [(2, 0, 2), (2, 4, 6)]


async def test_a_language_model_writes_whether_a_step_is_right(tmp_path: Path) -> None:
    path = causal(tmp_path)
    async with _serve(Process, path, kind="causal", separator="\n", good="yes", bad="no") as running:
        found = await running.verdict("process", rollout("ab\n\ncd", prompt="q"))
    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModelForCausalLM.from_pretrained(path)
    ids = [0, *tokenizer("qab\ncd\n", add_special_tokens=False)["input_ids"]]
    words = [tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in ("yes", "no")]
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0, [4, 7]][:, words].double()
    wanted = torch.softmax(logits, -1)[:, 0].tolist()
    assert [one.score for one in found.steps] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"good": "5"}, "has no label '5'; it has LABEL_0, LABEL_1, or numbers"),
        ({"separator": " "}, "the separator ' ' has no tokens"),
        ({"kind": "causal"}, "it has no weights for lm_head"),
    ],
)
async def test_settings_that_do_not_fit_the_model_are_refused(tmp_path: Path, settings: Any, says: str) -> None:
    with pytest.raises(StartupError, match=says):
        async with _serve(Process, _tokens(tmp_path, 2), **{"separator": "[SEP]", **settings}):
            pass


def test_steps_of_a_text() -> None:
    assert [(one.start, one.end) for one in split_steps("  a b \n\n\n\n c", "\n\n")] == [(2, 5), (11, 12)]
    assert split_steps(" \n\n ", "\n\n") == []
    assert len(split_steps("a.*a.*", ".*")) == 2


@pytest.mark.parametrize("summary", ["mean", "first", "last"])
async def test_similarity_is_the_cosine_with_the_closest_reference(tmp_path: Path, summary: str) -> None:
    path = tiny.bert(tmp_path)
    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path).eval()

    def vector(text: str) -> torch.Tensor:
        with torch.inference_mode():
            hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].double()
        one = hidden.mean(0) if summary == "mean" else hidden[0] if summary == "first" else hidden[-1]
        unit: torch.Tensor = one / one.norm()
        return unit

    references = ["w3 w4 w5", "w1 w9"]
    wanted = [float(vector("w1 w2") @ vector(one)) for one in references]
    async with _serve(Similarity, path, summary=summary) as running:
        found = await running.verdict(
            "similarity", rollout("w1 w2", {"answer": references}), {"embedding": True, "take": "all"}
        )
        await _odd(running, "similarity", {"answer": "w1"})
    assert dict(found.aspects)["raw"] == pytest.approx(max(wanted), abs=1e-6)
    assert found.score == pytest.approx(min(1.0, max(0.0, max(wanted))), abs=1e-6)
    assert evidence(found)["reference"] == wanted.index(max(wanted))
    assert evidence(found)["embedding"] == pytest.approx(vector("w1 w2").tolist(), abs=1e-6)


async def test_a_cross_encoder_reads_reference_and_response_together(tmp_path: Path) -> None:
    path = tiny.bert(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForSequenceClassification.from_pretrained(path).eval()
    with torch.inference_mode():
        given = tokenizer("w3", "w1 w2", return_tensors="pt")
        wanted = float(model(given["input_ids"], token_type_ids=given["token_type_ids"]).logits[0, 0])
    async with _serve(Similarity, path, kind="cross") as running:
        found = await running.verdict("similarity", rollout("w1 w2", {"answer": "w3"}))
    assert dict(found.aspects)["raw"] == pytest.approx(wanted, abs=1e-6)
    assert found.score == pytest.approx(1 / (1 + math.exp(-wanted)), abs=1e-6)
    _spoil(path)
    for kind in ("cross", "encoder"):
        async with _serve(Similarity, path, kind=kind) as running:
            fault = await running.fault("similarity", rollout("w1 other", {"answer": "w3"}))
            assert fault.code == "not_finite"
            await running.verdict("similarity", rollout("w1", {"answer": "w3"}))
    with pytest.raises(StartupError, match="label 3 is not one of them"):
        async with _serve(Similarity, path, kind="cross", label=3):
            pass


@pytest.mark.parametrize("reduce", ["geometric", "mean", "product"])
async def test_likelihood_of_the_reference_after_the_response(tmp_path: Path, reduce: str) -> None:
    path = causal(tmp_path)
    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModelForCausalLM.from_pretrained(path)
    before = "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\nabc => "
    start = len(tokenizer(before)["input_ids"])
    ids = [*tokenizer(before)["input_ids"], *tokenizer("42", add_special_tokens=False)["input_ids"]]
    with torch.inference_mode():
        logs = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), -1)
    chances = [float(logs[place - 1, ids[place]].exp()) for place in range(start, len(ids))]
    wanted = {
        "mean": sum(chances) / len(chances),
        "product": math.prod(chances),
        "geometric": math.prod(chances) ** (1 / len(chances)),
    }
    options = {"lead": " => ", "reduce": reduce}
    async with _serve(Likelihood, path) as running:
        found = await running.verdict("likelihood", rollout("abc", {"answer": 42}, prompt="q"), options)
        several = await running.verdict("likelihood", rollout("abc", {"answer": ["42", "7"]}, prompt="q"), options)
        response = await running.verdict("likelihood", rollout("abc", prompt="q"), {"of": "response"})
        missing = await running.fault("likelihood", rollout("abc", prompt="q"))
        await _odd(running, "likelihood", {"answer": "w1"})
    assert found.score == pytest.approx(wanted[reduce], rel=1e-4)
    assert dict(found.aspects)["tokens"] == 2.0
    assert several.score >= found.score
    assert dict(response.aspects)["tokens"] == 3.0
    assert missing.code == "missing_reference"


async def test_a_pair_model_is_asked_in_both_orders(tmp_path: Path) -> None:
    path = tiny.llama(tmp_path, chat=False)
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForSequenceClassification.from_pretrained(path).eval()

    def raw(first: str, second: str) -> float:
        ids = tokenizer(f"w9 [SEP] {first} [SEP] {second}")["input_ids"]
        with torch.inference_mode():
            return float(model(torch.tensor([ids])).logits[0, 0])

    settings = {"path": str(path), "layout": "{prompt} [SEP] {first} [SEP] {second}", "threads": 1, "max_length": 64}
    hosted = bind(declared(Comparison), settings)
    async with bench(hosted, pairwise) as running:
        found = await running.verdict("comparison", rollout("w1", {"opponent": "w2 w3"}, prompt="w9"))
        turned = await running.verdict("comparison", rollout("w2 w3", {"opponent": "w1"}, prompt="w9"))
        planted = await running.verdict("comparison", rollout("{second}", {"opponent": "w1"}, prompt="w9"))
        members = group(["w1", "w2 w3", "w4"], prompt="w9")
        shares = [one.outcome for one in await running.results("pairwise", [members], {"by": "comparison"})]
        await _odd(running, "comparison", {"opponent": "w1"})
    gap = raw("w1", "w2 w3") - raw("w2 w3", "w1")
    assert found.score == pytest.approx(1 / (1 + math.exp(-gap)), abs=1e-6)
    assert found.score + turned.score == pytest.approx(1.0, abs=1e-12)
    assert dict(found.aspects)["position_bias"] == pytest.approx(
        (raw("w1", "w2 w3") + raw("w2 w3", "w1")) / 2, abs=1e-6
    )
    # Its braces are one unknown word, and no place for the other response.
    assert dict(planted.aspects)["as_first"] == pytest.approx(raw("{second}", "w1"), abs=1e-6)
    assert sum(one.score for one in shares if isinstance(one, Verdict)) == pytest.approx(1.5)


async def test_of_two_that_do_not_fit_together_the_longer_one_loses(tmp_path: Path) -> None:
    path = tiny.llama(tmp_path, chat=False)
    settings = {"path": str(path), "layout": "{prompt} [SEP] {first} [SEP] {second}", "threads": 1, "max_length": 64}
    short, long, longer, turned = "w1", "w2 " * 40, "w3 " * 70, "w4 " * 70
    async with bench(bind(declared(Comparison), settings), pairwise) as running:
        own = await running.verdict("comparison", rollout(longer, {"opponent": short}, prompt="w9"))
        other = await running.fault("comparison", rollout(short, {"opponent": longer}, prompt="w9"))
        asked = await running.fault("comparison", rollout(short, {"opponent": long}, prompt=longer))
        members = group([short, long, longer, turned], prompt="w9")
        ranked = [one.outcome for one in await running.results("pairwise", [members], {"by": "comparison"})]
        alone = await running.verdict("comparison", rollout(short, {"opponent": long}, prompt="w9"))
    assert (own.score, own.code) == (0.0, "limit")
    assert (other.party.value, other.code) == ("dataset", "opponent_too_long")
    assert (asked.party.value, asked.code) == ("dataset", "prompt_too_long")
    shares = [one.score for one in ranked if isinstance(one, Verdict)]
    # Of the two longest, which are equally long, neither wins.
    assert shares == pytest.approx([(alone.score + 2) / 3, (3 - alone.score) / 3, 0.0, 0.0])


async def test_the_beginning_of_a_long_response_shows_that_it_loses(tmp_path: Path) -> None:
    path = tiny.llama(tmp_path, chat=False)
    settings = {"path": str(path), "layout": "{prompt} [SEP] {first} [SEP] {second}", "threads": 1, "max_length": 64}
    short, shorter = "w1", "w2 " * 15_000
    async with bench(bind(declared(Comparison), settings)) as running:
        own = await running.verdict("comparison", rollout(LONG, {"opponent": short}, prompt="w9"))
        other = await running.fault("comparison", rollout(short, {"opponent": LONG}, prompt="w9"))
        both = await running.verdict("comparison", rollout(LONG, {"opponent": shorter}, prompt="w9"))
        turned = await running.fault("comparison", rollout(shorter, {"opponent": LONG}, prompt="w9"))
    assert (own.code, both.code) == ("limit", "limit")
    assert (other.code, turned.code) == ("opponent_too_long", "opponent_too_long")
    # Of the 20,000 tokens as many are counted as show which is longer.
    counted = [int(next(word for word in text.split() if word.isdigit())) for text in (own.note, other.message)]
    assert all(64 < number < 10_000 for number in counted)


async def test_a_response_is_not_blamed_for_what_leaves_it_no_room(tmp_path: Path) -> None:
    cross, steps, lm = tiny.bert(tmp_path / "cross"), _tokens(tmp_path / "steps", 1), causal(tmp_path / "lm")
    served = [
        _bound(Process, steps, max_length=64, separator="[SEP]", good="0", bad=""),
        _bound(Likelihood, lm, max_length=64),
        _bound(Similarity, cross, max_length=64, kind="cross"),
    ]
    asked: list[tuple[str, dict[str, Any], str]] = [
        ("process", {}, "prompt_too_long"),
        ("likelihood", {"of": "response"}, "prompt_too_long"),
        ("likelihood", {"lead": " "}, "prompt_too_long"),
        ("similarity", {"against": "prompt"}, "reference_too_long"),
    ]
    texts = [("w1", "w2"), ("w1", LONG), (LONG, "w2"), (LONG, LONG)]
    items = [rollout(text, {"answer": "w3"}, prompt=prompt) for prompt, text in texts]
    async with bench(*served) as running:
        for name, options, code in asked:
            right, long, *blameless = await running.outcomes(name, items, options)
            assert isinstance(right, Verdict), (name, right)
            assert isinstance(long, Verdict), (name, long)
            assert (long.score, long.code) == (0.0, "limit")
            found = [(one.party.value, one.code) for one in blameless if isinstance(one, Fault)]
            assert found == [("dataset", code)] * 2, name


async def test_a_response_that_a_tokenizer_has_no_token_for_is_no_answer(tmp_path: Path) -> None:
    paths = [tiny.bert(tmp_path / "bert"), causal(tmp_path / "lm")]
    for path in paths:
        tokenizer = AutoTokenizer.from_pretrained(path)
        tokenizer.backend_tokenizer.normalizer = Replace("\u2063", "")
        tokenizer.save_pretrained(path)
    file = paths[0] / "tokenizer.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "post_processor": None}))
    items = [rollout(text, {"answer": "w1"}, prompt="q") for text in ("w1", "\u2063", "w2")]
    async with bench(_bound(Similarity, paths[0]), _bound(Likelihood, paths[1])) as running:
        for name, options in (("similarity", {}), ("likelihood", {"of": "response"})):
            found = await running.outcomes(name, items, options)
            assert [isinstance(one, Verdict) for one in found] == [True] * 3, found
            assert isinstance(found[1], Verdict)
            assert (found[1].score, found[1].code) == (0.0, "no_answer")
