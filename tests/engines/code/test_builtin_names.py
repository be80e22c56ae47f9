"""Names of built-ins as names under test: the program's own are tested, and decide nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reward_servers.engines.code import Verdict
from tests.engines.code.conftest import Judge, asserts, unittests


@pytest.mark.parametrize(
    ("tests", "right", "wrong"),
    [
        (["assert sum(10, 15) == 6"], "def sum(a, b): return 6", "def sum(a, b): return 7"),
        (["assert abs(-3) == 3"], "def abs(x): return max(x, -x)", "def abs(x): return x"),
        (["assert abs(pow(2, 3) - 8) < 1e-6"], "def pow(a, b): return a ** b", "def pow(a, b): return 1"),
        (["assert isinstance(max(1, 2), int)"], "max = lambda a, b: b", "max = lambda a, b: 'b'"),
        (
            ["def check(c):\n    assert c([2, 1]) == [1, 2]\ncheck(sorted)"],
            "def sorted(x): return x[::-1]",
            "sorted = id",
        ),
        (["assert list(range(3)) == [1, 2, 3]"], "def range(n): return [1, 2, 3]", "def range(n): return [1]"),
        (["assert zip([1], [2]) == [[1, 2]]"], "def zip(a, b): return [[1, 2]]", "import os\ndef z(a, b): return 1"),
    ],
)
def test_a_builtin_name_is_the_programs(judged: Judge, tests: list[str], right: str, wrong: str) -> None:
    reference = asserts("\n".join(tests))
    assert judged(right, reference).score == 1.0
    assert judged(wrong, reference).score == 0.0
    assert judged("def other(): pass", reference).verdict is Verdict.RUNTIME_ERROR


def test_builtin_names_in_unittest_style(judged: Judge) -> None:
    code = "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n"
    code += "        self.assertEqual(sorted([2, 1]), [1, 2])\n"
    assert judged("def sorted(x): return x[::-1]", unittests(code)).score == 1.0
    assert judged("def sorted(x): return 1", unittests(code)).verdict is Verdict.WRONG_ANSWER


def test_a_wrong_builtin_beside_other_tests_is_judged(verdicts: Callable[..., list[str]], judged: Judge) -> None:
    reference = asserts("assert f(1) == 2\nassert max(1, 2) == 2\nassert max(f(1), 2) == 2")
    f = "def f(x): return x + 1\n"
    assert verdicts(f + "def max(a, b): return a", reference) == ["accepted", "wrong_answer", "accepted"]
    assert verdicts(f + "def max(a, b): return b", reference) == ["accepted"] * 3
    plain = judged(f, reference)
    assert (plain.total, plain.score, plain.notes["says_nothing"]) == (2, 1.0, ["line 2"])


def test_a_program_does_not_decide_by_a_builtin_of_its_own(judged: Judge) -> None:
    cheat = "def abs(x): return 0\ndef len(x): return 3\ndef all(x): return True\nset = sorted = lambda x: 5\n"
    for code in ("assert abs(f(1) - 2) < 1e-6", "assert len(f(1)) == 3", "assert all(x for x in f(1))"):
        assert judged(cheat + "def f(x): return [0]", asserts(code)).score == 0.0
    assert judged(cheat + "def pow(a, b): return 1", asserts("assert abs(pow(2, 3) - 8) < 1e-6")).score == 0.0
    assert judged(cheat, asserts("assert abs(pow(2, 3) - 8) < 1e-6")).verdict is Verdict.RUNTIME_ERROR


def test_a_builtin_that_the_prompt_asks_for(judged: Judge) -> None:
    prompt = 'def max(a, b):\n    """The larger one."""\n'
    reference = asserts("assert max(1, 2) == 2\nassert sorted([max(1, 2), max(3, 2)]) == [2, 3]")
    assert judged("def max(a, b): return a", reference, prompt=prompt).score == 0.0
    assert judged("def max(a, b): return a if a > b else b", reference, prompt=prompt).score == 1.0
