"""Perturbed prompts: the slips of a hurried writer."""

from __future__ import annotations

from numpy.random import Generator

from trainer_client.signals._errors import BadOption


def perturb(text: str, rate: float, rng: Generator) -> str:
    """The text with slips in about ``rate`` of its words: two letters exchanged, one dropped, or one doubled.

    Only letters inside a word are touched, so that numbers, formulas and the first and last letter of a word stay.

    Args:
        text: a prompt.
        rate: share of the words with at least four letters, 0 to 1.
        rng: source of the draws; the same one gives the same slips.

    Raises:
        BadOption: ``rate`` is outside [0, 1].

    Source: the noise that CoIPO trains against; the kinds of slips are ours.
    """
    if not 0.0 <= rate <= 1.0:
        raise BadOption(f"rate: {rate} of the words must lie in [0, 1]")
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
