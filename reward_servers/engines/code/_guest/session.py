"""The program's side of a conversation: test code in another sandbox asks for names, calls, attributes.

Nothing here is trusted by the receiver, because the program shares the process and may have replaced any of it.
"""

from __future__ import annotations

import _thread
import builtins
import io
import os
import sys
import types
from typing import TYPE_CHECKING, Any

from reward_servers.engines.code._guest.borrowed import Borrowed, Patches, set_environment
from reward_servers.engines.code._guest.calling import AbsentNameError, is_iterator, loaded, raised, resolve
from reward_servers.engines.code._guest.files import SharedFiles
from reward_servers.engines.code._guest.library import nodes_of
from reward_servers.engines.code._guest.plain import BASES, NotPlainError, decode, dumps_json, encode, loads_json

if TYPE_CHECKING:

    def receive() -> bytes | None: ...
    def send(message: bytes) -> None: ...


_put, _leave_now = os.write, os._exit
_COPIED = 1 << 18
_MUTABLE = (list, dict, set, bytearray)


class _TeeOutput(io.RawIOBase):
    """Standard output that keeps a copy of what is written, for test code that looks at it."""

    def __init__(self) -> None:
        super().__init__()
        self._kept = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = _put(1, data)
        self._kept += bytes(data[:size][: _COPIED - len(self._kept)])
        return size

    def take(self) -> str:
        """What was written since the last time."""
        text = bytes(self._kept).decode("utf-8", "replace")
        self._kept.clear()
        return text


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
        self._copied = _TeeOutput()
        buffer = io.BufferedWriter(self._copied)
        self._stdout = sys.stdout = io.TextIOWrapper(buffer, encoding="utf-8", errors="surrogateescape")
        self._objects: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._loop: Any = None
        self._borrowed = Borrowed(self._ask_back)
        self._turn = _thread.RLock()
        self._nodes: list[str] = []
        self._files: SharedFiles | None = None
        files = SharedFiles()
        self._module = loaded()
        self._patches = Patches(self._module)
        self._printed()
        self._files_of_ours = files

    def _printed(self) -> str:
        self._stdout.flush()
        return self._copied.take()

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """Carry out one message of the test code; what the program prints goes along with the result."""
        if self._files is not None:
            self._files.apply(message.get("files"))
        answer = self._carried_out(message)
        try:
            return {**answer, **self._beside()}
        except BaseException as error:  # noqa: BLE001 (the program has closed its output, or stored too much)
            return raised(error)

    def _beside(self) -> dict[str, Any]:
        """What goes along with every message: what was printed, and files that have changed."""
        printed = self._printed()
        files = self._files.changes() if self._files is not None else None
        return {**({"printed": printed} if printed else {}), **({"files": files} if files else {})}

    def _ask_back(self, question: dict[str, Any]) -> Any:
        """Ask the test code about an object that it lent; it may ask for more before it answers."""
        fields = dict(question)
        with self._turn:
            if "args" in fields:
                fields["args"] = [self._encode(value) for value in fields["args"]]
            fields["kwargs"] = {name: self._encode(value) for name, value in fields.get("kwargs", {}).items()}
            send(dumps_json({"callback": fields, **self._beside()}))
            while (message := receive()) is not None:
                request = loads_json(message)
                if request["op"] == "back":
                    break
                send(dumps_json(self.answer(request)))
            else:
                _leave_now(0)
            if self._files is not None:
                self._files.apply(request.get("files"))
            if "value" in request:
                return self._argument(request["value"])
        error = getattr(builtins, request["raised"])(request["message"])
        error._theirs = request["theirs"]
        raise error

    def _carried_out(self, message: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._done(message)
        except AbsentNameError as absent:
            return {"absent": str(absent)}
        except NotPlainError as problem:
            return {"not_plain": str(problem)[:500]}
        except BaseException as error:  # noqa: BLE001 (as above)
            return {**raised(error), "handle": self._number(error)}

    def _done(self, message: dict[str, Any]) -> dict[str, Any]:
        operation = message["op"]
        if operation == "describe":
            self._nodes += message.get("nodes", ())
            if message.get("shares"):
                self._files = self._files_of_ours
            return {"ok": encode({name: self._describe(name) for name in message["names"]})}
        if operation == "lineage":
            return {"ok": encode(self._lineage(message["name"]))}
        if operation == "call":
            return self._call(message)
        if operation == "get":
            return self._result(self._target(message))
        if operation == "patch":
            return {"ok": self._patches.replace(message, self._argument(message["value"]))}
        if operation == "unpatch":
            self._patches.restore(message["number"])
            return {"ok": None}
        if operation == "environment":
            set_environment(message["values"])
            return {"ok": None}
        owner = self._objects[message["handle"]]
        if operation == "truth":
            return {"ok": bool(owner)}
        if operation == "plain":
            return {"ok": encode(owner)}
        if operation == "await":
            return self._awaited(owner)
        setattr(owner, message["attr"], self._argument(message["value"]))
        return {"ok": None}

    def _describe(self, name: str) -> str:
        try:
            value = resolve(self._module, name)
        # Looking a name up may run the program's code, which may raise anything. Nothing is lost: the same look-up is
        # made when the test uses the name, and what it raises then is the answer.
        except BaseException:  # noqa: BLE001
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
        resolved = resolve(self._module, name)
        if not isinstance(resolved, type):
            raise AbsentNameError(name)
        return resolved

    def _target(self, message: dict[str, Any]) -> Any:
        if message.get("handle") is not None:
            owner = self._objects[message["handle"]]
        else:
            owner = resolve(self._module, message["name"])
        attribute = message.get("attr")
        if attribute is None:
            return owner
        if attribute.startswith("__") and not hasattr(type(owner), attribute):
            raise TypeError(f"{type(owner).__name__} has no {attribute}")  # what an operator that is missing raises
        return getattr(owner, attribute)

    def _argument(self, argument: list[Any]) -> Any:
        if argument[0] == "target":
            return self._target(argument[1])
        return decode(argument[1], True, other=self._received)

    def _received(self, description: Any, _: int) -> Any:
        """An object of the program that comes back, or one of the test code."""
        if isinstance(description, dict):
            return self._target(description["target"]) if "target" in description else self._borrowed.make(description)
        return self._objects[description]

    def _call(self, message: dict[str, Any]) -> dict[str, Any]:
        """Make a call; arguments that it changed in place come back with the result."""
        function = self._target(message)
        args = [self._argument(argument) for argument in message["args"]]
        if message.get("attr") == "__exit__":
            args = list(_of_exit(*args))
        kwargs = {name: self._argument(argument) for name, argument in message["kwargs"].items()}
        before = [self._encode(value) if _may_change(value) else None for value in args]
        value = function(*args, **kwargs)
        if value is NotImplemented:
            if message.get("attr") != "__eq__":
                raise TypeError("unsupported operand")
            value = False
        answer = self._result(value)
        changed = []
        for index, (argument, now) in enumerate(zip(message["args"], args, strict=False)):
            if before[index] is not None and argument[0] == "value":
                after = self._encode(now)
                if after != before[index]:
                    changed.append([index, after])
        if changed:
            answer["changed"] = changed
        return answer

    def _result(self, value: Any) -> dict[str, Any]:
        if self._borrowed.number(value) is not None:
            return {"ok": self._encode(value)}
        if isinstance(value, types.CoroutineType):
            return {"coroutine": self._number(value)}
        if is_iterator(value) and not self._is_ours(value):
            return {"iterator": self._number(value)}
        if isinstance(value, type) and any(value is kind for kind in BASES):
            return {"ok": encode(value)}
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
        """What stands for an object; None for values that go as data: of libraries, and nodes that the test knows."""
        number = self._borrowed.number(value)
        if number is not None:
            return {"theirs": number}
        if type(value).__name__ in self._nodes and nodes_of(value) is not None:
            return None
        own = self._is_ours(value)
        if not own:
            try:
                encode(value)
            except NotPlainError:
                pass
            else:
                return None
        kind = type(value)
        fields: dict[str, Any] = {
            "handle": self._number(value),
            "class": kind.__name__,
            "bases": [base.__name__ for base in kind.__mro__][:50],
            "iterates": is_iterator(value),
        }
        if isinstance(value, BASES):
            fields["plain"] = encode(value)
        return fields

    def _is_ours(self, value: Any) -> bool:
        return bool(type(value).__module__ == self._module.get("__name__")) and not isinstance(value, type)

    def _number(self, value: Any) -> int:
        number = self._numbers.setdefault(id(value), len(self._objects))
        if number == len(self._objects):
            self._objects.append(value)
        return number


def _may_change(value: Any) -> bool:
    """Whether an argument goes by value and a function may change it in place."""
    return isinstance(value, _MUTABLE) or (type(value).__module__ != "builtins" and nodes_of(value) is not None)


def serve() -> None:
    """Load the program, then answer messages until the other side has finished."""
    try:
        session = _Session()
    except BaseException as error:  # noqa: BLE001 (as above)
        send(dumps_json({"load": raised(error)}))
        return
    send(dumps_json({"ready": True}))
    while (message := receive()) is not None:
        send(dumps_json(session.answer(loads_json(message))))
