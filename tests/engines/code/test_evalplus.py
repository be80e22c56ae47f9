"""Rows of EvalPlus as its releases ship them."""

# ruff: noqa: E501 (rows in one line)

from __future__ import annotations

from typing import Any

import pytest

from reward_servers.engines.code import BadReferenceError, Verdict, parse_reference
from tests.engines.code.conftest import Judge


def row(
    task: str, entry: str, solution: str, base: Any, plus: Any, atol: float = 0, prompt: str = ""
) -> dict[str, Any]:
    return {
        "task_id": task,
        "prompt": prompt,
        "entry_point": entry,
        "canonical_solution": solution,
        "contract": "\n    assert True # $_CONTRACT_$\n",
        "base_input": base,
        "atol": atol,
        "plus_input": plus,
    }


PROMPT = 'from typing import List\n\ndef below(numbers: List[int], t: int) -> bool:\n    """Whether all numbers are below t."""\n'
BELOW = row(
    "HumanEval/52",
    "below",
    "\n    return all(x < t for x in numbers)\n\n",
    [[[1, 2], 3], [[4], 3]],
    [[[], 0], [[-1] * 50, 0]] * 80,
    prompt=PROMPT,
)
MEAN = row(
    "HumanEval/4",
    "compare",
    "def compare(xs):\n    return sum(xs) / len(xs)\n",
    [[[1.0, 2.0]], [[0.1, 0.2, 0.4]]],
    [[[1e9, 1.0]]],
)
PAIRS = row(
    "Mbpp/2",
    "similar_elements",
    "def similar_elements(a, b):\n    return tuple(set(a) & set(b))\n",
    [[[3, 4, 5], [5, 4, 7]]],
    [[[1, 2], [2, 1, 1]]],
)
RECURSIVE = row(
    "HumanEval/0",
    "fib",
    "def helper(n):\n    return n\ndef fib(n):\n    fibs = [fib]\n    return helper(n) if n < 2 else fibs[0](n - 1) + fib(n - 2)\n",
    [[5]],
    [[10], [0]],
)

