"""Characters to tokens: LaTeX, plain text and unicode in one stream, numbers exact.

The lexer removes what is presentation (spacing, fonts, colours, invisible and struck-out groups,
comments) and recognises numbers whole: grouping, decimals, exponents, repeating decimals.
"""

from __future__ import annotations

import re
import unicodedata

from reward_servers.engines.math.errors import AnswerSyntaxError, LimitExceededError
from reward_servers.engines.math.nodes import Num
from reward_servers.engines.math.policy import Limits
from reward_servers.engines.math.syntax import macros, numerals
from reward_servers.engines.math.syntax.scanner import Scanner
from reward_servers.engines.math.syntax.tokens import Token
from reward_servers.engines.math.vocabulary.tables import (
    FRACTIONS,
    FULLWIDTH,
    FUNCTIONS,
    GREEK,
    GREEK_LETTERS,
    RELATIONS,
    SUBSCRIPTS,
    SUPERSCRIPTS,
    UNICODE,
    UNICODE_COMMANDS,
    names,
)
from reward_servers.engines.math.vocabulary.units import CURRENCY_CODES, UNIT_WORDS
from reward_servers.engines.math.vocabulary.words import (
    CJK,
    CONNECTORS,
    HEDGES,
    JOINTS,
    LABEL_WORDS,
    NEGATIONS,
    NUMBER_WORDS,
)

_STYLED = re.compile("[\U0001d400-\U0001d7ff]")
"""Mathematical alphanumerics: letters and digits in bold, italic, script and the like."""
_BRACED = frozenset({":}", "=}", "<}", ">}"})
"""A sign in braces is the sign without the space around it."""
_WORD = re.compile(r"[A-Za-z]{2,}'(?:t|s|re|ve)\b|[A-Za-z]+")
_TEXT_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_BELOW_LETTERS = names("mol kg cm km mm nm min")
_CJK_WORD = re.compile(f"[{CJK}]+")
_MERIDIAN = re.compile(r"([AaPp])\.?\s?[Mm]\b\.?")
_ROMAN = re.compile(r"[IVX]{2,5}")
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
    | names(
        """percent pct percentage degrees degree radians infinity undefined dne none yes even odd true mod choose to
    such that where pm am per square cubic nan infinite real all integer integers base dozen element belongs"""
    )
)


