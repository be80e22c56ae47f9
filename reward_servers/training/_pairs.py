"""What preference models are trained on: pairs, lists of responses with scores, and single ratings."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, TypeVar

from reward_servers.engines.models import Conversation
from reward_servers.training._files import RowsError, number_of, read_rows, turns_of
from trainer_client._numbers import is_number

Turns = tuple[tuple[str, str], ...]
_MOST_LISTED = 256


class HasPrompt(Protocol):
    """A row with a prompt."""

    @property
    def prompt(self) -> Turns:
        """Turns before the response."""
        ...


R = TypeVar("R", bound=HasPrompt)


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """A prompt with two responses.

    Attributes:
        prompt: Turns before the response.
        chosen: Turns of the better response.
        rejected: Turns of the worse one.
        margin: How much more the better one should score.
        label: Probability that the preference holds.
        head: What it is better in; empty for a model with one head.
    """

    prompt: Turns
    chosen: Turns
    rejected: Turns
    margin: float = 0.0
    label: float = 1.0
    head: str = ""

    @property
    def conversations(self) -> tuple[Conversation, ...]:
        """The chosen and the rejected conversation."""
        return Conversation(self.prompt, self.chosen), Conversation(self.prompt, self.rejected)

    @property
    def heads(self) -> tuple[str, ...]:
        """The head that it speaks of."""
        return (self.head,)

    def turned(self) -> PreferencePair:
        """The pair with its responses in each other's place."""
        return replace(self, chosen=self.rejected, rejected=self.chosen)


@dataclass(frozen=True, slots=True)
class ScoredList:
    """A prompt with several responses and how good each is.

    Attributes:
        prompt: Turns before the responses.
        responses: Turns of each.
        scores: Of each; higher is better, and only their order or differences within the list count.
        head: What they are scored by; empty for a model with one head.
    """

    prompt: Turns
    responses: tuple[Turns, ...]
    scores: tuple[float, ...]
    head: str = ""

    @property
    def conversations(self) -> tuple[Conversation, ...]:
        """A conversation for each response."""
        return tuple(Conversation(self.prompt, response) for response in self.responses)

    @property
    def heads(self) -> tuple[str, ...]:
        """The head that it speaks of."""
        return (self.head,)


