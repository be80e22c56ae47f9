"""Format of a reply that thinks and then writes one block of code (Cobalt), and tests that lie."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

_BLOCK = re.compile(r"```(?:\w+)?\n(.*?)```", re.DOTALL)
_FENCE = "```python"
_REFLECTING = ("wait", "mistake", "however", "but", "retry", "error", "verify", "wrong", "evaluate")
_MALFORMED = -0.9


class FormatTerms(NamedTuple):
    """What the format adds to a reward.

    Attributes:
        right: where the rest of the reward is at least 0.
        wrong: where it is below.
    """

    right: float
    wrong: float


def code_block(reply: str) -> str | None:
    """Content of the last fenced block, or None."""
    blocks = _BLOCK.findall(reply)
    return blocks[-1].strip() if blocks else None


def format_terms(reply: str, count: Callable[[str], int]) -> FormatTerms:
    """Cobalt's terms for a reply of thinking, ``</think>``, and one Python block.

    -0.9 for a reply that loops, lacks the one tag or the one block, or holds a backtick in its code. Otherwise a right
    reply loses 0.01 for being long, and a wrong one gains up to 0.1 for having thought and reflected, and loses 0.1 for
    each of too much thinking, response, and explanation behind the code.

    Args:
        reply: text of the reply.
        count: number of tokens of a text.

    Source: OSU-NLP-Group/cobalt verl/code_reward_func_think.py @18ce6aed.
    """
    parts = None if repeats(reply) else _parts(reply)
    if parts is None:
        return FormatTerms(_MALFORMED, _MALFORMED)
    thought, response, explanation = (count(part) for part in parts)
    short = thought <= 4096 and response <= 2048 and explanation <= 512
    wrong = -0.1
    if thought <= 4096:
        words = parts[0].lower()
        used = sum(1 <= len(re.findall(rf"\b{word}\b", words)) <= 4 for word in _REFLECTING)
        wrong = 0.075 * math.tanh(thought / 1024) + min(0.005 * used, 0.025)
    wrong -= 0.1 * (response > 2048) + 0.1 * (explanation > 512)
    return FormatTerms(0.0 if short else -0.01, wrong)


def repeats(text: str, *, shortest: int = 32, times: int = 8) -> bool:
    """Whether some substring of at least ``shortest`` characters stands ``times`` times in a row.

    A block of length L repeats where ``text[i] == text[i + L]`` over a run of ``L * (times - 1)`` places. Every such
    run covers ``times - 2`` whole blocks that begin at a multiple of L, and their checksums are compared first. So the
    whole costs little more than the text's length times its logarithm, whatever it is made of: a text in which a block
    stands nearly often enough has room for few lengths of such blocks.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    sums = _Checksums(codes)
    for length in range(shortest, codes.size // times + 1):
        blocks = sums.of_blocks(length)
        if _longest_run(blocks[:-1] == blocks[1:]) < times - 2:
            continue
        if _longest_run(codes[:-length] == codes[length:]) >= length * (times - 1):
            return True
    return False


def unequal_places(outputs: Sequence[str], *, seed: int = 0) -> tuple[int, int] | None:
    """Places of two expected outputs to be exchanged, to see whether a policy fits wrong tests.

    None where all are equal, so that no exchange would change anything.

    Args:
        outputs: Expected output of each test; blanks around one make no difference.
        seed: of the choice of the two.

    Source: Cobalt, OSU-NLP-Group/cobalt @18ce6aed.
    """
    unequal = [
        (i, j)
        for i, output in enumerate(outputs)
        for j in range(i + 1, len(outputs))
        if output.strip() != outputs[j].strip()
    ]
    return unequal[int(np.random.default_rng(seed).integers(len(unequal)))] if unequal else None


def _parts(reply: str) -> tuple[str, str, str] | None:
    """Thinking, response, and what follows the code; None for a malformed reply."""
    thinking, tag, after_thinking = reply.partition("</think>")
    response = after_thinking.strip()
    _, fence, behind = response.partition(_FENCE)
    code, end, explanation = behind.partition("\n```")
    well_formed = (
        tag
        and "</think>" not in after_thinking
        and fence
        and _FENCE not in behind
        and end
        and "\n```" not in explanation
        and "`" not in code
    )
    return (thinking.strip(), response, explanation.strip()) if well_formed else None


class _Checksums:
    """Checksums of the blocks of a text: equal for equal blocks, whatever stands before them."""

    _BASE = 0x9E3779B97F4A7C15

    def __init__(self, codes: np.ndarray) -> None:
        powers = np.full(codes.size + 1, self._BASE, np.uint64)
        inverse = np.full(codes.size + 1, pow(self._BASE, -1, 1 << 64), np.uint64)
        powers[0] = inverse[0] = 1
        # All of it wraps around, as the arithmetic modulo 2 ** 64 should.
        self._shift = np.cumprod(inverse, dtype=np.uint64)
        terms = (codes.astype(np.uint64) + np.uint64(1)) * np.cumprod(powers, dtype=np.uint64)[:-1]
        self._upto = np.concatenate((np.zeros(1, np.uint64), np.cumsum(terms, dtype=np.uint64)))

    def of_blocks(self, length: int) -> np.ndarray:
        """Of each whole block that begins at a multiple of the length."""
        upto = self._upto[::length]
        return (upto[1:] - upto[:-1]) * self._shift[::length][: upto.size - 1]


def _longest_run(flags: np.ndarray) -> int:
    """Length of the longest run of true entries."""
    gaps = np.flatnonzero(~flags)
    edges = np.concatenate(([-1], gaps, [flags.size]))
    return int(np.diff(edges).max()) - 1
