"""A symbolic worker: reads questions as JSON lines, answers with sympy, ends when its input ends.

Runs as a script of its own.  Expressions arrive as nested lists and are rebuilt from a fixed table of
constructors; no text of an answer is ever parsed or evaluated here.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

import sympy as sp


def rebuild(tree: list[Any]) -> Any:
    """A sympy expression from nested lists.

    Raises:
        KeyError: An operation that sympy has no counterpart for.
    """
    head = tree[0]
    if head == "num":
        return sp.Rational(int(tree[1], 16), int(tree[2], 16))
    if head == "sym":
        return sp.Symbol(tree[1], real=True)
    if head == "const":
        return _CONSTANTS[tree[1]]
    if head == "apply":
        return sp.Function(tree[1][1])(*(rebuild(a) for a in tree[2:]))
    if head in ("sum", "prod"):
        body, variable, low, high = (rebuild(a) for a in tree[1:])
        index = sp.Symbol(str(variable), integer=True)
        maker = sp.Sum if head == "sum" else sp.Product
        return maker(body.subs(variable, index), (index, low, high))
    if head == "int":
        parts = [rebuild(a) for a in tree[1:]]
        return sp.Integral(parts[0], parts[1] if len(parts) == 2 else tuple(parts[1:]))
    if head == "lim":
        body, variable, point = (rebuild(a) for a in tree[1:4])
        return sp.Limit(body, variable, point, dir=tree[4][1].removeprefix("side") or "+-")
    if head == "diff":
        return sp.Derivative(*(rebuild(a) for a in tree[1:]))
    return _HEADS[head](*(rebuild(a) for a in tree[1:]))


_CONSTANTS: dict[str, Any] = {"pi": sp.pi, "e": sp.E, "i": sp.I, "oo": sp.oo}
_HEADS: dict[str, Callable[..., Any]] = {
    "add": sp.Add,
    "mul": sp.Mul,
    "pow": sp.Pow,
    "neg": lambda x: -x,
    "div": lambda a, b: a / b,
    "sqrt": sp.sqrt,
    "root": lambda x, n: sp.real_root(x, n),
    "abs": sp.Abs,
    "ln": sp.log,
    "log": sp.log,
    "logb": sp.log,
    "percent": lambda x: x / 100,
    "deg": lambda x: x * sp.pi / 180,
    "fact": sp.factorial,
    "fact2": sp.factorial2,
    "binom": sp.binomial,
    "perm": sp.ff,
    "floor": sp.floor,
    "ceil": sp.ceiling,
    "gcd": sp.gcd,
    "lcm": sp.lcm,
    "rem": sp.Mod,
    "max": sp.Max,
    "min": sp.Min,
    "sign": sp.sign,
    "erf": sp.erf,
    **{
        name: getattr(sp, name)
        for name in (
            "sin",
            "cos",
            "tan",
            "cot",
            "sec",
            "csc",
            "asin",
            "acos",
            "atan",
            "acot",
            "asec",
            "acsc",
            "sinh",
            "cosh",
            "tanh",
            "coth",
            "sech",
            "csch",
            "asinh",
            "acosh",
            "atanh",
        )
    },
}


def same(left: Any, right: Any) -> bool | None:
    """Whether the difference is zero: evaluated, simplified, then sampled."""
    difference = (left - right).doit()
    if difference == 0:
        return True
    simple = sp.simplify(difference)
    if simple == 0:
        return True
    if simple.has(sp.Integral, sp.Sum, sp.Product, sp.Limit, sp.Derivative, sp.zoo, sp.nan):
        return None
    if not simple.free_symbols:
        verdict = simple.equals(0)
        return None if verdict is None else bool(verdict)
    values = {s: sp.Rational(7 * k + 11, 13) for k, s in enumerate(sorted(simple.free_symbols, key=str))}
    sampled = simple.subs(values)
    if sampled.is_number and abs(sp.N(sampled, 30)) > sp.Float("1e-15"):
        return False
    return None


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Answer one question within its CPU time; the timer's signal ends the process that passes it."""
    signal.setitimer(signal.ITIMER_PROF, question["cpu"])
    try:
        return {"same": same(rebuild(question["left"]), rebuild(question["right"]))}
    except (
        KeyError,
        NotImplementedError,
        ValueError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as exc:
        # sympy raises any of these for what it cannot handle: nothing is known, which is an answer.
        return {"same": None, "why": type(exc).__name__}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def main() -> None:
    """Serve questions until the input ends."""
    with open("/proc/self/statm") as statm:
        in_use = int(statm.read().split()[0]) * resource.getpagesize()
    memory = in_use + (int(sys.argv[1]) << 20)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # no library may write between the replies
    for line in sys.stdin.buffer:
        try:
            reply = answer(json.loads(line))
        except MemoryError:
            reply = {"error": "memory"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
        if "error" in reply:
            return


if __name__ == "__main__":
    main()
