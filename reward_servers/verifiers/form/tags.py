"""Tags that follow one another as a pattern says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from reward_servers import ItemLimits, Options, Rollout, Score, verifier

_TOKEN = re.compile(r"\s*(?:(?P<name>[A-Za-z][\w.-]*)|(?P<sign>[()|*+?]))")
_MOST = 10_000
_FIRST = 0xE000
_RULES = ("balanced", "sequence", "filled", "only")


class TagsOptions(Options):
    """The pattern, and which rules hold beside it. Each is an aspect."""

    pattern: str = Field(
        min_length=1,
        max_length=1000,
        description="Names with `( ) | * + ?` between them, such as `(think search information)* think answer`.",
    )
    filled: bool = Field(True, description="Whether no tag may be blank inside.")
    only: bool = Field(False, description="Whether nothing may stand outside the tags.")
    grade: Literal["all", "share"] = Field("all", description="1 when all rules hold, or the share that holds.")

    @model_validator(mode="after")
    def _check(self) -> TagsOptions:
        try:
            _compiled(self.pattern)
        except (ValueError, re.error, RecursionError) as error:
            raise ValueError(f"pattern: {error}") from None
        return self


def _compiled(pattern: str) -> tuple[re.Pattern[str], dict[str, str]]:
    """The pattern as a regular expression over one character for each name, and those characters.

    Raises:
        ValueError: It holds something else than names and signs, or no name.
    """
    letters: dict[str, str] = {}
    parts, place = [], 0
    pattern = pattern.rstrip()
    while place < len(pattern):
        token = _TOKEN.match(pattern, place)
        if token is None:
            raise ValueError(f"{pattern[place : place + 10]!r} is neither a name nor one of ( ) | * + ?")
        name = token["name"]
        parts.append(letters.setdefault(name, chr(_FIRST + len(letters))) if name else token["sign"])
        place = token.end()
    if not letters:
        raise ValueError("there is no name")
    return re.compile("".join(parts)), letters


@dataclass(frozen=True, slots=True)
class _Block:
    name: str
    start: int
    inside: tuple[int, int]
    end: int


def _blocks(text: str, names: Sequence[str]) -> list[_Block] | None:
    """What is in the named tags, one after the other; None where they do not open and close in turn."""
    mark = re.compile("<(/?)(" + "|".join(map(re.escape, names)) + ")>")
    blocks: list[_Block] = []
    opened: re.Match[str] | None = None
    for match in mark.finditer(text):
        closes, name = match.groups()
        if len(blocks) > _MOST or bool(closes) != (opened is not None):
            return None
        if opened is None:
            opened = match
        elif opened[2] != name:
            return None
        else:
            blocks.append(_Block(name, opened.start(), (opened.end(), match.start()), match.end()))
            opened = None
    return blocks if opened is None else None


@verifier("tags", version="1", limits=ItemLimits(response_bytes=1 << 19), aspects=dict.fromkeys(_RULES, 0.0))
def tags(rollout: Rollout, options: TagsOptions) -> Score:
    """Whether the tags of a response follow one another as a pattern says, none inside another, reasoning included.

    Source: the format rewards of DeepSeek-R1 (arXiv 2501.12948) and of Search-R1 (arXiv 2503.09516), for any pattern.
    """
    pattern, letters = _compiled(options.pattern)
    text = rollout.response
    blocks = _blocks(text, list(letters))
    rules = {"balanced": blocks is not None, "sequence": False}
    if blocks is not None:
        rules["sequence"] = pattern.fullmatch("".join(letters[block.name] for block in blocks)) is not None
    if options.filled:
        rules["filled"] = bool(blocks) and all(text[slice(*block.inside)].strip() for block in blocks or ())
    if options.only:
        ends, starts = (
            [0, *(block.end for block in blocks or ())],
            [*(block.start for block in blocks or ()), len(text)],
        )
        rules["only"] = bool(blocks) and not any(text[a:b].strip() for a, b in zip(ends, starts, strict=True))
    satisfied = sum(rules.values())
    value = satisfied / len(rules) if options.grade == "share" and blocks else float(satisfied == len(rules))
    failed = [rule for rule, passed in rules.items() if not passed]
    aspects = {rule: float(rules[rule]) if rule in rules else None for rule in _RULES}
    return Score(value, "" if value else "malformed", aspects=aspects, feedback={"failed": failed})
