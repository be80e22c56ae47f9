"""Lists of which the order does not count: entities, keywords, names."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from pydantic import Field, field_validator

from reward_servers import DatasetError, ItemLimits, Reference, Rollout, Score, verifier
from reward_servers.engines.text import Form, strict_json
from reward_servers.verifiers._answers import AnswerOptions, answer_part, nothing_taken

_BULLET = re.compile(r"^\s*(?:[-*•–]|\(?\d{1,4}[.)]|\(?[a-z][.)])\s+")
_AND = re.compile(r",?\s+(?:and|&)\s+|,?\s+or\s+")
_MOST = 10_000


class ItemSetReference(Reference):
    """The right items; for one that is written in several ways, a list of these."""

    answer: list[str | list[str]] = Field(description="Items; each a text, or a list of texts that all name it.")

    @field_validator("answer", mode="before")
    @classmethod
    def _check(cls, value: Any) -> Any:
        if isinstance(value, list):
            return [
                str(item) if isinstance(item, int | float) and not isinstance(item, bool) else item for item in value
            ]
        return value


class ItemSetOptions(AnswerOptions):
    """How items are separated, and what the score is."""

    separator: Literal["auto", "json", "lines", "commas", "semicolons"] = Field(
        "auto", description="'auto': a JSON list; else lines, where there are several; else semicolons; else commas."
    )
    metric: Literal["f1", "exact", "jaccard", "precision", "recall"] = Field("f1", description="The score.")
    case: bool = Field(False, description="Whether upper and lower case differ.")
    punctuation: bool = Field(False, description="Whether punctuation counts.")


def _items(text: str, how: str) -> list[str] | None:
    """The items of a text; None where it is to be JSON and is none."""
    text = text.strip()
    if how == "json" or (how == "auto" and text[:1] == "["):
        try:
            value = strict_json(text)
        except (ValueError, RecursionError):
            return None
        plain = isinstance(value, list) and all(isinstance(item, str | int | float) for item in value)
        return [item if isinstance(item, str) else json.dumps(item) for item in value] if plain else None
    lines = [_BULLET.sub("", line) for line in text.splitlines() if line.strip()]
    if how == "lines" or (how == "auto" and len(lines) > 1):
        return lines
    if how == "semicolons" or (how == "auto" and ";" in text):
        return text.split(";")
    return _AND.sub(",", " ".join(lines)).split(",") if how == "auto" else text.split(",")


@verifier(
    "item_set",
    version="1",
    limits=ItemLimits(response_bytes=1 << 18),
    aspects=dict.fromkeys(("f1", "precision", "recall", "jaccard"), 0.0),
)
def item_set(rollout: Rollout, ref: ItemSetReference, options: ItemSetOptions) -> Score:
    """How well a list of items meets the right ones, in any order and each counted once.

    Source: precision, recall and F1 over sets (van Rijsbergen, Information Retrieval, 1979), as for extracted
    entities (CoNLL 2003).
    """
    form = Form(options.case, "collapse", options.punctuation, compatibility=False)
    names = [
        [form.of(name) for name in ([names_of_item] if isinstance(names_of_item, str) else names_of_item)]
        for names_of_item in ref.answer
    ]
    if not all(group and all(group) for group in names):
        raise DatasetError("reference.answer: an item is blank, or nothing is left of it without punctuation")
    owner = {name: place for place, group in enumerate(names) for name in group}
    if sum(len(set(group)) for group in names) != len(owner):
        raise DatasetError("reference.answer: two items have one name")
    answer = answer_part(rollout, options)
    if answer is None:
        return nothing_taken(options)
    items = _items(answer, options.separator)
    if items is None:
        return Score.floor("malformed", "not a JSON list of plain values")
    stated = {form.of(item) for item in items} - {""}
    if len(stated) > _MOST:
        return Score.floor("limit", f"{len(stated)} items")
    named = {owner[item] for item in stated if item in owner}
    wrong = sum(item not in owner for item in stated)
    total = len(named) + wrong
    aspects = {
        "f1": 2 * len(named) / (total + len(names)) if total + len(names) else 1.0,
        "precision": len(named) / total if total else float(not names),
        "recall": len(named) / len(names) if names else 1.0,
        "jaccard": len(named) / (len(names) + wrong) if names or wrong else 1.0,
    }
    exact = float(not wrong and len(named) == len(names))
    value = exact if options.metric == "exact" else aspects[options.metric]
    return Score(value, aspects=aspects, evidence={"items": sorted(stated)[:50]})
