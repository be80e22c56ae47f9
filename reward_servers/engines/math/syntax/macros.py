"""Backslash commands while lexing: presentation removed, text groups opened, operators named."""

from __future__ import annotations

import re

from reward_servers.engines.math.errors import AnswerSyntaxError
from reward_servers.engines.math.syntax.scanner import Scanner
from reward_servers.engines.math.vocabulary.tables import (
    DOTS,
    DROPPED,
    FONTS,
    FUNCTIONS,
    GREEK,
    OPERATORS,
    RELATIONS,
    SETS,
    SKIPPED,
    TEXT_FONTS,
    names,
)
from reward_servers.engines.math.vocabulary.units import UNIT_WORDS

_COMMAND = re.compile(r"\\(?:([A-Za-z]+)\*?|(.))", re.S)
_ONE_COMMAND = re.compile(r"\\[A-Za-z]+")
_TWICE = re.compile(r"\\\\([A-Za-z]+|[{}%$])")
_BOLD = frozenset({"mathbf", "boldsymbol", "bm", "pmb", "symbf"})
_COMMAND_OR_REST = re.compile(r"\\(?P<name>[A-Za-z]+)|[^\\]+")
_LAYOUT = names("align aligned equation gather gathered split document center math displaymath")
_PARSED = names(
    """frac dfrac tfrac cfrac sqrt binom dbinom tbinom sum prod int iint oint lim infty emptyset varnothing pi
    begin end mathbb overline vec hat bar pmod bmod mod choose over angle infin AA"""
)
_SIUNITX = names("num SI qty si unit")
_KNOWN = _PARSED | _SIUNITX | FUNCTIONS | GREEK | set(OPERATORS) | set(RELATIONS) | DROPPED | TEXT_FONTS | FONTS | DOTS
_GLUED = tuple(
    sorted(
        {"quad", "qquad", "vert", "cdot", "div", "pm", "pi", *(n for n in OPERATORS if len(n) > 4)},
        key=len,
        reverse=True,
    )
)


def command(lexer: Scanner, pos: int, end: int) -> int:
    """Handle the command at `pos`; returns the position after it."""
    text = lexer.text
    twice = _TWICE.match(text, pos, end)
    if twice is not None and lexer.doubled and (twice[1] in _KNOWN or not twice[1].isalpha()):
        return command(lexer, pos + 1, end)  # a backslash escaped once too often
    match = _COMMAND.match(text, pos, end)
    if match is None:  # a lone backslash at the very end
        return pos + 1
    name, after = match[1], match.end()
    if name is None:
        return _escaped(lexer, match[2], pos, after)
    if name not in _KNOWN and name not in SKIPPED:
        prefix = next((p for p in _GLUED if name.startswith(p)), None)
        if prefix is not None:
            name, after = prefix, pos + 1 + len(prefix)
    if name in _SIUNITX:
        return _siunitx(lexer, after, end)
    if name in TEXT_FONTS:
        return _text_group(lexer, name, after, end, pos)
    if name in DROPPED:
        null = name in ("left", "right", "mleft", "mright") and text[after : after + 1] == "."
        lexer.spaced = True
        return after + 1 if null else after
    if name in SKIPPED:
        for _ in range(SKIPPED[name]):
            after = _skip_group(lexer, after, end)
        return after
    if name in FONTS:
        return _font(lexer, name, after, end, pos)
    if name in ("begin", "end"):
        return _environment(lexer, name, after, end, pos)
    if name == "not":
        return _negated(lexer, after, end, pos)
    _plain(lexer, name, pos)
    return after


def _plain(lexer: Scanner, name: str, pos: int) -> None:
    if name in RELATIONS:
        lexer.push("op" if RELATIONS[name] == "|" else "rel", RELATIONS[name], pos)
    elif name in OPERATORS:
        lexer.operator(OPERATORS[name], pos)
    elif name in DOTS:
        lexer.push("cmd", "dots", pos)
    elif name == "AA":
        lexer.push("word", "Å", pos)
    elif name == "char":
        raise AnswerSyntaxError("a character code", pos)
    else:
        lexer.push("cmd", name, pos)


def _escaped(lexer: Scanner, char: str, pos: int, after: int) -> int:
    if char == "\\":
        lexer.push("op", "\\\\", pos)
    elif char == " " and _is_number_set(lexer) and lexer.text[after : after + 2].lstrip("\\")[:1] == "{":
        lexer.push("op", "\\", pos)  # "ℝ \ {0}" as typed in plain text
    elif char in "()[],;:!>/ \n\t":  # math delimiters and spacing
        lexer.spaced = True
    elif char in OPERATORS:
        lexer.operator(OPERATORS[char], pos)
    elif char not in "\"'":
        raise AnswerSyntaxError(f"unknown command \\{char}", pos)
    return after


