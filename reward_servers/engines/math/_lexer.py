"""Characters to tokens: LaTeX, plain text and unicode in one stream, numbers exact.

The lexer removes what is presentation (spacing, fonts, colours, invisible and struck-out groups,
comments) and recognises numbers whole: grouping, decimals, exponents, repeating decimals.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from ._errors import AnswerSyntaxError, LimitExceeded
from ._nodes import Num
from ._policy import Limits
from ._tables import (
    ACCENTS,
    DOTS,
    DROPPED,
    FONTS,
    FRACTIONS,
    FULLWIDTH,
    FUNCTIONS,
    GREEK,
    GREEK_LETTERS,
    OPERATORS,
    RELATIONS,
    SKIPPED,
    SUBSCRIPTS,
    SUPERSCRIPTS,
    TEXT_FONTS,
    UNICODE,
)
from ._units import UNIT_WORDS
from ._words import CONNECTORS, HEDGES, LABEL_WORDS, NEGATIONS, NUMBER_WORDS


class Token(NamedTuple):
    """One token; `kind` is num, let, word, cmd, rel, op or end."""

    kind: str
    text: str
    pos: int
    num: Num | None = None
    upright: bool = False
    spaced: bool = False


_SEP = r"(?: ?\{ ?,(?:\\!)? ?\} ?|,\\!|,|\\[,;:! ]|~| |')"
_NUMBER = re.compile(
    rf"(?P<group>[0-9]{{1,3}}(?P<sep>{_SEP})[0-9]{{3}}(?:(?P=sep)[0-9]{{3}})*(?!,?[0-9])(?P<gdec>\.[0-9]+)?)"
    r"|(?P<int>[0-9]*)(?:(?P<dot>\.|\{\.\})(?P<dec>[0-9]*)(?P<rep>\\(?:overline|bar|overbar)\s*\{?[0-9]+\}?"
    r"|\\overline\s*[0-9]|(?:\\dot\s*\{?[0-9]\}?)[0-9]*(?:\\dot\s*\{?[0-9]\}?)?|\([0-9]+\)|(?:[0-9]\u0305)+"
    r"|\s?(?:\.\.\.|…|\\l?dots\b|\\cdots\b|\\ldots\b))?)?"
)
_EXPONENT = re.compile(r"[eE]([+-]?[0-9]{1,9})(?![0-9.A-Za-z])")
_WORD = re.compile(r"[A-Za-z]{2,}'(?:t|s|re|ve)\b|[A-Za-z]+")
_TEXT_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_COMMAND = re.compile(r"\\(?:([A-Za-z]+)\*?|(.))", re.S)
_TIMES_TEN = re.compile(r"\s*10\s*(?:\^|\*\*)")
_RELATION = re.compile(r"<=|>=|=<|=>|!=|<>|:=|==|[=<>]")
_PLAIN_COMMANDS = FUNCTIONS | set(GREEK_LETTERS.values()) | {"pi", "oo", "varepsilon", "varphi"}
_WORDLIKE = (
    UNIT_WORDS
    | CONNECTORS
    | NUMBER_WORDS
    | NEGATIONS
    | HEDGES
    | {w for w in LABEL_WORDS if len(w) > 1}
    | frozenset(
        "percent pct percentage degrees degree radians infinity undefined dne none yes even odd true mod choose to such that where "
        "pm am per square cubic nan infinite real all integer integers base dozen element belongs".split()
    )
)


def digits_to_int(text: str) -> int:
    """`int()` without the interpreter's ceiling on the length of a literal."""
    if len(text) <= 4000:
        return int(text or "0")
    half = len(text) // 2
    return digits_to_int(text[:half]) * 10 ** (len(text) - half) + digits_to_int(text[half:])


