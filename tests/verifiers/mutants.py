"""Changed copies of a verifier's own file, and whether its labelled cases notice them."""

from __future__ import annotations

import ast
import copy
import random
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from reward_servers.core import Verifier
from reward_servers.engines.mutation import change
from tests.verifiers.cases import Subject, differing


@dataclass(frozen=True)
class Mutant:
    """One change.

    Attributes:
        place: Line and what was changed there.
        tree: The changed module.
    """

    place: str
    tree: ast.Module


def mutants_of(verifier: Verifier, count: int, seed: int = 0, apart: Collection[str] = ()) -> list[Mutant]:
    """Up to ``count`` changed copies of the file that holds a verifier, drawn from all single changes.

    Args:
        verifier: The verifier.
        count: How many at most.
        seed: Which of them are drawn.
        apart: Functions that are left as they are.
    """
    found = find_spec(verifier.target.__module__)
    assert found is not None
    assert found.origin is not None
    tree = ast.parse(Path(found.origin).read_text("utf-8"))
    places = [number for number, node in enumerate(_bodies(tree, apart)) if change(copy.deepcopy(node)) is not None]
    chosen = random.Random(seed).sample(places, min(count, len(places)))
    made = []
    for number in sorted(chosen):
        changed = copy.deepcopy(tree)
        node = list(_bodies(changed, apart))[number]
        before = ast.unparse(node)
        what = change(node)
        assert what is not None
        made.append(Mutant(f"line {getattr(node, 'lineno', 0)}: {before} ({what})", ast.fix_missing_locations(changed)))
    return made


def noticing(mutant: Mutant, verifier: Verifier, subjects: Sequence[Subject]) -> int | None:
    """Place of the first case that notices the changed verifier; None where it survives."""
    name = verifier.target.__module__
    module = ModuleType(name)
    original = sys.modules[name]
    sys.modules[name] = module
    try:
        exec(compile(mutant.tree, name, "exec"), module.__dict__)
        changed = next(one for one in vars(module).values() if isinstance(one, Verifier) and one.name == verifier.name)
        return differing(changed, subjects)
    except Exception:  # noqa: BLE001 - a change that breaks the file is noticed
        return 0
    finally:
        sys.modules[name] = original


def _bodies(tree: ast.Module, apart: Collection[str]) -> Iterator[ast.AST]:
    """The nodes inside functions: declarations and their defaults stay as they are."""
    for top in ast.walk(tree):
        if isinstance(top, ast.FunctionDef | ast.AsyncFunctionDef) and top.name not in apart:
            for statement in top.body:
                yield from (node for node in ast.walk(statement) if not isinstance(node, ast.FunctionDef))
