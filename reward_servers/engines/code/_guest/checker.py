"""Driver of a checker: runs trusted code on the answer of a program, in a sandbox of its own.

A checker that raises has found the answer wrong, unless no answer can be the cause: the checker is no Python, a module,
a name or a file that it needs does not exist, or it also rejects an answer that the reference vouches for.
"""

from __future__ import annotations

import inspect
import random
from typing import TYPE_CHECKING, Any

from reward_servers.engines.code._guest.blame import is_own_fault, place
from reward_servers.engines.code._guest.plain import dumps, loads

if TYPE_CHECKING:
    request = b""

    def reply(data: bytes) -> None: ...


_FILE = "<checker>"


def _accepts(check: Any, question: Any, answer: Any, expected: Any) -> BaseException | bool:
    """What the checker says, or what it raises."""
    try:
        return bool(check(question, answer, expected))
    except BaseException as error:  # noqa: BLE001 (it is what is asked for)
        return error


def _judge(task: dict[str, Any]) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "checker"}
    random.seed(0)
    try:
        exec(compile(task["code"], _FILE, "exec"), names)  # noqa: S102
    except BaseException as error:  # noqa: BLE001 (of the checker itself: the other side reports it)
        return {"broken": f"raises {type(error).__name__} when loaded: {str(error)[:500]}"}
    check = names.get("check")
    if not callable(check):
        return {"broken": "defines no function check"}
    question, answer, expected = task["question"], task["answer"], task["expected"]
    try:
        inspect.signature(check).bind(question, answer, expected)
    except TypeError as error:
        return {"broken": f"check does not take three arguments: {error}"}
    except ValueError:
        return {"broken": "check has no signature"}
    accepted = _accepts(check, question, answer, expected)
    if accepted is True:
        return {"accepted": True}
    if task["expected_is_right"]:
        right = _accepts(check, question, expected, expected)
        if isinstance(right, BaseException):
            return {
                "broken": f"line {place(right, _FILE)[0]} raises {type(right).__name__} on the expected answer: {right}"
            }
        if right is False:
            return {"broken": "rejects the expected answer"}
    if isinstance(accepted, bool):
        return {"accepted": False}
    name, line, text = type(accepted).__name__, place(accepted, _FILE)[0], str(accepted)[:500]
    if is_own_fault(accepted, _FILE, lambda missing, *, is_file: missing in str(answer)):
        return {"broken": f"line {line} raises {name}, whatever the answer: {text}"}
    return {"accepted": False, "raised": name, "line": line, "message": text}


reply(dumps(_judge(loads(request, library=True))))
