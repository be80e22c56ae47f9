"""Tokens to a tree: a Pratt parser for answers, with bounds on depth and size.

`parse` is the whole interface.  Binding strength, from loose to tight: `or`, `;`, `,`/`and`, relations,
set operations, ratios, sums, units, products, signs, powers, postfix signs.
"""

from __future__ import annotations

import functools
import re
from fractions import Fraction

from . import _brackets, _commands, _conditions, _lists, _measures, _wording
from ._errors import AnswerSyntaxError, LimitExceeded
from ._lexer import Lexer, Token
from ._nodes import Call, Node, Num, Rel, Seq, Sym, Text, depth_of, neg
from ._policy import Limits
from ._tables import names
from ._words import BASE_WORDS

REL, SET, RATIO, ADD, UNIT, MUL, SIGN, POW, POST = 10, 20, 25, 30, 35, 40, 50, 60, 70

_CLOSERS = frozenset({")", "]", "}", "\\}", "|>", ",", ";", "&", "\\\\", "rfloor", "rceil", "."})
_SEPARATOR_WORDS = names("and or where for with when")
_SET_OPS = {"∪": "union", "∩": "intersect", "\\": "setminus"}
_BASE = re.compile(
    r"\(?(?:\\(?:text|mathrm)\s*\{)?(?P<digits>[0-9A-Fa-f]+(?:(?:\\[,;: ]|\{,\}| )[0-9A-Fa-f]{3,4})*)\}?\)?\s*_\s*"
    r"\{?\s*(?:\\(?:text|mathrm|textbf|rm)\s*\{)?\s*\(?(?:base[\s-]*\}?\s*)?(?P<base>[0-9]{1,2}|[a-z]+)\)?\s*\}?\s*\}?|(?P<plain>[0-9A-Fa-f]+)\s*\(?(?:\\text\s*\{)?[\s(]*base[\s-]*(?:\})?\s*"
    r"(?P<word>[0-9]{1,2}|[a-z]+)[\s)}]*|0(?P<prefix>[bxo])(?P<code>[0-9A-Fa-f]+)"
)
_APART = re.compile(r"\\?[,;: {}]")
_PACKED = re.compile(r"\s*(?P<mark>`+|\*\*|[\"“])(?P<inner>.+?)(?:(?P=mark)|”)\s*", re.S)


def parse(text: str, limits: Limits) -> Node:
    """Read one answer.

    Args:
        text: The answer alone, as extracted; LaTeX, plain text or unicode.
        limits: Bounds on characters, tokens, digits and depth.

    Raises:
        AnswerSyntaxError: The text is no answer of this grammar; says where.
        LimitExceeded: A bound was passed.
    """
    packed = _PACKED.fullmatch(text)
    if packed is not None and packed["mark"] not in packed["inner"]:
        text = packed["inner"]  # marks of code, bold or quotation around the whole
    based = _based_number(text) if "_" in text or "base" in text or text.startswith("0") else None
    if based is not None:
        return based
    return Parser(Lexer(text, limits).lex(), limits).answer()


def _based_number(text: str) -> Node | None:
    match = _BASE.fullmatch(text.strip().strip("$").strip()) if len(text) < 400 else None
    if match is None:
        return None
    if match["prefix"]:
        digits, base = match["code"], {"b": 2, "x": 16, "o": 8}[match["prefix"]]
    else:
        digits, name = _APART.sub("", match["digits"] or match["plain"]), match["base"] or match["word"]
        base = int(name) if name.isdigit() else BASE_WORDS.get(name, 0)
    named = not any(c.isdigit() for c in digits) and not (base == 16 and len(digits) > 1)
    if named or not 2 <= base <= 16 or any(int(c, 16) >= base for c in digits):
        return None
    return Call("base", (Text(digits.upper().lstrip("0") or "0"), Num(Fraction(base))))


