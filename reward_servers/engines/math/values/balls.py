"""Rigorous enclosures of real and complex expressions (ball arithmetic, Arb through python-flint).

Disjoint enclosures prove that two values differ.  Enclosures that still overlap at a precision well
beyond the sizes involved count as equality; how far beyond, `Spread` measures.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from reward_servers.engines.math.errors import LimitExceededError
from reward_servers.engines.math.nodes import Call, Const, Head, Node, Num, Sym, heads
from reward_servers.engines.math.values.exact import UndefinedValueError, exact

LOCK = threading.RLock()
"""The working precision of Arb belongs to the process: this lock is held while it is set."""


class NoValueError(Exception):
    """The expression has no finite value here, or an operation has no enclosure."""


class UnsupportedOperationError(Exception):
    """An operation this module does not know."""


@dataclass(slots=True)
class Spread:
    """Binary exponents seen on the way: cancellation can hide at most their distance."""

    low: int = 0
    high: int = 0
    literal: int = 0
    fuel: int = 0
    watch: bool = False

    def see(self, value: Any) -> None:
        """Note the size of an intermediate value."""
        mantissa, exponent = value.abs_upper().man_exp()
        if mantissa != 0:
            size = int(exponent) + int(abs(mantissa)).bit_length()
            self.low, self.high = min(self.low, size), max(self.high, size)


@dataclass(slots=True)
class Evaluator:
    """Evaluates one expression at one point; `complex_` chooses the principal branch over the reals."""

    env: dict[str, Fraction]
    complex_: bool
    spread: Spread = field(default_factory=Spread)

    def value(self, node: Node) -> Any:
        """An enclosure of `node`.

        Raises:
            NoValueError: No finite value here.
            UnsupportedOperationError: An unknown operation.
        """
        self.spread.fuel -= 1
        if self.spread.fuel < 0:
            raise LimitExceededError("fuel", "too many steps of interval evaluation")
        result = self._value(node)
        if not result.is_finite():
            raise NoValueError
        if self.spread.watch:
            self.spread.see(result)
        return result

    def _value(self, node: Node) -> Any:
        import flint

        make = flint.acb if self.complex_ else flint.arb
        match node:
            case Num(value):
                self.spread.literal += value.numerator.bit_length() + value.denominator.bit_length()
                return make(flint.fmpq(value.numerator, value.denominator))
            case Sym(name):
                value = self.env[name]
                return make(flint.fmpq(value.numerator, value.denominator))
            case Const("pi"):
                return make(flint.arb.pi())
            case Const("e"):
                return make(flint.arb.const_e())
            case Const("i"):
                if not self.complex_:
                    raise NoValueError
                return flint.acb(0, 1)
            case Call(head, args):
                return self._call(head, args)
            case _:
                raise UnsupportedOperationError

    def _call(self, head: Head, args: tuple[Node, ...]) -> Any:
        special = _SPECIAL.get(head)
        if special is not None:
            return special(self, args)
        binary = _BINARY.get(head)
        if binary is not None and len(args) == 2:
            return binary(self.value(args[0]), self.value(args[1]))
        unary = _UNARY.get(head)
        if unary is not None and len(args) == 1:
            return unary(self.value(args[0]))
        if head in _EXTREMES and not self.complex_:
            values = [self.value(a) for a in args]
            best = values[0]
            for value in values[1:]:
                best = best.max(value) if head is Head.MAX else best.min(value)
            return best
        return self._exact_only(Call(head, args))

    def _sum(self, args: tuple[Node, ...]) -> Any:
        total = self.value(args[0])
        for arg in args[1:]:
            total = total + self.value(arg)
        return total

    def _product(self, args: tuple[Node, ...]) -> Any:
        total = self.value(args[0])
        for arg in args[1:]:
            total = total * self.value(arg)
        return total

    def _exact_only(self, node: Node) -> Any:
        try:
            value = exact(node, 20_000)
        except UndefinedValueError:
            raise NoValueError from None
        if value is None:
            raise UnsupportedOperationError
        return self._value(Num(value))

    def _rational(self, node: Node) -> Fraction | None:
        if isinstance(node, Num):
            return node.value
        try:
            return exact(node, 2_000)
        except (LimitExceededError, UndefinedValueError):
            return None

    def _power(self, args: tuple[Node, ...]) -> Any:
        import flint

        base, exponent = args
        power = self._rational(exponent)
        if power is not None and power.denominator == 1:
            value = self.value(base)
            if power < 0 and value.contains(0):
                raise NoValueError
            return value ** flint.fmpz(power.numerator)
        if power is not None and base != Const("e"):
            return self._fractional(self.value(base), power)
        raised = self.value(exponent)
        if base == Const("e"):
            return raised.exp()
        value = self.value(base)
        if not self.complex_ and not value > 0:
            raise NoValueError
        if value.contains(0):
            raise NoValueError
        return value**raised

    def _fractional(self, value: Any, power: Fraction) -> Any:
        import flint

        exponent = flint.arb(flint.fmpq(power.numerator, power.denominator))
        if self.complex_:
            if value.contains(0):
                raise NoValueError
            return value**exponent
        if value > 0 or (value >= 0 and power > 0):
            return value**exponent if not value.contains(0) else value.root(power.denominator) ** power.numerator
        if value < 0 and power.denominator % 2:
            raised = (-value) ** exponent
            return -raised if power.numerator % 2 else raised
        raise NoValueError

    def _root(self, args: tuple[Node, ...]) -> Any:
        radicand, index = args
        degree = self._rational(index)
        value = self.value(radicand)
        if degree is None:
            if not self.complex_ and not value > 0:
                raise NoValueError
            return value ** (1 / self.value(index))
        if degree == 0:
            raise NoValueError
        if value == 0:
            return value
        return self._fractional(value, 1 / degree)


def _divide(a: Any, b: Any) -> Any:
    if b.contains(0):
        raise NoValueError
    return a / b


def _remainder(a: Any, b: Any) -> Any:
    quotient = _divide(a, b)
    if not hasattr(quotient, "floor"):  # complex numbers have no remainder
        raise UnsupportedOperationError
    return a - b * quotient.floor()


def _binom(n: Any, k: Any) -> Any:
    return (n + 1).gamma() / ((k + 1).gamma() * (n - k + 1).gamma())


def _absolute(value: Any) -> Any:
    import flint

    size = abs(value)
    return flint.acb(size) if isinstance(value, flint.acb) else size


def _real_only(name: str) -> Any:
    def apply(value: Any) -> Any:
        method = getattr(value, name, None)
        if method is None:
            raise UnsupportedOperationError
        return method()

    return apply


def _degrees(value: Any) -> Any:
    import flint

    return value * flint.arb.pi() / 180


_EXTREMES = heads("max min")
_SPECIAL: dict[Head, Callable[[Evaluator, tuple[Node, ...]], Any]] = {
    Head.ADD: Evaluator._sum,
    Head.MUL: Evaluator._product,
    Head.POW: Evaluator._power,
    Head.ROOT: Evaluator._root,
}
_BINARY: dict[Head, Callable[[Any, Any], Any]] = {
    Head.DIV: _divide,
    Head.BINOM: _binom,
    Head.PERM: lambda n, k: (n + 1).gamma() / (n - k + 1).gamma(),
    Head.REM: _remainder,
    Head.LOGB: lambda x, b: x.log() / b.log(),
}
_UNARY: dict[Head, Callable[[Any], Any]] = {
    Head.NEG: lambda x: -x,
    Head.SQRT: lambda x: x.sqrt(),
    Head.PERCENT: lambda x: x / 100,
    Head.DEG: _degrees,
    Head.ABS: _absolute,
    Head.FACT: lambda x: (x + 1).gamma(),
    Head.LN: lambda x: x.log(),
    Head.SEC: lambda x: 1 / x.cos(),
    Head.CSC: lambda x: 1 / x.sin(),
    Head.COT: lambda x: x.cos() / x.sin(),
    Head.ACOT: lambda x: (1 / x).atan(),
    Head.ASEC: lambda x: (1 / x).acos(),
    Head.ACSC: lambda x: (1 / x).asin(),
    Head.SECH: lambda x: 1 / x.cosh(),
    Head.CSCH: lambda x: 1 / x.sinh(),
    Head.COTH: lambda x: 1 / x.tanh(),
    Head.FLOOR: _real_only("floor"),
    Head.CEIL: _real_only("ceil"),
    Head.SIGN: _real_only("sgn"),
    **{name: _real_only(name) for name in heads("sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf")},
}
