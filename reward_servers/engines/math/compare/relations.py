"""Equations, definitions, inequalities and residues."""

from __future__ import annotations

from fractions import Fraction

from reward_servers.engines.math.compare import containers
from reward_servers.engines.math.compare.context import Context
from reward_servers.engines.math.compare.named import evaluated, is_curve, is_formula, named_value, names_something
from reward_servers.engines.math.compare.realsets import is_set_like
from reward_servers.engines.math.nodes import (
    UNEVALUATED,
    Call,
    Head,
    Kind,
    Node,
    Num,
    Rel,
    Seq,
    Sym,
    Text,
    has_head,
    integer,
    neg,
    substitute,
    symbols,
    walk,
)
from reward_servers.engines.math.policy import Limits
from reward_servers.engines.math.values import field
from reward_servers.engines.math.values.exact import exact
from reward_servers.engines.math.values.scalars import Answer, same_scalar, sample, sign_of

_FLIP = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


def same(context: Context, gold: Node, answer: Node) -> Answer:
    """At least one side is a relation or a set of reals."""
    if not context.policy.chains and (false := _false_approximation(context, answer)) is not None:
        return false
    if not context.policy.chains and _is_about(answer) and not _is_about(gold) and _is_whole(gold):
        return Answer(False, "approximation", "an approximation for an exact number")
    gold, answer = _member(_exact_part(gold)), _member(_exact_part(answer))
    if gold == answer:
        return Answer(True, "identical")
    gold, answer = _spread(gold, answer), _spread(answer, gold)
    if _equation(gold) and _equation(answer):
        assert isinstance(gold, Rel)
        assert isinstance(answer, Rel)
        return _equations(context, gold, answer)
    if _equation(answer) and not is_set_like(gold):
        return _value_of(context, gold, answer)
    if _equation(gold) and not is_set_like(answer):
        assert isinstance(gold, Rel)
        value = named_value(gold) or evaluated(gold)
        if value is None or is_curve(gold.terms[0]):
            return Answer(False, "equation", "the gold is an equation, the answer is not")
        return context.equal(value, answer)
    with_names = (_set_named(gold, answer), _set_named(answer, gold))
    if with_names != (gold, answer):
        return context.equal(*with_names)
    if (
        isinstance(gold, Rel)
        and isinstance(answer, Rel)
        and (decision := _inequalities(context, gold, answer)).same is not None
    ):
        return decision
    if is_set_like(gold) or is_set_like(answer):
        return containers.same_sets(context, gold, answer)
    return (
        context.equal(gold, answer)
        if not isinstance(gold, Rel) and not isinstance(answer, Rel)
        else _termwise(context, gold, answer)
    )


def _set_named(node: Node, partner: Node) -> Node:
    """The set of reals that `D = ...` names; a pair is one where the other side is."""
    value = named_value(node) if isinstance(node, Rel) and _equation(node) else None
    pair = (
        isinstance(value, Seq)
        and value.kind in (Kind.TUPLE, Kind.SQUARE)
        and len(value.items) == 2
        and is_set_like(partner)
    )
    return value if value is not None and (pair or is_set_like(value)) else node


def _spread(node: Node, partner: Node) -> Node:
    """`(p, q) = (2, 3)` and `x = ±2` element by element, where the other side names its values one by one."""
    one_by_one = (
        isinstance(partner, Seq)
        and partner.kind in (Kind.LIST, Kind.OR)
        and any(isinstance(i, Rel) for i in partner.items)
    )
    if not (one_by_one and isinstance(node, Rel) and node.ops == ("=",) and isinstance(node.terms[1], Seq)):
        return node
    name, values = node.terms[0], node.terms[1].items
    if isinstance(name, Sym):
        return Seq(Kind.LIST, tuple(Rel(("=",), (name, v)) for v in values))
    if isinstance(name, Seq) and len(name.items) == len(values):
        return Seq(Kind.LIST, tuple(Rel(("=",), pair) for pair in zip(name.items, values, strict=True)))
    return node


