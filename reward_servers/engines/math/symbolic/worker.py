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


class Gcd(sp.Function):  # type: ignore[misc]
    """The greatest common divisor of integers; sympy's own is that of polynomials, where gcd(m, n) is 1."""

    @classmethod
    def eval(cls, *args: Any) -> Any:
        """The value at integers; None leaves the call as it is."""
        return sp.Integer(sp.igcd(*args)) if all(arg.is_Integer for arg in args) else None


class Lcm(sp.Function):  # type: ignore[misc]
    """The least common multiple of integers."""

    @classmethod
    def eval(cls, *args: Any) -> Any:
        """The value at integers; None leaves the call as it is."""
        return sp.Integer(sp.ilcm(*args)) if all(arg.is_Integer for arg in args) else None


class NoCounterpartError(Exception):
    """An operation that sympy has no counterpart for."""


def rebuild(tree: list[Any]) -> Any:
    """A sympy expression from nested lists.

    Raises:
        NoCounterpartError: It contains an operation of which sympy knows nothing.
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
    if len(tree) != _SIZES.get(head, len(tree)):
        raise NoCounterpartError(f"{head} without its bounds")
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
    if head not in _HEADS:
        raise NoCounterpartError(head)
    return _HEADS[head](*(rebuild(a) for a in tree[1:]))


_SIZES = {"sum": 5, "prod": 5, "lim": 5}
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
    "gcd": Gcd,
    "lcm": Lcm,
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
    if difference.has(Gcd, Lcm):
        return _same_at_integers(difference)
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


def _same_at_integers(difference: Any) -> bool | None:
    """Whether a difference that contains a gcd or an lcm is zero at positive integers with many common factors."""
    names = sorted(difference.free_symbols, key=str)
    constants = sorted({abs(int(c)) for c in difference.atoms(sp.Integer)} - {0, 1})[:8]
    values = [*range(1, 61), *(k * c for c in constants for k in (1, 2, 3))]
    for step in range(len(values) if len(names) == 1 else 2 * len(values)):
        # Each variable runs through the values at its own pace.
        point = {name: values[(step * (2 * k + 1) + k * step // 7) % len(values)] for k, name in enumerate(names)}
        value = difference.subs(point)
        if value.has(Gcd, Lcm) or not value.is_number:
            return None
        if value != 0 and abs(sp.N(value, 30)) > sp.Float("1e-20"):
            return False
    return True


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Answer one question within its CPU time; the timer's signal ends the process that passes it.

    What sympy cannot handle is an answer, since nothing is known then; an error that arises here is a fault of ours.
    """
    signal.setitimer(signal.ITIMER_PROF, question["cpu"])
    try:
        return {"same": same(rebuild(question["left"]), rebuild(question["right"]))}
    except (NoCounterpartError, RecursionError) as exc:
        return {"same": None, "why": type(exc).__name__}
    except (KeyError, NotImplementedError, ValueError, TypeError, AttributeError, ArithmeticError) as exc:
        # sympy raises any of these, from its own frames, for what it cannot handle.
        if _is_ours(exc):
            return {"error": f"{type(exc).__name__}: {exc}"}
        return {"same": None, "why": type(exc).__name__}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _is_ours(error: Exception) -> bool:
    """Whether an error was raised by a line of this file, and not by sympy under it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename == __file__


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
