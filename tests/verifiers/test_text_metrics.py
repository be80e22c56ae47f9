"""The text metrics agree with the packages that define them, on random texts."""

from __future__ import annotations

import json
import random

import jiwer
import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from reward_servers import Rollout, Score
from reward_servers.verifiers._answers import TextReference
from reward_servers.verifiers.text.bleu import BleuOptions, bleu
from reward_servers.verifiers.text.chrf import ChrfOptions, chrf
from reward_servers.verifiers.text.qa import QaOptions, qa
from reward_servers.verifiers.text.rouge import RougeOptions, rouge
from reward_servers.verifiers.text.wer import WerOptions, wer
from tests.verifiers import squad_inputs
from tests.verifiers.cases import TOLERANCE

WORDS = ["the", "The", "cat", "dog", "sat", "on", "a", "mat,", "mat", "1990", "don't", "re-use", "U.S.", "end."]
DRAWN = 1000


def texts(seed: int) -> list[tuple[str, list[str]]]:
    draw = random.Random(seed)

    def sentence() -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(1, 12)))

    return [(sentence(), [sentence() for _ in range(draw.randint(1, 3))]) for _ in range(DRAWN)]


def value(score: Score) -> float:
    assert score.value is not None
    return score.value


def test_bleu_and_chrf_are_those_of_sacrebleu() -> None:
    for text, references in texts(0):
        given = (Rollout(text), TextReference(answer=tuple(references)))
        theirs = sacrebleu.sentence_bleu(text, references).score / 100
        assert value(bleu(*given, BleuOptions.model_validate({}))) == pytest.approx(theirs, abs=TOLERANCE)
        theirs = sacrebleu.sentence_chrf(text, references).score / 100
        assert value(chrf(*given, ChrfOptions.model_validate({}))) == pytest.approx(theirs, abs=TOLERANCE)


@pytest.mark.parametrize("metric", ["rouge1", "rouge2", "rougeL"])
def test_rouge_is_that_of_rouge_score(metric: str) -> None:
    scorer = RougeScorer([metric], use_stemmer=False)
    for text, references in texts(1):
        theirs = scorer.score_multi(references, text)[metric].fmeasure
        ours = rouge(
            Rollout(text), TextReference(answer=tuple(references)), RougeOptions.model_validate({"metric": metric})
        )
        assert value(ours) == pytest.approx(theirs, abs=TOLERANCE)


@pytest.mark.parametrize("unit", ["word", "character"])
def test_the_error_rates_are_those_of_jiwer(unit: str) -> None:
    rate_of = jiwer.wer if unit == "word" else jiwer.cer
    options = WerOptions.model_validate({"unit": unit, "normalise": False})
    for text, references in texts(2):
        theirs = min(rate_of(one, text) for one in references)
        ours = wer(Rollout(text), TextReference(answer=tuple(references)), options)
        assert ours.aspects["error_rate"] == pytest.approx(theirs, abs=TOLERANCE)
        assert value(ours) == pytest.approx(max(0.0, 1.0 - theirs), abs=TOLERANCE)


def test_short_answers_are_scored_as_a_published_evaluation_of_squad_does() -> None:
    told = json.loads(squad_inputs.RECORDED.read_text("utf-8"))
    drawn = squad_inputs.inputs()
    assert len(drawn) == len(told["exact"]) == len(told["f1"]) == squad_inputs.DRAWN
    assert 100 < told["exact"].count("1") < 900
    options = QaOptions.model_validate({})
    for (given, accepted), exact, f1 in zip(drawn, told["exact"], told["f1"], strict=True):
        ours = qa(Rollout(given), TextReference(answer=tuple(accepted)), options)
        # Theirs computes in single precision, and is written with six places.
        assert ours.aspects["exact"] == float(exact), (given, accepted)
        assert value(ours) == pytest.approx(f1, abs=2e-6), (given, accepted)
