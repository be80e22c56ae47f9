"""How like an answer is to the answers to other wordings of its question (Con-RAG, PS-GRPO)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from reward_servers import CallerError, Group, ItemLimits, Rollout, Score, verifier
from reward_servers.engines import similarity
from reward_servers.verifiers._answers import AnswerOptions, answer_part
from reward_servers.verifiers.groups._sizes import too_large
from trainer_client.signals.crossprompt.ps_grpo import set_overlap

_MOST = 128
_WORDS = 1000


class WordingsOptions(AnswerOptions):
    """The field that names the wording, and how the likeness of two answers is measured."""

    metric: Literal["bleu", "rouge1", "rouge2", "rougeL"] = Field(
        "bleu", description="Likeness of an answer (candidate) with another (reference), in their words."
    )
    smoothing: float = Field(
        1.0, ge=0, le=1, description="Added to matches and totals of n-grams from two words on, for 'bleu'."
    )
    field: str = Field("wording", min_length=1, description="Field of the metadata that says which wording it answers.")
    retrieved: str = Field(
        "", description="Field of the metadata with the list of documents that were retrieved for the wording."
    )


@verifier(
    "wordings",
    version="1",
    scope="group",
    limits=ItemLimits(cpu_s=60.0, wall_s=180.0, response_bytes=1 << 18),
    aspects={"compared": 0.0, "retrieved": None},
    libraries=("rapidfuzz",),
)
def wordings(group: Group, options: WordingsOptions) -> Sequence[Score]:
    """Mean likeness of an answer to the answers to the other wordings of its question; a group is a question.

    Which wording a rollout answers stands in its metadata: the prompt is the same for a group, and the caller asks in
    other words. An answer without words gets the floor and is compared with none. `compared` is the number of answers
    compared with; `retrieved` is the mean share of what the documents of two wordings have in common (Jaccard).
    Sources: PS-GRPO (arXiv 2510.04392); add-one smoothing of BLEU, Lin and Och (ACL 2004).
    """
    if (refused := too_large(group, _MOST)) is not None:
        return refused
    rollouts = list(group)
    wordings_of = [_field(rollout, options.field) for rollout in rollouts]
    if len(set(map(repr, wordings_of))) < 2:
        reason = f"metadata.{options.field}: the group has one wording; give rollouts of two or more"
        raise CallerError(reason, code="one_wording")
    overlap = _overlap(rollouts, wordings_of, options.retrieved) if options.retrieved else None
    answers = [similarity.words(answer_part(rollout, options) or "")[:_WORDS] for rollout in rollouts]
    scores = []
    for words, own in zip(answers, wordings_of, strict=True):
        other_texts = [text for text, name in zip(answers, wordings_of, strict=True) if text and name != own]
        aspects = {"compared": float(len(other_texts)), "retrieved": overlap}
        if not words:
            scores.append(Score(None, "no_answer", aspects={**aspects, "compared": 0.0}))
        elif not other_texts:
            scores.append(Score(0.0, "undecided", aspects=aspects, note="no other wording has an answer"))
        else:
            alike = [_likeness(words, other_text, options) for other_text in other_texts]
            scores.append(Score(min(1.0, sum(alike) / len(alike)), aspects=aspects))
    return scores


def _field(rollout: Rollout, name: str) -> Any:
    value = rollout.metadata.get(name)
    if value is None:
        raise CallerError(f"metadata.{name}: send it with every rollout of the group", code="missing_metadata")
    return value


def _overlap(rollouts: Sequence[Rollout], wording_names: Sequence[Any], name: str) -> float:
    """Overlap of the documents retrieved for the wordings. The first rollout of each wording counts."""
    first = {repr(own): rollout for rollout, own in reversed(list(zip(rollouts, wording_names, strict=True)))}
    sets = []
    for rollout in first.values():
        documents = _field(rollout, name)
        if not isinstance(documents, list) or not all(isinstance(document, str | int) for document in documents):
            raise CallerError(f"metadata.{name}: a list of ids is needed", code="bad_metadata")
        sets.append(documents)
    return set_overlap(sets)


def _likeness(words: list[str], other_words: list[str], options: WordingsOptions) -> float:
    if options.metric == "bleu":
        return similarity.bleu(words, other_words, smoothing=options.smoothing)
    return similarity.rouge(words, other_words)[options.metric]
