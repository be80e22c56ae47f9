"""Driver beside the program under test: loads it, calls what it is asked to call, sends plain data back.

With a request it makes the calls listed there and answers one line each. Without one it serves a session: test code
in another sandbox asks for names, calls, attributes, one message each. Nothing here is trusted by the receiver,
because the program shares the process and may have replaced any of it.
"""

from __future__ import annotations

import builtins
import io
import os
import sys
import types
from typing import TYPE_CHECKING, Any

from reward_servers.engines.code._guest.plain import BASES, NotPlain, decode, dumps_json, encode, loads_json

if TYPE_CHECKING:
    request = b""

    def load(name: str = "__main__") -> dict[str, Any]: ...
    def reply(data: bytes) -> None: ...
    def receive() -> bytes | None: ...
    def send(message: bytes) -> None: ...


_leave = os._exit
_COPIED = 1 << 18
_MUTABLE = (list, dict, set, bytearray)


class _Absent(Exception):
    """The program has no such name."""


def _raised(error: BaseException) -> dict[str, Any]:
    """What an exception says of itself, as plain data."""
    line = [kind for kind in type(error).__mro__ if getattr(builtins, kind.__name__, None) is kind]
    try:
        message = str(error)[:2000]
    except BaseException:  # noqa: BLE001 (the program's own __str__)
        message = ""
    return {
        "raised": type(error).__name__,
        "bases": [kind.__name__ for kind in type(error).__mro__][:50],
        "builtin": line[0].__name__ if line else "Exception",
        "message": message.encode("utf-8", "backslashreplace").decode(),
    }


def _resolve(module: dict[str, Any], name: str) -> Any:
    """A function of the program, a method of its class `Solution`, or `Class.method` of a fresh object."""
    head, _, method = name.partition(".")
    if method and head in module:
        owner = module[head]
        return getattr(owner() if isinstance(owner, type) else owner, method)
    if name in module:
        return module[name]
    solution = module.get("Solution")
    if isinstance(solution, type) and hasattr(solution, name):
        return getattr(solution(), name)
    raise _Absent(name)


def _is_iterator(value: Any) -> bool:
    """Whether test code can go through it: a generator, `map(...)`, an open iterator."""
    return hasattr(type(value), "__next__")


def _call(module: dict[str, Any], name: str, args: Any, kwargs: Any) -> dict[str, Any]:
    try:
        function = _resolve(module, name)
        result = function(*decode(args), **decode(kwargs))
        if _is_iterator(result) or (isinstance(function, type) and type(result) is function):
            return {"live": True}
        return {"ok": encode(result)}
    except _Absent as absent:
        return {"absent": str(absent)}
    except NotPlain as problem:
        return {"not_plain": str(problem)[:500]}
    except BaseException as error:  # noqa: BLE001 (whatever the program raises is its answer)
        return _raised(error)


def _make_calls() -> None:
    """Load the program once and make the calls of the request, each answered by one line."""
    try:
        module = load("solution")
    except BaseException as error:  # noqa: BLE001 (as above)
        reply(dumps_json({"load": _raised(error)}))
        return
    for name, args, kwargs in loads_json(request):
        reply(dumps_json(_call(module, name, args, kwargs)))


class _Copied(io.RawIOBase):
    """Standard output that keeps a copy of what is written, for test code that looks at it."""

    def __init__(self) -> None:
        super().__init__()
        self._kept = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = os.write(1, data)
        self._kept += bytes(data[:size][: _COPIED - len(self._kept)])
        return size

    def take(self) -> str:
        """What was written since the last time."""
        kept = bytes(self._kept).decode("utf-8", "replace")
        self._kept.clear()
        return kept


def _of_exit(raised: list[str] | None) -> tuple[Any, Any, Any]:
    """The arguments of `__exit__` for an exception of the test code, of which name and text are known."""
    if raised is None:
        return None, None, None
    kind = getattr(builtins, raised[0])
    return kind, kind(raised[1]), None


