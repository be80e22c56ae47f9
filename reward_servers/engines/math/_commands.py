"""Letters, LaTeX commands, functions and scripts, as handlers of the parser."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from . import _bigops, _functions
from ._brackets import bracketed
from ._errors import AnswerSyntaxError
from ._nodes import EMPTY, INFINITY, MINUS_ONE, Call, Const, Node, Num, Rel, Seq, Sym
from ._tables import ACCENTS, CANON_FUNCTION, FUNCTIONS, GREEK, SETS

if TYPE_CHECKING:
    from ._parser import Parser

_FUNCTION_LETTERS = frozenset("fghFGH")
_CONSTANTS: dict[str, Node] = {
    "infty": INFINITY,
    "infinity": INFINITY,
    "oo": INFINITY,
    "inf": INFINITY,
    "emptyset": EMPTY,
    "varnothing": EMPTY,
    "pi": Const("pi"),
    "dots": Const("dots"),
    "exponentialE": Const("e"),
    "imath": Const("i"),
    "top": Sym("T"),
    "intercal": Sym("T"),
}
_SHAPES = frozenset({"angle", "triangle", "overarc", "measuredangle", "arc"})


def _name(parser: Parser, base: str) -> str:
    """The name of a variable with its subscript and primes."""
    while True:
        if parser.is_op("_"):
            parser.at += 1
            base += "_" + raw_script(parser)
        elif parser.is_op("'"):
            parser.at += 1
            base += "'"
        else:
            return base


def raw_script(parser: Parser) -> str:
    """The text of a sub- or superscript, braces removed."""
    if not parser.is_op("{"):
        token = parser.take()
        if token.kind == "end":
            raise AnswerSyntaxError("a script without content", token.pos)
        return token.text
    depth = 0
    parts: list[str] = []
    while True:
        token = parser.take()
        if token.kind == "end":
            raise AnswerSyntaxError("unclosed brace", token.pos)
        if token.kind == "op" and token.text == "{":
            depth += 1
        elif token.kind == "op" and token.text == "}":
            depth -= 1
            if depth == 0:
                return "".join(parts)
        else:
            parts.append(token.text)


def letter(parser: Parser) -> Node:
    """A letter: a variable, a constant, or a function that is applied."""
    token = parser.take()
    letter = token.text
    if parser.at == 1 and (defined := _definition(parser, letter)) is not None:
        return defined
    if letter in ("C", "P") and parser.is_op("(") and (counted := _counting(parser, letter)) is not None:
        return counted
    if letter in ("C", "A", "P") and (counted := _arranged(parser, letter)) is not None:
        return counted
    name = _name(parser, letter)
    if name == "e":
        return Const("e")
    if name == "i":
        return Const("i")
    if parser.is_op("{") and parser.peek().text == "(" and letter in _FUNCTION_LETTERS:
        parser.at += 1
        node = applied(parser, name)
        parser.expect("}")
        return node
    if name.rstrip("'").partition("_")[0] in _FUNCTION_LETTERS and (parser.is_op("(") or _powered_call(parser)):
        return applied(parser, name)
    return Sym(name)


def _powered_call(parser: Parser) -> bool:
    texts = [parser.peek(k).text for k in range(5)]
    return texts[:3] == ["^", "{", "-"] and texts[4] == "}" and parser.peek(5).text == "("


def applied(parser: Parser, name: str) -> Node:
    """`f(x, y)` as an application of an unknown function."""
    if parser.is_op("^"):
        parser.at += 1
        name += "^" + raw_script(parser)
    group = bracketed(parser)
    args = group.items if isinstance(group, Seq) and group.kind == "()" else (group,)
    return Call("apply", (Sym(name), *args))


def _definition(parser: Parser, name: str) -> Node | None:
    """`P(x) = ...` at the start of an answer defines P, whatever its letter."""
    ahead = 0
    if not (parser.is_op("(") or parser.is_op("_")):
        return None
    while parser.peek(ahead).kind != "end" and parser.peek(ahead).text != ")":
        if parser.peek(ahead).kind not in ("let", "num", "cmd", "op") or ahead > 12:
            return None
        ahead += 1
    following = parser.peek(ahead + 1)
    if not (following.kind == "rel" and following.text == "="):
        return None
    full = _name(parser, name)
    return applied(parser, full) if parser.is_op("(") else Sym(full)


def _counting(parser: Parser, letter: str) -> Node | None:
    """`C(5,2)` and `P(5,2)` with whole numbers."""
    tokens = [parser.peek(k) for k in range(5)]
    if [t.text for t in tokens[0::2]] == ["(", ",", ")"] and tokens[1].kind == tokens[3].kind == "num":
        top, below = tokens[1].num, tokens[3].num
        assert top is not None
        assert below is not None
        if below.value > top.value:
            return None  # no number of choices: a point called C or P
        parser.at += 5
        return Call("binom" if letter == "C" else "perm", (top, below))
    return None


def _arranged(parser: Parser, letter: str) -> Node | None:
    """`C_5^2` and `A_5^2`: what is counted below, how many are chosen above, both whole numbers."""
    start, numbers = parser.at, []
    for mark in ("_", "^"):
        if not parser.is_op(mark):
            break
        parser.at += 1
        numbers.append(raw_script(parser))
    if len(numbers) == 2 and all(n.isdigit() and len(n) < 6 for n in numbers) and int(numbers[1]) <= int(numbers[0]):
        below, above = (Num(Fraction(int(n)), 0) for n in numbers)
        return Call("binom" if letter == "C" else "perm", (below, above))
    parser.at = start
    return None


def argument(parser: Parser) -> Node:
    r"""The argument of a LaTeX command: a group, or one sign (`\frac12` takes the digits apart)."""
    token = parser.token
    if token.kind == "num" and len(token.text) > 1 and token.text.isdigit():
        digits = token.text
        first = Num(Fraction(int(digits[0])), 0)
        rest = token._replace(text=digits[1:], num=Num(Fraction(int(digits[1:])), 0), pos=token.pos + 1)
        parser.tokens[parser.at] = rest
        return first
    if token.kind == "num":
        parser.at += 1
        assert token.num is not None
        return token.num
    if token.kind in ("let", "cmd") or (token.kind == "op" and token.text in ("{", "-", "(")):
        if token.text == "-":
            parser.at += 1
            parser.enter()
            inner = argument(parser)
            parser.leave()
            return Call("neg", (inner,))
        return parser.prefix()
    raise AnswerSyntaxError("a command without its argument", token.pos)


def command(parser: Parser) -> Node:
    """A backslash command or a plain function name."""
    token = parser.take()
    name = token.text
    if name in _CONSTANTS:
        return _CONSTANTS[name]
    if name in ("frac", "dfrac", "tfrac", "cfrac", "nicefrac", "sfrac"):
        return _bigops.fraction(parser)
    if name in ("binom", "dbinom", "tbinom") and not parser.is_op("("):
        return Call("binom", (argument(parser), argument(parser)))
    if name in ("sqrt", "cbrt"):
        return _root(parser, name)
    if name in _bigops.OPERATORS:
        return _bigops.operator(parser, name)
    if name in ("mathbb", "Bbb", "mathds"):
        inner = raw_script(parser)
        return _number_set(parser, inner, token.pos)
    if name in SETS:
        return _number_set(parser, name, token.pos)
    if name in _SHAPES:
        letters = _letters(parser)
        if name == "angle" and len(letters) == 3:  # the vertex stands between two points of no order
            letters = min(letters, letters[::-1])
        return Sym(name + " " + letters)
    if name in ACCENTS:
        return _accent(parser, name)
    if name.startswith("vec_"):
        return Sym(name)
    if name in FUNCTIONS:
        return _functions.function(parser, CANON_FUNCTION.get(name, name))
    if name in GREEK or name in ("variable",):
        if name == "variable":
            return Sym(_name(parser, raw_script(parser)))
        return Sym(_name(parser, {"varepsilon": "epsilon", "varphi": "phi", "vartheta": "theta"}.get(name, name)))
    raise AnswerSyntaxError(f"unknown command \\{name}", token.pos)


def _number_set(parser: Parser, name: str, pos: int) -> Node:
    if name not in SETS:
        raise AnswerSyntaxError(f"unknown set {name}", pos)
    suffix = ""
    while parser.is_op("^", "_"):
        mark = parser.take().text
        suffix += mark + raw_script(parser)
    return Const(name + suffix)


def _letters(parser: Parser) -> str:
    letters = ""
    while parser.token.kind in ("let", "word"):
        letters += parser.take().text
    return letters


def _accent(parser: Parser, name: str) -> Node:
    inner = parser.take().text if parser.token.kind in ("let", "cmd") else raw_script(parser)
    if inner in ("i", "j", "k", "imath", "jmath") and name in ("vec", "hat", "widehat", "overrightarrow"):
        return Sym("vec_" + inner.removesuffix("math")[-1:]) if len(inner) == 1 else Sym("vec_" + inner[0])
    mark = {"overline": "bar", "widehat": "hat", "widetilde": "tilde", "overrightarrow": "vec"}.get(name, name)
    if mark == "vec" and len(inner) == 1:
        return Sym(_name(parser, inner))
    return Sym(_name(parser, f"{mark}({inner})"))


def _root(parser: Parser, name: str) -> Node:
    index: Node | None = Num(Fraction(3)) if name == "cbrt" else None
    if parser.is_op("["):
        parser.at += 1
        index = parser.expression(0)
        parser.expect("]")
    if parser.token.kind == "num":
        radicand: Node = parser.take().num or Num(Fraction(0))
    elif parser.token.kind == "end":
        raise AnswerSyntaxError("a root without its argument", parser.token.pos)
    else:
        radicand = argument(parser)
    if isinstance(radicand, Seq):
        raise AnswerSyntaxError("a root of a list", parser.token.pos)
    return (
        Call("sqrt", (radicand,)) if index in (None, Num(Fraction(2))) else Call("root", (radicand, index or radicand))
    )


# Scripts --------------------------------------------------------------------------------------


def script(parser: Parser) -> Node:
    """A script as a value: a group, or a sign and one atom; digits stay together."""
    if parser.is_op("-", "+"):
        sign = parser.take().text
        parser.enter()
        value = script(parser)
        parser.leave()
        if sign == "+":
            return value
        return Num(-value.value) if isinstance(value, Num) else Call("neg", (value,))
    token = parser.token
    if token.kind == "num":
        parser.at += 1
        assert token.num is not None
        return token.num
    if token.kind == "end":
        raise AnswerSyntaxError("a script without content", token.pos)
    if token.kind == "let":
        parser.at += 1
        return Const(token.text) if token.text in ("e", "i") else Sym(token.text)
    node = parser.prefix()
    return node if isinstance(node, Num) or not _is_minus_one(node) else MINUS_ONE


def _is_minus_one(node: Node) -> bool:
    return isinstance(node, Call) and node.head == "neg" and node.args[0] == Num(Fraction(1))


def power(parser: Parser, left: Node) -> Node:
    """`^` and its exponent; a small circle is the degree sign, primes are primes."""
    parser.enter()
    node = _power(parser, left)
    parser.leave()
    return node


def _power(parser: Parser, left: Node) -> Node:
    parser.at += 1
    if parser.is_op("circ", "degree") or (
        parser.is_op("{") and parser.peek().text in ("circ", "degree") and parser.peek(2).text == "}"
    ):
        parser.at += 3 if parser.is_op("{") else 1
        return _degrees(parser, left)
    if parser.token.kind == "let" and parser.token.text == "o" and isinstance(left, Num):
        parser.at += 1
        return _degrees(parser, left)
    if parser.is_op("{") and parser.peek().text == "'":
        raw_script(parser)
        return Sym(left.name + "'") if isinstance(left, Sym) else left
    exponent = script(parser)
    while parser.is_op("!"):
        parser.at += 1
        exponent = Call("fact", (exponent,))
    if parser.is_op("^"):  # 2^3^4 is read as a tower
        exponent = power(parser, exponent)
    if isinstance(left, Sym) and parser.is_op("_"):  # x^2_1
        left = Sym(_name(parser, left.name))
    return Call("pow", (left, exponent))


def _degrees(parser: Parser, left: Node) -> Node:
    from ._measures import temperature

    warm = temperature(parser, left)
    if warm is not None:
        return warm
    value: Node = Call("deg", (left,))
    if parser.token.kind == "num" and parser.peek().text == "'":
        minutes = parser.take().num
        parser.at += 1
        assert minutes is not None
        value = Call("deg", (Call("add", (left, Num(minutes.value / 60))),))
    return value


def left_script(parser: Parser) -> Node:
    """`{}^5C_2`, `^5C_2` and `_5C_2` as a binomial coefficient."""
    start = parser.take().pos
    top = script(parser)
    token = parser.take()
    if token.text not in ("C", "P") or not parser.is_op("_"):
        raise AnswerSyntaxError("a script without a base", start)
    parser.at += 1
    return Call("binom" if token.text == "C" else "perm", (top, script(parser)))


def infix(parser: Parser, left: Node, strength: int) -> Node | None:
    r"""Commands between operands: `\choose`, `\pmod`, `\bmod`."""
    name = parser.token.text
    if name in ("over", "atop"):
        return None
    if name == "choose":
        if parser.braces or strength > 40:
            return None
        parser.at += 1
        return Call("binom", (left, parser.expression(40)))
    if name == "dots":
        raise AnswerSyntaxError("an incomplete answer", parser.token.pos)
    if name == "pmod":
        if strength > 9 and not isinstance(left, Rel) and strength >= 10:
            return None
        parser.at += 1
        return Call("mod", (left, argument_all(parser)))
    if strength >= 40:
        return None
    parser.at += 1
    return Call("rem", (left, parser.expression(40)))


def argument_all(parser: Parser) -> Node:
    r"""A modulus: a group, or a number with all its digits (`\pmod 11`)."""
    if parser.token.kind == "num":
        number = parser.take().num
        assert number is not None
        return number
    return argument(parser)


def parenthesised_mod(parser: Parser, left: Node) -> Node:
    """`3 (mod 7)`."""
    parser.at += 2
    modulus = parser.expression(0)
    parser.expect(")")
    return Call("mod", (left, modulus))
