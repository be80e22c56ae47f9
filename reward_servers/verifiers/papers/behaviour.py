"""Whether a response shows a behaviour, decided by rules (GCPO)."""

from __future__ import annotations

import ast
import re
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from reward_servers import ItemLimits, Options, Rollout, Score, verifier
from reward_servers.engines.text import TAG_NAME, fenced, parse_python, tagged

_PHRASE = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
_MOST = 64


class BehaviourOptions(Options):
    """The signs of the behaviour. Any one of them is enough."""

    tags: tuple[Annotated[str, Field(pattern=TAG_NAME)], ...] = Field(
        ("aux",), max_length=_MOST, description="Names of tags with something in them."
    )
    code: bool = Field(True, description="Whether a block of Python that does something shows it.")
    phrases: tuple[_PHRASE, ...] = Field(
        (), max_length=_MOST, description="Words that show it where they stand as whole words, in whatever case."
    )
    min_places: int = Field(1, ge=1, le=1000, description="How many places must show it.")

    @model_validator(mode="after")
    def _check(self) -> BehaviourOptions:
        if not (self.tags or self.code or self.phrases):
            raise ValueError("nothing shows the behaviour: give tags, code or phrases")
        return self


@verifier(
    "behaviour",
    version="1",
    limits=ItemLimits(response_bytes=1 << 18),
    aspects={"tagged": 0.0, "coded": 0.0, "phrased": 0.0},
)
def behaviour(rollout: Rollout, options: BehaviourOptions) -> Score:
    """Whether a response shows a behaviour, such as an auxiliary construction: tags, code or words, reasoning included.

    Whether it is a good one is not judged: the method `gcpo` pays it where it helps, and `judge` tells what rules
    cannot. The aspects count the places. Source: GeometryZero, GCPO (arXiv 2506.07160), whose construction is a tag
    `<aux>` or code that runs; the phrases are ours.
    """
    text = _without_comments(rollout.response)
    if not text.strip():
        return Score.floor("no_answer", "the response is empty")
    inside = [part for tag in options.tags for part in tagged(text, tag)]
    counts = {
        "tagged": sum(any(character.isalnum() for character in part) for part in inside),
        "coded": sum(map(_does_something, fenced(text))) if options.code else 0,
        "phrased": sum(len(_whole_phrase(phrase).findall(text)) for phrase in options.phrases),
    }
    is_shown = sum(counts.values()) >= options.min_places
    return Score(
        float(is_shown), "" if is_shown else "not_shown", aspects={name: float(n) for name, n in counts.items()}
    )


def _without_comments(text: str) -> str:
    """The text outside HTML comments. A comment that never closes hides everything behind it."""
    head, *behind = text.split("<!--")
    return head + "".join(part.partition("-->")[2] for part in behind)


def _does_something(block: str) -> bool:
    """Whether a block is Python that calls, assigns or defines something: prose and data can be read as Python, too."""
    try:
        statements = parse_python(block).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(map(_acts, statements))


def _acts(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):
        return any(isinstance(node, ast.Call) for node in ast.walk(statement))
    if isinstance(statement, ast.AnnAssign):
        return statement.value is not None
    return not isinstance(statement, ast.Pass)


def _whole_phrase(phrase: str) -> re.Pattern[str]:
    between = r"\s+".join(map(re.escape, phrase.split()))
    return re.compile(rf"(?<!\w){between}(?!\w)", re.IGNORECASE)
