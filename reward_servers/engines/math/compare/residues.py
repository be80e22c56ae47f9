"""Residue classes: congruences, residues with or without their modulus, families such as `7k + 3`."""

from __future__ import annotations

from fractions import Fraction

from reward_servers.engines.math.compare.context import Context
from reward_servers.engines.math.nodes import Call, Head, Node, Num, Rel, Sym, Text, integer, neg, substitute, symbols
from reward_servers.engines.math.policy import Limits
from reward_servers.engines.math.values.exact import exact
from reward_servers.engines.math.values.scalars import Answer


def _residue(node: Node) -> tuple[Node | None, Node, Node | None]:
    """Name, residue and modulus; the modulus is None for a plain number."""
    modulus: Node | None = None
    if isinstance(node, Call) and node.head in (Head.MOD, Head.REM):
        node, modulus = node.args
    if isinstance(node, Rel) and len(node.terms) == 2 and node.ops[0] in ("≡", "="):
        return node.terms[0], node.terms[1], modulus
    return None, node, modulus


def same(context: Context, gold: Node, answer: Node) -> Answer:
    """Residue classes: the same modulus and congruent residues, or one side without its modulus."""
    name, residue, modulus = _residue(gold)
    other_name, other_residue_node, other_modulus = _residue(answer)
    if name is not None and other_name is not None and name != other_name:
        return Answer(False, "residue", "another name")
    if any(n is not None and not isinstance(n, Sym | Text) for n in (name, other_name)) and name != other_name:
        return Answer(False, "residue", "a congruence that is not solved")
    if modulus is None or other_modulus is None:
        own = symbols(other_residue_node if modulus is not None else residue)
        if isinstance(other_name, Sym) and other_name.name in own:
            return Answer(False, "residue", "the name on the left occurs in the value")
        family = _family(other_residue_node if modulus is not None else residue)
        known_modulus, other_residue = (
            (modulus, residue) if modulus is not None else (other_modulus, other_residue_node)
        )
        if family is not None and known_modulus is not None:
            return _congruent(context, known_modulus, other_residue, Num(family[0]), Num(abs(family[1])))
        if (
            modulus is None
            and other_modulus is not None
            and not _proper(other_residue_node, other_modulus, context.limits)
        ):
            return Answer(False, "residue", "the residue is not less than its modulus")
        return context.equal(residue, other_residue_node)
    return _congruent(context, modulus, residue, other_residue_node, other_modulus)


def _proper(residue: Node, modulus: Node, limits: Limits) -> bool:
    value, size = exact(residue, limits.bits), exact(modulus, limits.bits)
    return value is None or size is None or 0 <= value < size


def _family(node: Node) -> tuple[Fraction, Fraction] | None:
    """`7k + 3` as (3, 7): linear in one variable with whole coefficients."""
    names = symbols(node)
    if len(names) != 1:
        return None
    name = Sym(next(iter(names)))
    values = [exact(substitute(node, {name: integer(k)}), 2000) for k in (0, 1, 2, 7)]
    if any(v is None or v.denominator != 1 for v in values):
        return None
    a, b, c, d = (v for v in values if v is not None)
    return (a, b - a) if c - b == b - a and d == a + 7 * (b - a) and b != a else None


def _congruent(context: Context, modulus: Node, residue: Node, other_residue: Node, other_modulus: Node) -> Answer:
    same_modulus = context.equal(modulus, other_modulus)
    if not same_modulus.same:
        return Answer(False, "residue", "another modulus")
    difference = exact(Call(Head.ADD, (residue, neg(other_residue))), context.limits.bits)
    size = exact(modulus, context.limits.bits)
    if difference is None or not size:
        return context.equal(residue, other_residue)
    return Answer((difference / size).denominator == 1, "residue")
