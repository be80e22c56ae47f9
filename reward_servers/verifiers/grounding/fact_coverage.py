"""Which facts a search brought to light, call by call (Mind-ParaWorld)."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from reward_servers import ItemLimits, Options, Reference, Rollout, Score, verifier
from reward_servers.engines.citations import check_citations
from reward_servers.engines.text import visible
from reward_servers.engines.toolcalls import MalformedCallError, read_object
from reward_servers.verifiers._named import Point, folded, ways_of

_ESCAPE = re.compile(r"\\[nrtbf]")


class FactsReference(Reference):
    """The facts that an answer rests on."""

    facts: tuple[Point, ...] = Field(
        min_length=1, max_length=100, description="Each one text, or several ways to write it."
    )


class FactsOptions(Options):
    """How texts are compared with the facts."""

    measure: Literal["coverage", "hit_precision"] = Field(
        "coverage", description="The score: share of the facts, or share of the calls that returned one."
    )


def _replies(rollout: Rollout) -> Iterator[tuple[str, str]]:
    """The words that each tool call returned, and the words of all calls up to it."""
    arguments = ""
    for message in rollout.messages:
        for call in message.tool_calls:
            arguments += f" {_argument_words(call.arguments)} "
        if message.role == "tool":
            yield f" {folded(message.text)} ", arguments


def _argument_words(arguments: str) -> str:
    """The words of a call's arguments; where they are no object, of what is written there."""
    with contextlib.suppress(MalformedCallError, RecursionError):
        arguments = json.dumps(read_object(arguments), ensure_ascii=False)
    return folded(_ESCAPE.sub(" ", arguments))


@verifier(
    "fact_coverage",
    version="3",
    limits=ItemLimits(response_bytes=1 << 20),
    aspects=dict.fromkeys(("coverage", "hit_precision", "calls", "attempted", "premature"), 0.0),
)
def fact_coverage(rollout: Rollout, ref: FactsReference, options: FactsOptions) -> Score:
    """Share of the facts that the replies of tools brought to light, each counted once.

    Source: Mind-ParaWorld (FCR and HitPrec at the last call; the denominator of HitPrec is the number of calls). Only
    messages of the role ``tool`` count, and no words that the policy wrote into a call before a reply held them: what
    it writes is no evidence. A rollout without calls covers nothing.
    """
    ways = [[f" {folded(way)} " for way in ways_of(point)] for point in ref.facts]
    covered: set[int] = set()
    curve: list[float] = []
    hits = 0
    for text, arguments in _replies(rollout):
        # A tool may repeat what it was asked: what the policy wrote first was not brought to light.
        supported = {
            place
            for place, wordings in enumerate(ways)
            if any(way in text and (place in covered or way not in arguments) for way in wordings)
        }
        hits += bool(supported)
        covered |= supported
        curve.append(len(covered) / len(ways))
    calls, coverage = len(curve), len(covered) / len(ways)
    answer = visible(rollout.response, rollout.reasoning_marks).text
    report = check_citations(rollout.response, [], marks=rollout.reasoning_marks, question=rollout.prompt)
    attempted = any(map(str.isalnum, answer)) and not report.abstains
    precision = hits / calls if calls else None
    aspects = {
        "coverage": coverage,
        "hit_precision": precision,
        "calls": float(calls),
        "attempted": float(attempted),
        "premature": float(attempted and coverage < 1.0),
    }
    missing = [point for place, point in enumerate(ref.facts) if place not in covered]
    value = coverage if options.measure == "coverage" else precision or 0.0
    return Score(value, "" if calls else "no_calls", aspects=aspects, evidence={"curve": curve, "not_seen": missing})
