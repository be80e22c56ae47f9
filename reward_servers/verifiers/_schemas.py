"""JSON Schemas that a caller gives: checked once, kept compiled, never fetched."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from jsonschema.exceptions import SchemaError
from jsonschema.protocols import Validator
from jsonschema.validators import Draft202012Validator, validator_for
from referencing import Registry

Schema = dict[str, Any] | bool


@lru_cache(maxsize=64)
def _compiled(schema: str) -> Validator:
    decoded = json.loads(schema)
    kind = validator_for(decoded, default=Draft202012Validator)
    kind.check_schema(decoded)
    # An empty registry: a schema's references are resolved inside it, never fetched.
    validator: Validator = kind(decoded, registry=Registry())
    return validator


def compiled(schema: Schema) -> Validator:
    """A validator of values against a schema, by the newest draft if the schema names none."""
    return _compiled(json.dumps(schema))


def checked(schema: Schema | None) -> Schema | None:
    """The schema itself.

    Raises:
        ValueError: It is not a JSON Schema.
    """
    if schema is not None:
        try:
            compiled(schema)
        except SchemaError as error:
            raise ValueError(f"it is not a JSON Schema: {error.message}") from None
    return schema