def _false_approximation(context: Context, node: Node) -> Answer | None:
    """An approximation that is off by its last place or more; None where nothing is wrong."""
    if not isinstance(node, Rel):
        return None
    for op, left, right in zip(node.ops, node.terms, node.terms[1:], strict=False):
        if op == "~" and isinstance(right, Num) and not symbols(left) and not isinstance(left, Seq | Text):
            place = Num(Fraction(1, 10 ** (right.places or 0)))
            error = Call(Head.ABS, (Call(Head.ADD, (left, neg(right))),))
            if sign_of(Call(Head.ADD, (place, neg(error))), context.limits) in (-1, 0):
                return Answer(False, "false approximation", "off by its last place or more")
    return None


def _is_about(node: Node) -> bool:
    r"""Whether the node is `\approx 42` without anything that it approximates."""
    return isinstance(node, Rel) and node.ops == ("~",) and node.terms[0] == Sym("□")


def _is_whole(node: Node) -> bool:
    return isinstance(node, Num) and not node.places and node.value.denominator == 1


def _equation(node: Node) -> bool:
    return isinstance(node, Rel) and all(op in ("=", "≡") for op in node.ops)


def _member(node: Node) -> Node:
    """`x ∈ {1, 2}` lists the values of x."""
    if (
        isinstance(node, Rel)
        and node.ops == ("in",)
        and isinstance(node.terms[1], Seq)
        and node.terms[1].kind in (Kind.SET, Kind.LIST)
    ):
        return Rel(("=",), node.terms)
    return node


def _exact_part(node: Node) -> Node:
    """Drop what follows `≈`; a name before it is given that value."""
    if not isinstance(node, Rel) or "~" not in node.ops:
        return node
    at = node.ops.index("~")
    if at == 0:
        first = node.terms[0]
        if isinstance(first, Sym | Text) or (symbols(first) and len(node.terms) == 2):
            return Rel(("=",), (first, node.terms[1]))
        return first
    return Rel(node.ops[:at], node.terms[: at + 1])


# Named values -----------------------------------------------------------------------------------


def _value_of(context: Context, gold: Node, answer: Node) -> Answer:
    """An equation as the answer to a gold that is a value."""
    assert isinstance(answer, Rel)
    value = named_value(answer)
    single = isinstance(answer.terms[0], Sym) and isinstance(value, Seq)
    if isinstance(gold, Seq) and isinstance(value, Seq) and single and any(isinstance(i, Rel) for i in gold.items):
        equations = tuple(Rel(("=",), (answer.terms[0], v)) for v in value.items)
        return context.equal(gold, Seq(Kind.LIST, equations))
    if context.policy.chains and value is None and not symbols(answer.terms[-1]) and not symbols(answer.terms[0]):
        value = answer.terms[-1]
    if value is None and (value := evaluated(answer)) is not None:
        return _evaluation(context, gold, answer, value)
    if value is None:
        return Answer(False, "equation", "an equation is not the value of anything named")
    first = answer.terms[0]
    if isinstance(first, Sym) and first.name in symbols(value) | symbols(gold):
        return Answer(False, "equation", "the name on the left occurs in the value")
    if not context.policy.chains:
        for step in answer.terms[1:-1]:
            if not names_something(step) and not is_formula(step, value) and not _step(context, value, step):
                return Answer(False, "false chain", "a step of the chain does not equal its end")
    decision = context.equal(gold, value)
    return decision._replace(rule=f"named value, {decision.rule}")


def _step(context: Context, value: Node, step: Node) -> bool:
    """Whether a step of a chain equals its end; an operator there is no restated question."""
    return (context.scalar if has_head(step, UNEVALUATED) else context.equal)(value, step).same is True


def _evaluation(context: Context, gold: Node, answer: Rel, value: Node) -> Answer:
    """The end of a chain of constants answers, if all of the chain is true."""
    decision = context.equal(gold, value)
    if not decision.same:
        return decision
    for step in answer.terms[:-1]:
        if not _step(context, value, step):
            return Answer(False, "false chain", "a step of the chain does not equal its end")
    return decision._replace(rule=f"evaluation, {decision.rule}")


# Equations --------------------------------------------------------------------------------------


