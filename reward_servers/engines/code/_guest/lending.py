"""Objects of the test code that the program is given: callbacks, mocks, instances of the test code's classes.

    lend       what is sent in place of such an object
    lent       the object that comes back
    answering  answers what the program asks about one, as `exchange.answer`

They stay on this side. The program may call them, use their operators, and read and write attributes without an
underscore; a function has no attributes for it, so nothing that the test code knows can be reached through one.
"""

from __future__ import annotations

import builtins
import functools
import types
from collections.abc import Callable
from typing import Any

from reward_servers.engines.code._guest.asking import OtherSideGoneError, ours
from reward_servers.engines.code._guest.plain import NotPlainError, UnpassableError

_OPERATORS = frozenset(
    "len getitem setitem delitem contains iter next enter exit call bool str repr eq ne lt le gt ge hash add radd sub "  # noqa: SIM905
    "rsub mul rmul truediv floordiv mod pow neg abs int float and or xor index".split()
)
_FUNCTIONS = (
    type,
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    functools.partial,
)
_lent: list[Any] = []
_numbers: dict[int, int] = {}


def lend(value: Any) -> dict[str, Any]:
    """What is sent in place of an object, the same number each time."""
    number = _numbers.setdefault(id(value), len(_lent))
    if number == len(_lent):
        _lent.append(value)
    name = str(getattr(value, "__name__", type(value).__name__))
    if isinstance(value, _FUNCTIONS):
        return {"theirs": number, "kind": "function", "name": name}
    return {"theirs": number, "kind": "object", "name": name, "operators": list(_operators(type(value)))}


def _operators(kind: type) -> Any:
    for word in sorted(_OPERATORS):
        name = f"__{word}__"
        own = getattr(kind, name, None)
        if own is not None and own is not getattr(object, name, None):
            yield name


def lent(number: Any) -> Any:
    """The object with a number."""
    if type(number) is not int or not 0 <= number < len(_lent):
        raise NotPlainError("an object that was never lent")
    return _lent[number]


def answering(encoded: Callable[[Any], list[Any]], decoded: Callable[[Any], Any]) -> Callable[[Any], dict[str, Any]]:
    """Make the function that answers questions of the program.

    Args:
        encoded: Makes the wire form of a value that goes to the program.
        decoded: Reads a value that came from it.
    """

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"value": encoded(_done(question, decoded))}
        except (OtherSideGoneError, UnpassableError):
            raise
        except BaseException as error:  # noqa: BLE001 (the program may expect it)
            number = len(ours)
            ours[number] = error
            line = [kind.__name__ for kind in type(error).__mro__ if getattr(builtins, kind.__name__, None) is kind]
            return {"raised": line[0] if line else "Exception", "message": str(error)[:2000], "theirs": number}

    return answer


def _done(question: dict[str, Any], decoded: Callable[[Any], Any]) -> Any:
    owner = lent(question.get("number"))
    args = [decoded(value) for value in question.get("args", ())]
    if "attr" in question:
        name = question["attr"]
        kwargs = {key: decoded(value) for key, value in question.get("kwargs", {}).items()}
        if name == "__call__":
            return owner(*args, **kwargs)
        if isinstance(owner, _FUNCTIONS) or name[2:-2] not in _OPERATORS:
            raise AttributeError(name)
        return getattr(owner, name)(*args)
    name = question.get("get", question.get("set", "_"))
    if name.startswith("_") or isinstance(owner, _FUNCTIONS):
        raise AttributeError(name)
    return setattr(owner, name, *args) if "set" in question else getattr(owner, name)
