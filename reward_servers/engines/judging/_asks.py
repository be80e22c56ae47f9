"""How each protocol asks for its verdict: the line that a judge is to write, and where in it the verdict stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from reward_servers.engines.judging._reply import Protocol

LETTERS = ascii_uppercase
"""Names of the responses of a comparison."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in the verdict's line where one of several texts stands.

    Attributes:
        lead: What stands before it, from the place before on.
        choices: What may stand there.
    """

    lead: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Spelling:
    """The verdict's line for a judge that can only choose: its slots in order, and what ends it."""

    slots: tuple[Slot, ...]
    tail: str


_FORMS = {
    Protocol.BINARY: "`correct: yes [{token}]` if the response meets the criteria, else `correct: no [{token}]`",
    Protocol.PAIRWISE: (
        "`[[A]] [{token}]` if response A is better, `[[B]] [{token}]` if response B is better, "
        "`[[C]] [{token}]` for a tie"
    ),
    Protocol.ARENA: (
        "`[[A>>B]] [{token}]` or `[[A>B]] [{token}]` if response A is much or slightly better, "
        "`[[B>>A]] [{token}]` or `[[B>A]] [{token}]` if response B is, `[[A=B]] [{token}]` for a tie"
    ),
    Protocol.EQUIVALENCE: "`[[A=B]] [{token}]` if the two mean the same, else `[[A!=B]] [{token}]`",
}
_LIKERT = "`Score: N [{token}]`, N being a whole number from {low} (worst) to {high} (best)"
_GRADE = "one of {words}, followed by ` [{token}]`, such as `{first} [{token}]`"
_BEST = "`[[X]] [{token}]`, X being the letter of the best response, from A to {last}"
_RUBRIC = 'one JSON object, such as `{{example}, "signature": "{token}"}`, with true or false for each name'
_RATINGS = (
    'one JSON object, such as `{{example}, "signature": "{token}"}`, with a whole number from {low} (worst) to '
    "{high} (best) for each name"
)

TEXTS = (*_FORMS.values(), _LIKERT, _GRADE, _BEST, _RUBRIC, _RATINGS)
"""Everything that is said about forms, for the template's digest."""


def _form(protocol: Protocol, keys: Sequence[str]) -> tuple[str, dict[str, str]]:
    if protocol in _FORMS:
        return _FORMS[protocol], {}
    low, high = map(str, protocol.scale or (0, 0))
    if protocol.rates:
        return _LIKERT, {"low": low, "high": high}
    if protocol is Protocol.GRADE:
        return _GRADE, {"words": ", ".join(f"`{key}`" for key in keys), "first": keys[0]}
    if protocol is Protocol.BEST:
        return _BEST, {"last": keys[-1]}
    value = "true" if protocol is Protocol.RUBRIC else low
    example = ", ".join(f'"{key}": {value}' for key in keys)
    return (_RUBRIC if protocol is Protocol.RUBRIC else _RATINGS), {"example": example, "low": low, "high": high}


def form_of(protocol: Protocol, token: str, keys: Sequence[str] = ()) -> str:
    """The line that is asked for, in words.

    Args:
        protocol: The protocol.
        token: What signs the verdict.
        keys: Keys of the object, the offered words or the offered letters.
    """
    text, values = _form(protocol, keys)
    for name, value in (*values.items(), ("token", token)):
        text = text.replace(f"{{{name}}}", value)
    return text


def spelling_of(protocol: Protocol, token: str, keys: Sequence[str] = ()) -> Spelling:
    """The same line as slots."""
    low, high = protocol.scale or (0, 0)
    numbers = tuple(str(number) for number in range(low, high + 1))
    signed = f" [{token}]"
    if protocol is Protocol.BINARY:
        return Spelling((Slot("correct:", (" yes", " no")),), signed)
    if protocol.rates:
        return Spelling((Slot("Score:", tuple(f" {number}" for number in numbers)),), signed)
    if protocol is Protocol.GRADE:
        return Spelling((Slot("", tuple(keys)),), signed)
    if protocol.keyed:
        offered = ("true", "false") if protocol is Protocol.RUBRIC else numbers
        slots = tuple(Slot(f'{", " if place else "{"}"{key}": ', offered) for place, key in enumerate(keys))
        return Spelling(slots, f', "signature": "{token}"}}')
    return Spelling((Slot("[[", tuple(values_of(protocol, keys))),), f"]]{signed}")


def schema_of(protocol: Protocol, token: str, keys: Sequence[str]) -> dict[str, Any]:
    """The object of a protocol with keys as a JSON schema; its signature is the token and nothing else."""
    scale = protocol.scale
    value: dict[str, Any] = {"type": "boolean"}
    if scale is not None:
        value = {"type": "integer", "enum": list(range(scale[0], scale[1] + 1))}
    properties = {**dict.fromkeys(keys, value), "signature": {"type": "string", "enum": [token]}}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def values_of(protocol: Protocol, keys: Sequence[str] = ()) -> dict[str, Any]:
    """What may be in the slot of a verdict with one slot, by its text, and what each means."""
    if protocol is Protocol.BINARY:
        return {"yes": True, "no": False, "true": True, "false": False}
    if protocol.rates and protocol.scale is not None:
        low, high = protocol.scale
        return {str(number): float(number) for number in range(low, high + 1)}
    if protocol is Protocol.PAIRWISE:
        return {"A": "A", "B": "B", "C": "tie"}
    if protocol is Protocol.EQUIVALENCE:
        return {"A=B": True, "A!=B": False}
    if protocol is Protocol.ARENA:
        return {label: label for label in ("A>>B", "A>B", "A=B", "B>A", "B>>A")}
    return {key: key for key in keys}
