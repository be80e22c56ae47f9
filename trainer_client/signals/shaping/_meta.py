"""Rewards for what a policy predicts of its own rollouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from trainer_client.signals._errors import BadOption


class MetaScore(NamedTuple):
    """Score of a prediction and its parts, each from 0 to 1.

    Attributes:
        score: mean of the three parts.
        notion: share of the predicted notions that occur more in right answers than in wrong ones.
        difficulty: closeness of the predicted pass rate to the measured one.
        length: 1 if the predicted length lies strictly between those of the right answers.
    """

    score: float
    notion: float
    difficulty: float
    length: float


def meta_prediction_score(
    prediction: Mapping[str, Any],
    question: str,
    texts: Sequence[str],
    scores: Sequence[float],
    lengths: Sequence[int],
    *,
    pass_rate_scale: int = 8,
    base: float = 0.01,
) -> MetaScore:
    """Hold a prediction against the rollouts of the same prompt.

    ``prediction`` may have ``math_notion`` (a list, or a text with commas), ``solution_length`` and ``pass_rate``
    (whole numbers; the latter out of ``pass_rate_scale``). A part that is absent or of another type earns 0. A rollout
    is right at score 1 and wrong at 0.

    Args:
        prediction: what the policy said; empty for one that could not be read.
        question: text of the prompt; a notion that stands in it is no prediction.
        texts: rollouts.
        scores: their rewards.
        lengths: their tokens.
        pass_rate_scale: what a pass rate of 1 is called.
        base: in (0, 1); the difficulty part is ``base ^ |mean score - pass_rate / scale|``.

    Raises:
        BadOption: ``base`` is outside (0, 1), or the scale not positive.

    Source: MASA (arXiv 2510.03259); akatigre/MASA-RL verl/utils/reward_score/meta_cog.py @fad5726e.
    """
    if not 0.0 < base < 1.0 or pass_rate_scale < 1:
        raise BadOption(f"base: {base} must lie in (0, 1), pass_rate_scale: {pass_rate_scale} be positive")
    right = [k for k, score in enumerate(scores) if score == 1]
    wrong = [k for k, score in enumerate(scores) if score == 0]
    notions = [n for n in predicted_notions(prediction) if n not in question]
    notion = difficulty = length = 0.0
    if notions:
        lead = [sum(n in texts[k] for k in right) - sum(n in texts[k] for k in wrong) for n in notions]
        notion = sum(count > 0 for count in lead) / len(lead)
    said = whole_number(prediction, "solution_length")
    if said is not None and right:
        among = [lengths[k] for k in right]
        length = float(min(among) < said < max(among))
    rate = whole_number(prediction, "pass_rate")
    if rate is not None and len(scores):
        difficulty = base ** abs(sum(scores) / len(scores) - rate / pass_rate_scale)
    return MetaScore((notion + difficulty + length) / 3, notion, difficulty, length)


def predicted_notions(prediction: Mapping[str, Any]) -> list[str]:
    """The predicted notions in the singular, each once; none where they cannot be read."""
    said = prediction.get("math_notion", [])
    if isinstance(said, str):
        said = [part.strip().strip("[").strip("]") for part in said.split(",")] if "," in said else [said]
    if not isinstance(said, list | tuple) or not all(isinstance(part, str) for part in said):
        return []
    return list(dict.fromkeys(map(singular, said)))


def singular(word: str) -> str:
    """A regular English plural without its ending: identities, boxes, cosines; glass and series stay."""
    lower = word.lower()
    if lower == "series" or lower.endswith("ss") or not lower.endswith("s"):
        return word
    if lower.endswith("ies"):
        return word[:-3] + "y"
    return word[:-2] if lower.endswith(("ches", "shes", "xes", "zes", "oes")) else word[:-1]


def whole_number(prediction: Mapping[str, Any], key: str) -> int | None:
    """An entry that is a whole number; None where it is absent or of another type."""
    value = prediction.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