class Lexer(Scanner):
    """Turns one answer into tokens; `lex` is the whole interface."""

    def __init__(self, text: str, limits: Limits) -> None:
        if len(text) > limits.answer_chars:
            raise LimitExceededError("answer_chars", f"{len(text)} > {limits.answer_chars}")
        super().__init__(text if text.isascii() else _STYLED.sub(_plain, text.translate(FULLWIDTH)), limits)
        self.level = 0
        self.odd_dollars = len(re.findall(r"(?<!\\)\$", self.text)) % 2 == 1
        self.commas_are_spaced = bool(re.search(r"[0-9}],(?:\s|\\[, ])|;", self.text))

    def lex(self) -> list[Token]:
        """All tokens, closed by one of kind `end`."""
        self.run(0, len(self.text), in_text=False)
        self.push("end", "", len(self.text))
        return self.tokens

    def _after_value(self) -> bool:
        if not self.tokens:
            return False
        last = self.tokens[-1]
        return last.kind in ("num", "let") or (
            last.kind == "op" and last.text in (")", "}", "]", "|", "%", "degree", "\\}")
        )

    def run(self, pos: int, end: int, *, in_text: bool) -> None:
        """Lex a stretch of the text; in text mode letters make words."""
        text = self.text
        self.level += 1
        if self.level > self.limits.depth:
            raise LimitExceededError("depth", f"nested deeper than {self.limits.depth}")
        while pos < end:
            char = text[pos]
            if char.isspace() or char == "~":
                self.spaced = True
                pos += 1
            elif "0" <= char <= "9" or (char in ".{" and self._starts_decimal(pos)):
                pos = self._number(pos, end)
            elif char == "\\":
                pos = macros.command(self, pos, end)
            elif char.isascii() and char.isalpha():
                pos = self._letters(pos, end, in_text=in_text)
            elif char == "%" and not self._after_value():
                newline = text.find("\n", pos)
                pos = end if newline < 0 else newline
            elif char == "$":
                pos = self._dollar(pos)
            elif char == "{" and text[pos + 1 : pos + 3] in _BRACED:
                pos = self._operator(pos + 1) + 1
            elif not char.isascii():
                pos = self._unicode(pos, end, in_text=in_text)
            else:
                pos = self._operator(pos)
        self.level -= 1

    def _starts_decimal(self, pos: int) -> bool:
        following = self.text[pos : pos + 4]
        return following[:1] == "." and following[1:2].isdigit() and following[1:2].isascii()

    def _number(self, pos: int, end: int) -> int:
        # "2 128" is one number, but not in "\\log_2 128" nor after another numeral.
        after_numeral = bool(self.tokens) and (self.tokens[-1].kind == "num" or self.tokens[-1].text in ("_", "^"))
        context = numerals.Context(self.depth, self.commas_are_spaced, after_numeral)
        num, after = numerals.read(self.text, pos, end, context, self.limits)
        self.push("num", self.text[pos:after], pos, num)
        return after

    # Letters ---------------------------------------------------------------------------------

    def _letters(self, pos: int, end: int, *, in_text: bool) -> int:
        meridian = _MERIDIAN.match(self.text, pos, end)
        if meridian is not None and self.tokens and self.tokens[-1].kind == "num":
            self.push("word", meridian[1].lower() + "m", pos)
            return meridian.end()
        match = _WORD.match(self.text, pos, end)
        run = match[0] if match else self.text[pos]
        if in_text:
            match = _TEXT_WORD.match(self.text, pos, end)
            run = match[0] if match else run
            self._text_word(run, pos)
        elif len(run) == 1:
            if run in "xX" and self.tokens and self.tokens[-1].kind == "num" and _TIMES_TEN.match(self.text, pos + 1):
                self.push("op", "*", pos)
            else:
                self.push("let", run, pos)
        else:
            self._plain_run(run, pos)
        return pos + len(run)

    def _text_word(self, run: str, pos: int) -> None:
        after = self.text[pos + 1 : pos + 3]
        article = run in ("a", "A") and after[:1] == " " and (after[1:].isalpha() or after[1:] == "}")
        if len(run) == 1 and not article:
            self.push("let", run, pos, upright=True)
        elif run in _PLAIN_COMMANDS and run not in UNIT_WORDS:
            self.push("cmd", run, pos)
        elif _ROMAN.fullmatch(run):
            self._spelled(run, pos)
        else:
            self.push("word", run, pos)

    def _plain_run(self, run: str, pos: int) -> None:
        after_value = (bool(self.tokens) and self.tokens[-1].kind in ("num", "word")) or self._after_value()
        after_value = after_value or self._below_unit(run)
        low = run.lower()
        following = self.text[pos + len(run) : pos + len(run) + 1]
        if run in _PLAIN_COMMANDS and not (run in UNIT_WORDS and after_value and following != "("):
            self.push("cmd", run, pos)
        elif ((low in UNIT_WORDS or run in UNIT_WORDS) and after_value) or run in CURRENCY_CODES:
            self.push("word", run, pos)
        elif run.isupper() and len(run) == 2 and self.tokens and self.tokens[-1].text == "{":
            self._spelled(run, pos)
        elif (
            run.islower()
            and self.tokens
            and self.tokens[-1].kind == "word"
            and self.tokens[-1].text.lower() not in _NOT_NOUNS
        ) or (low in _WORDLIKE and low not in UNIT_WORDS):
            self.push("word", run, pos)
        elif len(run) > 3 and (split := _glued(run)):
            self.push("cmd", split[0], pos)
            self.push("let", split[1], pos + len(split[0]))
        elif len(run) == 4 and _glued(run[:4]):
            self.push("word", run, pos)
        elif len(run) <= 3 or run.isupper():
            self._spelled(run, pos)
        else:
            self.push("word", run, pos)

    def _below_unit(self, run: str) -> bool:
        """Whether a unit may stand here because one stands above it: `kJ/mol`, `J/(mol K)`."""
        texts = [t.text for t in self.tokens[-3:]]
        above = self.tokens[-3:-2] if texts[-2:] == ["/", "("] else self.tokens[-2:-1] if texts[-1:] == ["/"] else []
        return bool(above) and (above[0].kind == "word" or (above[0].kind == "let" and run in _BELOW_LETTERS))

    def _spelled(self, run: str, pos: int) -> None:
        for offset, letter in enumerate(run):
            self.push("let", letter, pos + offset)

    # Everything else -------------------------------------------------------------------------

    def _dollar(self, pos: int) -> int:
        following = self.text[pos + 1 : pos + 4].lstrip(" \\,")
        if self.odd_dollars and following[:1].isdigit():
            self.push("op", "currency", pos)
            self.odd_dollars = False
        elif self.odd_dollars and self._after_value() and not self.text[pos + 1 :].strip(" .}"):
            self.push("op", "currency", pos)
        else:
            self.spaced = True
        return pos + 1

    def _unicode(self, pos: int, end: int, *, in_text: bool) -> int:
        char = self.text[pos]
        if char in FRACTIONS:
            self.push("num", char, pos, Num(FRACTIONS[char]))
        elif char in GREEK_LETTERS:
            self.push("cmd", GREEK_LETTERS[char], pos)
        elif char in UNICODE:
            self._sign(UNICODE[char], pos)
        elif (script := char.translate(SUPERSCRIPTS)) != char:
            return self._script("^", script, SUPERSCRIPTS, pos)
        elif (script := char.translate(SUBSCRIPTS)) != char:
            return self._script("_", script, SUBSCRIPTS, pos)
        elif char.isalpha():
            match = (_CJK_WORD if _CJK_WORD.match(char) else _TEXT_WORD).match(self.text, pos, end)
            word = match[0] if match else char
            self._foreign_word(word, pos)
            return pos + len(word)
        elif char in "\u200b\u200c\u200d\ufeff\u2060\u2061\u2062":
            pass
        else:
            raise AnswerSyntaxError(f"unexpected character {char!a}", pos)
        return pos + 1

    def _foreign_word(self, word: str, pos: int) -> None:
        """A word in another script: `and`, `or` and what remains of it where it begins with one of them."""
        for prefix, joint in JOINTS.items():
            if word.startswith(prefix):
                self.push("word", joint, pos)
                if word != prefix:
                    self._foreign_word(word[len(prefix) :], pos + len(prefix))
                return
        self.push("word", word, pos)

    def _script(self, mark: str, first: str, table: dict[int, int], pos: int) -> int:
        run, after = first, pos + 1
        while after < len(self.text) and (low := self.text[after].translate(table)) != self.text[after]:
            run, after = run + low, after + 1
        self.push("op", mark, pos)
        self.push("op", "{", pos)
        for token in Lexer(run, self.limits).lex()[:-1]:
            self.push(token.kind, token.text, pos, token.num)
        self.push("op", "}", pos)
        return after

    def _sign(self, name: str, pos: int) -> None:
        if name in RELATIONS.values() or name in RELATIONS:
            self.push("rel", RELATIONS.get(name, name), pos)
        elif name in UNICODE_COMMANDS or name in GREEK:
            self.push("cmd", name, pos)
        elif name in ("e", "i"):
            self.push("let", name, pos)
        elif name == "¢":
            self.push("word", "cents", pos)
        else:
            self.push("op", name, pos)

    def _operator(self, pos: int) -> int:
        text, char = self.text, self.text[pos]
        relation = _RELATION.match(text, pos)
        factorial = (
            relation and relation[0] == "!=" and not self.spaced and self.tokens[-1:] and self.tokens[-1].kind == "num"
        )
        if relation and not factorial:
            self.push("rel", RELATIONS[relation[0]], pos)
            return relation.end()
        if text.startswith("...", pos):
            self.push("cmd", "dots", pos)
            return pos + 3
        if text.startswith("**", pos):
            self.push("op", "^", pos)
            return pos + 2
        if text.startswith("->", pos):
            self.push("op", "to", pos)
            return pos + 2
        if char == "@":
            char = ","  # "25 @ $18" gives a number and a price
        if char in "([":
            self.depth += 1
        elif char in ")]":
            self.depth = max(0, self.depth - 1)
        self.push("op", char, pos)
        return pos + 1


def _plain(styled: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", styled[0])


_NOT_NOUNS = CONNECTORS | LABEL_WORDS | {"where", "for", "with", "when", "mod", "to", "times", "choose", "such", "that"}


def _glued(run: str) -> tuple[str, str] | None:
    """`sinx` as `sin` and `x`; only the commonest names, so that words stay words."""
    for name in ("sin", "cos", "tan", "log", "ln", "sqrt", "cot", "sec", "csc"):
        if run.startswith(name) and len(run) == len(name) + 1 and run[-1] in "xyztnab":
            return name, run[-1]
    return None
