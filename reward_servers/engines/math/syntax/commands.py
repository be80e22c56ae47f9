"""Letters, LaTeX commands and roots."""

from __future__ import annotations

from fractions import Fraction

from reward_servers.engines.math.errors import AnswerSyntaxError
from reward_servers.engines.math.nodes import EMPTY, INFINITY, Call, Const, Head, Kind, Node, Num, Seq, Sym
from reward_servers.engines.math.syntax import functions, operators
from reward_servers.engines.math.syntax.brackets import bracketed
from reward_servers.engines.math.syntax.cursor import ANY, Cursor
from reward_servers.engines.math.syntax.scripts import argument, name_of, raw_script
from reward_servers.engines.math.vocabulary.tables import ACCENTS, FUNCTIONS, GREEK, SETS

_FUNCTION_LETTERS = frozenset("fghFGH")
_CONSTANTS: dict[str, Node] = {
    "infty": INFINITY,
    "infinity": INFINITY,
    "infin": INFINITY,
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


def letter(cursor: Cursor) -> Node:
    """A letter: a variable, a constant, or a function that is applied."""
    if (run := _spelled(cursor)) is not None:
        return run
    token = cursor.take()
    letter = token.text
    if cursor.at == 1 and (defined := _definition(cursor, letter)) is not None:
        return defined
    if letter in ("C", "P") and cursor.is_op("(") and (counted := _counting(cursor, letter)) is not None:
        return counted
    if letter in ("C", "A", "P") and (counted := _arranged(cursor, letter)) is not None:
        return counted
    name = name_of(cursor, letter)
    if name == "e":
        return Const("e")
    if name == "i":
        return Const("i")
    if cursor.is_op("{") and cursor.peek().text == "(" and letter in _FUNCTION_LETTERS:
        cursor.advance()
        node = applied(cursor, name)
        cursor.expect("}")
        return node
    if name.rstrip("'").partition("_")[0] in _FUNCTION_LETTERS and (cursor.is_op("(") or _powered_call(cursor)):
        return applied(cursor, name)
    return Sym(name)


_BEFORE_RUN = frozenset({",", ";", "\\{", "(", "[", "and", "or", "∧", "∨"})
_AFTER_RUN = frozenset({"", ",", ";", "\\}", ")", "]", "and", "or", "∧", "∨"})


def _spelled(cursor: Cursor) -> Node | None:
    """Capitals written together that are all of an answer or of an element: `HTH`, `XIV`, `ABCD`."""
    first = cursor.token
    length = 1
    while (after := cursor.peek(length)).kind == "let" and after.text.isupper() and after.pos == first.pos + length:
        length += 1
    if length < 2 or not first.text.isupper() or after.text.lower() not in _AFTER_RUN:
        return None
    if cursor.at > 0 and cursor.previous.text.lower() not in _BEFORE_RUN:
        return None
    enclosed = cursor.at > 0 and cursor.previous.text in ("(", "[") and after.text in (")", "]")
    if enclosed and not (cursor.at == 1 and cursor.peek(length + 1).kind == "end"):
        return None  # the brackets group a factor
    letters = tuple(Sym(cursor.take().text) for _ in range(length))
    return Call(Head.SPELLED, letters)


def _powered_call(cursor: Cursor) -> bool:
    texts = [cursor.peek(k).text for k in range(5)]
    return texts[:3] == ["^", "{", "-"] and texts[4] == "}" and cursor.peek(5).text == "("


def applied(cursor: Cursor, name: str) -> Node:
    """`f(x, y)` as an application of an unknown function."""
    if cursor.is_op("^"):
        cursor.advance()
        name += "^" + raw_script(cursor)
    group = bracketed(cursor)
    args = group.items if isinstance(group, Seq) and group.kind == Kind.TUPLE else (group,)
    return Call(Head.APPLY, (Sym(name), *args))


def _definition(cursor: Cursor, name: str) -> Node | None:
    """`P(x) = ...` at the start of an answer defines P, whatever its letter."""
    ahead = 0
    if not (cursor.is_op("(") or cursor.is_op("_")):
        return None
    while cursor.peek(ahead).kind != "end" and cursor.peek(ahead).text != ")":
        if cursor.peek(ahead).kind not in ("let", "num", "cmd", "op") or ahead > 12:
            return None
        ahead += 1
    following = cursor.peek(ahead + 1)
    if not (following.kind == "rel" and following.text == "="):
        return None
    full = name_of(cursor, name)
    return applied(cursor, full) if cursor.is_op("(") else Sym(full)


def _counting(cursor: Cursor, letter: str) -> Node | None:
    """`C(5,2)` and `P(5,2)` with whole numbers."""
    tokens = [cursor.peek(k) for k in range(5)]
    if [t.text for t in tokens[0::2]] == ["(", ",", ")"] and tokens[1].kind == tokens[3].kind == "num":
        top, below = tokens[1].num, tokens[3].num
        assert top is not None
        assert below is not None
        if below.value > top.value:
            return None  # no number of choices: a point called C or P
        cursor.advance(5)
        return Call(Head.BINOM if letter == "C" else Head.PERM, (top, below))
    return None


def _arranged(cursor: Cursor, letter: str) -> Node | None:
    """`C_5^2` and `A_5^2`: what is counted below, how many are chosen above, both whole numbers."""
    start, numbers = cursor.at, []
    for mark in ("_", "^"):
        if not cursor.is_op(mark):
            break
        cursor.advance()
        numbers.append(raw_script(cursor))
    if len(numbers) == 2 and all(n.isdigit() and len(n) < 6 for n in numbers) and int(numbers[1]) <= int(numbers[0]):
        below, above = (Num(Fraction(int(n)), 0) for n in numbers)
        return Call(Head.BINOM if letter == "C" else Head.PERM, (below, above))
    cursor.at = start
    return None


def command(cursor: Cursor) -> Node:
    """A backslash command or a plain function name."""
    token = cursor.take()
    name = token.text
    if name in _CONSTANTS:
        return _CONSTANTS[name]
    if name in ("frac", "dfrac", "tfrac", "cfrac", "nicefrac", "sfrac"):
        return operators.fraction(cursor)
    if name in ("binom", "dbinom", "tbinom") and not cursor.is_op("("):
        return Call(Head.BINOM, (argument(cursor), argument(cursor)))
    if name in ("sqrt", "cbrt"):
        return _root(cursor, name)
    if name in operators.OPERATORS:
        return operators.operator(cursor, name)
    if name in ("mathbb", "Bbb", "mathds"):
        inner = raw_script(cursor)
        return _number_set(cursor, inner, token.pos)
    if name in SETS:
        return _number_set(cursor, name, token.pos)
    if name in _SHAPES:
        letters = _letters(cursor)
        if name == "angle" and len(letters) == 3:  # the vertex stands between two points of no order
            letters = min(letters, letters[::-1])
        return Sym(name + " " + letters)
    if name in ACCENTS:
        return _accent(cursor, name)
    if name.startswith("vec_"):
        return Sym(name_of(cursor, name))
    if name in FUNCTIONS:
        return functions.function(cursor, name)
    if name in GREEK or name in ("variable",):
        if name == "variable":
            return Sym(name_of(cursor, raw_script(cursor)))
        return Sym(name_of(cursor, {"varepsilon": "epsilon", "varphi": "phi", "vartheta": "theta"}.get(name, name)))
    raise AnswerSyntaxError(f"unknown command \\{name}", token.pos)


def _number_set(cursor: Cursor, name: str, pos: int) -> Node:
    if name not in SETS:
        raise AnswerSyntaxError(f"unknown set {name}", pos)
    suffix = ""
    while cursor.is_op("^", "_"):
        mark = cursor.take().text
        suffix += mark + raw_script(cursor)
    return Const(name + suffix)


def _letters(cursor: Cursor) -> str:
    letters = ""
    while cursor.token.kind in ("let", "word"):
        letters = name_of(cursor, letters + cursor.take().text)
    return letters


def _accent(cursor: Cursor, name: str) -> Node:
    inner = cursor.take().text if cursor.token.kind in ("let", "cmd") else raw_script(cursor)
    if inner in ("i", "j", "k", "imath", "jmath") and name in ("vec", "hat", "widehat", "overrightarrow"):
        return Sym(name_of(cursor, "vec_" + inner[0]))
    mark = {"overline": "bar", "widehat": "hat", "widetilde": "tilde", "overrightarrow": "vec"}.get(name, name)
    if mark == "vec" and len(inner) == 1:
        return Sym(name_of(cursor, inner))
    return Sym(name_of(cursor, f"{mark}({inner})"))


def _root(cursor: Cursor, name: str) -> Node:
    index: Node | None = Num(Fraction(3)) if name == "cbrt" else None
    if cursor.is_op("["):
        cursor.advance()
        index = cursor.expression(ANY)
        cursor.expect("]")
    if cursor.token.kind == "num":
        radicand: Node = cursor.take().num or Num(Fraction(0))
    elif cursor.token.kind == "end":
        raise AnswerSyntaxError("a root without its argument", cursor.token.pos)
    else:
        radicand = argument(cursor)
    if isinstance(radicand, Seq):
        raise AnswerSyntaxError("a root of a list", cursor.token.pos)
    return (
        Call(Head.SQRT, (radicand,))
        if index in (None, Num(Fraction(2)))
        else Call(Head.ROOT, (radicand, index or radicand))
    )
