"""Reads an address, ``STYLE+TARGET?KEY=VALUE&...``, and imports what it names."""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from reward_servers.core import VerifierDefinitionError, VerifierNotFoundError

_T = TypeVar("_T")
_COMMON = ("version", "range", "deterministic")
_UNFOUND = "cannot be imported (a module of the working directory or of an installed package is)"
_FORBIDDEN = re.compile(r"[\s,@]")
_RANGE = re.compile(r"(-?[\d.]+(?:e[+-]?\d+)?)\.\.(-?[\d.]+(?:e[+-]?\d+)?)")


@dataclass(frozen=True, slots=True)
class Address:
    """What an address says.

    Attributes:
        text: The whole address.
        target: What is served: ``module:attribute``, or a file.
        said: What stands behind the question mark.
    """

    text: str
    target: str
    said: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str, keys: Sequence[str] = ()) -> Address:
        """Read an address.

        Args:
            text: The address.
            keys: What may stand behind the question mark beside what every style knows.

        Raises:
            VerifierDefinitionError: It is malformed; the message names the part.
        """
        if _FORBIDDEN.search(text):
            raise VerifierDefinitionError(f"{text!r}: an address holds no spaces, commas or @")
        target, _, query = text.partition("+")[2].partition("?")
        fields: dict[str, str] = {}
        for part in filter(None, query.split("&")):
            key, equals, value = part.partition("=")
            if key not in (*_COMMON, *keys) or not equals or not value or key in fields:
                listed = ", ".join((*_COMMON, *keys))
                raise VerifierDefinitionError(f"{text}: {part!r} is not KEY=VALUE, once, with one of {listed}")
            fields[key] = value
        return cls(text, target, fields)

    @property
    def module(self) -> str:
        """The module of what is served."""
        return self.target.partition(":")[0]

    @property
    def version(self) -> str:
        """The declared version."""
        return self.said.get("version", "1")

    def range(self, default: tuple[float, float] = (0.0, 1.0)) -> tuple[float, float]:
        """The declared lowest and highest score.

        Raises:
            VerifierDefinitionError: They are malformed.
        """
        range_text = self.said.get("range")
        if range_text is None:
            return default
        matched = _RANGE.fullmatch(range_text)
        try:
            low, high = (float(part) for part in matched.groups()) if matched else (0.0, 0.0)
        except ValueError:
            low = high = 0.0
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise VerifierDefinitionError(f"{self.text}: range={range_text} is not LOW..HIGH, such as -1..1")
        return low, high

    def flag(self, key: str, *, default: bool) -> bool:
        """What is said by yes or no.

        Raises:
            VerifierDefinitionError: It is something else.
        """
        value = self.said.get(key)
        if value not in (None, "yes", "no"):
            raise VerifierDefinitionError(f"{self.text}: {key}={value} is neither yes nor no")
        return default if value is None else value == "yes"

    def load(self) -> Any:
        """Import what the address names.

        Raises:
            VerifierNotFoundError: It cannot be imported.
        """
        module, colon, name = self.target.partition(":")
        if not colon or not module or not name:
            raise VerifierNotFoundError(f"{self.text}: {self.target!r} is not module:attribute")
        target: Any = self.guarded(lambda: importlib.import_module(module), _UNFOUND)
        for part in name.split("."):
            if not hasattr(target, part):
                raise VerifierNotFoundError(f"{self.text}: {module} has no {name!r}")
            target = getattr(target, part)
        return target

    def guarded(self, make: Callable[[], _T], problem: str) -> _T:
        """Run code of the target's author, outside of any item.

        Raises:
            VerifierNotFoundError: It raised; the message says what.
        """
        try:
            return make()
        except (Exception, SystemExit) as error:  # whatever foreign code raises
            raise VerifierNotFoundError(f"{self.text}: {self.target} {problem}: {error!r}") from error

    def refused(self, why: str) -> VerifierDefinitionError:
        """The error for a target that cannot be served."""
        return VerifierDefinitionError(f"{self.text}: {why}")

    def at(self, version: str) -> Address:
        """The same with a version, unless it declares one."""
        return self if "version" in self.said else replace(self, said={**self.said, "version": version})
