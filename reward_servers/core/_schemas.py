"""Typed references, options and settings.

A verifier's author derives a class from one of the three and annotates a parameter with it. The same class validates,
publishes its JSON Schema and writes the message that tells a user which field is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Any, ClassVar, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError


class Reference(BaseModel):
    """What a response is compared with. Fields that a verifier does not know are ignored: data sets carry many.

    A class whose fields all have defaults is optional: rollouts without a reference are judged with the defaults.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)


class Options(BaseModel):
    """What a caller may choose per request: never an endpoint, a path or a secret. Unknown options are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Settings(BaseModel):
    """What the operator gives when a server starts: model paths, endpoints, secrets. Unknown settings are refused.

    Attributes:
        score_neutral: Names of settings that do not shape scores (an address, a key, a concurrency); they stay out
            of the verifier's digest.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    score_neutral: ClassVar[frozenset[str]] = frozenset()


Model = TypeVar("Model", bound=BaseModel)


def explain(error: ValidationError, root: str, model: type[BaseModel] | None = None) -> str:
    """Write the first problems of a validation as ``root.path: reason``.

    Args:
        error: The problems.
        root: What the path begins with; empty for nothing.
        model: What was validated against; names of fields that are near a mistyped one are taken from it.
    """
    parts = []
    for problem in error.errors(include_url=False, include_context=False, include_input=False)[:3]:
        path = ".".join([*([root] if root else []), *(str(step) for step in problem["loc"])])
        reason = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            reason = _no_such_field(model, problem["loc"])
        elif problem["type"] == "missing":
            reason = "is missing"
        elif problem["type"] == "invalid-json-value":
            reason = "cannot be written as JSON; put a date or a time in quotes"
        parts.append(f"{path}: {reason}")
    return "; ".join(parts)


_FIELDS_SHOWN = 12


def _no_such_field(model: type[BaseModel] | None, place: Sequence[str | int]) -> str:
    """Say that a field is not known, and which may be meant."""
    kind: Any = model
    for step in place[:-1]:
        field = kind.model_fields.get(str(step)) if _as_model(kind) is not None else None
        # A step into a mapping or a list is a key or a place: what it leads to is among the arguments of its type.
        inside = _inside(field.annotation) if field is not None else get_args(kind)
        kind = next(
            (annotation for annotation in inside if _as_model(annotation) is not None or get_args(annotation)), None
        )
    model = _as_model(kind)
    fields = list(model.model_fields) if model is not None else []
    close = get_close_matches(str(place[-1]), fields, n=1, cutoff=0.5)
    if close:
        return f"there is no such field; did you mean {close[0]}?"
    listed = f"; known are {', '.join(fields)}" if 0 < len(fields) <= _FIELDS_SHOWN else ""
    return f"there is no such field; remove it{listed}"


def _inside(annotation: Any) -> Sequence[Any]:
    """A type, or those that a union joins; a mapping or a list is itself."""
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _as_model(annotation: Any) -> type[BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def decode(model: type[Model], data: bytes, root: str) -> Model:
    """Read JSON into a model.

    Args:
        model: The class to read into.
        data: A JSON object; empty stands for ``{}``.
        root: Name of the field for messages, such as ``"reference"``.

    Returns:
        The instance.

    Raises:
        ValueError: The data are not JSON or do not fit; the message names the field.
    """
    try:
        return model.model_validate_json(data or b"{}")
    except ValidationError as error:
        raise ValueError(explain(error, root, model)) from None


def decode_reference(model: type[Model], data: bytes) -> Model:
    """Read a reference: an object, or a plain text or number, which is its ``answer``.

    Args:
        model: The class to read into.
        data: JSON; empty stands for ``{}``.

    Raises:
        ValueError: The data are not JSON or do not fit; the message names the field.
    """
    if data.lstrip()[:1] in (b"", b"{", b"["):
        return decode(model, data, "reference")
    plain = data.strip()
    try:
        return decode(model, b'{"answer":' + plain + b"}", "reference")
    except ValueError:
        if plain.startswith(b'"') or plain == b"null":
            raise
    # A data set may write a number where the verifier compares texts.
    return decode(model, b'{"answer":"' + plain + b'"}', "reference")


def schema_of(model: type[BaseModel] | None) -> bytes:
    """The JSON Schema of a model, or nothing."""
    schema: dict[str, Any] | None = model.model_json_schema() if model is not None else None
    return json.dumps(schema, sort_keys=True).encode() if schema is not None else b""
