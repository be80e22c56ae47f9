"""The reward of one turn of several in Cobalt: for tests passed, for progress over earlier turns, and for form."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field

from reward_servers import CallerError, Options, Rollout
from reward_servers.engines import published
from trainer_client.signals import SignalBatch, method

Unit = Literal["words", "tokens"]
MALFORMED = -0.9
_LONGEST = 1 << 19
UNIT = "'tokens': the caller's token_ids, shared out over the parts by their characters."


class TurnOptions(Options):
    """Which of Cobalt's terms a verdict has beside its score, as aspects.

    `[inputs] rewards = "NAME.turn"` makes the reward of a turn what a method is given.
    """

    improvement: bool = Field(
        False,
        description="Whether the aspect `turn` is the reward of one turn of several: 1 for all tests, 0.2 from half of "
        "them, 0 for some, -0.1 for none, moved by up to 0.1 by the change against the best turn before "
        "(`metadata.previous_best`, a share of tests; 0 at the first turn), -1 without a program.",
    )
    form: Literal["none", "words", "tokens"] = Field(
        "none",
        description="Whether there are the aspects `form_right` and `form_wrong`, what the form adds to a reward of at "
        f"least 0, or below (and `turn` has it); lengths are counted in words or tokens. {UNIT}",
    )


def turn_aspects(rollout: Rollout, options: TurnOptions, share: float, *, answered: bool) -> dict[str, float]:
    """The aspects that the options ask for.

    Args:
        rollout: One turn.
        options: What is asked for.
        share: Share of the tests that it passes.
        answered: Whether it holds a program.

    Raises:
        CallerError: What the options need was not sent with the rollout.

    Source: OSU-NLP-Group/cobalt verl/code_reward_func_think.py @18ce6aed, as the method `cobalt` computes it.
    """
    aspects: dict[str, float] = {}
    terms = None if options.form == "none" else form_of(rollout, options.form)
    if terms is not None:
        aspects |= {"form_right": terms.right, "form_wrong": terms.wrong}
    if options.improvement:
        form: dict[str, Any] = {} if terms is None else {"format_terms": [[terms.right, terms.wrong]]}
        batch = SignalBatch([share], previous_best=[_previous_best(rollout)], answered=[answered], **form)
        rewards = method("cobalt")(batch).rewards
        assert rewards is not None
        aspects["turn"] = float(rewards[0])
    return aspects


def form_of(rollout: Rollout, unit: Unit) -> published.FormatTerms:
    """What the form of a reply adds to its reward; one of over half a million characters has none.

    Raises:
        CallerError: Tokens are to be counted and none were sent.
    """
    reply = _reply(rollout)
    if len(reply) > _LONGEST:
        return published.FormatTerms(MALFORMED, MALFORMED)
    return published.format_terms(reply, _counter(rollout, unit, len(reply)))


def _reply(rollout: Rollout) -> str:
    """The reply with its thinking as text, where the caller sends that apart from it."""
    turns = [message for message in rollout.messages if message.role == "assistant"]
    apart = "".join(part.text for part in turns[-1].parts if part.kind == "reasoning") if turns else ""
    return f"<think>{apart}</think>{rollout.response}" if apart.strip() else rollout.response


def _counter(rollout: Rollout, unit: Unit, size: int) -> Callable[[str], int]:
    """Counts the words or tokens of a part of a reply of so many characters."""
    if unit == "words":
        return lambda part: len(part.split())
    if not rollout.token_ids and rollout.content:
        raise CallerError("unit 'tokens' counts the rollout's token_ids; send them", code="missing_token_ids")
    tokens_per_character = len(rollout.token_ids) / max(1, size)
    return lambda part: round(len(part) * tokens_per_character)


def _previous_best(rollout: Rollout) -> float:
    best = rollout.metadata.get("previous_best")
    if isinstance(best, bool) or not isinstance(best, int | float) or not 0 <= best <= 1 or math.isnan(best):
        raise CallerError(
            "metadata.previous_best: send the best share of tests that an earlier turn passed, from 0 to 1; 0 with a "
            "first turn",
            code="missing_previous_best",
        )
    return float(best)
