"""Driver of a checker: runs trusted code on the answer of a program, in a sandbox of its own.

A checker that raises has found the answer wrong, unless no answer can be the cause: the checker is no Python, a module,
a name or a file that it needs does not exist, or it also rejects an answer that the reference vouches for.
"""

from __future__ import annotations

import inspect
import random
from typing import TYPE_CHECKING, Any

from reward_servers.engines.code._guest.plain import dumps, loads

if TYPE_CHECKING:
    request = b""

    def reply(data: bytes) -> None: ...


_FILE = "<checker>"


def _place(error: BaseException) -> tuple[int, bool]:
    """Last line of the checker that an error passed, and whether nothing but imports ran below it.

    What runs below may be a text of the answer, as in `eval(stdout)`.
    """
    line, own, traceback = 0, False, error.__traceback__
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        if name == _FILE:
            line, own = traceback.tb_lineno, True
        else:
            own = own and name.startswith("<frozen importlib")
        traceback = traceback.tb_next
    return line, own


def _no_answers_doing(error: BaseException, answer: Any) -> bool:
    """Whether an error is one that no answer can cause."""
    _, own = _place(error)
    if isinstance(error, FileNotFoundError):
        return own and isinstance(error.filename, str) and error.filename not in str(answer)
    if isinstance(error, ModuleNotFoundError):
        return own and str(error.name) not in str(answer)
    return own and isinstance(error, NameError | ImportError) and not isinstance(error, UnboundLocalError)


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
    said = _accepts(check, question, answer, expected)
    if said is True:
        return {"accepted": True}
    if task["expected_is_right"]:
        right = _accepts(check, question, expected, expected)
        if isinstance(right, BaseException):
            return {"broken": f"line {_place(right)[0]} raises {type(right).__name__} on the expected answer: {right}"}
        if right is False:
            return {"broken": "rejects the expected answer"}
    if isinstance(said, bool):
        return {"accepted": False}
    name, line, text = type(said).__name__, _place(said)[0], str(said)[:500]
    if _no_answers_doing(said, answer):
        return {"broken": f"line {line} raises {name}, whatever the answer: {text}"}
    return {"accepted": False, "raised": name, "line": line, "message": text}


reply(dumps(_judge(loads(request, library=True))))
