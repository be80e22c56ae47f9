"""Calls of a program in one run, and what came back of them.

    Calls      the answers of one run, as far as it got
    Returned   a call that returned plain data
    Failed     a call that did not, with the verdict that this means

The answers come from a process that holds foreign code. They are read as plain data, and an answer that is not what
the driver would have written is the program's doing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from reward_servers.engines.code._constant_folding import CandidateCall
from reward_servers.engines.code._data import as_data
from reward_servers.engines.code._guest import plain
from reward_servers.engines.code._verdicts import Verdict, run_verdict
from sandbox import Limits, Prepared, RunResult, Sandbox


@dataclasses.dataclass(frozen=True, slots=True)
class Returned:
    """A call that returned plain data."""

    value: Any


@dataclasses.dataclass(frozen=True, slots=True)
class Failed:
    """A call without a usable result."""

    verdict: Verdict
    reason: str


class Calls:
    """The answers of one run to a list of calls.

    Args:
        result: The run.
        data: Read values of libraries and objects with fields as the lists and dicts that they hold.
    """

    def __init__(self, result: RunResult, *, data: bool = False) -> None:
        self.result = result
        self._data = data
        self._lines = [line for line in result.reply.split(b"\n") if line]

    def outcome(self, index: int) -> Returned | Failed:
        """What became of one call.

        Raises:
            LibraryValueError: It returned what only a sandbox handles: a value type of the standard library, such as a
            `Decimal`, an iterator, or an object of the class that was called.
        """
        lines = self._lines
        first = checked_answer(lines[0]) if lines else {}
        if "load" in first:
            return failed(first["load"], "loading the program")
        complete = len(lines) - self.result.reply_truncated
        if index < complete:
            return read_answer(checked_answer(lines[index]), data=self._data)
        if self.result.reply_truncated:
            return Failed(Verdict.OUTPUT_LIMIT, "the results are too large")
        verdict = run_verdict(self.result) or Verdict.RUNTIME_ERROR
        return Failed(verdict, f"the program ended ({self.result.ended.value}) without an answer")


def make_calls(
    box: Sandbox, prepared: Prepared, calls: Sequence[CandidateCall], limits: Limits, *, data: bool = False
) -> Calls:
    """Run a program once and make calls of it, in order and in one process. For `data` see `Calls`."""
    request = plain.dumps_json([[call.name, call.args, call.kwargs, dict(call.how)] for call in calls])
    return Calls(box.run(prepared, request=request, limits=limits), data=data)


def checked_answer(message: bytes) -> dict[str, Any]:
    """An answer of the program with nothing in it but what a driver would have written."""
    try:
        answer = plain.loads_json(message)
    except plain.NotPlainError:
        answer = None
    if not isinstance(answer, dict):
        return {"not_plain": "the answer was not understood"}
    checked: dict[str, Any] = {}
    for name in ("raised", "builtin", "message", "absent", "not_plain", "class", "printed"):
        if isinstance(answer.get(name), str):
            checked[name] = answer[name]
    if isinstance(answer.get("bases"), list):
        checked["bases"] = [name for name in answer["bases"] if isinstance(name, str)][:50]
    for name in ("handle", "iterator", "coroutine"):
        if type(answer.get(name)) is int:
            checked[name] = answer[name]
    for name in ("ready", "callable", "live"):
        if answer.get(name) is True:
            checked[name] = True
    if "ok" in answer:
        checked["ok"] = answer["ok"]
    if type(answer.get("theirs")) is int:
        checked["theirs"] = answer["theirs"]
    checked |= _checked_exchange(answer)
    if isinstance(answer.get("load"), dict):
        checked["load"] = {name: value for name, value in answer["load"].items() if isinstance(value, str)}
    changed = answer.get("changed")
    if isinstance(changed, list):
        pairs = [pair for pair in changed if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], int)]
        checked["changed"] = pairs
    return checked


def _checked_exchange(answer: dict[str, Any]) -> dict[str, Any]:
    """What goes along with an answer, or is asked in place of one: files, and a question about an object lent."""
    checked: dict[str, Any] = {}
    callback, files = answer.get("callback"), answer.get("files")
    if isinstance(callback, dict) and type(callback.get("number")) is int:
        words = {name: callback[name] for name in ("attr", "get", "set") if isinstance(callback.get(name), str)}
        args = callback.get("args") if isinstance(callback.get("args"), list) else []
        kwargs = callback.get("kwargs") if isinstance(callback.get("kwargs"), dict) else {}
        checked["callback"] = {"number": callback["number"], **words, "args": args, "kwargs": kwargs}
    if isinstance(files, dict):
        changed, deleted = files.get("written"), files.get("gone")
        checked["files"] = {
            "written": {path: content for path, content in changed.items() if content is None or type(content) is str}
            if isinstance(changed, dict)
            else {},
            "gone": [path for path in deleted if isinstance(path, str)] if isinstance(deleted, list) else [],
            "directory": str(files.get("directory")),
        }
    return checked


def read_answer(answer: dict[str, Any], *, data: bool = False) -> Returned | Failed:
    """One answer of the driver as an outcome.

    Raises:
        LibraryValueError: As above.
    """
    if "live" in answer:
        raise plain.LibraryValueError("an iterator or an object")
    if "ok" in answer:
        try:
            return Returned(plain.decode(as_data(answer["ok"]) if data else answer["ok"]))
        except plain.LibraryValueError:
            raise
        except (plain.NotPlainError, RecursionError) as problem:
            return Failed(Verdict.RUNTIME_ERROR, f"the result: {problem}")
    return failed(answer, "the call")


def failed(answer: dict[str, Any], name: str) -> Failed:
    """An answer without a result: an exception, a name that is absent, a result that is no plain data."""
    if "raised" in answer:
        kind, message = answer["raised"][:200], answer.get("message", "")[:2000]
        verdict = Verdict.MEMORY_LIMIT if answer.get("builtin") == "MemoryError" else Verdict.RUNTIME_ERROR
        return Failed(verdict, f"{name} raised {kind}: {message}")
    if "absent" in answer:
        return Failed(Verdict.RUNTIME_ERROR, f"the program defines no {answer['absent'][:200]}")
    if "not_plain" in answer:
        return Failed(Verdict.RUNTIME_ERROR, f"the result: {answer['not_plain'][:500]}")
    return Failed(Verdict.RUNTIME_ERROR, "the answer was not understood")
