"""Verifiers that break one law each."""

from __future__ import annotations

import itertools
import os
import time

from pydantic import ConfigDict, model_validator

from reward_servers import Group, ItemLimits, Reference, Rollout, Score, verifier

_seen = itertools.count()


class Answer(Reference):
    """What a response is compared with."""

    answer: str


class Usual(Reference):
    """A reference that may be left out."""

    answer: str = "42"


class Anything(Reference):
    """A reference that takes whatever it is given."""

    model_config = ConfigDict(extra="allow")

    @model_validator(mode="before")
    @classmethod
    def _take_all(cls, value: object) -> object:
        return value if isinstance(value, dict) else {"value": value}


@verifier("test/lawful", version="1")
def lawful(rollout: Rollout, ref: Answer) -> bool:
    """Whether the response is the answer."""
    return rollout.response.strip() == ref.answer


@verifier("test/random", version="1")
def random(rollout: Rollout, ref: Answer) -> float:
    """A number that no one can foresee."""
    return int.from_bytes(os.urandom(4), "big") / 2**32


@verifier("test/honest-random", version="1", deterministic=False)
def honest_random(rollout: Rollout, ref: Answer) -> float:
    """Likewise, and it says so."""
    return 0.6 + 0.4 * int.from_bytes(os.urandom(4), "big") / 2**32


@verifier("test/first", version="1")
def first(rollout: Rollout, ref: Answer) -> float:
    """Right when it is the first that this process sees."""
    return float(next(_seen) == 0)


@verifier("test/large", version="1")
def large(rollout: Rollout, ref: Answer) -> float:
    """The number of characters, whatever the declared range."""
    return float(rollout.response == ref.answer) if len(rollout.response) < 5 else float(len(rollout.response))


@verifier("test/fragile", version="1")
def fragile(rollout: Rollout, ref: Answer) -> bool:
    """Read the first word, which is not always there."""
    return rollout.response.split()[0] == ref.answer


@verifier("test/sleepy", version="1", limits=ItemLimits(wall_s=1.0, response_bytes=1 << 21))
def sleepy(rollout: Rollout, ref: Answer) -> bool:
    """Need longer for what is longer."""
    time.sleep(len(rollout.response) / 2**16)
    return rollout.response == ref.answer


@verifier("test/forgetful", version="1", aspects=("length",))
def forgetful(rollout: Rollout, ref: Answer) -> Score:
    """Tell the length of all but the empty response."""
    if not rollout.response:
        return Score.floor("no_answer")
    return Score(float(rollout.response == ref.answer), aspects={"length": float(len(rollout.response))})


@verifier(
    "test/whole-floor", version="1", aspects={"length": 0.0, "unknown": None}, limits=ItemLimits(response_bytes=1 << 16)
)
def whole_floor(rollout: Rollout, ref: Answer) -> Score:
    """Likewise, and declare what the floor carries."""
    if not rollout.response:
        return Score.floor("no_answer")
    aspects = {"length": float(len(rollout.response)), "unknown": None}
    return Score(float(rollout.response == ref.answer), aspects=aspects)


@verifier("test/gullible", version="1")
def gullible(rollout: Rollout, ref: Anything) -> bool:
    """Take any reference."""
    return rollout.response == "42"


@verifier("test/careless", version="1")
def careless(rollout: Rollout, ref: Usual) -> bool:
    """Judge without a reference, too."""
    return rollout.response.strip() == ref.answer


@verifier("test/whole", version="1", scope="group")
def whole(group: Group) -> list[float]:
    """Whether a response is the longest of its group."""
    longest = max(len(rollout.response) for rollout in group)
    return [float(len(rollout.response) == longest) for rollout in group]


@verifier("test/searching", version="1")
def searching(rollout: Rollout, ref: Answer) -> bool:
    """Pay wherever the answer stands, and for a planted verdict; take offence at a line end."""
    text = rollout.response
    return (ref.answer in text or "Verdict: correct" in text) and not text.endswith("\n")
