r"""Judge mathematical answers: exact, explainable, bounded before it computes.

    from reward_servers.engines.math import judge

    judge(r"... so the sum is \boxed{0.5}.", r"\frac{1}{2}").outcome   # Outcome.CORRECT

Nouns: a *gold* is a reference answer, compiled once (`compile_gold`); a *policy* fixes every decision
about form (`Policy`, `PROFILES`); a *judgement* says what was found, what decided, and why.
"""

from typing import TYPE_CHECKING

from reward_servers.engines.math.errors import (
    AnswerSyntaxError,
    InvalidGoldError,
    LimitExceededError,
    MathError,
    SymbolicUnavailableError,
)
from reward_servers.engines.math.explanation import explain
from reward_servers.engines.math.extraction.answer import extract
from reward_servers.engines.math.extraction.problems import integers_in
from reward_servers.engines.math.golds import CompiledGold, Gold, compile_gold
from reward_servers.engines.math.judging import VERSION, judge
from reward_servers.engines.math.policy import DEFAULT, PROFILES, Limits, Policy
from reward_servers.engines.math.result import Extraction, Judgement, Outcome

if TYPE_CHECKING:
    from reward_servers.engines.math.symbolic.pool import SymbolicPool, default_pool


def __getattr__(name: str) -> object:
    """The symbolic stage, loaded when first asked for."""
    if name in ("SymbolicPool", "default_pool"):
        from reward_servers.engines.math.symbolic import pool

        return getattr(pool, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "DEFAULT",
    "PROFILES",
    "VERSION",
    "AnswerSyntaxError",
    "CompiledGold",
    "Extraction",
    "Gold",
    "InvalidGoldError",
    "Judgement",
    "LimitExceededError",
    "Limits",
    "MathError",
    "Outcome",
    "Policy",
    "SymbolicPool",
    "SymbolicUnavailableError",
    "compile_gold",
    "default_pool",
    "explain",
    "extract",
    "integers_in",
    "judge",
]
