"""What test code replaces is replaced in the process of the program too: `mock.patch`, `monkeypatch`, the environment.

    install_patching   make `unittest.mock.patch` work across the border
    forward_changes    tell the program of a new `sys.stdin`, `builtins.input` or environment, as `exchange.before`
    MonkeyPatch        the fixture of pytest

The objects put in place stay here (see `lending`): a mock counts the program's calls on this side.
"""

from __future__ import annotations

import builtins
import os
import sys
import types
import unittest.mock as mock
from collections.abc import Callable
from typing import Any

from reward_servers.engines.code._guest.asking import ask
from reward_servers.engines.code._guest.plain import UnpassableError

_HERE_ONLY = frozenset(("stdout", "stderr"))  # what the program prints is printed here anyway
_mock: Any = mock
_sent: Callable[[Any], list[Any]]
_is_program: Callable[[Any], bool]


def _replace(path: list[str], name: str, value: Any) -> Any:
    """Replace a name there; returns what undoes it."""
    answer = ask({"op": "patch", "path": path, "attr": name, "value": _sent(value)})
    if "ok" not in answer:
        raise AttributeError(f"{'.'.join(path)} has no {name} in the program: {answer.get('message', '')}")
    return answer["ok"]


def _restore(number: Any) -> None:
    ask({"op": "unpatch", "number": number})


def _path(owner: Any) -> list[str] | None:
    """Where an owner of a name is found in the program; None if it is of the test code only."""
    if _is_program(owner):
        return []
    if isinstance(owner, types.ModuleType):
        return None if owner.__name__ == "__main__" else [owner.__name__]
    if isinstance(owner, type) and owner.__module__ in sys.stdlib_module_names:
        return [owner.__module__, *owner.__qualname__.split(".")]
    return None


def install_patching(encoded: Callable[[Any], list[Any]], is_program: Callable[[Any], bool]) -> None:
    """Make patches of the test code reach the program.

    Args:
        encoded: Makes the wire form of a value that goes to the program.
        is_program: Whether a module stands for the program.
    """
    global _sent, _is_program
    _sent, _is_program = encoded, is_program
    patch = _mock._patch
    enter, leave = patch.__enter__, patch.__exit__
    numbers: dict[int, Any] = {}

    def entered(self: Any) -> Any:
        value = enter(self)
        path = _path(self.target)
        if path is not None and not (path == ["sys"] and self.attribute in _HERE_ONLY):
            numbers[id(self)] = _replace(path, self.attribute, getattr(self.target, self.attribute))
        return value

    def left(self: Any, *args: Any) -> Any:
        if id(self) in numbers:
            _restore(numbers.pop(id(self)))
        return leave(self, *args)

    patch.__enter__, patch.__exit__ = entered, left
    fill = _mock._patch_dict._patch_dict

    def filled(self: Any) -> None:
        fill(self)
        if self.in_dict is sys.modules:
            raise UnpassableError("sys.modules of the program cannot be patched")

    _mock._patch_dict._patch_dict = filled


_known: dict[str, Any] = {"stdin": sys.stdin, "input": builtins.input, "environment": dict(os.environ)}


def forward_changes() -> None:
    """Tell the program what test code has assigned without a patch, if anything."""
    if sys.stdin is not _known["stdin"]:
        _known["stdin"] = sys.stdin
        _replace(["sys"], "stdin", sys.stdin)
    if builtins.input is not _known["input"]:
        _known["input"] = builtins.input
        _replace(["builtins"], "input", builtins.input)
    if _known["environment"] != os.environ:
        _known["environment"] = dict(os.environ)
        ask({"op": "environment", "values": _known["environment"]})


class MonkeyPatch:
    """The fixture `monkeypatch`."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []

    def _start(self, patcher: Any) -> None:
        patcher.start()
        self._undo.append(patcher.stop)

    def setattr(self, target: Any, name: Any, *value: Any, **_: Any) -> None:
        """Replace an attribute, given as object and name or as a dotted name."""
        self._start(_mock.patch.object(target, name, *value) if value else _mock.patch(target, name))

    def setitem(self, target: Any, name: Any, value: Any) -> None:
        """Replace an item of a dict."""
        self._start(_mock.patch.dict(target, {name: value}))

    def setenv(self, name: str, value: Any, **_: Any) -> None:
        """Set a variable of the environment."""
        self._start(_mock.patch.dict(os.environ, {name: str(value)}))

    def delenv(self, name: str, raising: bool = True) -> None:
        """Remove a variable of the environment."""
        if raising and name not in os.environ:
            raise KeyError(name)
        self._start(_mock.patch.dict(os.environ))
        os.environ.pop(name, None)

    def chdir(self, path: Any) -> None:
        """Change the working directory."""
        before = os.getcwd()
        os.chdir(path)
        self._undo.append(lambda: os.chdir(before))

    def undo(self) -> None:
        """Put everything back."""
        while self._undo:
            self._undo.pop()()

    def finish(self) -> Any:
        """Generator whose second step undoes everything."""
        yield
        self.undo()
