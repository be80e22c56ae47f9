"""Whether a hint gives the answer away (HiLL)."""

from __future__ import annotations

_CUES = ("=", "equals", "is", "answer is", "answer:", "result is", "value is", "equal to")


def leaks_answer(hint: str, answer: str) -> bool:
    """Whether the text of a hint holds the final answer.

    A boxed answer leaks. One of one or two characters leaks after a cue (``=``, ``is``, ``answer:`` ...), a longer one
    wherever it stands, case ignored. An empty answer cannot leak.

    Source: HiLL, Andree-9/HiLL verl/trainer/ppo/hinter_utils.py @195d94eb.
    """
    gold = answer.strip()
    if not gold:
        return False
    if f"\\boxed{{{gold}}}" in hint:
        return True
    text, right = hint.lower(), gold.lower()
    if len(gold) > 2:
        return right in text
    return any(f"{cue} {right}" in text for cue in _CUES)