class _Session:
    """Objects of the program that the test code has met, and what it asks of them.

    An object keeps its number, so that test code can ask whether two results are the same object.
    """

    def __init__(self) -> None:
        self._copied = _Copied()
        buffer = io.BufferedWriter(self._copied)
        self._stdout = sys.stdout = io.TextIOWrapper(buffer, encoding="utf-8", errors="surrogateescape")
        self._module = load("solution")
        self._printed()
        self._objects: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._loop: Any = None

    def _printed(self) -> str:
        self._stdout.flush()
        return self._copied.take()

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """Carry out one message of the test code; what the program prints goes along with the result."""
        answer = self._carried_out(message)
        try:
            printed = self._printed()
        except BaseException as error:  # noqa: BLE001 (the program has closed its output)
            return _raised(error)
        return {**answer, "printed": printed} if printed else answer

    def _carried_out(self, message: dict[str, Any]) -> dict[str, Any]:
        try:
            if message["op"] == "describe":
                return {"ok": encode({name: self._describe(name) for name in message["names"]})}
            if message["op"] == "lineage":
                return {"ok": encode(self._lineage(message["name"]))}
            if message["op"] == "call":
                return self._call(message)
            if message["op"] == "get":
                return self._result(self._target(message))
            owner = self._objects[message["handle"]]
            if message["op"] == "truth":
                return {"ok": bool(owner)}
            if message["op"] == "plain":
                return {"ok": encode(owner)}
            if message["op"] == "await":
                return self._awaited(owner)
            setattr(owner, message["attr"], self._argument(message["value"]))
            return {"ok": None}
        except _Absent as absent:
            return {"absent": str(absent)}
        except NotPlain as problem:
            return {"not_plain": str(problem)[:500]}
        except BaseException as error:  # noqa: BLE001 (as above)
            return {**_raised(error), "handle": self._number(error)}

    def _describe(self, name: str) -> str:
        try:
            value = _resolve(self._module, name)
        except BaseException:  # noqa: BLE001 (it will be raised again when it is used)
            return "absent"
        if isinstance(value, type):
            return "exception" if issubclass(value, BaseException) else "class"
        return "function" if callable(value) else "data"

    def _lineage(self, name: str) -> dict[str, list[str]]:
        """Direct bases of a class and of all it inherits from, by name; the class itself comes last."""
        return {
            kind.__name__: [base.__name__ for base in kind.__bases__] for kind in reversed(self._class(name).__mro__)
        }

    def _class(self, name: str) -> type:
        found = _resolve(self._module, name)
        if not isinstance(found, type):
            raise _Absent(name)
        return found

    def _target(self, message: dict[str, Any]) -> Any:
        if message.get("handle") is not None:
            owner = self._objects[message["handle"]]
        else:
            owner = _resolve(self._module, message["name"])
        attribute = message.get("attr")
        if attribute is None:
            return owner
        if attribute.startswith("__") and not hasattr(type(owner), attribute):
            raise TypeError(f"{type(owner).__name__} has no {attribute}")  # what an operator that is missing raises
        return getattr(owner, attribute)

    def _argument(self, sent: list[Any]) -> Any:
        if sent[0] == "target":
            return self._target(sent[1])
        return decode(sent[1], True, other=lambda number, _: self._objects[number])

    def _call(self, message: dict[str, Any]) -> dict[str, Any]:
        """Make a call; arguments that it changed in place come back with the result."""
        function = self._target(message)
        args = [self._argument(sent) for sent in message["args"]]
        if message.get("attr") == "__exit__":
            args = list(_of_exit(*args))
        kwargs = {name: self._argument(sent) for name, sent in message["kwargs"].items()}
        before = [self._encode(value) if isinstance(value, _MUTABLE) else None for value in args]
        value = function(*args, **kwargs)
        if value is NotImplemented:
            if message.get("attr") != "__eq__":
                raise TypeError("unsupported operand")
            value = False
        answer = self._result(value)
        changed = []
        for index, (sent, now) in enumerate(zip(message["args"], args, strict=False)):
            if isinstance(now, _MUTABLE) and sent[0] == "value":
                after = self._encode(now)
                if after != before[index]:
                    changed.append([index, after])
        if changed:
            answer["changed"] = changed
        return answer

    def _result(self, value: Any) -> dict[str, Any]:
        if isinstance(value, types.CoroutineType):
            return {"coroutine": self._number(value)}
        if _is_iterator(value) and not self._is_ours(value):
            return {"iterator": self._number(value)}
        if not isinstance(value, BASES) and callable(value) and not self._is_ours(value):
            return {"callable": True, "handle": self._number(value)}
        return {"ok": self._encode(value)}

    def _awaited(self, coroutine: Any) -> dict[str, Any]:
        """What a coroutine of the program comes to; all run in one loop, as those of one test do."""
        import asyncio

        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._result(self._loop.run_until_complete(coroutine))

    def _encode(self, value: Any) -> Any:
        return encode(value, other=self._object)

    def _object(self, value: Any, _: int) -> dict[str, Any] | None:
        """What stands for an object; None for values that are plain data of the standard library."""
        own = self._is_ours(value)
        if not own:
            try:
                encode(value)
            except NotPlain:
                pass
            else:
                return None
        kind = type(value)
        said: dict[str, Any] = {
            "handle": self._number(value),
            "class": kind.__name__,
            "bases": [base.__name__ for base in kind.__mro__][:50],
            "iterates": _is_iterator(value),
        }
        if isinstance(value, BASES):
            said["plain"] = encode(value)
        return said

    def _is_ours(self, value: Any) -> bool:
        return bool(type(value).__module__ == self._module.get("__name__")) and not isinstance(value, type)

    def _number(self, value: Any) -> int:
        number = self._numbers.setdefault(id(value), len(self._objects))
        if number == len(self._objects):
            self._objects.append(value)
        return number


def _serve() -> None:
    """Load the program, then answer messages until the other side has finished."""
    try:
        session = _Session()
    except BaseException as error:  # noqa: BLE001 (as above)
        send(dumps_json({"load": _raised(error)}))
        return
    send(dumps_json({"ready": True}))
    while (message := receive()) is not None:
        send(dumps_json(session.answer(loads_json(message))))


if request:
    _make_calls()
else:
    _serve()
try:
    sys.stdout.flush()
    sys.stderr.flush()
except BaseException:  # noqa: BLE001, S110 (streams of the program, of no use to anyone here)
    pass
_leave(0)