def _equations(context: Context, gold: Rel, answer: Rel) -> Answer:
    value, answer_value = named_value(gold), named_value(answer)
    if value is not None and answer_value is not None:
        verdict = _same_names(context, gold, answer, value, answer_value)
        if verdict is not None:
            return verdict
    if any(isinstance(t, Seq | Text) for t in (*gold.terms, *answer.terms)):
        return _termwise(context, gold, answer)
    if len(answer.terms) > 2 or len(gold.terms) > 2:
        return _termwise(context, gold, answer)
    return _equivalent(context, _difference(gold), _difference(answer))


def _same_names(context: Context, gold: Rel, answer: Rel, value: Node, answer_value: Node) -> Answer | None:
    gold_name, answer_name = _name_of(gold, value), _name_of(answer, answer_value)
    if (
        isinstance(gold_name, Call)
        and isinstance(answer_name, Call)
        and gold_name.head == answer_name.head == Head.APPLY
    ):
        if gold_name.args[0] != answer_name.args[0] or len(gold_name.args) != len(answer_name.args):
            return Answer(False, "name", "another function")
        renaming: dict[Node, Node] = {}
        for arg, their in zip(gold_name.args[1:], answer_name.args[1:], strict=True):
            if isinstance(arg, Sym) and isinstance(their, Sym):
                if arg != their and arg.name in symbols(answer_value):
                    return Answer(False, "argument", "the new name of the argument is taken")
                renaming[their] = arg
            elif not context.equal(arg, their).same:
                return Answer(False, "argument", "another argument")
        return context.equal(value, substitute(answer_value, renaming))
    if _function_of(gold_name, answer_name) or _function_of(answer_name, gold_name):
        return context.equal(value, answer_value)
    if isinstance(gold_name, Sym) and isinstance(answer_name, Sym) and gold_name != answer_name:
        if symbols(value) or symbols(answer_value):
            return None  # y = 2x + 1 against x = (y - 1)/2: one equation, solved twice
        return Answer(False, "name", f"{gold_name.name} is not {answer_name.name}")
    if gold_name == answer_name or isinstance(gold_name, Text) or isinstance(answer_name, Text):
        if isinstance(gold_name, Text) and isinstance(answer_name, Text) and gold_name != answer_name:
            return Answer(False, "name", "another name")
        return context.equal(value, answer_value)
    return None


def _name_of(rel: Rel, value: Node) -> Node:
    return rel.terms[-1] if value is rel.terms[0] else rel.terms[0]


def _function_of(name: Node, function: Node) -> bool:
    """`y = ...` and `f = ...` may stand for `f(x) = ...`."""
    if not (isinstance(function, Call) and function.head == Head.APPLY and isinstance(name, Sym)):
        return False
    return name not in function.args[1:] and (name == Sym("y") or name == function.args[0])


def _difference(rel: Rel) -> Node:
    return Call(Head.ADD, (rel.terms[0], neg(rel.terms[1])))


def _equivalent(context: Context, gold: Node, answer: Node) -> Answer:
    """Equations `gold = 0` and `answer = 0` that differ by a constant factor, denominators cleared."""
    if _mentions(gold) or _mentions(answer):
        return Answer(False, "equation", "not an equation of numbers")
    if symbols(gold) != symbols(answer):
        return Answer(False, "equation", "other variables")
    if not symbols(gold):
        return Answer(False, "equation", "an equation without variables")
    for left, right in ((gold, answer), (_numerator(gold)[0], _numerator(answer)[0])):
        proportion = field.proportional(left, right)
        if proportion:
            return Answer(True, "equation", "equal up to a constant factor")
    if proportion is not None:
        return Answer(False, "equation", "not proportional")
    quotient = constant_ratio(gold, answer, context.limits)
    return Answer(quotient, "equation")


def _mentions(node: Node) -> bool:
    return any(isinstance(n, Rel | Seq | Text) for n in walk(node))


