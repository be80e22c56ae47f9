"""Whether a place in a program lies inside a comment or a string, by the lexical rules of its language alone.

No toolchain takes part, so what counts as the program does not depend on what a host has installed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple


class _Token(NamedTuple):
    """Something that hides what is written in it.

    Attributes:
        start: What it begins with.
        end: The rest of it, given how it began. No match is one that has not ended.
    """

    start: str
    end: Callable[[re.Match[str]], re.Pattern[str]]


def _fixed(pattern: str) -> Callable[[re.Match[str]], re.Pattern[str]]:
    compiled = re.compile(pattern, re.DOTALL)
    return lambda _: compiled


def _until(template: str) -> Callable[[re.Match[str]], re.Pattern[str]]:
    """The end of a token that repeats what it began with."""
    return lambda start: re.compile(".*?" + template.format(re.escape(_repeated(start))), re.DOTALL)


def _repeated(start: re.Match[str]) -> str:
    return next(value for name, value in start.groupdict().items() if name.startswith("r") and value is not None)


_LINE_COMMENT = _Token("//", _fixed(r"[^\n]*\n"))
_BLOCK_COMMENT = _Token(r"/\*", _fixed(r".*?\*/"))
# One that does not end on its line is an error of the program, and hides nothing of the next line.
_STRING = _Token('"', _fixed(r'(?:\\.|[^"\\\n])*(?:"|\n|\Z|(?<=\\)\Z)'))
_QUOTED = _Token("'", _fixed(r"(?:(?:\\.|[^'\\\n])*')?"))
_NUMBER = _Token(r"\b[0-9]", _fixed(r"[0-9A-Za-z_]*(?:'[0-9A-Za-z_]+)*"))  # 1'000 of C++
_SHARED = (_LINE_COMMENT, _BLOCK_COMMENT)
_C = (*_SHARED, _NUMBER, _STRING, _QUOTED)
_JAVASCRIPT = (
    *_SHARED,
    _STRING,
    _QUOTED,
    _Token("`", _fixed(r"(?:\\.|[^`\\])*`")),
    # A regular expression stands where no operand has ended.
    _Token(
        r"(?:[(,=:\[!&|?{};]|\breturn\b)[ \t]*/(?![/*])", _fixed(r"(?:(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/)?")
    ),
)
_TOKENS: dict[str, tuple[_Token, ...]] = {
    "c": _C,
    "cpp": (_Token(r'R"(?P<raw>[^()\\\s]{0,16})\(', _until(r'\){}"')), *_C),
    "java": (_Token('"""', _fixed(r'(?:\\.|[^\\])*?"""')), *_C),
    "javascript": _JAVASCRIPT,
    "typescript": _JAVASCRIPT,
    "go": (*_SHARED, _Token("`", _fixed(r"[^`]*`")), _STRING, _QUOTED),
    "rust": (
        *_SHARED,
        _Token(r'\bb?r(?P<raw>#*)"', _until('"{}')),
        _Token('"', _fixed(r'(?:\\.|[^"\\])*"')),
        _Token("'", _fixed(r"(?:(?:\\[^\n]{1,10}?|[^\\'\n])')?")),  # a character; else the name of a lifetime
    ),
    "bash": (
        _Token(r"(?m:(?<![^\s;&|()])#)", _fixed(r"[^\n]*\n")),
        _Token(r"<<-?[ \t]*[\"']?(?P<raw>[A-Za-z_]\w*)[\"']?[^\n]*\n", _until(r"(?:(?<=\n)|(?<=\n\t)){}(?=\n|\Z)")),
    ),
}


def _starts(tokens: tuple[_Token, ...]) -> re.Pattern[str]:
    parts = []
    for number, token in enumerate(tokens):
        parts.append(f"(?P<t{number}>{token.start.replace('?P<raw>', f'?P<r{number}>')})")
    return re.compile("|".join(parts))


_STARTS = {language: _starts(tokens) for language, tokens in _TOKENS.items()}


def knows(language: str) -> bool:
    """Whether the rules of a language are known here."""
    return language in _TOKENS


def hidden(text: str, places: Sequence[int], language: str) -> list[bool]:
    """Whether places of a program lie inside comments and strings.

    Args:
        text: The program, at least as far as the last place.
        places: Numbers of characters, in ascending order; what stands there may be the first after the text.
        language: One that is known here.
    """
    tokens, starts = _TOKENS[language], _STARTS[language]
    inside = [False] * len(places)
    position = number = 0
    while number < len(places) and (start := starts.search(text, position)) is not None:
        kind = next(index for index in range(len(tokens)) if start[f"t{index}"] is not None)
        end = tokens[kind].end(start).match(text, start.end())
        position = len(text) + 1 if end is None else max(end.end(), start.end())
        while number < len(places) and places[number] < position:
            inside[number] = places[number] > start.start()
            number += 1
        if position > len(text):
            break
    return inside
