"""Factors written side by side: where one may begin, and flat sums and products."""

from __future__ import annotations

from reward_servers.engines.math.errors import AnswerSyntaxError, LimitExceededError
from reward_servers.engines.math.nodes import Call, Head, Kind, Node, Num, Quantity, Seq
from reward_servers.engines.math.syntax.cursor import MUL, Cursor


def starts_factor(cursor: Cursor, left: Node) -> bool:
    """Whether the token under the cursor may begin a juxtaposed factor of `left`."""
    token = cursor.token
    if cursor.integrals and token.kind == "let" and token.text == "d" and cursor.peek().kind in ("let", "cmd"):
        return False
    if token.kind == "num":
        # In "(x+3)1" the digit strayed there: a factor 1 is not written behind, an amount of one (`1 hour 1 min`) is.
        amount = isinstance(left, Quantity) and cursor.peek().kind == "word"
        stray = token.text == "1" and cursor.peek().text != "/" and not amount
        return cursor.previous.kind != "num" and not isinstance(left, Num) and not stray
    if token.kind == "op" and token.text == "[":
        return not cursor.outward
    return token.kind in ("let", "cmd") or token.kind == "op"


def product(cursor: Cursor, left: Node, power: int) -> Node | None:
    """Juxtaposition as a product, at the strength of a product."""
    if power >= MUL or not starts_factor(cursor, left):
        return None
    return extended(cursor, Head.MUL, left, cursor.expression(MUL))


def braced(cursor: Cursor, left: Node, power: int) -> Node | None:
    r"""`2\{x+1\}`: braces behind a factor group; behind anything else, or with several elements, they are a set."""
    if power >= MUL:
        return None
    right = cursor.expression(MUL)
    left, right = grouped(left), grouped(right)
    if isinstance(left, Seq) or isinstance(right, Seq):
        raise AnswerSyntaxError("a set as a factor", cursor.previous.pos)
    return extended(cursor, Head.MUL, left, right)


def grouped(node: Node) -> Node:
    """The only element of a set written with braces that may group."""
    return node.items[0] if isinstance(node, Seq) and node.kind is Kind.SET and len(node.items) == 1 else node


def extended(cursor: Cursor, head: Head, left: Node, right: Node) -> Node:
    """One flat sum or product, so that a long one is not a deep one."""
    if isinstance(left, Call) and left.head == head:
        if len(left.args) >= cursor.limits.items:
            raise LimitExceededError("items", f"more than {cursor.limits.items} terms")
        return Call(head, (*left.args, right))
    return Call(head, (left, right))
