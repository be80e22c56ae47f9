"""Questions to the program from the sandbox of the test code, and what it raises in place of an answer.

ask               one message to the program, and its answer; what the program asks meanwhile is answered
exchange          what is told beside every message: shared files, and the answers to what the program asks
describe          what some names of the program are
lineage           what a class of the program inherits from
exception         the exception that an answer stands for
exception_class   an exception class of the program, with the bases it has there
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from reward_servers.engines.code._guest.plain import NotPlainError, UnpassableError, decode, dumps_json, loads_json

if TYPE_CHECKING:

    def receive() -> bytes | None: ...
    def send(message: bytes) -> None: ...


class OtherSideGoneError(BaseException):
    """The other side has finished; the test ends here and the receiver knows why."""


_ours: list[BaseException] = []
_exceptions: dict[str, type] = {}
ours: dict[int, BaseException] = {}
"""Exceptions that test code raised when the program called it, by number."""


def is_from_program(error: BaseException) -> bool:
    """Whether the program raised an exception, and not the test code."""
    return any(error is raised for raised in _ours)


class Exchange:
    """What goes along with the messages.

    Attributes:
        files: The shared files, None if none are shared.
        answer: Answers a question of the program about an object of the test code.
        before: Called before each message that makes the program do something.
    """

    files: Any = None
    answer: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    before: Callable[[], None] | None = None


exchange = Exchange()
_DOES_NOTHING = ("describe", "lineage")


def ask(message: dict[str, Any]) -> dict[str, Any]:
    """Send one message to the program and return its answer."""
    if exchange.before is not None and message["op"] not in _DOES_NOTHING:
        exchange.before()
    answer = _sent_and_heard(message)
    while "callback" in answer and exchange.answer is not None:
        answer = _sent_and_heard({"op": "back", **exchange.answer(answer["callback"])})
    return answer


def _sent_and_heard(message: dict[str, Any]) -> dict[str, Any]:
    if exchange.files is not None:
        try:
            changes = exchange.files.changes()
        except OSError as problem:
            raise UnpassableError(str(problem)) from None
        message = {**message, "files": changes} if changes else message
    send(dumps_json(message))
    answer = receive()
    if answer is None:
        raise OtherSideGoneError
    fields = loads_json(answer)
    if not isinstance(fields, dict):
        return {}
    if exchange.files is not None:
        exchange.files.apply(fields.get("files"))
    if "printed" in fields:
        sys.stdout.write(str(fields["printed"]))
    return fields


def from_program(error: BaseException) -> BaseException:
    """The same exception, noted as the program's doing."""
    _ours.append(error)
    return error


def exception(answer: dict[str, Any]) -> BaseException:
    """An exception of the same name here: one that test code raised or imported, else the nearest built-in one."""
    own = ours.get(answer.get("theirs", -1))
    if own is not None:
        return own
    for name in answer.get("bases", ()):
        exception_type = _exceptions.get(name)
        if exception_type is not None:
            error: Any = exception_type(answer.get("message", ""))
            error._handle = answer.get("handle")
            return error  # type: ignore[no-any-return]
    kind = getattr(builtins, str(answer.get("builtin")), Exception)
    if not (isinstance(kind, type) and issubclass(kind, BaseException)):
        kind = Exception
    try:
        return kind(answer.get("message", ""))
    except TypeError:  # kinds that take more arguments, such as UnicodeDecodeError
        return (ValueError if issubclass(kind, ValueError) else Exception)(answer.get("message", ""))


def describe(names: list[str], nodes: list[str] | None = None, shares: bool = False) -> dict[str, str]:
    """What each of some names of the program is: function, class, exception, data, absent.

    Args:
        names: The names.
        nodes: Classes of nodes that this side knows, from now on.
        shares: Whether files are shared from now on.
    """
    described = decode(ask({"op": "describe", "names": names, "nodes": nodes or [], "shares": shares}).get("ok"))
    return described if isinstance(described, dict) else {}


def lineage(name: str) -> dict[str, list[str]]:
    """Direct bases of a class of the program and of its bases; of the last ones first."""
    try:
        by_kind = decode(ask({"op": "lineage", "name": name}).get("ok"))
    except NotPlainError:
        by_kind = None
    return {str(kind): list(map(str, bases)) for kind, bases in by_kind.items()} if isinstance(by_kind, dict) else {}


def exception_class(name: str, attribute: Callable[[Any, str], Any]) -> type:
    """An exception class of the program, with the bases it has there.

    Args:
        name: Its name.
        attribute: Asks for an attribute of an exception that the program has raised.
    """
    for kind, above in (*lineage(name).items(), (name, ["Exception"])):
        if kind in _exceptions or hasattr(builtins, kind):
            continue
        bases_found = [_exceptions.get(base) or getattr(builtins, base, None) for base in above]
        parents = tuple(base for base in bases_found if isinstance(base, type) and issubclass(base, BaseException))
        if not parents and kind != name:
            continue  # a class that some exception inherits from, and is none itself
        try:
            _exceptions[kind] = type(kind, parents or (Exception,), {"__getattr__": attribute})
        except TypeError:  # bases that do not go together
            _exceptions[kind] = type(kind, (Exception,), {"__getattr__": attribute})
    return _exceptions.get(name) or Exception