class Parser:
    """State of one parse: the tokens, the position, and what encloses it."""

    def __init__(self, tokens: list[Token], limits: Limits) -> None:
        self.tokens = tokens
        self.limits = limits
        self.at = 0
        self.depth = 0  # open brackets of any kind
        self.level = 0  # levels of recursion
        self.bars = 0  # open absolute values: a further bar closes
        self.braces = 0  # open sets: a bar or a colon ends the element
        self.integrals = 0  # open integrals: `dx` ends the body
        self.outward = False  # inside `]a,b[` or `[a,b[`: an opening bracket closes

    # Cursor ----------------------------------------------------------------------------------

    @property
    def token(self) -> Token:
        """The token under the cursor."""
        return self.tokens[self.at]

    def peek(self, ahead: int = 1) -> Token:
        """A later token, the end token past the end."""
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)]

    def take(self) -> Token:
        """Move on and return the token left behind."""
        token = self.tokens[self.at]
        if token.kind != "end":
            self.at += 1
        return token

    def is_op(self, *texts: str) -> bool:
        """Whether the cursor is on one of these operators."""
        return self.token.kind == "op" and self.token.text in texts

    def expect(self, text: str) -> None:
        """Pass over an operator that must be here."""
        if not self.is_op(text):
            raise AnswerSyntaxError(f"expected {text!r}", self.token.pos)
        self.at += 1

    # Lists -----------------------------------------------------------------------------------

    def answer(self) -> Node:
        """A whole answer: alternatives, then nothing but closing punctuation."""
        while self.tokens[-2:-1] and self.tokens[-2].kind == "op" and self.tokens[-2].text in (".", ",", ";", ":"):
            del self.tokens[-2]
        if len(self.tokens) == 1:
            raise AnswerSyntaxError("nothing to read", 0)
        node = self.alternatives()
        if self.token.kind != "end":
            raise AnswerSyntaxError(f"unexpected {self.token.text!r}", self.token.pos)
        if depth_of(node) > self.limits.height:
            raise LimitExceeded("height", f"a tree higher than {self.limits.height}")
        return node

    def alternatives(self) -> Node:
        """Parts joined by `or`; then by `;`; then by commas and `and`."""
        parts = [self._semicolons()]
        while (self.token.kind == "word" and self.token.text.lower() == "or") or self.is_op("∨"):
            self.at += 1
            parts.append(self._semicolons())
        return parts[0] if len(parts) == 1 else _lists.join("or", parts)

    def _semicolons(self) -> Node:
        parts = [self._commas()]
        while self.is_op(";") or (self.is_op("\\\\") and self.depth == 0):
            self.at += 1
            parts.append(self._commas())
        return parts[0] if len(parts) == 1 else _lists.join("list", parts)

    def _commas(self) -> Node:
        items, joined_by_and = [self.item()], True
        start = self.at
        while self.comma():
            joined_by_and = joined_by_and and self.tokens[start].text.lower() in ("and", "∧")
            items.append(self.item())
            start = self.at
        if joined_by_and and _lists.is_conjunction(items):
            return functools.reduce(lambda a, b: Call("intersect", (a, b)), items)
        return _lists.listed(items, self.limits)

    def comma(self) -> bool:
        """Pass over `,`, `and`, `, and`, `where` ...; False where no list goes on."""
        if self.is_op(",") and self.peek().text in ("&", "\\\\", "end:cases"):
            self.at += self.depth == 0  # at the end of a row the comma is punctuation
            return False
        start = self.at
        while self.is_op(",", "∧") or (
            self.token.kind == "word"
            and self.token.text.lower() in _SEPARATOR_WORDS - ({"or"} if self.at == start else set())
        ):
            if self.token.text.lower() == "or" and self.at > start:
                break
            self.at += 1
            if self.is_op(",") and self.tokens[self.at - 1].text == ",":
                raise AnswerSyntaxError("an empty place in a list", self.token.pos)
        if self.at > start and self.token.kind == "word" and self.token.text.lower() == "or":
            self.at += 1
        return self.at > start

    def item(self) -> Node:
        """One element of a list: an expression with its relations."""
        condition = _conditions.integer_condition(self)
        if condition is not None:
            return condition
        return self.expression(0)

    # Expressions -----------------------------------------------------------------------------

    def expression(self, power: int) -> Node:
        """Parse what binds tighter than `power`."""
        left = self.prefix()
        while (following := self._infix(left, power)) is not None:
            left = following
        return left

    def enter(self) -> None:
        """Count one more level of recursion; `leave` takes it back.

        Raises:
            LimitExceeded: The answer is nested too deeply.
        """
        self.level += 1
        if self.level > self.limits.depth:
            raise LimitExceeded("depth", f"nested deeper than {self.limits.depth}")

    def leave(self) -> None:
        """Return from a level; not needed on the way of an exception, which ends the parse."""
        self.level -= 1

    def prefix(self) -> Node:
        """An atom or a prefix operator."""
        self.enter()
        node = self._prefix(self.token)
        self.leave()
        return node

    def _prefix(self, token: Token) -> Node:
        if token.kind == "num":
            return self._number()
        if token.kind == "let":
            return _commands.letter(self)
        if token.kind == "cmd":
            return _commands.command(self)
        if token.kind == "word":
            return _wording.words(self)
        if token.kind == "rel" and token.text in ("=", "~") and self.at == 0:
            self.at += 1
            return self.expression(REL)
        if token.kind == "rel" and token.text in ("<", ">", "<=", ">=") and self.at == 0:
            return Sym("□")
        if token.kind == "op":
            return self._prefix_operator(token)
        raise AnswerSyntaxError(
            "an answer breaks off" if token.kind == "end" else f"unexpected {token.text!r}", token.pos
        )

    def _prefix_operator(self, token: Token) -> Node:
        text = token.text
        if text in ("-", "+", "±", "∓"):
            self.at += 1
            value = self.expression(SIGN - 1 if text in ("±", "∓") else SIGN)
            return {"-": neg(value), "+": value}.get(text) or Call("pm" if text == "±" else "mp", (value,))
        if text in ("(", "["):
            return _brackets.bracketed(self)
        if text == "]":
            return _brackets.bracketed(self)
        if text == "\\{":
            return _brackets.braces(self)
        if text == "{":
            return _brackets.group(self)
        if text == "<|":
            return Seq("<>", _brackets.elements(self, "|>"))
        if text in ("|", "||"):
            return _brackets.bars(self, text)
        if text in ("lfloor", "lceil"):
            self.at += 1
            inner = self.expression(0)
            self.expect("rfloor" if text == "lfloor" else "rceil")
            return Call(text[1:], (inner,))
        if text.startswith("currency"):
            return _measures.currency(self)
        if text.startswith("begin:"):
            return _lists.environment(self)
        if text in ("^", "_"):
            return _commands.left_script(self)
        raise AnswerSyntaxError(f"unexpected {text!r}", token.pos)

    def _number(self) -> Node:
        token = self.take()
        assert token.num is not None
        value: Node = token.num
        if self.is_op("_") and token.text.isdigit():
            self.at += 1
            return self._based(token)
        if token.num.value.denominator == 1 and token.num.places == 0:
            value = _measures.mixed(self, token.num)
        return value

    def _based(self, numeral: Token) -> Node:
        name = _commands.raw_script(self).strip("()")
        base = int(name) if name.isdigit() else BASE_WORDS.get(name, 0)
        if not 2 <= base <= 16 or any(int(c) >= base for c in numeral.text):
            raise AnswerSyntaxError("no numeral in that base", numeral.pos)
        return Call("base", (Text(numeral.text.lstrip("0") or "0"), Num(Fraction(base))))

    # Infix -----------------------------------------------------------------------------------

    def _infix(self, left: Node, power: int) -> Node | None:
        """Extend `left` by the operator under the cursor, if it binds tighter than `power`."""
        token = self.token
        if token.kind == "end" or (token.kind == "op" and (token.text in _CLOSERS or token.text.startswith("end:"))):
            return None
        if token.kind == "rel":
            return self._relation(left) if power < REL else None
        if token.kind == "op":
            return self._infix_operator(left, token, power)
        if token.kind == "word":
            return _measures.word(self, left, power)
        if token.kind == "cmd" and token.text in ("over", "choose", "atop", "pmod", "bmod", "mod", "dots"):
            return _commands.infix(self, left, power)
        if token.kind == "let" and token.upright and power < UNIT and _measures.starts_unit(self, left):
            return _measures.unit(self, left)
        if token.kind == "cmd" and token.text.endswith("frac") and power < UNIT:
            measured = _measures.unit_fraction(self, left)
            if measured is not None:
                return measured
        if (
            "Omega" in (token.text, self.peek().text)
            and power < UNIT
            and (ohms := _measures.ohms(self, left)) is not None
        ):
            return ohms
        return self._product(left, power)

    def _infix_operator(self, left: Node, token: Token, power: int) -> Node | None:
        text = token.text
        if text in ("!", "%", "'", "degree", "‰"):
            return _measures.postfix(self, left, text) if power < POST else None
        if text == "^":
            return _commands.power(self, left) if power < POW else None
        if text in ("*", "/"):
            if power >= MUL:
                return None
            self.at += 1
            right = self.expression(MUL)
            return self._extended("mul", left, right) if text == "*" else Call("div", (left, right))
        if text in ("+", "-", "±", "∓"):
            if power >= ADD:
                return None
            self.at += 1
            right = self.expression(ADD)
            if text in ("±", "∓"):
                return Call("pm" if text == "±" else "mp", (left, right))
            return self._extended("add", left, right if text == "+" else neg(right))
        if text in _SET_OPS and power < SET:
            self.at += 1
            return Call(_SET_OPS[text], (left, self.expression(SET)))
        if text == ":" and not self.braces and power < RATIO:
            return _measures.ratio(self, left)
        if text in ("|", ":") and (self.bars or self.braces):
            return None
        if text == "||" and self.bars:
            return None
        if text == "(" and self.peek().kind == "word" and self.peek().text.lower() == "mod":
            return _commands.parenthesised_mod(self, left) if power < REL else None
        if text == "(" and self.peek().kind == "word" and power < POST:
            return _measures.remark(self, left)
        if text.startswith("currency") and self.peek().kind in ("end", "op", "rel"):
            return _measures.trailing_currency(self, left)
        if text in ("(", "[", "{", "|", "lfloor", "lceil", "<|") or text.startswith("begin:"):
            return self._product(left, power)
        if text in ("∧", "∨", "_", "?", "circ") or power >= REL:
            return None
        raise AnswerSyntaxError(f"unexpected {text!r}", token.pos)

    def _product(self, left: Node, power: int) -> Node | None:
        """Juxtaposition as a product, at the strength of a product."""
        if power >= MUL or not self.starts_factor(left):
            return None
        return self._extended("mul", left, self.expression(MUL))

    def _extended(self, head: str, left: Node, right: Node) -> Node:
        """One flat sum or product, so that a long one is not a deep one."""
        if isinstance(left, Call) and left.head == head:
            if len(left.args) >= self.limits.items:
                raise LimitExceeded("items", f"more than {self.limits.items} terms")
            return Call(head, (*left.args, right))
        return Call(head, (left, right))

    def starts_factor(self, left: Node) -> bool:
        """Whether the token under the cursor may begin a juxtaposed factor of `left`."""
        token = self.token
        if self.integrals and token.kind == "let" and token.text == "d" and self.peek().kind in ("let", "cmd"):
            return False
        if token.kind == "num":
            # In "(x+3)1" the digit strayed there; nobody writes a factor 1 behind.
            stray = token.text == "1" and self.peek().text != "/"
            return self.tokens[self.at - 1].kind != "num" and not isinstance(left, Num) and not stray
        if token.kind == "op" and token.text == "[":
            closed = self.tokens[self.at - 1].text in (")", "]")
            return (isinstance(left, Num) or closed) and not self.outward
        return token.kind in ("let", "cmd") or token.kind == "op"

    def _relation(self, left: Node) -> Node:
        ops: list[str] = []
        terms = [left]
        while self.token.kind == "rel":
            ops.append(self.take().text)
            if self.token.kind == "end" and ops[-1] == "=" and len(terms) == 1:
                raise AnswerSyntaxError("an answer breaks off", self.token.pos)
            terms.append(self.expression(REL))
        return Rel(tuple(ops), tuple(terms))