class Lexer:
    """Turns one answer into tokens; `lex` is the whole interface."""

    def __init__(self, text: str, limits: Limits, *, decimal_comma: bool = False) -> None:
        if len(text) > limits.answer_chars:
            raise LimitExceeded("answer_chars", f"{len(text)} > {limits.answer_chars}")
        self.text = text if text.isascii() else text.translate(FULLWIDTH)
        self.limits = limits
        self.tokens: list[Token] = []
        self.depth = 0
        self.spaced = False
        self.decimal_comma = decimal_comma
        self.odd_dollars = len(re.findall(r"(?<!\\)\$", self.text)) % 2 == 1
        self.commas_are_spaced = bool(re.search(r"[0-9}],(?:\s|\\[, ])|;", self.text))

    def lex(self) -> list[Token]:
        """All tokens, closed by one of kind `end`."""
        self._run(0, len(self.text), in_text=False)
        self._push("end", "", len(self.text))
        return self.tokens

    def _push(self, kind: str, text: str, pos: int, num: Num | None = None, *, upright: bool = False) -> None:
        if len(self.tokens) >= self.limits.tokens:
            raise LimitExceeded("tokens", f"more than {self.limits.tokens}")
        self.tokens.append(Token(kind, text, pos, num, upright, self.spaced))
        self.spaced = False

    def _after_value(self) -> bool:
        if not self.tokens:
            return False
        last = self.tokens[-1]
        return last.kind in ("num", "let") or (
            last.kind == "op" and last.text in (")", "}", "]", "|", "%", "degree", "\\}")
        )

    def _run(self, pos: int, end: int, *, in_text: bool) -> None:
        text = self.text
        while pos < end:
            char = text[pos]
            if char.isspace() or char == "~":
                self.spaced = True
                pos += 1
            elif "0" <= char <= "9" or (char in ".{" and self._starts_decimal(pos)):
                pos = self._number(pos, end)
            elif char == "\\":
                pos = self._command(pos, end, in_text=in_text)
            elif char.isascii() and char.isalpha():
                pos = self._letters(pos, end, in_text=in_text)
            elif char == "%" and not self._after_value():
                newline = text.find("\n", pos)
                pos = end if newline < 0 else newline
            elif char == "$":
                pos = self._dollar(pos)
            elif not char.isascii():
                pos = self._unicode(pos, end, in_text=in_text)
            else:
                pos = self._operator(pos)

    def _starts_decimal(self, pos: int) -> bool:
        following = self.text[pos : pos + 4]
        return following[:1] == "." and following[1:2].isdigit() and following[1:2].isascii()

    # Numbers ---------------------------------------------------------------------------------

    def _number(self, pos: int, end: int) -> int:
        match = _NUMBER.match(self.text, pos, end)
        if match is None or match.end() == pos:
            raise AnswerSyntaxError("stray character", pos)
        if match["group"] and not self._grouping(match, pos):
            match = re.compile(r"(?P<group>\Z.)?(?P<int>[0-9]+)(?P<dot>\Z.)?(?P<dec>\Z.)?(?P<rep>\Z.)?").match(
                self.text, pos, end
            )
            if match is None:
                raise AnswerSyntaxError("stray character", pos)
        if match.end() - pos > self.limits.digits:
            raise LimitExceeded("digits", f"a number of {match.end() - pos} characters")
        if match["group"]:
            body = re.sub(r"[^0-9.]", "", match["group"])
            whole, _, decimals = body.partition(".")
            num = _decimal(whole, decimals)
        elif match["rep"]:
            num = self._repeating(match["int"], match["dec"] or "", match["rep"], pos)
        else:
            num = _decimal(match["int"], match["dec"] or "")
        after = match.end()
        exponent = _EXPONENT.match(self.text, after, end)
        if exponent and not match["rep"]:
            power = int(exponent[1])
            if abs(power) > self.limits.digits:
                raise LimitExceeded("digits", f"an exponent of {power}")
            num, after = Num(num.value * Fraction(10) ** power), exponent.end()
        self._push("num", self.text[pos:after], pos, num)
        return after

    def _grouping(self, match: re.Match[str], pos: int) -> bool:
        sep = match["sep"]
        if sep == ",":
            if self.decimal_comma and len(match["group"].split(",")) == 2 and match["gdec"] is None and self.depth:
                return False
            return self.depth == 0 or self.commas_are_spaced
        if sep in (" ", "~", "\\ "):
            # "2 500 1/3" apart, a blank groups only when nothing like a fraction or a list of numerals follows.
            rest = self.text[match.end() : match.end() + 2].lstrip()
            previous = self.tokens[-1] if self.tokens else None
            return (
                rest[:1] not in ("/", "^", "_")
                and not (previous and previous.kind == "num")
                and match["group"][0] != "0"
            )
        return not (sep == "'" and self.text[pos] == "0")

    def _repeating(self, whole: str, decimals: str, mark: str, pos: int) -> Num:
        digits = re.sub(r"[^0-9]", "", mark)
        if "dot" in mark and "dots" not in mark:
            period = digits
        elif digits:
            period = digits
        else:
            decimals, period = _period(decimals)
            if not period:
                self._push("num", self.text[pos : pos + len(whole) + len(decimals) + 1], pos, _decimal(whole, decimals))
                raise AnswerSyntaxError("an ellipsis after digits that show no repeating pattern", pos)
        base = Fraction(digits_to_int(whole + decimals), 10 ** len(decimals))
        return Num(base + Fraction(int(period), 10 ** len(decimals) * (10 ** len(period) - 1)))

    # Letters ---------------------------------------------------------------------------------

    def _letters(self, pos: int, end: int, *, in_text: bool) -> int:
        match = _WORD.match(self.text, pos, end)
        run = match[0] if match else self.text[pos]
        if in_text:
            match = _TEXT_WORD.match(self.text, pos, end)
            run = match[0] if match else run
            self._text_word(run, pos)
        elif len(run) == 1:
            if run in "xX" and self.tokens and self.tokens[-1].kind == "num" and _TIMES_TEN.match(self.text, pos + 1):
                self._push("op", "*", pos)
            else:
                self._push("let", run, pos)
        else:
            self._plain_run(run, pos)
        return pos + len(run)

    def _text_word(self, run: str, pos: int) -> None:
        if len(run) == 1:
            self._push("let", run, pos, upright=True)
        elif run in _PLAIN_COMMANDS and run not in UNIT_WORDS:
            self._push("cmd", run, pos)
        else:
            self._push("word", run, pos)

    def _plain_run(self, run: str, pos: int) -> None:
        after_value = bool(self.tokens) and self.tokens[-1].kind in ("num", "word") or self._after_value()
        low = run.lower()
        following = self.text[pos + len(run) : pos + len(run) + 1]
        if run in _PLAIN_COMMANDS and not (run in UNIT_WORDS and after_value and following != "("):
            self._push("cmd", run, pos)
        elif (low in UNIT_WORDS or run in UNIT_WORDS) and after_value:
            self._push("word", run, pos)
        elif low in _WORDLIKE and low not in UNIT_WORDS:
            self._push("word", run, pos)
        elif len(run) > 3 and (split := _glued(run)):
            self._push("cmd", split[0], pos)
            self._push("let", split[1], pos + len(split[0]))
        elif len(run) == 4 and _glued(run[:4]):
            self._push("word", run, pos)
        elif len(run) <= 3 or run.isupper():
            for offset, letter in enumerate(run):
                self._push("let", letter, pos + offset)
        else:
            self._push("word", run, pos)

    # Everything else -------------------------------------------------------------------------

    def _dollar(self, pos: int) -> int:
        rest = self.text[pos + 1 : pos + 4].lstrip(" \\,")
        if self.odd_dollars and rest[:1].isdigit():
            self._push("op", "currency", pos)
            self.odd_dollars = False
        elif self.odd_dollars and self._after_value() and not self.text[pos + 1 :].strip(" .}"):
            self._push("op", "currency", pos)
        else:
            self.spaced = True
        return pos + 1

    def _unicode(self, pos: int, end: int, *, in_text: bool) -> int:
        char = self.text[pos]
        if char in FRACTIONS:
            self._push("num", char, pos, Num(Fraction(*FRACTIONS[char])))
        elif char in GREEK_LETTERS:
            self._push("cmd", GREEK_LETTERS[char], pos)
        elif char in UNICODE:
            self._sign(UNICODE[char], pos)
        elif (script := char.translate(SUPERSCRIPTS)) != char:
            return self._script("^", script, SUPERSCRIPTS, pos)
        elif (script := char.translate(SUBSCRIPTS)) != char:
            return self._script("_", script, SUBSCRIPTS, pos)
        elif char.isalpha():
            match = _TEXT_WORD.match(self.text, pos, end)
            word = match[0] if match else char
            self._push("word", word, pos)
            return pos + len(word)
        elif char in "\u200b\u200c\u200d\ufeff\u2060\u2061\u2062":
            pass
        else:
            raise AnswerSyntaxError(f"unexpected character {ascii(char)}", pos)
        return pos + 1

    def _script(self, mark: str, first: str, table: dict[int, int], pos: int) -> int:
        run, after = first, pos + 1
        while after < len(self.text) and (low := self.text[after].translate(table)) != self.text[after]:
            run, after = run + low, after + 1
        self._push("op", mark, pos)
        self._push("op", "{", pos)
        for token in Lexer(run, self.limits).lex()[:-1]:
            self._push(token.kind, token.text, pos, token.num)
        self._push("op", "}", pos)
        return after

    def _sign(self, name: str, pos: int) -> None:
        if name in RELATIONS.values() or name in RELATIONS:
            self._push("rel", RELATIONS.get(name, name), pos)
        elif (
            name in ("∞", "∅", "√", "∛", "R", "Z", "N", "Q", "C", "dots", "sum", "prod", "int", "angle")
            or name in GREEK
        ):
            self._push("cmd", {"∞": "infty", "∅": "emptyset", "√": "sqrt", "∛": "cbrt"}.get(name, name), pos)
        elif name in ("e", "i"):
            self._push("let", name, pos)
        elif name == "¢":
            self._push("word", "cents", pos)
        else:
            self._push("op", name, pos)

    def _operator(self, pos: int) -> int:
        text, char = self.text, self.text[pos]
        relation = _RELATION.match(text, pos)
        if relation:
            self._push("rel", RELATIONS[relation[0]], pos)
            return relation.end()
        if text.startswith("...", pos):
            self._push("cmd", "dots", pos)
            return pos + 3
        if text.startswith("**", pos):
            self._push("op", "^", pos)
            return pos + 2
        if text.startswith("->", pos):
            self._push("op", "to", pos)
            return pos + 2
        if char in "([":
            self.depth += 1
        elif char in ")]":
            self.depth = max(0, self.depth - 1)
        self._push("op", char, pos)
        return pos + 1

    # Commands --------------------------------------------------------------------------------

    def _command(self, pos: int, end: int, *, in_text: bool) -> int:
        match = _COMMAND.match(self.text, pos, end)
        if match is None:  # a lone backslash at the very end
            return pos + 1
        name, after = match[1] or match[2], match.end()
        if match[2] is not None:
            return self._escaped(name, pos, after)
        if name in TEXT_FONTS:
            return self._text_group(name, after, end, pos)
        if name in DROPPED:
            null = name in ("left", "right", "mleft", "mright") and self.text[after : after + 1] == "."
            self.spaced = True
            return after + 1 if null else after
        if name in SKIPPED:
            for _ in range(SKIPPED[name]):
                after = self._skip_group(after, end)
            if name == "colorbox" or name == "textcolor":
                pass
        elif name in FONTS:
            return self._font(name, after, end, pos)
        elif name in ("begin", "end"):
            return self._environment(name, after, end, pos)
        elif name in RELATIONS:
            self._push("op" if RELATIONS[name] == "|" else "rel", RELATIONS[name], pos)
        elif name in OPERATORS:
            self._named_operator(OPERATORS[name], pos)
        elif name in DOTS:
            self._push("cmd", "dots", pos)
        elif name == "not":
            return self._negated(after, end, pos)
        elif name == "char":
            raise AnswerSyntaxError("a character code", pos)
        else:
            self._push("cmd", name, pos)
        return after

    def _escaped(self, char: str, pos: int, after: int) -> int:
        if char == "\\":
            self._push("op", "\\\\", pos)
        elif char in "()[]":
            self.spaced = True  # math delimiters
        elif char in ",;:!>/ \n\t":
            self.spaced = True
        elif char in OPERATORS:
            self._named_operator(OPERATORS[char], pos)
        elif char == '"' or char == "'":
            pass
        else:
            raise AnswerSyntaxError(f"unknown command \\{char}", pos)
        return after

    def _named_operator(self, name: str, pos: int) -> None:
        if name in ("\\{", "<|", "("):
            self.depth += 1
        elif name in ("\\}", "|>", ")"):
            self.depth = max(0, self.depth - 1)
        if name == "and_sign":
            self._push("word", "and", pos)
        elif name == "_blank":
            raise AnswerSyntaxError("a blank", pos)
        else:
            self._push("op", name, pos)

    def _negated(self, after: int, end: int, pos: int) -> int:
        rest = self.text[after:end].lstrip()
        skipped = end - after - len(rest)
        for mark, op in (("=", "!="), ("\\in", "notin"), ("\\equiv", "≢")):
            if rest.startswith(mark):
                self._push("rel", op, pos)
                return after + skipped + len(mark)
        raise AnswerSyntaxError("a negation", pos)

    def _group_end(self, start: int, end: int) -> int:
        """Index of the brace that closes the one at `start`."""
        depth, pos = 0, start
        while pos < end:
            char = self.text[pos]
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

    def _open_brace(self, after: int, end: int) -> int:
        while after < end and self.text[after].isspace():
            after += 1
        return after if after < end and self.text[after] == "{" else -1

    def _skip_group(self, after: int, end: int) -> int:
        brace = self._open_brace(after, end)
        return after if brace < 0 else self._group_end(brace, end) + 1

    def _text_group(self, name: str, after: int, end: int, pos: int) -> int:
        brace = self._open_brace(after, end)
        if brace < 0:
            self.spaced = True
            return after
        close = self._group_end(brace, end)
        content = self.text[brace + 1 : close].strip()
        self.spaced = True
        if name in ("mathrm", "operatorname") and content.replace("~", "") in FUNCTIONS:
            self._push("cmd", content, pos)
        elif not content and name == "operatorname":
            raise AnswerSyntaxError("an operator without a name", pos)
        else:
            self._run(brace + 1, close, in_text=True)
        self.spaced = True
        return close + 1

    def _font(self, name: str, after: int, end: int, pos: int) -> int:
        brace = self._open_brace(after, end)
        if brace < 0:
            return after
        close = self._group_end(brace, end)
        content = self.text[brace + 1 : close].strip()
        bold = name in ("mathbf", "boldsymbol", "bm", "pmb", "symbf")
        if bold and content in ("i", "j", "k", "\\imath", "\\jmath"):
            self._push("cmd", "vec_" + content.lstrip("\\")[0], pos)
        elif content.isalpha() and content.isascii() and len(content) > 1:
            self._run(brace + 1, close, in_text=True)
        elif len(content) <= 1:
            self._run(brace + 1, close, in_text=False)
        else:
            self._push("op", "{", pos)
            self._run(brace + 1, close, in_text=False)
            self._push("op", "}", close)
        return close + 1

    def _environment(self, name: str, after: int, end: int, pos: int) -> int:
        brace = self._open_brace(after, end)
        if brace < 0:
            raise AnswerSyntaxError("an environment without a name", pos)
        close = self._group_end(brace, end)
        kind = self.text[brace + 1 : close].strip().rstrip("*")
        after = close + 1
        if name == "begin" and kind in ("array", "tabular"):
            after = self._skip_group(after, end)
        if kind in (
            "align",
            "aligned",
            "equation",
            "gather",
            "gathered",
            "split",
            "document",
            "center",
            "math",
            "displaymath",
        ):
            self.spaced = True
            return after
        self._push("op", f"{name}:{kind}", pos)
        return after


