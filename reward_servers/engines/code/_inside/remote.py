"""Stand-ins for the program inside the sandbox of the test code; the program itself is in another one.

    RemoteFunction   a function of the program: arguments and results cross as plain data
    RemoteClass      a class of the program that test code makes objects of
    RemoteObject     such an object: its data and methods are asked for by name
    RemoteIterator   a generator of the program, of which only the values count

Whatever a function returns is plain data of built-in types, so no method of the program's objects ever runs here.
Objects exist only where the test code itself instantiates classes of the program; compared with plain data they are
unequal, and they have no truth value, because only the program could say it.
"""

from __future__ import annotations

import builtins
import sys
from typing import TYPE_CHECKING, Any

from reward_servers.engines.code._inside.plain import (
    NotPlain,
    TooDeep,
    Unpassable,
    decode,
    dumps_json,
    encode,
    loads_json,
)

if TYPE_CHECKING:

    def receive() -> bytes | None: ...
    def send(message: bytes) -> None: ...


class Gone(BaseException):
    """The other side has finished; the test ends here and the receiver knows why."""


_ours: list[BaseException] = []
_classes: dict[str, type] = {}
_instantiated: set[str] = set()


def is_from_program(error: BaseException) -> bool:
    """Whether the program raised an exception, and not the test code."""
    return any(error is raised for raised in _ours)


def ask(message: dict[str, Any]) -> dict[str, Any]:
    """Send one message to the program and return its answer."""
    send(dumps_json(message))
    answer = receive()
    if answer is None:
        raise Gone
    fields = loads_json(answer)
    return fields if isinstance(fields, dict) else {}


def _value(answer: dict[str, Any]) -> Any:
    """The value of an answer, or the exception that it stands for."""
    if "ok" in answer:
        return decode(answer["ok"], True)
    if "iterator" in answer:
        return RemoteIterator(answer["iterator"])
    if "handle" in answer and _instantiated:
        kind = _classes.get(answer.get("class", ""), RemoteObject)
        made: Any = object.__new__(kind)
        object.__setattr__(made, "_handle", answer["handle"])
        return made
    if "raised" in answer:
        error = _exception(answer)
    elif "absent" in answer:
        error = NameError(f"the program defines no {answer['absent']}")
    else:
        error = TypeError(f"the program's result: {answer.get('not_plain', 'not understood')}")
    raise _from_program(error)


def _from_program(error: BaseException) -> BaseException:
    """The same exception, noted as the program's doing."""
    _ours.append(error)
    return error


def _exception(answer: dict[str, Any]) -> BaseException:
    """An exception of the same name here: one that test code imported, else the nearest built-in one."""
    for name in answer.get("bases", ()):
        known = _classes.get(name)
        if known is not None and issubclass(known, BaseException):
            return known(answer.get("message", ""))
    kind = getattr(builtins, str(answer.get("builtin")), Exception)
    if not (isinstance(kind, type) and issubclass(kind, BaseException)):
        kind = Exception
    try:
        return kind(answer.get("message", ""))
    except TypeError:  # kinds that take more arguments, such as UnicodeDecodeError
        return (ValueError if issubclass(kind, ValueError) else Exception)(answer.get("message", ""))


def _sent(value: Any) -> list[Any]:
    if isinstance(value, RemoteObject | RemoteIterator):
        return ["handle", value._handle]
    if isinstance(value, RemoteFunction | _RemoteClass):
        raise TypeError("a function of the program as an argument of another")
    try:
        return ["value", encode(value)]
    except TooDeep as problem:
        raise TypeError(f"an argument is {problem}") from None
    except NotPlain as problem:
        raise Unpassable(f"an argument of the program: {problem}") from None


