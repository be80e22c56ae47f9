"""Checks the form of a response: tags, a box, JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, Literal

from jsonschema.exceptions import ValidationError
from pydantic import Field, field_validator, model_validator
from referencing.exceptions import Unresolvable

from reward_servers import CallerError, DatasetError, Options, Reference, Rollout, Score, verifier
from reward_servers.engines.text import TAG_NAME, boxed, check_tags, fenced, strict_json, tagged, visible
from reward_servers.verifiers._schemas import checked, compiled

_SHOWN_ERRORS = 5


class FormatReference(Reference):
    """A JSON Schema of this prompt; it replaces the one in the options."""

    json_schema: dict[str, Any] | bool | None = None

    _check = field_validator("json_schema")(checked)


class FormatOptions(Options):
    """The rules. Each is an aspect of the verdict."""

    tags: tuple[str, ...] = Field(
        (), description="Tags that follow one another, each exactly once: ['think', 'answer']."
    )
    only_tags: bool = Field(False, description="Whether nothing may stand outside the tags.")
    boxed: bool = Field(False, description=r"Whether the visible text has exactly one \boxed{...}, not empty.")
    json_in: Literal["none", "response", "fence", "tag"] = Field(
        "none", description="Where JSON must stand: the visible response, its last code fence, or the last <json_tag>."
    )
    json_tag: str = Field("answer", pattern=TAG_NAME, description="Name of the tag for json_in = 'tag'.")
    json_schema: dict[str, Any] | bool | None = Field(None, description="A JSON Schema that the JSON must meet.")
    grade: Literal["all", "share"] = Field("all", description="1 when all rules hold, or the share that holds.")

    _check_schema = field_validator("json_schema")(checked)

    @field_validator("tags")
    @classmethod
    def _names(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(tags)) != len(tags) or not all(re.fullmatch(TAG_NAME, tag) for tag in tags):
            raise ValueError("tags are different names without brackets, such as 'think'")
        return tags

    @model_validator(mode="after")
    def _some_rule(self) -> FormatOptions:
        if not (self.tags or self.boxed or self.json_in != "none"):
            raise ValueError("give at least one rule: tags, boxed or json_in")
        if self.only_tags and not self.tags:
            raise ValueError("only_tags needs `tags`")
        if self.json_schema is not None and self.json_in == "none":
            raise ValueError("json_schema needs `json_in`: where is the JSON?")
        return self


def _find_json(text: str, options: FormatOptions) -> str | None:
    if options.json_in == "response":
        return text
    texts = fenced(text) if options.json_in == "fence" else tagged(text, options.json_tag)
    return texts[-1] if texts else None


def _json_rules(
    text: str, options: FormatOptions, ref: FormatReference, problems: list[str]
) -> Iterator[tuple[str, bool]]:
    schema = ref.json_schema if ref.json_schema is not None else options.json_schema
    source = _find_json(text, options)
    valid, decoded = False, None
    if source is None:
        problems.append(f"no JSON in the {options.json_in}")
    else:
        try:
            decoded, valid = strict_json(source), True
        except ValueError as error:
            problems.append(f"not JSON: {error}"[:300])
    yield "json", valid
    if schema is not None:
        errors: list[ValidationError] = []
        if valid:
            try:
                errors = list(islice(compiled(schema).iter_errors(decoded), _SHOWN_ERRORS))
            except Unresolvable as error:
                problem = f"$ref {error.ref!r} leads nowhere inside the schema; write it into $defs"
                if ref.json_schema is not None:
                    raise DatasetError(f"reference.json_schema: {problem}") from None
                raise CallerError(f"options.json_schema: {problem}", code="invalid_options") from None
            problems += [f"{error.json_path}: {error.message}"[:300] for error in errors]
        yield "schema", valid and not errors


# In a worker process: a schema's patterns may take exponential time on what a candidate writes.
@verifier("format", version="2")
def format(rollout: Rollout, ref: FormatReference, options: FormatOptions) -> Score:
    """Whether the response has the form asked for: tags, a box, JSON that meets a schema.

    Source: the format rewards of DeepSeek-R1 (arXiv 2501.12948) for tags and boxes; JSON Schema 2020-12 for JSON.
    """
    problems: list[str] = []
    rules: dict[str, bool] = {}
    if options.tags:
        tags = check_tags(rollout.response, options.tags)
        rules.update({f"tags_{rule}": holds for rule, holds in tags.items() if rule != "only" or options.only_tags})
    text = visible(rollout.response, rollout.reasoning_marks).text
    if options.boxed:
        boxes = boxed(text)
        rules["boxed"] = len(boxes) == 1 and bool((boxes[0] or "").strip())
    if options.json_in != "none":
        rules.update(_json_rules(text, options, ref, problems))
    satisfied = sum(rules.values())
    value = satisfied / len(rules) if options.grade == "share" else float(satisfied == len(rules))
    return Score(
        value,
        "accepted" if satisfied == len(rules) else "" if value else "malformed",
        aspects={rule: float(passed) for rule, passed in rules.items()},
        note="; ".join(rule for rule, passed in rules.items() if not passed),
        evidence={"problems": problems} if problems else {},
        feedback={"failed": [rule for rule, passed in rules.items() if not passed]},
    )
