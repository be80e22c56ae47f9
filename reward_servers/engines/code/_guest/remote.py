"""Stand-ins for the program inside the sandbox of the test code; the program itself is in another one.

    RemoteFunction   a function of the program: arguments and results cross as plain data
    RemoteClass      a class of the program that test code makes objects of
    RemoteObject     such an object: its data and methods are asked for by name
    RemoteIterator   a generator of the program, of which only the values count

Whatever a function returns is plain data of built-in types, so no method of the program's objects ever runs here.
Objects exist only where the test code itself names classes of the program. What they are to each other, and whether
they are true, is the program's word; plain data they equal only if they are of a kind of them (`namedtuple`, `IntEnum`)
and hold the same.
"""

from __future__ import annotations

import builtins
from typing import Any

from reward_servers.engines.code._guest.asking import (
    ask,
    exception,
    exception_class,
    exchange,
    from_program,
    lineage,
    ours,
)
from reward_servers.engines.code._guest.lending import answering, lend, lent
from reward_servers.engines.code._guest.library import encode_fields, nodes_of
from reward_servers.engines.code._guest.plain import (
    BASES,
    NotPlainError,
    TooDeepError,
    UnpassableError,
    decode,
    encode,
)

_SIZES = frozenset(("__abs__", "__int__", "__float__", "__pow__"))
_classes: dict[str, type] = {}
_treated: set[str] = set()
_expected: set[str] = set()
_made: dict[int, RemoteObject] = {}


def _value(answer: dict[str, Any]) -> Any:
    """The value of an answer, or the exception that it stands for."""
    if "ok" in answer:
        return _decoded(answer["ok"])
    if "iterator" in answer:
        return RemoteIterator(answer["iterator"])
    if "coroutine" in answer:
        return _awaited(answer["coroutine"])
    if answer.get("callable") and "handle" in answer:
        return RemoteFunction({"handle": answer["handle"]})
    if "raised" in answer:
        error = exception(answer)
    elif "absent" in answer:
        error = NameError(f"the program defines no {answer['absent']}")
    else:
        error = TypeError(f"the program's result: {answer.get('not_plain', 'not understood')}")
    raise from_program(error) if error not in ours.values() else error


def _decoded(data: Any) -> Any:
    try:
        return decode(data, True, other=_object)
    except NotPlainError as problem:
        raise from_program(TypeError(f"the program's result: {problem}")) from None


def _decoded_argument(data: Any) -> Any:
    """A value that the program hands to something of the test code: there objects are what they are."""
    return decode(data, True, other=lambda data, depth: _object(data, depth, allowed=True))


def _object(description: Any, depth: int, *, allowed: bool = False) -> Any:
    """What stands for an object of the program, or the object of the test code that it was lent.

    Only where the test code names a class of the program, or looks into what one of its functions returns. Elsewhere
    one that could be plain data is, as of built-in types, and any other is a mistake of the program: an object could
    give each question the answer it likes.
    """
    if isinstance(description, dict) and "theirs" in description:
        return lent(description["theirs"])
    if not isinstance(description, dict) or type(description.get("handle")) is not int:
        raise NotPlainError("malformed object")
    handle, name = description["handle"], str(description.get("class"))
    if not _expected and not allowed:
        if "plain" in description:
            return decode(description["plain"], True, depth + 1)
        if description.get("iterates") is True:
            return RemoteIterator(handle)
        raise from_program(TypeError(f"the program's result: a {name} is no plain data"))
    if handle not in _made:
        bases = description.get("bases")
        remote: Any = object.__new__(_class(name, bases if isinstance(bases, list) else []))
        object.__setattr__(remote, "_handle", handle)
        object.__setattr__(remote, "_is_data", "plain" in description)
        _made[handle] = remote
    return _made[handle]


async def _awaited(handle: int) -> Any:
    """A coroutine of the program: it runs, there, when it is awaited here."""
    return _value(ask({"op": "await", "handle": handle}))


