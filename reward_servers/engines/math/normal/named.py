r"""Quantities whose name is no expression: `P(A|B) = 0.5`, `E[X] = 3`, `\operatorname{Var}(X) = 2`."""

from __future__ import annotations

import re

_FONT = re.compile(r"\\(?:mathbb|mathrm|mathbf|mathsf|mathcal|mathscr|operatorname|text|textbf|textit|mathit)\*?\s*")
_NAME = re.compile(
    r"(?:\\?(?:Pr|E|P|Var|Cov|Corr|SD|Std|max|min|sup|inf|dim|rank|rk|tr|det|deg|arg|argmax|argmin|nullity|span|ker|im"
    r"|ord|vol|area|Area|Vol|card|sgn|lim|Res)|[A-Za-z]|\\[a-z]+)"
    r"(?:\s*[_^]\s*(?:[A-Za-z0-9']|\{[^{}]*\}))*'*\s*"
)
_FOLDED = (("\\left", ""), ("\\right", ""), ("\\mid", "|"), ("\\vert", "|"), ("\\,", ""), ("[", "("), ("]", ")"))


def split(text: str) -> tuple[str, str] | None:
    """The folded name and the text of the value, None where the text does not begin with such a name.

    Only the last value of a chain is kept: what stands between is a formula of such names.
    """
    text = text.strip().strip("$").strip()
    parts = _top_level(text)
    if len(parts) < 2 or not parts[-1].strip():
        return None
    name = _folded(parts[0])
    return (name, parts[-1].strip()) if _is_name(name) else None


def _folded(name: str) -> str:
    for old, new in _FOLDED:
        name = name.replace(old, new)
    name = _FONT.sub("", name)
    return "".join(re.sub(r"\{([A-Za-z]+)\}", r"\1", name).split()).replace("Pr(", "P(").lstrip("\\")


def _is_name(name: str) -> bool:
    if len(name) > 80 or not name:
        return False
    if name[0] == "|" and name[-1] == "|" and len(name) > 2:
        return "\\cap" in name or "\\cup" in name or "\\setminus" in name
    if name[0] == "#":
        return True
    match = _NAME.match(name)
    if match is None:
        return False
    arguments = name[match.end() :]
    return arguments[:1] == "(" and arguments[-1:] == ")" and _balanced(arguments)


def _balanced(text: str) -> bool:
    """Whether the bracket that opens the text closes at its end."""
    depth = 0
    for position, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return position == len(text) - 1
    return False


def _top_level(text: str) -> list[str]:
    """The text cut at the equals signs that are in no bracket."""
    parts, depth, start = [], 0, 0
    for position, char in enumerate(text):
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif depth == 0 and char == "=" and text[position - 1 : position] not in ("<", ">", "!", ":"):
            parts.append(text[start:position])
            start = position + 1
        elif depth == 0 and text.startswith("\\approx", position):
            parts.append(text[start:position])
            start = position + len("\\approx")
    return [*parts, text[start:]]
