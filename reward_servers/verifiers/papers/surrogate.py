"""Format and length in the place of a label (Surrogate Signals from Format and Length)."""

from __future__ import annotations

import re

from pydantic import Field

from reward_servers import CallerError, ItemLimits, Options, Rollout, Score, verifier
from reward_servers.engines.math import PROFILES, Gold, MathError, compile_gold, extract

_LOWEST = -100.0
_THOUGHT = re.compile(r"<think>.+?</think>", re.DOTALL)
_POLICY = PROFILES["default"]


class SurrogateOptions(Options):
    """The length that is best."""

    max_tokens: int = Field(3072, ge=2, description="Tokens at which the length term has fallen to -1.")
    best: float = Field(0.5, gt=0, lt=1, description="Share of `max_tokens` at which the length term is 1.")


def _length_term(share: float, best: float) -> float:
    """1 at the best length; falls to 0 at an empty response and to -1 at the longest, and further beyond it."""
    if share <= best:
        return 1.0 - (1.0 - share / best) ** 2
    return 1.0 - 2.0 * ((share - best) / (1.0 - best)) ** 2


def _has_expression(rollout: Rollout) -> bool:
    """Whether an answer can be found that is a mathematical expression."""
    text = extract(rollout.response, _POLICY, rollout.reasoning_marks).text
    if not text:
        return False
    try:
        compile_gold(Gold((text,), hint="number"))
    except MathError:
        return False
    return True


@verifier(
    "surrogate",
    version="1",
    score_range=(_LOWEST, 2.0),
    floor=_LOWEST,
    aspects=dict.fromkeys(("thought", "expression", "length"), 0.0),
    limits=ItemLimits(response_bytes=1 << 19),
)
def surrogate(rollout: Rollout, options: SurrogateOptions) -> Score:
    """Half a point each for reasoning and for an answer that is an expression, plus a term of the length in tokens.

    Source: insightLLM/rl-without-gt rl/verl/lib/src/rewards/math_reward.py @c1e2077c. Without an expression the length
    can only cost. The score is held at -100, which the default reaches at 4.05 times the longest.
    """
    if not rollout.token_ids and rollout.content:
        raise CallerError("the length is counted in the rollout's token_ids; send them", code="missing_token_ids")
    thought = bool(_THOUGHT.search(rollout.response))
    expression = _has_expression(rollout)
    length = _length_term(len(rollout.token_ids) / options.max_tokens, options.best)
    value = 0.5 * (thought + expression) + length if expression else min(0.0, length)
    aspects = {"thought": float(thought), "expression": float(expression), "length": length}
    return Score(max(_LOWEST, value), "accepted" if expression else "no_expression", aspects=aspects)