def _numerator(node: Node) -> tuple[Node, Node]:
    """Numerator and denominator of a rational expression, nothing cancelled."""
    unit = integer(1)
    if isinstance(node, Call):
        if node.head == Head.DIV:
            (a, b), (c, d) = _numerator(node.args[0]), _numerator(node.args[1])
            return _times(a, d), _times(b, c)
        if node.head == Head.NEG:
            top, below = _numerator(node.args[0])
            return neg(top), below
        if node.head == Head.MUL:
            top, below = unit, unit
            for arg in node.args:
                a, b = _numerator(arg)
                top, below = _times(top, a), _times(below, b)
            return top, below
        if node.head == Head.ADD:
            top, below = _numerator(node.args[0])
            for arg in node.args[1:]:
                a, b = _numerator(arg)
                top, below = Call(Head.ADD, (_times(top, b), _times(a, below))), _times(below, b)
            return top, below
    return node, unit


def _times(a: Node, b: Node) -> Node:
    if a == integer(1):
        return b
    return a if b == integer(1) else Call(Head.MUL, (a, b))


def _moved(names: list[str]) -> dict[Node, Node]:
    """Each variable shifted by an amount of its own, so that no difference of variables stays the same."""
    return {Sym(n): Call(Head.ADD, (Sym(n), Num(Fraction(1, 3 + 2 * k)))) for k, n in enumerate(names)}


def constant_ratio(gold: Node, answer: Node, limits: Limits) -> bool | None:
    """Whether the quotient is one constant, by comparing it at two renamings of the variables."""
    names = sorted(symbols(gold))
    moved = _moved(names)
    cross = (Call(Head.MUL, (gold, substitute(answer, moved))), Call(Head.MUL, (answer, substitute(gold, moved))))
    return same_scalar(*cross, limits).same


def constant_difference(gold: Node, answer: Node, limits: Limits) -> Answer | None:
    """Whether the difference of two expressions is one constant."""
    names = sorted(symbols(gold) | symbols(answer))
    moved = _moved(names)
    left = Call(Head.ADD, (gold, substitute(answer, moved)))
    right = Call(Head.ADD, (answer, substitute(gold, moved)))
    decision = same_scalar(left, right, limits)
    return Answer(True, "up to a constant", decision.why) if decision.same else None


# Inequalities -------------------------------------------------------------------------------------


def _inequalities(context: Context, gold: Rel, answer: Rel) -> Answer:
    """Inequalities in several variables: proportional by a positive factor, or term by term."""
    if len(symbols(gold) | symbols(answer)) < 2 or not all(op in _FLIP for op in (*gold.ops, *answer.ops)):
        return Answer(None, "inequality")
    if len(gold.ops) > 1 or len(answer.ops) > 1:
        return _termwise(context, gold, answer)
    gold_difference, answer_difference = _difference(gold), _difference(answer)
    if gold.ops[0] != answer.ops[0]:
        if _FLIP[answer.ops[0]] != gold.ops[0]:
            return Answer(False, "inequality", "strict against not strict")
        answer_difference = neg(answer_difference)
    factor = field.proportional(gold_difference, answer_difference)
    if factor is None or not factor:
        return Answer(factor, "inequality")
    positive = _field_sign(gold_difference, answer_difference, context.limits)
    return Answer(positive, "inequality")


def _field_sign(a: Node, b: Node, limits: Limits) -> bool | None:
    """Whether two proportional expressions have the same sign, at one rational point."""
    for round_ in range(4):
        env: dict[Node, Node] = {Sym(n): Num(sample(n, round_)) for n in symbols(a) | symbols(b)}
        x, y = exact(substitute(a, env), limits.bits), exact(substitute(b, env), limits.bits)
        if x is None or y is None:
            return None
        if x and y:
            return (x > 0) == (y > 0)
    return None


def _termwise(context: Context, gold: Node, answer: Node) -> Answer:
    if not (isinstance(gold, Rel) and isinstance(answer, Rel)) or len(gold.terms) != len(answer.terms):
        return Answer(False, "relation", "not the same relation")
    if gold.ops == answer.ops:
        return containers.all_same(context, gold.terms, answer.terms, "relation")
    flipped = tuple(_FLIP.get(op, op) for op in reversed(answer.ops))
    if flipped == gold.ops:
        return containers.all_same(context, gold.terms, answer.terms[::-1], "relation")
    return Answer(False, "relation", "another relation")
