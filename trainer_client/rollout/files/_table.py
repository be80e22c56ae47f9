"""The rollouts of a row: one for each response that it holds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from trainer_client._errors import RolloutError
from trainer_client._settings import ROLLOUT_FIELDS
from trainer_client.rollout.files._text import is_deep
from trainer_client.rollout.types import Document, Rollout

_FIELDS = frozenset(ROLLOUT_FIELDS)
_TEXT_IDS = ("rollout_id", "group_id")
_PLAIN = frozenset({"rollout_id", "group_id", "prompt", "response", "reference"})
"""Fields of most rows, which are taken as they are where the response is a text."""
_EMPTY_IS_ABSENT = ("group_id", "task", "finish_reason")
_JSON_IN_TEXT = ("metadata", "documents", "token_ids", "expected")
_PER_RESPONSE = ("token_ids", "finish_reason", "expected", "metadata", "documents")
"""Fields that a row with several responses may hold a list of, an entry for each."""


def spread(table: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A table for each response of a row.

    Several responses are a list of texts, or of conversations; a list of messages is one response. Those of a row are
    a group, and are called after it: ``7/0``, ``7/1``.

    Raises:
        RolloutError: the list is empty.
    """
    responses = table.get("response")
    if not isinstance(responses, list) or any(isinstance(entry, Mapping) for entry in responses):
        yield table
        return
    name = _text_id(table["rollout_id"])
    if not responses:
        raise RolloutError("has no response", "response", name if isinstance(name, str) else "")
    group = table.get("group_id")
    for number, response in enumerate(responses):
        row = {**table, "response": response, "rollout_id": f"{name}/{number}"}
        if group in (None, "") and not table.get("prompt"):
            row["group_id"] = name
        for field in _PER_RESPONSE:
            values = table.get(field)
            if isinstance(values, list) and len(values) == len(responses) and _is_per_response(field, values):
                row[field] = values[number]
        yield row


def _is_per_response(field: str, values: list[Any]) -> bool:
    kind: Any = {"token_ids": list, "documents": list, "finish_reason": str}.get(field, dict | int | float)
    return all(value is None or isinstance(value, kind) for value in values)


def _text_id(value: Any) -> Any:
    """Data sets number their rows."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def rollout_of(table: Mapping[str, Any]) -> Rollout:
    """The rollout of a row; what is no field of a rollout becomes its `extra`.

    Raises:
        RolloutError: a field is missing or has the wrong type.
    """
    response, name = table.get("response"), table.get("rollout_id")
    if type(response) is str and type(name) is str and table.keys() <= _PLAIN:
        prompt = table.get("prompt")
        group = _text_id(table.get("group_id")) or ""
        return Rollout(name, "" if prompt is None else prompt, response, group, reference=table.get("reference"))
    fields: dict[str, Any] = {"prompt": ""}
    extra: dict[str, Any] = {}
    for name, value in table.items():
        if name not in _FIELDS:
            extra[name] = value
            continue
        if name in _TEXT_IDS:
            value = _text_id(value)
        elif name in _JSON_IN_TEXT and isinstance(value, str):
            value = _json_in(value)
        if value is not None and not (name in _EMPTY_IS_ABSENT and value == ""):
            fields[name] = value
    if "response" not in fields:
        null = ': null is no answer; write "" for an empty one, and leave out what was never answered'
        raise RolloutError(f"is missing{null if 'response' in table else ''}", "response", _id_of(fields))
    fields["response"] = _answer_of(fields["response"], _id_of(fields))
    if "expected" in fields and isinstance(fields["expected"], int | float):
        fields["expected"] = {"score": fields["expected"]}
    if "documents" in fields:
        fields["documents"] = _documents(fields["documents"], _id_of(fields))
    if "token_ids" in fields and not isinstance(fields["token_ids"], list):
        raise RolloutError("expected a list of whole numbers", "token_ids", _id_of(fields))
    return Rollout(**fields, extra=extra)


def _answer_of(value: Any, rollout_id: str) -> Any:
    """A response as files hold it: a number is its text, and one message is a conversation of it.

    Raises:
        RolloutError: it is neither text, number nor message.
    """
    if isinstance(value, bool):
        remedy = f"write it in quotes as the policy wrote it, such as {json.dumps(json.dumps(value))}"
        raise RolloutError(f"is {json.dumps(value)}, not a text; {remedy}", "response", rollout_id)
    if isinstance(value, int | float):
        # Tables whose answers are all numbers have a column of numbers.
        return json.dumps(value)
    if not isinstance(value, Mapping):
        return value
    if isinstance(value.get("role"), str) and value.keys() & {"content", "tool_calls"}:
        return [value]
    keys = ", ".join(f"response.{key}" for key in value) or "nothing"
    remedy = f"say which part is the text, such as {next((f'response=response.{key}' for key in value), 'a text')}"
    raise RolloutError(f"is an object, not a text; {remedy} (it holds {keys})", "response", rollout_id)


def _json_in(text: str) -> Any:
    """What a cell of text holds as JSON, as files of separated values do; the text where it holds none."""
    if not text.strip():
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if is_deep(value, text) else value


def _documents(value: Any, rollout_id: str) -> list[Document]:
    if not isinstance(value, list):
        raise RolloutError(f"expected a list, found {type(value).__name__}", "documents", rollout_id)
    documents = []
    for number, entry in enumerate(value):
        place = f"documents[{number}]"
        if not isinstance(entry, Mapping):
            raise RolloutError(f"expected an object, found {type(entry).__name__}", place, rollout_id)
        unknown = sorted(set(entry) - {"id", "text", "title", "uri"})
        if unknown:
            raise RolloutError(f"{unknown[0]!r} is not a field of a document (id, text, title, uri)", place, rollout_id)
        if not {"id", "text"} <= entry.keys():
            raise RolloutError("needs id and text", place, rollout_id)
        try:
            documents.append(Document(**{key: value for key, value in entry.items() if value is not None}))
        except RolloutError as error:
            raise RolloutError(error.reason, f"{place}.{error.field.partition('.')[2]}", rollout_id) from None
    return documents


def _id_of(table: Mapping[str, Any]) -> str:
    identifier = table.get("rollout_id")
    return identifier if isinstance(identifier, str) else ""