def _siunitx(lexer: Scanner, after: int, end: int) -> int:
    r"""`\num{1200}`, `\SI{9.8}{\meter\per\second}`: a number, and a unit in the names of commands."""
    while after < end and lexer.text[after] == "[":
        after = lexer.text.find("]", after, end) + 1 or end
    brace = _open_brace(lexer.text, after, end)
    while brace >= 0:
        close = group_end(lexer.text, brace, end)
        for match in _COMMAND_OR_REST.finditer(lexer.text, brace + 1, close):
            if match["name"]:
                lexer.push("word", match["name"], match.start())
            else:
                lexer.run(match.start(), match.end(), in_text=not lexer.text[match.start()].isdigit())
        after = close + 1
        brace = _open_brace(lexer.text, after, end)
        lexer.spaced = True
    return after


def _is_number_set(lexer: Scanner) -> bool:
    """Whether the last token is a set such as the reals."""
    texts = [t.text for t in lexer.tokens[-4:]]
    if len(texts) == 4 and texts[:2] == ["mathbb", "{"] and texts[3] == "}":
        return texts[2] in SETS
    return bool(texts) and lexer.tokens[-1].kind == "cmd" and texts[-1] in SETS


def _negated(lexer: Scanner, after: int, end: int, pos: int) -> int:
    following = lexer.text[after:end].lstrip()
    skipped = end - after - len(following)
    for mark, op in (("=", "!="), ("\\in", "notin"), ("\\equiv", "≢")):
        if following.startswith(mark):
            lexer.push("rel", op, pos)
            return after + skipped + len(mark)
    raise AnswerSyntaxError("a negation", pos)


def group_end(text: str, start: int, end: int) -> int:
    """Index of the brace that closes the one at `start`."""
    depth, pos = 0, start
    while pos < end:
        char = text[pos]
        if char == "\\":
            pos += 1
        elif char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                return pos
        pos += 1
    raise AnswerSyntaxError("unclosed brace", start)


def _open_brace(text: str, after: int, end: int) -> int:
    while after < end and text[after].isspace():
        after += 1
    return after if after < end and text[after] == "{" else -1


def _skip_group(lexer: Scanner, after: int, end: int) -> int:
    brace = _open_brace(lexer.text, after, end)
    return after if brace < 0 else group_end(lexer.text, brace, end) + 1


def _text_group(lexer: Scanner, name: str, after: int, end: int, pos: int) -> int:
    brace = _open_brace(lexer.text, after, end)
    lexer.spaced = True
    if brace < 0:
        return after
    close = group_end(lexer.text, brace, end)
    content = lexer.text[brace + 1 : close].strip()
    measured = content in UNIT_WORDS and lexer.tokens[-1:] and lexer.tokens[-1].kind == "num"
    if (
        name in ("mathrm", "operatorname")
        and content in FUNCTIONS
        and not (measured and not lexer.text[close + 1 : end].strip(" \\,;.})$"))
    ):
        lexer.push("cmd", content, pos)
    elif not content and name == "operatorname":
        raise AnswerSyntaxError("an operator without a name", pos)
    else:
        lexer.run(brace + 1, close, in_text=True)
    lexer.spaced = True
    return close + 1


def _font(lexer: Scanner, name: str, after: int, end: int, pos: int) -> int:
    brace = _open_brace(lexer.text, after, end)
    if brace < 0:
        return after
    close = group_end(lexer.text, brace, end)
    content = lexer.text[brace + 1 : close].strip()
    if name in _BOLD and content in ("i", "j", "k", "\\imath", "\\jmath"):
        lexer.push("cmd", "vec_" + content.lstrip("\\")[0], pos)
    elif content.isalpha() and content.isascii() and len(content) > 1:
        lexer.run(brace + 1, close, in_text=True)
    elif len(content) <= 1 or _ONE_COMMAND.fullmatch(content):
        lexer.run(brace + 1, close, in_text=False)
    else:
        lexer.push("op", "{", pos)
        lexer.run(brace + 1, close, in_text=False)
        lexer.push("op", "}", close)
    return close + 1


def _environment(lexer: Scanner, name: str, after: int, end: int, pos: int) -> int:
    brace = _open_brace(lexer.text, after, end)
    if brace < 0:
        raise AnswerSyntaxError("an environment without a name", pos)
    close = group_end(lexer.text, brace, end)
    kind = lexer.text[brace + 1 : close].strip().rstrip("*")
    after = close + 1
    if name == "begin" and kind in ("array", "tabular"):
        after = _skip_group(lexer, after, end)
    if kind in _LAYOUT:
        lexer.spaced = True
    else:
        lexer.push("op", f"{name}:{kind}", pos)
    return after