def sent(value: Any) -> list[Any]:
    """The wire form of a value that goes to the program."""
    if isinstance(value, RemoteFunction):
        return ["target", value._target]
    if isinstance(value, _RemoteClass):
        return ["target", {"name": value.__name__}]
    try:
        return ["value", encode(value, other=_standing)]
    except TooDeepError as problem:
        raise TypeError(f"an argument is {problem}") from None
    except NotPlainError as problem:
        raise UnpassableError(f"an argument of the program: {problem}") from None


def _standing(value: Any, depth: int) -> Any:
    """What stands for an object that goes to the program: its number there, or one under which it is lent.

    None for what goes by value: data of libraries, names of the standard library, nodes.
    """
    if isinstance(value, RemoteObject | RemoteIterator):
        return value._handle
    if isinstance(value, RemoteFunction):
        return {"target": value._target}
    if isinstance(value, _RemoteClass):
        return {"target": {"name": value.__name__}}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return encode_fields(value, depth, _standing)
    if isinstance(value, BASES):
        return None
    if type(value).__name__ in ("ListNode", "TreeNode") and nodes_of(value) is not None:
        return None
    if not hasattr(type(value), "__dataclass_fields__") and nodes_of(value) is None:
        try:
            encode(value, depth)
        except NotPlainError:
            pass
        else:
            return None
    return lend(value)


