"""Typed references, options and settings.

A verifier's author derives a class from one of the three and annotates a parameter with it. The same class validates,
publishes its JSON Schema and writes the message that tells a user which field is wrong.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar, TypeVar

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


def explain(error: ValidationError, root: str) -> str:
    """Write the first problems of a validation as ``root.path: reason``."""
    parts = []
    for problem in error.errors(include_url=False, include_context=False, include_input=False)[:3]:
        path = ".".join([root, *(str(step) for step in problem["loc"])])
        reason = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            reason = "there is no such field; remove it"
        elif problem["type"] == "missing":
            reason = "is missing"
        parts.append(f"{path}: {reason}")
    return "; ".join(parts)


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
        raise ValueError(explain(error, root)) from None


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
