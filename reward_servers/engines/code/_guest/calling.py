"""Calls of the program under test: loads it, makes the calls of a request, answers one line each.

Nothing here is trusted by the receiver, because the program shares the process and may have replaced any of it.
"""

from __future__ import annotations

import builtins
import os
import sys
import types
from typing import TYPE_CHECKING, Any

from reward_servers.engines.code._guest.library import scopes
from reward_servers.engines.code._guest.plain import NotPlainError, decode, dumps_json, encode, loads_json

if TYPE_CHECKING:
    request = b""

    def load(name: str = "__main__") -> dict[str, Any]: ...
    def reply(data: bytes) -> None: ...


_leave = os._exit
_MOST_ITEMS = 1_000_000


class AbsentNameError(Exception):
    """The program has no such name."""


def raised(error: BaseException) -> dict[str, Any]:
    """What an exception says of itself, as plain data."""
    line = [kind for kind in type(error).__mro__ if getattr(builtins, kind.__name__, None) is kind]
    try:
        message = str(error)[:2000]
    except BaseException:  # noqa: BLE001 (the program's own __str__)
        message = ""
    failure = {
        "raised": type(error).__name__,
        "bases": [kind.__name__ for kind in type(error).__mro__][:50],
        "builtin": line[0].__name__ if line else "Exception",
        "message": message.encode("utf-8", "backslashreplace").decode(),
    }
    number = getattr(error, "_theirs", None)
    return {**failure, "theirs": number} if type(number) is int else failure


def loaded() -> dict[str, Any]:
    """The globals of the program, executed once."""
    module = load("solution")
    scopes[:] = [module, builtins.__dict__]
    return module


def resolve(module: dict[str, Any], name: str) -> Any:
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
    raise AbsentNameError(name)


def is_iterator(value: Any) -> bool:
    """Whether test code can go through it: a generator, `map(...)`, an open iterator."""
    return hasattr(type(value), "__next__")


def _call(module: dict[str, Any], name: str, args: Any, kwargs: Any, how: dict[str, Any]) -> dict[str, Any]:
    """Make one call.

    Args:
        module: Globals of the program.
        name: What to call.
        args: Positional arguments in wire form.
        kwargs: Named ones.
        how: What a reference asks for: `runs` a coroutine, takes an `argument` as the result, turns what can be gone
            through into a `list`.
    """
    try:
        function = resolve(module, name)
        positional, keywords = decode(args, True), decode(kwargs, True)
        result = function(*positional, **keywords)
        if how.get("runs") and isinstance(result, types.CoroutineType):
            import asyncio

            result = asyncio.run(result)
        if "argument" in how:
            result = positional[how["argument"]] if type(how["argument"]) is int else keywords[how["argument"]]
        if how.get("list") and hasattr(type(result), "__iter__") and not isinstance(result, str | bytes | dict):
            result = _listed(result)
        elif is_iterator(result) or (isinstance(function, type) and type(result) is function):
            return {"live": True}
        return {"ok": encode(result)}
    except AbsentNameError as absent:
        return {"absent": str(absent)}
    except NotPlainError as problem:
        return {"not_plain": str(problem)[:500]}
    except BaseException as error:  # noqa: BLE001 (whatever the program raises is its answer)
        return raised(error)


def _listed(result: Any) -> list[Any]:
    items = []
    for item in result:
        items.append(item)
        if len(items) > _MOST_ITEMS:
            raise NotPlainError("an iterator that does not end")
    return items


def make_calls() -> None:
    """Load the program once and make the calls of the request, each answered by one line."""
    try:
        module = loaded()
    except BaseException as error:  # noqa: BLE001 (as above)
        reply(dumps_json({"load": raised(error)}))
        return
    for name, args, kwargs, how in loads_json(request):
        reply(dumps_json(_call(module, name, args, kwargs, how)))


def leave() -> None:
    """End the process, after what the program has printed."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    # The answers are out by another way, and nothing printed is judged where calls are. These streams are objects of
    # the program, which may raise anything and must not keep the process from ending.
    except BaseException:  # noqa: BLE001, S110
        pass
    _leave(0)
