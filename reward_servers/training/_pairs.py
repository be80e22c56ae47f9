"""Files of preference pairs."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from reward_servers.engines.models import Conversation

_KEYS = ("prompt", "chosen", "rejected", "margin", "label")
_SHOWN = 10


class PairsError(ValueError):
    """A file of pairs that cannot be used; each line of the message names a line of the file, a key and the remedy."""


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """A prompt with two responses.

    Attributes:
        prompt: Turns before the response.
        chosen: Turns of the better response.
        rejected: Turns of the worse one.
        margin: How much more the better one should score.
        label: Probability that the preference holds.
    """

    prompt: tuple[tuple[str, str], ...]
    chosen: tuple[tuple[str, str], ...]
    rejected: tuple[tuple[str, str], ...]
    margin: float = 0.0
    label: float = 1.0

    @property
    def conversations(self) -> tuple[Conversation, Conversation]:
        """The chosen and the rejected conversation."""
        return Conversation(self.prompt, self.chosen), Conversation(self.prompt, self.rejected)

    def turned(self) -> PreferencePair:
        """The pair with its responses in each other's place."""
        return PreferencePair(self.prompt, self.rejected, self.chosen, self.margin, self.label)


def read_pairs(path: Path) -> list[PreferencePair]:
    """Read a JSON Lines file of pairs.

    A line holds ``prompt``, ``chosen`` and ``rejected``, each a text or a list of chat messages, and optionally
    ``margin`` (a number from 0) and ``label`` (the probability that the preference holds, from 0 to 1). Chat messages
    of ``chosen`` and ``rejected`` may begin with the prompt, as data sets of preferences ship them; ``prompt`` may then
    be left out.

    Args:
        path: The file.

    Returns:
        The pairs, in order.

    Raises:
        PairsError: A line cannot be used, or there is none.
        OSError: The file cannot be read.
    """
    pairs: list[PreferencePair] = []
    problems: list[str] = []
    with path.open(encoding="utf-8", errors="strict") as lines:
        try:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    try:
                        pairs.append(_pair(json.loads(line)))
                    except ValueError as error:
                        problems.append(f"{path}:{number}: {error}")
        except UnicodeDecodeError as error:
            raise PairsError(f"{path}: is not UTF-8 ({error.reason}); give a JSON Lines file") from None
    if problems:
        more = f"\nand {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise PairsError("\n".join(problems[:_SHOWN]) + more)
    if not pairs:
        raise PairsError(f"{path}: holds no pairs; a line holds prompt, chosen and rejected")
    return pairs


def _pair(data: Any) -> PreferencePair:
    if not isinstance(data, dict):
        raise ValueError("a line is an object with prompt, chosen and rejected")
    if missing := [key for key in ("chosen", "rejected") if key not in data]:
        raise ValueError(f"{missing[0]}: is missing; the line has {', '.join(map(str, data)) or 'no keys'}")
    chosen, rejected = (_turns(data[key], "assistant", key) for key in ("chosen", "rejected"))
    if "prompt" in data:
        prompt = _turns(data["prompt"], "user", "prompt")
    else:
        common = next(
            (place for place, (one, other) in enumerate(zip(chosen, rejected, strict=False)) if one != other),
            min(len(chosen), len(rejected)),
        )
        prompt, chosen, rejected = chosen[:common], chosen[common:], rejected[common:]
    if prompt and chosen[: len(prompt)] == prompt == rejected[: len(prompt)]:
        chosen, rejected = chosen[len(prompt) :], rejected[len(prompt) :]
    if not chosen or not rejected:
        raise ValueError("chosen and rejected: one of them has no turn besides the prompt")
    return PreferencePair(prompt, chosen, rejected, _number(data, "margin", 0.0, 1e6), _number(data, "label", 1.0, 1.0))


def _turns(value: Any, role: str, key: str) -> tuple[tuple[str, str], ...]:
    if isinstance(value, str):
        return ((role, value),) if value or role == "assistant" else ()
    if not isinstance(value, list):
        raise ValueError(f"{key}: is neither a text nor a list of messages")
    turns = []
    for message in value:
        if not isinstance(message, dict) or not all(isinstance(message.get(name), str) for name in ("role", "content")):
            raise ValueError(f"{key}: a message has a role and a content, both texts")
        turns.append((message["role"], message["content"]))
    return tuple(turns)


def _number(data: dict[str, Any], key: str, default: float, most: float) -> float:
    value = data.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= most:
        raise ValueError(f"{key}: {value!r} is not a number from 0 to {most:g}")
    return float(value)


def split_by_prompt(
    pairs: Sequence[PreferencePair], share: float, seed: int
) -> tuple[list[PreferencePair], list[PreferencePair]]:
    """Split pairs so that no prompt is on both sides.

    Args:
        pairs: The pairs.
        share: Share of the prompts that go to the second part, at least one of them when it is positive.
        seed: Of the choice.

    Returns:
        The pairs to train on, and those held out.
    """
    prompts = sorted({_digest(pair.prompt) for pair in pairs})
    random.Random(seed).shuffle(prompts)  # noqa: S311 - a split is no secret
    held = set(prompts[: max(1, round(share * len(prompts)))] if share > 0 else ())
    parts: tuple[list[PreferencePair], list[PreferencePair]] = ([], [])
    for pair in pairs:
        parts[_digest(pair.prompt) in held].append(pair)
    return parts


def _digest(turns: Iterable[tuple[str, str]]) -> str:
    return sha256(json.dumps(list(turns)).encode("utf-8", "surrogatepass")).hexdigest()