def invoke(target: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call something of the program, and repeat here what it did to its arguments in place."""
    values = [sent(value) for value in args]
    keywords = {name: sent(value) for name, value in kwargs.items()}
    answer = ask({"op": "call", **target, "args": values, "kwargs": keywords})
    for index, now in answer.get("changed", ()):
        _change(args[index], _decoded(now))
    return _value(answer)


def _change(value: Any, now: Any) -> None:
    if now is not None and type(value) is type(now) and nodes_of(value) is not None:
        vars(value).update(vars(now))
    elif isinstance(value, list | bytearray) and isinstance(now, list | bytearray):
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
        self.__name__ = str(target.get("attr") or target.get("name", "function"))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return invoke(self._target, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or self._target.get("attr"):
            raise AttributeError(name)
        return _get({**self._target, "attr": name})


class _RemoteClass(type):
    """A class of the program: calling it makes an object there, its attributes are asked for."""

    _bases: list[str]

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return invoke({"name": cls.__name__}, args, kwargs)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _get({"name": cls.__name__, "attr": name})

    def __instancecheck__(cls, value: Any) -> bool:
        return type.__instancecheck__(cls, value) or cls.__subclasscheck__(type(value))

    def __subclasscheck__(cls, kind: type) -> bool:
        return type.__subclasscheck__(cls, kind) or (isinstance(kind, _RemoteClass) and cls.__name__ in kind._bases)

    def __iter__(cls) -> Any:
        return iter(_method(cls, "__iter__"))

    def __len__(cls) -> int:
        return len(list(cls))

    def __bool__(cls) -> bool:
        return True

    def __getitem__(cls, key: Any) -> Any:
        return _method(cls, "__getitem__", key)

    def __contains__(cls, item: Any) -> bool:
        return _method(cls, "__contains__", item) is True


class RemoteObject(metaclass=_RemoteClass):
    """An object of the program, known here by a number only."""

    _bases: list[str] = []  # noqa: RUF012 (of the class)
    _handle: int
    _is_data: bool
    _is_difference = False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _get({"handle": self._handle, "attr": name})

    def __setattr__(self, name: str, value: Any) -> None:
        _value(ask({"op": "set", "handle": self._handle, "attr": name, "value": sent(value)}))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RemoteObject):
            return self._is_data and bool(_value(ask({"op": "plain", "handle": self._handle})) == other)
        return self._handle == other._handle or _method(self, "__eq__", other) is True

    def __hash__(self) -> int:
        return hash(_method(self, "__hash__"))

    def __bool__(self) -> bool:
        if self._is_difference:
            raise from_program(TypeError("the truth of what the program says is the difference to a number"))
        return _value(ask({"op": "truth", "handle": self._handle})) is True

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> bool:
        raised = (
            None
            if error is None
            else [next(k for k in type(error).__mro__ if hasattr(builtins, k.__name__)).__name__, str(error)]
        )
        return _method(self, "__exit__", raised) is True

    def __iter__(self) -> Any:
        iterator = _method(self, "__iter__")
        return iterator if isinstance(iterator, RemoteObject) else iter(iterator)

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
        raise from_program(TypeError("the program's result: an iterator is no plain data"))

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __len__ = __getitem__ = _refuse
    __hash__ = None  # type: ignore[assignment]


def _method(owner: RemoteObject | _RemoteClass, name: str, *args: Any) -> Any:
    of_class = isinstance(owner, _RemoteClass)
    target = {"name": owner.__name__} if of_class else {"handle": owner._handle}
    return invoke({**target, "attr": name}, args, {})


def _add_operators() -> None:
    """Operators whose result is plain data or an object of the program."""
    words = "len getitem setitem delitem call add mul truediv floordiv mod pow neg abs int float radd rmul matmul"
    for word in f"{words} and or xor enter next".split():
        name = f"__{word}__"
        setattr(RemoteObject, name, lambda self, *args, _name=name: _operated(self, _name, *args))
    for name in ("__sub__", "__rsub__"):
        setattr(RemoteObject, name, lambda self, other, _name=name: _difference(self, other, _name))
    for word in ("lt", "le", "gt", "ge"):
        name = f"__{word}__"
        setattr(RemoteObject, name, lambda self, other, _name=name: _ordered(self, other, _name))


def _operated(owner: RemoteObject, name: str, *args: Any) -> Any:
    if name in _SIZES and owner._is_difference:
        raise from_program(TypeError("the size of what the program says is the difference to a number"))
    value = _method(owner, name, *args)
    if isinstance(value, RemoteObject) and owner._is_difference and name not in ("__getitem__", "__call__", "__next__"):
        object.__setattr__(value, "_is_difference", True)
    return value


def _difference(owner: RemoteObject, other: Any, name: str) -> Any:
    """An object minus something. Minus a number it tells the program what is expected, within a tolerance or not.

    What it answers then may be an object with its own parts, but neither a number nor anything that has a size.
    """
    value = _method(owner, name, other)
    if isinstance(other, int | float | complex):
        if not isinstance(value, RemoteObject):
            raise from_program(TypeError("an object of the program minus a number is no number"))
        object.__setattr__(value, "_is_difference", True)
    return value


def _ordered(owner: RemoteObject, other: Any, name: str) -> bool:
    """The program orders its own objects; it is not asked whether one of them is less than plain data."""
    if not isinstance(other, RemoteObject):
        raise TypeError("an object of the program compared with plain data")
    return _method(owner, name, other) is True


_add_operators()


def treat_as_classes(names: list[str]) -> None:
    """Say which names the test code uses as classes; any other name is a function, of which data are expected."""
    _treated.update(names)


def expects_objects() -> bool:
    """Whether the test code has met a name that it treats as a class: then what it is depends on the program."""
    return bool(_expected)


def stand_in(name: str, kind: str) -> Any:
    """What a name of the program is bound to in the test code."""
    if kind == "class" and name in _treated:
        _expected.add(name)
        return _class(name)
    if name in _treated and kind in ("function", "absent"):
        _expected.add(name)  # the test code looks into what it returns
    if kind == "exception":
        return exception_class(name, _of_exception)
    if kind == "data":
        return _value(ask({"op": "get", "name": name}))
    return RemoteFunction({"name": name})


def _class(name: str, bases: list[str] | None = None) -> type:
    """The class of objects of a class of the program, of which `bases` are the names of all it inherits from."""
    if not isinstance(_classes.get(name), _RemoteClass):
        remote_class = _RemoteClass(name, (RemoteObject,), {})
        remote_class._bases = list(lineage(name)) if bases is None else bases
        _classes[name] = remote_class
    return _classes[name]


def _of_exception(error: Any, name: str) -> Any:
    """What an exception of the program holds besides its text."""
    handle = error.__dict__.get("_handle")
    if name.startswith("_") or handle is None:
        raise AttributeError(name)
    return _get({"handle": handle, "attr": name})


exchange.answer = answering(sent, _decoded_argument)
