"""Faults in the syntax tree of a Python program."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from reward_servers.engines.text import parse_python

_OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_BOUND: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
}
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
VARIANTS = 2
"""Ways to change a node, at most."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A program with one fault.

    Attributes:
        source: The whole program.
        change: Line and what was changed there.
    """

    source: str
    change: str


def mutants_of(source: str, count: int, seed: int = 0) -> list[Mutant]:
    """Up to ``count`` copies with one fault each, drawn from all single faults in the bodies of functions.

    A program without functions is changed at its top level. Copies that read the same are given once. A copy may
    behave as the original does: no program can tell all of those.

    Args:
        source: A Python program.
        count: How many are wanted.
        seed: Of the draw.

    Raises:
        SyntaxError: The program cannot be parsed.
    """
    tree = parse_python(source)
    original = ast.unparse(tree)
    places = [
        (number, variant)
        for number, node in enumerate(_nodes(tree))
        for variant in range(VARIANTS)
        if change(copy.deepcopy(node), variant) is not None
    ]
    mutants: dict[str, Mutant] = {}
    for place in np.random.default_rng(seed).permutation(len(places)).tolist():
        number, variant = places[place]
        if len(mutants) >= count:
            break
        copied = copy.deepcopy(tree)
        node = list(_nodes(copied))[number]
        remark = change(node, variant)
        text = ast.unparse(ast.fix_missing_locations(copied))
        if text != original:
            mutants.setdefault(text, Mutant(text, f"line {getattr(node, 'lineno', 0)}: {remark}"))
    return list(mutants.values())


def change(node: ast.AST, variant: int = 0) -> str | None:
    """Put a fault into a node, in place.

    Args:
        node: A node of a syntax tree.
        variant: Which of the faults that the node can have.

    Returns:
        What was changed; None where the node has no such fault, and then nothing is changed.
    """
    changes = _CHANGES.get(type(node))
    return changes[variant](node) if changes is not None and variant < len(changes) else None


def _opposite(node: ast.Compare) -> str:
    node.ops[0] = _OPPOSITE[type(node.ops[0])]()
    return "opposite comparison"


def _moved_bound(node: ast.Compare) -> str | None:
    if type(node.ops[0]) not in _BOUND:
        return None
    node.ops[0] = _BOUND[type(node.ops[0])]()
    return "moved bound"


def _connective(node: ast.BoolOp) -> str:
    node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    return "and for or"


def _operator(node: ast.BinOp) -> str | None:
    if type(node.op) not in _OPERATORS:
        return None
    node.op = _OPERATORS[type(node.op)]()
    return "other operator"


def _turned(node: ast.If | ast.IfExp) -> str:
    node.test = ast.UnaryOp(ast.Not(), node.test)
    return "opposite condition"


def _other_name(node: ast.Name) -> str | None:
    if node.id not in _NAMES:
        return None
    node.id = _NAMES[node.id]
    return f"{node.id} instead"


def _constant(node: ast.Constant) -> str | None:
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        return None
    node.value += 1
    return "one more"


def _nothing(node: ast.Return) -> str | None:
    if node.value is None or (isinstance(node.value, ast.Constant) and node.value.value is None):
        return None
    node.value = ast.Constant(None)
    return "nothing returned"


_CHANGES: dict[type[ast.AST], tuple[Callable[..., str | None], ...]] = {
    ast.Compare: (_opposite, _moved_bound),
    ast.BoolOp: (_connective,),
    ast.BinOp: (_operator,),
    ast.If: (_turned,),
    ast.IfExp: (_turned,),
    ast.Name: (_other_name,),
    ast.Constant: (_constant,),
    ast.Return: (_nothing,),
}


def _nodes(tree: ast.Module) -> Iterator[ast.AST]:
    """The nodes inside functions, defaults and declarations left out; all, where there is no function."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    bodies = [statement for function in functions for statement in function.body] or tree.body
    seen_ids: set[int] = set()
    for statement in bodies:
        for node in ast.walk(statement):
            if id(node) not in seen_ids and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                seen_ids.add(id(node))
                yield node
