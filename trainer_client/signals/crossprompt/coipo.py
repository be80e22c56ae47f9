"""Towards Self-Robust LLMs: Intrinsic Prompt Noise Resistance via CoIPO.

CoIPO, vegetable-yx/CoIPO ContrastiveLlama.py @7b6f8796.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator

from trainer_client.signals.authoring import (
    BoolArray,
    FloatArray,
    Groups,
    Input,
    InputError,
    Laws,
    OptionError,
    Pair,
    Paper,
    Signal,
    SignalBatch,
    register,
)
from trainer_client.signals.parts.report import mean_or_none

PAPER = Paper("coipo", __doc__, provenance="code")

_NOISY = Input("noisy", "N", "bool", "row's prompt was perturbed")


def _one_clean(inputs: dict[str, Any]) -> None:
    first = np.unique(inputs["groups"], return_index=True)[1]
    inputs["noisy"] = ~np.isin(np.arange(len(inputs["groups"])), first)


@register(
    "coipo",
    paper=PAPER,
    needs="group",
    inputs=(_NOISY, "groups"),
    optional=("rewards",),
    formula="exp(min(0, K(N1,O1) - K(N1,O2) + K(N2,O2) - K(N2,O1))) over pairs of prompts, each clean and noisy",
    laws=Laws(prepare=_one_clean),
)
def coipo(batch: SignalBatch) -> Signal:
    """CoIPO: the same prompt clean and perturbed, paired up for a loss that draws their answers together.

    A group is one prompt with one clean row and its ``noisy`` ones; a pair names the clean row as chosen and a noisy
    one as rejected. Consecutive pairs go into `trainer_client.losses.noise_contrast`, published weight 1000. With
    rewards the report holds what noise costs, by family of prompts.
    """
    valid, groups = batch.taken()
    rows, noisy = np.flatnonzero(valid), batch["noisy"][valid]
    plural_groups = np.flatnonzero(groups.sum(~noisy) > 1)
    if plural_groups.size:
        label = groups.labels.tolist()[int(plural_groups[0])]
        raise InputError(f"noisy: prompt {label!r} has more than one clean row; mark the perturbed ones")
    pairs = []
    for members in groups.members():
        clean, shaken = members[~noisy[members]], members[noisy[members]]
        pairs += [Pair(int(rows[clean[0]]), int(rows[m])) for m in shaken.tolist() if clean.size]
    report = robustness(batch.rewards[valid], noisy, groups) if "rewards" in batch else {}
    return batch.signal(pairs=pairs, report={f"coipo/{name}": value for name, value in report.items()})


def perturb(text: str, rate: float, rng: Generator) -> str:
    """The text with slips in about ``rate`` of its words: two letters exchanged, one dropped, or one doubled.

    Only letters inside a word are touched, so that numbers, formulas and the first and last letter of a word stay.

    Args:
        text: a prompt.
        rate: share of the words with at least four letters, 0 to 1.
        rng: source of the draws; the same one gives the same slips.

    Raises:
        OptionError: ``rate`` is outside [0, 1].

    Source: the noise that CoIPO trains against; the kinds of slips are ours.
    """
    if not 0.0 <= rate <= 1.0:
        raise OptionError(f"rate: {rate} of the words must lie in [0, 1]")
    return " ".join(_slip(word, rng) if rng.random() < rate else word for word in text.split(" "))


def _slip(word: str, rng: Generator) -> str:
    if len(word) < 4 or not word.isalpha():
        return word
    at = int(rng.integers(1, len(word) - 2))
    kinds = (
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        word[:at] + word[at + 1 :],
        word[: at + 1] + word[at:],
    )
    return kinds[int(rng.integers(len(kinds)))]


def robustness(rewards: FloatArray, noisy: BoolArray, groups: Groups) -> dict[str, float | int | None]:
    """Mean reward on perturbed prompts less that on clean ones, by family of prompts that have both.

    Returns:
        ``gap``, its mean over ``families``, and ``worst``, its lowest.

    Source: CoIPO, evaluation part.
    """
    clean, dirty = groups.sum(~noisy), groups.sum(noisy)
    both_right = (clean > 0) & (dirty > 0)
    shaken = groups.sum(np.where(noisy, rewards, 0.0)) / np.maximum(dirty, 1)
    plain = groups.sum(np.where(noisy, 0.0, rewards)) / np.maximum(clean, 1)
    gap = (shaken - plain)[both_right]
    return {
        "gap": mean_or_none(gap),
        "worst": float(gap.min()) if gap.size else None,
        "families": int(both_right.sum()),
    }
