"""A user's own words around the material of a question, checked when they are loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

_MARK = re.compile(r"\{\{|\}\}|\{([a-z_]+)\}")
_KNOWN = ("prompt", "reference", "criteria", "response", "response_a", "response_b", "responses", "form")
_LONGEST = 1 << 16


class TemplateError(ValueError):
    """The template cannot be used; the message says what and how to mend it."""


@dataclass(frozen=True, slots=True)
class Template:
    """The message of the user, with marks such as ``{response}`` where the material stands.

    Attributes:
        text: The words. ``{{`` and ``}}`` are braces.

    Raises:
        TemplateError: A mark is unknown or missing.
    """

    text: str

    def __post_init__(self) -> None:
        names = [match[1] for match in _MARK.finditer(self.text) if match[1]]
        unknown = sorted(set(names) - set(_KNOWN))
        if len(self.text) > _LONGEST:
            raise TemplateError(f"it has {len(self.text)} characters, of at most {_LONGEST}")
        if unknown:
            raise TemplateError(
                f"{{{unknown[0]}}} is no mark; there are {', '.join(f'{{{name}}}' for name in _KNOWN)}; "
                f"write {{{{{unknown[0]}}}}} for braces"
            )
        pair = {"response_a", "response_b"} <= set(names)
        response_names = [name for name in names if name.startswith("response")]
        if len(response_names) != (2 if pair else 1) or (
            not pair and response_names[0] not in ("response", "responses")
        ):
            raise TemplateError(
                "it needs {response} once, {responses} once, or {response_a} and {response_b} once each"
            )

    @property
    def shows(self) -> str:
        """How responses are shown: ``"response"``, ``"responses"`` or ``"response_a"``, as one of two."""
        names = [match[1] for match in _MARK.finditer(self.text)]
        return next(name for name in ("response", "responses", "response_a") if name in names)

    @property
    def asks_form(self) -> bool:
        """Whether it says in which form the verdict is to be given."""
        return any(match[1] == "form" for match in _MARK.finditer(self.text))

    @property
    def digest(self) -> str:
        """Digest of the words."""
        return "sha256:" + sha256(self.text.encode()).hexdigest()[:16]

    def filled(self, material: Mapping[str, str]) -> str:
        """The message: each mark is replaced once, and what replaces it is not looked at again."""
        return _MARK.sub(lambda mark: material.get(mark[1], "") if mark[1] else mark[0][0], self.text)