def invoke(target: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call something of the program, and repeat here what it did to its arguments in place."""
    sent = [_sent(value) for value in args]
    named = {name: _sent(value) for name, value in kwargs.items()}
    answer = ask({"op": "call", **target, "args": sent, "kwargs": named})
    if "printed" in answer:
        sys.stdout.write(str(answer["printed"]))
    for index, now in answer.get("changed", ()):
        _change(args[index], decode(now, True))
    return _value(answer)


def _change(value: Any, now: Any) -> None:
    if isinstance(value, list | bytearray) and isinstance(now, list | bytearray):
        value[:] = now
    elif isinstance(value, dict | set) and type(value) is type(now):
        value.clear()
        value.update(now)


def _get(target: dict[str, Any]) -> Any:
    answer = ask({"op": "get", **target})
    return RemoteFunction(target) if answer.get("callable") else _value(answer)


class RemoteFunction:
    """A function of the program, or a bound method of one of its objects."""

    def __init__(self, target: dict[str, Any]) -> None:
        self._target = target
        self.__name__ = str(target.get("attr") or target.get("name"))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return invoke(self._target, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or self._target.get("attr"):
            raise AttributeError(name)
        return _get({"name": self._target["name"], "attr": name})


class _RemoteClass(type):
    """A class of the program: calling it makes an object there, its attributes are asked for."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        _instantiated.add(cls.__name__)
        return invoke({"name": cls.__name__}, args, kwargs)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _get({"name": cls.__name__, "attr": name})


class RemoteObject(metaclass=_RemoteClass):
    """An object of the program, known here by a number only."""

    _handle: int

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _get({"handle": self._handle, "attr": name})

    def __setattr__(self, name: str, value: Any) -> None:
        _value(ask({"op": "set", "handle": self._handle, "attr": name, "value": _sent(value)}))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RemoteObject):
            return False
        return self._handle == other._handle or _method(self, "__eq__", other) is True

    def __hash__(self) -> int:
        return hash(self._handle)

    def __bool__(self) -> bool:
        raise TypeError("only the program could say whether its object is true")

    def __iter__(self) -> Any:
        made = _method(self, "__iter__")
        return made if isinstance(made, RemoteObject) else iter(made)

    def __contains__(self, item: Any) -> bool:
        return _method(self, "__contains__", item) is True

    def __repr__(self) -> str:
        return str(_method(self, "__repr__"))

    def __str__(self) -> str:
        return str(_method(self, "__str__"))


class RemoteIterator:
    """What a generator of the program yields, asked for one by one. It is no plain data itself."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def __iter__(self) -> RemoteIterator:
        return self

    def __next__(self) -> Any:
        return invoke({"handle": self._handle, "attr": "__next__"}, (), {})

    def _refuse(self, *_: object) -> Any:
        raise _from_program(TypeError("the program's result: an iterator is no plain data"))

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __len__ = __getitem__ = _refuse
    __hash__ = None  # type: ignore[assignment]


def _method(owner: RemoteObject, name: str, *args: Any) -> Any:
    return invoke({"handle": owner._handle, "attr": name}, args, {})


def _add_operators() -> None:
    """Operators whose result is plain data or an object of the program."""
    words = "len getitem setitem delitem call add sub mul truediv floordiv mod pow neg abs int float radd rsub rmul"
    for word in f"{words} and or xor enter exit next".split():
        name = f"__{word}__"
        setattr(RemoteObject, name, lambda self, *args, _name=name: _method(self, _name, *args))
    for word in ("lt", "le", "gt", "ge"):
        name = f"__{word}__"
        setattr(RemoteObject, name, lambda self, other, _name=name: _ordered(self, other, _name))


def _ordered(owner: RemoteObject, other: Any, name: str) -> bool:
    """The program orders its own objects; it is not asked whether one of them is less than plain data."""
    if not isinstance(other, RemoteObject):
        raise TypeError("an object of the program compared with plain data")
    return _method(owner, name, other) is True


_add_operators()


def stand_in(name: str, kind: str) -> Any:
    """What a name of the program is bound to in the test code."""
    if kind == "data":
        return _value(ask({"op": "get", "name": name}))
    if kind == "class" and name not in _classes:
        _classes[name] = _RemoteClass(name, (RemoteObject,), {})
    if kind == "exception" and name not in _classes:
        _classes[name] = type(name, (Exception,), {})
    return _classes.get(name) or RemoteFunction({"name": name})


def describe(names: list[str]) -> dict[str, str]:
    """What each of some names of the program is: function, class, exception, data, absent."""
    found = _value(ask({"op": "describe", "names": names}))
    return found if isinstance(found, dict) else {}


__all__ = ["Gone", "describe", "is_from_program", "stand_in"]
