"""What rubrics are made from: pairs of responses, and responses with their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from reward_servers.training import read_pairs
from trainer_client._numbers import is_number
from trainer_client.rollout.files import read_rows


class CasesError(ValueError):
    """The file cannot be used; the message names the line, the key and the remedy."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A prompt with a better and a worse response."""

    prompt: str
    chosen: str
    rejected: str


@dataclass(frozen=True, slots=True)
class Case:
    """A response with the score that a rubric gave it."""

    prompt: str
    response: str
    score: float


def _text(turns: Sequence[tuple[str, str]]) -> str:
    if len(turns) == 1:
        return turns[0][1]
    return "\n\n".join(f"{role}: {text}" for role, text in turns)


def read_pairs_as_text(path: Path) -> list[Pair]:
    """Read a file of pairs, as `assay train preference` reads it; equal pairs are one.

    Raises:
        RowsError: A line cannot be used, or there is none.
        OSError: The file cannot be read.
    """
    pairs = (Pair(_text(pair.prompt), _text(pair.chosen), _text(pair.rejected)) for pair in read_pairs(path))
    return list(dict.fromkeys(pair for pair in pairs if pair.chosen.strip() != pair.rejected.strip()))


def read_cases(path: Path, reward: str = "") -> list[Case]:
    """Read scored responses: lines with ``prompt``, ``response`` and ``score``, or what `assay score --keep` writes.

    Rows without a score are left out: what could not be judged says nothing about a rubric.

    Args:
        path: The file.
        reward: Name of a reward of the recipe, whose score is taken in place of the whole reward.

    Raises:
        CasesError: A line cannot be used, or there is none.
        OSError: The file cannot be read.
    """
    cases: list[Case] = []
    for row in read_rows(path):
        if row.problem or not isinstance(row.table, dict):
            raise CasesError(f"{path}: {row.unit}: {row.problem or 'is no object'}")
        table: dict[str, Any] = row.table
        within = table.get("rollout")
        rollout = within if isinstance(within, dict) else table
        score = table.get("score", table.get("reward"))
        if reward:
            scores = table.get("scores")
            if not isinstance(scores, dict) or reward not in scores:
                available = ", ".join(scores) if isinstance(scores, dict) else "none"
                raise CasesError(f"{path}: {row.unit}: scores: has no {reward!r}; --score names one of: {available}")
            score = scores[reward]
        for key in ("prompt", "response"):
            if not isinstance(rollout.get(key), str):
                raise CasesError(
                    f"{path}: {row.unit}: {key}: give a text; assay score --keep writes the rollout's own fields"
                )
        if score is None:
            continue
        if not is_number(score):
            raise CasesError(f"{path}: {row.unit}: score: {score!r:.100} is no finite number")
        cases.append(Case(rollout["prompt"], rollout["response"], float(score)))
    if not cases:
        raise CasesError(f"{path}: holds no scored response; a line holds prompt, response and score")
    return list(dict.fromkeys(cases))


def digest_of(items: Sequence[Pair] | Sequence[Case]) -> str:
    """A digest of what a rubric was made from."""
    return "sha256:" + sha256("\0".join(map(repr, items)).encode("utf-8", "replace")).hexdigest()[:16]
