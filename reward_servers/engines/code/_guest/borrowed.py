"""Objects of the test code on the side of the program: callbacks, mocks, instances of its classes.

    Borrowed   makes what stands for such an object, and asks the other side for what is done to it

Only calls, attributes without an underscore, and operators are asked for, and the test code's side decides what it
answers: a function of the test code has no attributes here, so nothing of what it closes over can be reached.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import os
from collections.abc import Callable
from typing import Any

Ask = Callable[[dict[str, Any]], Any]


class Borrowed:
    """The objects of the test code that this side has met.

    Args:
        ask: Sends one question about an object to the other side and returns what comes back.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._made: dict[int, Any] = {}
        self._numbers: dict[int, int] = {}

    def number(self, value: Any) -> int | None:
        """The number of an object of the test code, None for anything else."""
        return self._numbers.get(id(value))

    def make(self, description: dict[str, Any]) -> Any:
        """What stands for an object here; the same thing each time."""
        number = int(description["theirs"])
        if number not in self._made:
            copy = self._function(number) if description["kind"] == "function" else self._object(number, description)
            with contextlib.suppress(AttributeError):
                copy.__name__ = description["name"]
            self._made[number] = copy
            self._numbers[id(copy)] = number
        return self._made[number]

    def _function(self, number: int) -> Any:
        ask = self._ask

        def function(*args: Any, **kwargs: Any) -> Any:
            return ask({"number": number, "attr": "__call__", "args": args, "kwargs": kwargs})

        return function

    def _object(self, number: int, description: dict[str, Any]) -> Any:
        ask = self._ask

        def get(_: Any, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            return ask({"number": number, "get": name})

        def put(_: Any, name: str, value: Any) -> None:
            if name.startswith("__"):
                object.__setattr__(_, name, value)
            else:
                ask({"number": number, "set": name, "args": [value]})

        def operator(name: str) -> Any:
            return lambda _, *args, **kwargs: ask({"number": number, "attr": name, "args": args, "kwargs": kwargs})

        names: dict[str, Any] = {name: operator(name) for name in description["operators"]}
        return type(str(description["name"]), (), {**names, "__getattr__": get, "__setattr__": put})()


class Patches:
    """What the test code has replaced in this process, and how to put it back.

    Args:
        module: Globals of the program.
    """

    def __init__(self, module: dict[str, Any]) -> None:
        self._module = module
        self._before: dict[int, tuple[Any, str, Any]] = {}

    def replace(self, message: dict[str, Any], value: Any) -> int:
        """Give a name of a module another value; returns what undoes it."""
        path, name = message["path"], message["attr"]
        owner: Any = importlib.import_module(path[0]) if path else self._module
        for part in path[1:]:
            owner = getattr(owner, part)
        absent = self._before  # no value of a program
        if isinstance(owner, dict):
            before = owner.get(name, getattr(builtins, name, absent))
            owner[name] = value
        else:
            before = getattr(owner, name, absent)
            setattr(owner, name, value)
        number = len(self._before)
        self._before[number] = (owner, name, before)
        return number

    def restore(self, number: int) -> None:
        """Undo one replacement."""
        owner, name, before = self._before[number]
        if isinstance(owner, dict):
            if before is self._before:
                owner.pop(name, None)
            else:
                owner[name] = before
        elif before is self._before:
            delattr(owner, name)
        else:
            setattr(owner, name, before)


def set_environment(values: dict[str, str]) -> None:
    """Make the environment what the test code has made of its own."""
    os.environ.clear()
    os.environ.update(values)
