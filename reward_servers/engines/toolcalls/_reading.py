"""Calls in a text: messages of Harmony, tagged JSON, plain JSON, or calls of Python."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from typing import Any

from reward_servers.engines.text import parse_expression, strict_json
from reward_servers.engines.toolcalls._harmony import harmony_messages, is_harmony

_TAGGED = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_LONGEST_CODE = 65_536
_ARGUMENTS = ("arguments", "parameters", "args")


class MalformedCallError(ValueError):
    """A text that is meant as a call and is none."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool."""

    name: str
    arguments: dict[str, Any]


def read_calls(text: str) -> list[Call]:
    """Calls in the order in which they appear in a text.

    Four forms are read: messages of Harmony from the assistant to a function; JSON in ``<tool_call>`` tags, one after
    the other; a text that is JSON as a whole, an object or a list of them, each with ``name`` and ``arguments`` (or
    ``parameters``); a list of Python calls with keywords, ``[f(a=1), g()]``. Any other text holds no call.

    Raises:
        MalformedCallError: A tag holds something else, or an object of a whole JSON text is no call.
    """
    if is_harmony(text):
        messages = [message for message in harmony_messages(text) if message.role == "assistant" and message.recipient]
        return [Call(part.recipient.removeprefix("functions."), read_object(part.content)) for part in messages]
    if "<tool_call>" in text:
        return [call for body in _TAGGED.findall(text) for call in _from_json(body)]
    bare = text.strip()
    if bare[:1] in ("{", "[") and bare[-1:] in ("}", "]"):
        try:
            json.loads(bare)
        except (ValueError, RecursionError):
            return _from_python(bare)
        return _from_json(bare)
    return _from_python(bare) if bare.endswith(")") else []


def read_object(text: str) -> dict[str, Any]:
    """Arguments as a model wrote them: a JSON object; nothing stands for none.

    Raises:
        MalformedCallError: It is no JSON object, or names a key twice.
    """
    if not text.strip():
        return {}
    decoded = _decode(text)
    if not isinstance(decoded, dict):
        raise MalformedCallError(f"arguments are an object, not {type(decoded).__name__}")
    return decoded


def _decode(text: str) -> Any:
    try:
        return strict_json(text)
    except (ValueError, RecursionError) as error:
        raise MalformedCallError(f"not JSON: {error}"[:300]) from None


def _from_json(text: str) -> list[Call]:
    decoded = _decode(text)
    items = decoded if isinstance(decoded, list) else [decoded]
    return [_call_of(item) for item in items]


def _call_of(item: Any) -> Call:
    if isinstance(item, dict) and isinstance(item.get("function"), dict):
        item = item["function"]
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise MalformedCallError("a call is an object with `name` and `arguments`")
    arguments: Any = next((item[key] for key in _ARGUMENTS if key in item), {})
    if isinstance(arguments, str):
        arguments = read_object(arguments)
    if not isinstance(arguments, dict):
        raise MalformedCallError(f"arguments of {item['name']!r} are an object, not {type(arguments).__name__}")
    return Call(item["name"], arguments)


def _from_python(text: str) -> list[Call]:
    """Calls of a list of Python calls; none where the text is not one."""
    if len(text) > _LONGEST_CODE:
        return []
    try:
        body = parse_expression(text).body
        nodes = body.elts if isinstance(body, ast.List) else [body]
        calls = [_python_call(node) for node in nodes]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return [call for call in calls if call is not None] if None not in calls else []


def _python_call(node: ast.expr) -> Call | None:
    if not isinstance(node, ast.Call) or node.args:
        return None
    name = ast.unparse(node.func)
    if not all(part.isidentifier() for part in name.split(".")):
        return None
    arguments = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords if keyword.arg is not None}
    return Call(name, arguments) if len(arguments) == len(node.keywords) else None