@dataclass(frozen=True, slots=True)
class RatedResponse:
    """A response with a rating from 0 to 1 for each of some heads.

    Attributes:
        prompt: Turns before the response.
        response: Its turns.
        ratings: By name of the head; one without a name for a model with one head.
    """

    prompt: Turns
    response: Turns
    ratings: tuple[tuple[str, float], ...]

    @property
    def conversations(self) -> tuple[Conversation, ...]:
        """The conversation."""
        return (Conversation(self.prompt, self.response),)

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads that it speaks of."""
        return tuple(name for name, _ in self.ratings)


Preference = PreferencePair | ScoredList | RatedResponse


def read_preferences(path: Path) -> list[Preference]:
    """Read a JSON Lines file of preferences; lines of the three kinds may be mixed.

    A line holds ``prompt`` and

    * ``chosen`` and ``rejected``, optionally ``margin`` (a number from 0) and ``label`` (the probability that the
      preference holds, from 0 to 1); or
    * ``responses`` and ``scores``, one for each; or
    * ``response`` and ``ratings``, an object of numbers from 0 to 1 by head, or one such number.

    The first two may name a ``head``. Prompts and responses are texts or lists of chat messages. Chat messages of
    ``chosen`` and ``rejected`` may begin with the prompt, as data sets of preferences ship them; ``prompt`` may then
    be left out.

    Args:
        path: The file.

    Returns:
        The rows, in order.

    Raises:
        RowsError: A line cannot be used, there is none, or some name a head and others none.
        OSError: The file cannot be read.
    """
    rows = read_rows(path, _preference, "prompt, chosen and rejected")
    names = {name for row in rows for name in row.heads}
    if "" in names and len(names) > 1:
        place = next(place for place, row in enumerate(rows, 1) if "" in row.heads)
        raise RowsError(f"{path}: head: row {place} names none, but others name {max(names)!r}; name it on all of them")
    return rows


def read_pairs(path: Path) -> list[PreferencePair]:
    """Read a file that holds pairs alone; arguments and errors as above."""
    return read_rows(path, _pair, "prompt, chosen and rejected")


def _preference(data: dict[str, Any]) -> Preference:
    if "responses" in data:
        return _list(data)
    return _rating(data) if "ratings" in data else _pair(data)


def _pair(data: dict[str, Any]) -> PreferencePair:
    if missing := [key for key in ("chosen", "rejected") if key not in data]:
        raise ValueError(f"{missing[0]}: is missing; the line has {', '.join(map(str, data)) or 'no keys'}")
    chosen, rejected = (turns_of(data[key], "assistant", key) for key in ("chosen", "rejected"))
    if "prompt" in data:
        prompt = turns_of(data["prompt"], "user", "prompt")
    else:
        common = next(
            (place for place, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b),
            min(len(chosen), len(rejected)),
        )
        prompt, chosen, rejected = chosen[:common], chosen[common:], rejected[common:]
    if prompt and chosen[: len(prompt)] == prompt == rejected[: len(prompt)]:
        chosen, rejected = chosen[len(prompt) :], rejected[len(prompt) :]
    if not chosen or not rejected:
        raise ValueError("chosen and rejected: one of them has no turn besides the prompt")
    margin, label = number_of(data, "margin", 0.0, 1e6), number_of(data, "label", 1.0, 1.0)
    return PreferencePair(prompt, chosen, rejected, margin, label, _head(data))


def _list(data: dict[str, Any]) -> ScoredList:
    responses, scores = data["responses"], data.get("scores")
    if not isinstance(responses, list) or not 2 <= len(responses) <= _MOST_LISTED:
        raise ValueError(f"responses: is not a list of 2 to {_MOST_LISTED} responses")
    if not isinstance(scores, list) or len(scores) != len(responses):
        raise ValueError(f"scores: is not a list of {len(responses)} numbers, one for each response")
    if not all(map(is_number, scores)):
        raise ValueError("scores: holds what is not a number")
    if len(set(scores)) == 1:
        raise ValueError("scores: all are the same, which prefers nothing; leave the line out")
    texts = tuple(turns_of(response, "assistant", "responses") for response in responses)
    return ScoredList(turns_of(data.get("prompt", ""), "user", "prompt"), texts, tuple(map(float, scores)), _head(data))


def _rating(data: dict[str, Any]) -> RatedResponse:
    if "response" not in data:
        raise ValueError(f"response: is missing; the line has {', '.join(map(str, data))}")
    rating_data = data["ratings"] if isinstance(data["ratings"], dict) else {"": data["ratings"]}
    ratings = tuple((name, number_of(rating_data, name, None, 1.0)) for name in rating_data)
    if not ratings:
        raise ValueError("ratings: is empty; give a number from 0 to 1 for each head")
    prompt = turns_of(data.get("prompt", ""), "user", "prompt")
    return RatedResponse(prompt, turns_of(data["response"], "assistant", "response"), ratings)


def _head(data: dict[str, Any]) -> str:
    head = data.get("head", "")
    if not isinstance(head, str):
        raise ValueError(f"head: {head!r} is not a name")
    return head


def drawn_by_lot(rows: Sequence[Preference], seed: int) -> list[Preference]:
    """The rows with every preference drawn by lot: the control that shows what chance looks like.

    Of the pairs of a head one half is turned. If each were turned by itself, a small set would have some more on one
    side, and a model would learn that side: pairs that differ in one manner would be told apart well, or nearly never.
    """
    draw = random.Random(seed)  # noqa: S311 - a control is no secret
    ratings = [row.ratings for row in rows if isinstance(row, RatedResponse)]
    draw.shuffle(ratings)
    pairs: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        if isinstance(row, PreferencePair):
            pairs.setdefault(row.head, []).append(place)
    turned = {place for places in pairs.values() for place in draw.sample(places, len(places) // 2)}
    left = iter(ratings)
    return [_by_lot(row, place in turned, draw, partial(next, left)) for place, row in enumerate(rows)]


def as_they_hold(rows: Sequence[Preference]) -> list[Preference]:
    """The rows by which a model is reported on: of a pair the response that is more probably better is the chosen one.

    A pair whose label is 0.5 says of neither that it is better, and is left out.
    """
    oriented: list[Preference] = []
    for row in rows:
        if isinstance(row, PreferencePair) and row.label <= 0.5:
            if row.label < 0.5:
                oriented.append(replace(row.turned(), label=1.0 - row.label))
        else:
            oriented.append(row)
    return oriented


def _by_lot(row: Preference, turned: bool, draw: random.Random, ratings: Any) -> Preference:
    if isinstance(row, PreferencePair):
        return row.turned() if turned else row
    if isinstance(row, ScoredList):
        return replace(row, scores=tuple(draw.sample(row.scores, len(row.scores))))
    return replace(row, ratings=ratings())


def split_by_prompt(rows: Sequence[R], share: float, seed: int) -> tuple[list[R], list[R]]:
    """Split rows so that no prompt is on both sides.

    Args:
        rows: The rows.
        share: Share of the prompts that go to the second part, at least one of them when it is positive.
        seed: Of the choice.

    Returns:
        The rows to train on, and those held out.
    """
    prompts = sorted({_digest(row.prompt) for row in rows})
    random.Random(seed).shuffle(prompts)  # noqa: S311 - a split is no secret
    held_digests = set(prompts[: max(1, round(share * len(prompts)))] if share > 0 else ())
    parts: tuple[list[R], list[R]] = ([], [])
    for row in rows:
        parts[_digest(row.prompt) in held_digests].append(row)
    return parts


def _digest(turns: Iterable[tuple[str, str]]) -> str:
    return sha256(json.dumps(list(turns)).encode("utf-8", "surrogatepass")).hexdigest()
