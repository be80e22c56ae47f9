"""Driver of a checker: runs trusted code on the answer of a program, in a sandbox of its own.

If the checker raises, it is tried on a few simple answers too. Raising at the same place on all of them means that
the checker is broken; raising on this answer alone means that the answer is wrong.
"""

from __future__ import annotations

import ast
import inspect
import random
from typing import TYPE_CHECKING, Any

from reward_servers.engines.code._inside.plain import dumps, loads

if TYPE_CHECKING:
    request = b""

    def reply(data: bytes) -> None: ...


_ANSWERS = ("", "0\n", "1 2\n", "a\n", "[]\n", "YES\n", "1 1\n1 1\n")


def _place(check: Any, question: Any, answer: Any, expected: Any) -> tuple[str, int] | None:
    """Kind and line of what the checker raises, None if it answers."""
    try:
        check(question, answer, expected)
    except BaseException as error:  # noqa: BLE001 (it is what is asked for)
        return _where(error)
    return None


def _where(error: BaseException) -> tuple[str, int]:
    traceback = error.__traceback__
    line = 0
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == "<checker>":
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return type(error).__name__, line


def _is_unconditional(code: str, line: int) -> bool:
    """Whether a line is a `raise` that stands by itself in the body of `check`."""
    for node in ast.parse(code).body:
        if isinstance(node, ast.FunctionDef) and node.name == "check":
            return any(isinstance(inner, ast.Raise) and inner.lineno == line for inner in node.body)
    return False


def _judge(task: dict[str, Any]) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "checker"}
    random.seed(0)
    try:
        exec(compile(task["code"], "<checker>", "exec"), names)  # noqa: S102
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
    try:
        return {"accepted": bool(check(question, answer, expected))}
    except BaseException as error:  # noqa: BLE001 (a wrong answer, or a broken checker)
        place = _where(error)
        simple = [expected, *_ANSWERS] if task["text"] else [expected, None, 0, "", []]
        always = all(_place(check, question, other, expected) == place for other in simple)
        flat = always and _is_unconditional(task["code"], place[1])
        return {"raised": place[0], "line": place[1], "message": str(error)[:500], "always": always, "flat": flat}


reply(dumps(_judge(loads(request, library=True))))