def _decimal(whole: str, decimals: str) -> Num:
    if not decimals:
        return Num(Fraction(digits_to_int(whole)), 0)
    return Num(Fraction(digits_to_int(whole + decimals), 10 ** len(decimals)), len(decimals))


def _period(decimals: str) -> tuple[str, str]:
    """Split digits before an ellipsis into what precedes the period and the period itself.

    A single digit must be seen three times (or be all there is, twice), a longer block twice.
    """
    size = len(decimals)
    for length in range(1, size // 2 + 1):
        block = decimals[size - length :]
        repeats, start = 1, size - length
        while start >= length and decimals[start - length : start] == block:
            repeats, start = repeats + 1, start - length
        if repeats >= (3 if length == 1 else 2) or (length == 1 and repeats == 2 == size):
            return decimals[:start], block
    return decimals, ""


def _glued(run: str) -> tuple[str, str] | None:
    """`sinx` as `sin` and `x`; only the commonest names, so that words stay words."""
    for name in ("sin", "cos", "tan", "log", "ln", "sqrt", "cot", "sec", "csc"):
        if run.startswith(name) and len(run) == len(name) + 1 and run[-1] in "xyztnab":
            return name, run[-1]
    return None


__all__ = ["ACCENTS", "Lexer", "Token", "digits_to_int"]