GOOD = {
    "humaneval": (BELOW, "def below(numbers, t):\n    return not [x for x in numbers if x >= t]"),
    "floats": (MEAN, "import math\ndef compare(xs):\n    return math.fsum(xs) / len(xs)"),
    "sets": (PAIRS, "def similar_elements(a, b):\n    assert type(a) is tuple\n    return sorted(x for x in set(a) if x in b)"),
    "recursion": (RECURSIVE, "def fib(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a"),
    "no plus": ({**BELOW, "plus_input": {}}, "def below(numbers, t):\n    return max(numbers, default=t - 1) < t"),
    "tuples in lists": (
        row("Mbpp/63", "biggest", "def biggest(pairs):\n    return max(abs(a - b) for a, b in pairs)\n", [[[[3, 5], [1, 7]]]], []),
        "def biggest(pairs):\n    return max(abs(a - b) for a, b in {p: 1 for p in pairs})",
    ),
    "complex": (row("Mbpp/252", "polar", "import cmath\ndef polar(n):\n    return cmath.polar(n)\n", [["1"], ["1j"]], []), "import cmath\ndef polar(n):\n    return (abs(n), cmath.phase(n))"),
    "sets as arguments": (row("Mbpp/115", "empty", "def empty(xs):\n    return all(not d for d in xs)\n", [[[[], []]], [[[1], []]]], []), "def empty(xs):\n    return not any(len(d) and d & {1} for d in xs)"),
    "deep tuples": (row("Mbpp/580", "even", "def even(t):\n    return tuple(x for x in t if isinstance(x, tuple) or x % 2 == 0)\n", [[[1, 2, [3, [4]]]]], []), "def even(t):\n    return tuple(x for x in list(t) if hash(t) and (isinstance(x, tuple) or x % 2 == 0))"),
    "a match": (row("Mbpp/285", "text_match_three", "import re\ndef text_match_three(t):\n    return re.search('ab{3}', t)\n", [["abbb"], ["ac"]], [["xabbbb"]]), "import re\ndef text_match_three(t):\n    return re.compile('abbb').search(t)"),
    "a match said": (row("Mbpp/285", "text_match_three", "import re\ndef text_match_three(t):\n    return re.search('ab{3}', t)\n", [["abbb"], ["ac"]], []), "def text_match_three(t):\n    return 'abbb' in t"),
    "a root": (row("HumanEval/32", "find_zero", "def find_zero(xs):\n    return -xs[0] / xs[1]\n", [[[1, 2]], [[-6, 11]]], [], atol=0.0001), "def find_zero(xs):\n    return -xs[0] / xs[1] + 1e-6"),
    "any surface": (row("Mbpp/581", "surface_Area", "def surface_Area(b, s):\n    return 2 * b * s + b * b\n", [[3, 4], [4, 5]], []), "def surface_Area(b, h):\n    return round(b * b + 2 * b * ((b / 2) ** 2 + h * h) ** 0.5)"),
    "infinity": (row("HumanEval/1", "big", "def big(x):\n    return x * 2\n", [[float("inf")], [-float("inf")]], []), "def big(x):\n    return x + x"),
    "arrays": (row("HumanEval/1", "twice", "import numpy as np\ndef twice(x):\n    return np.array(x) * 2.0\n", [[[1, 2]]], []), "import numpy as np\ndef twice(x):\n    return np.asarray(x, float) + np.asarray(x) + 1e-9"),
}  # fmt: skip
WRONG = {
    "one input of many": (BELOW, "def below(numbers, t):\n    return len(numbers) < 40 and not [x for x in numbers if x >= t]\ndef assay_solution(*a): return True", None),
    "always so": (BELOW, "def below(numbers, t):\n    return True", None),
    "changes its argument": (BELOW, "def below(numbers, t):\n    numbers.clear()\n    return all(x < t for x in numbers)", None),
    "near": (MEAN, "def compare(xs):\n    return sum(xs) / len(xs) + 0.01", 0.5),
    "another type": (MEAN, "def compare(xs):\n    return str(sum(xs) / len(xs))", 0.0),
    "another set": (PAIRS, "def similar_elements(a, b):\n    return a", 0.5),
    "no match": (GOOD["a match"][0], "def text_match_three(t):\n    return None", None),
    "everything equal": (MEAN, "class E:\n    def __eq__(s, o): return True\n    def __sub__(s, o): return 0\n    def __abs__(s): return 0\n    def all(s): return True\ndef compare(xs):\n    return E()", 0.0),
    "a match that equals all": (GOOD["a match"][0], "class E:\n    def __eq__(s, o): return True\ndef text_match_three(t):\n    return E()", None),
    "no function": (MEAN, "x = 1", 0.0),
    "an exception": (MEAN, "def compare(xs):\n    raise ValueError", 0.0),
    "a far root": (GOOD["a root"][0], "def find_zero(xs):\n    return -xs[0] / xs[1] + 1e-2", 0.0),
    "reads the solution": (MEAN, "import sys\ndef compare(xs):\n    for name, module in list(sys.modules.items()):\n        if hasattr(module, 'assay_solution'): return module.assay_solution(xs)\n    return 0.0", 0.0),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_right_programs(judged: Judge, name: str) -> None:
    given, source = GOOD[name]
    judgement = judged(source, given)
    assert judgement.score == 1.0, judgement.evidence()


@pytest.mark.parametrize("name", WRONG)
def test_wrong_programs(judged: Judge, name: str) -> None:
    given, source, score = WRONG[name]
    judgement = judged(source, given)
    assert judgement.verdict is not Verdict.ACCEPTED
    assert judgement.score < 1.0 if score is None else judgement.score == score, judgement.evidence()


def test_a_hundred_inputs_are_a_test(judged: Judge) -> None:
    names = [result.name for result in judged(GOOD["humaneval"][1], BELOW).results]
    assert names == ["test_base_input_1_to_2", "test_plus_input_1_to_100", "test_plus_input_101_to_160"]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"entry_point": None}, "entry_point"),
        ({"entry_point": "a b"}, "entry_point"),
        ({"canonical_solution": None}, "canonical_solution"),
        ({"canonical_solution": "def other(): pass"}, "canonical_solution"),
        ({"canonical_solution": "    return ("}, "canonical_solution"),
        ({"plus_input": "[]"}, "plus_input"),
        ({"base_input": [1, 2]}, "base_input"),
        ({"base_input": [], "plus_input": []}, "plus_input"),
        ({"atol": "0"}, "atol"),
        ({"atol": -1}, "atol"),
    ],
)
def test_a_malformed_row_names_its_column(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(BadReferenceError) as error:
        parse_reference({**MEAN, **changed})
    assert error.value.field == field
    assert error.value.remedy


@pytest.mark.parametrize("source", ["def compare(xs):\n    return 1.0", "def compare(xs):\n    raise ValueError"])
def test_a_solution_that_breaks_is_the_data_sets_fault(judged: Judge, source: str) -> None:
    with pytest.raises(BadReferenceError) as error:
        judged(source, {**MEAN, "base_input": [[[]]]})
    assert error.value.field == "tests.code"
