"""Assertions turned into calls and expectations, without running any code."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_servers.engines.code import BadReferenceError, CodeTests, parse_reference
from reward_servers.engines.code._collect import collect
from reward_servers.engines.code._convert import Converted, convert
from reward_servers.engines.code._guest import plain
from reward_servers.engines.code._host import evaluate
from reward_servers.engines.code._names import free_names
from reward_servers.engines.code._plan import plan_tests


def converted(code: str, style: str = "assert", **fields: Any) -> list[Converted | None]:
    plan = plan_tests(CodeTests(style, code, **fields))  # type: ignore[arg-type]
    return [test.converted for test in plan.tests]


def holds(code: str, program: Any) -> bool:
    """Whether all assertions of a single test hold for a function of this process."""
    (test,) = converted(code)
    assert test is not None, f"not converted: {code}"
    results = [program(*plain.decode(call.args), **plain.decode(call.kwargs)) for call in test.calls]
    return all(evaluate(expectation.expression, results) for expectation in test.expectations)


@pytest.mark.parametrize(
    "assertion",
    [
        "f(3) == 9",
        "f(3) == 3 * 3",
        "9 == f(3)",
        "f(3) != 8",
        "not f(0)",
        "f(3)",
        "f(x=3) == 9",
        "f(*[3]) == 9",
        "abs(f(3) - 9.0000001) < 1e-5",
        "math.isclose(f(3), 9, rel_tol=1e-9)",
        "f(3) in (1, 9)",
        "f(3) not in [1]",
        "f(3) is not None",
        "(f(0) == 0) is True",
        "8 < f(3) <= 9",
        "f(3) > 8 and f(2) == 4",
        "f(3) == 9 or False",
        "any(f(n) == 4 for n in (2,))",
        "any([f(2) == 4])",
        "[f(1), f(2)] == [1, 4]",
        "all(f(n) == n ** 2 for n in range(5))",
        "[f(n) for n in (1, 2)] == [1, 4]",
        "round(f(3), 2) == 9",
        "isinstance(f(3), int)",
        "isinstance(f(3), (int, float))",
        "f(3) == (9 if True else 8)",
        "f(3) + 1 == 10",
        "f(3) % 2 == 1",
        "set([f(1), f(-1)]) == {1}",
        "-f(3) == -9",
        "str(f(3)) == '9'",
        "max(f(1), f(2)) == 4",
        "f(len('abc')) == 9",
        "pytest.approx(9.0) == f(3)",
    ],
)
def test_forms_that_convert(assertion: str) -> None:
    prefix = "import math, pytest\n"
    assert holds(f"{prefix}assert {assertion}", lambda x: x * x)
    assert not holds(f"{prefix}assert not ({assertion})", lambda x: x * x)


@pytest.mark.parametrize(
    "body",
    [
        "for n in range(3):\n    assert f(n) == n * n",
        "cases = [(1, 1), (2, 4)]\nfor n, y in cases:\n    assert f(n) == y",
        "def check(g):\n    for i, (n, y) in enumerate(zip([1, 2], [1, 4])):\n        assert g(n) == y, i\ncheck(f)",
        "def check(g):\n    want = 4\n    got = g(2)\n    assert got == want\ncheck(f)",
        "g = f\ndef check():\n    if True:\n        assert g(2) == 4\ncheck()",
        "from solution import f as g\ndef check():\n    'text'\n    assert g(2) == 4\ncheck()",
        "import solution\ndef check():\n    assert solution.f(2) == 4\ncheck()",
        "METADATA = {'author': 'x'}\ndef check(candidate):\n    assert candidate(2) == 4\n    assert True\ncheck(f)",
        "D = [2]\nclass A:\n    x = 1\n    def m(self): D.pop()\nassert f(D[0]) == 4",
        "import copy\nx = [2]\ndef check():\n    assert f(copy.deepcopy(x)[0]) == 4\ncheck()",
    ],
)
def test_statements_that_convert(body: str) -> None:
    assert holds(body, lambda x: x * x)
    assert not holds(body, lambda x: x + 100)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("assert f(f(1)) == 1", "argument of another call"),
        ("assert f(g) == 1\ndef g(): pass", "known only by running"),
        ("import random\nassert f(random.random()) < 1", "calls random.random"),
        ("assert f(1).upper() == 'A'", "calls f(1).upper"),
        ("assert f('1') is 'x'", "identity"),
        ("x = [1]\nassert f(x) == 1 and x == [1]", "may have changed it"),
        ("x = [1]\ny = x\ndef check():\n    assert f(x) == 1\n    assert y == [1]\ncheck()", "may have changed it"),
        (
            "cases = [[1]]\ndef check():\n    for c in cases:\n        assert f(c)\n    assert cases == [[1]]\ncheck()",
            "changed",
        ),
        ("data = []\nfor i in (1, 2):\n    data.append(i)\nassert f(data) == 2", "known only by running"),
        ("assert f(10 ** 10 ** 10) == 1", "constants"),
        ("assert f('a' * 10 ** 9) == 1", "constants"),
        ("assert f(1) ** 2 == 1", "Pow"),
        ("assert sorted(f(1), key=len) == 1", "keyword"),
        ("def check():\n    while True:\n        assert f(1)\ncheck()", "While"),
        (
            "def check():\n    try:\n        f(1)\n    except ValueError:\n        return\n    assert False\ncheck()",
            "Try",
        ),
        ("def check():\n    assert f(1) == 1\n    assert False\ncheck()", "never holds"),
        ("def check(n):\n    check(n)\n    assert f(n)\ncheck(1)", "recursive"),
        ("assert 'a' in f.__doc__", "known only by running"),
        ("assert f(1) is None or f(2) == 4", "depends on the result"),
        ("assert any(f(n) for n in range(3))", "depend on the results"),
        ("D = []\ndef fill():\n    D.append(1)\nfill()\nassert f(D) == 1", "known only by running"),
        ("D = 1\ndef fill():\n    global D\n    D = 2\nfill()\nassert f(D) == 1", "inside functions"),
        ("D = [1]\nclass A:\n    x = D.pop()\nassert f(D) == 1", "known only by running"),
        ("from math import *\nassert f(4) == sqrt(16)", "star import"),
        ("assert f(lambda x: x) == 1", "Lambda"),
        ("assert all(f(n) for n in range(10 ** 7))", "large constant"),
        ("for a in range(1000):\n    for b in range(1000):\n        assert f(a, b)", "too long"),
    ],
)
@pytest.mark.filterwarnings('ignore:"is":SyntaxWarning')
def test_what_has_to_run_as_code(code: str, why: str) -> None:
    plan = plan_tests(CodeTests("assert", code))
    reasons = [test.reason for test in plan.tests if test.converted is None]
    assert any(why in reason for reason in reasons), reasons


def test_unittest_methods_convert() -> None:
    code = """
import unittest
from solution import add
class T(unittest.TestCase):
    def test_a(self):
        self.assertEqual(add(1, 2), 3)
        self.assertNotEqual(add(1, 2), 4, "msg")
        self.assertTrue(add(1, 2))
        self.assertFalse(add(0, 0))
        self.assertIsNone(add(None, 0))
        self.assertIn(add(1, 1), [2])
        self.assertAlmostEqual(add(0.1, 0.2), 0.3)
        self.assertAlmostEqual(add(1, 2), 3.1, delta=0.2)
        self.assertAlmostEqual(add(1, 2), 3.01, places=1)
    def test_b(self):
        with self.assertRaises(TypeError):
            add("a", 1)
if __name__ == "__main__":
    unittest.main()
"""
    first, second = converted(code, "unittest")
    assert second is None
    assert first is not None
    assert len(first.expectations) == len(first.calls) == 9
    results = [None if None in call.args else sum(call.args) for call in first.calls]
    assert all(evaluate(expectation.expression, results) for expectation in first.expectations)
    assert not any(evaluate(expectation.expression, [[]] * 9) for expectation in first.expectations[:1])


def test_a_set_up_method_runs_as_code() -> None:
    code = "import unittest\nclass T(unittest.TestCase):\n    def setUp(self): self.x = 1\n"
    code += "    def test_a(self): self.assertTrue(f())"
    assert converted(code, "unittest") == [None]


def test_what_counts_as_one_test() -> None:
    def names(code: str, style: str = "assert", **fields: Any) -> list[str]:
        return [test.name for test in collect(CodeTests(style, code, **fields)).tests]  # type: ignore[arg-type]

    assert names("assert f(1)\nassert f(2)") == ["line 1", "line 2"]
    assert names("assert f(1); assert f(2)") == ["line 1", "line 1 (2)"]
    assert names("def check(c):\n    assert c(1)\n    assert c(2)\ncheck(f)") == ["check"]
    assert names("def check(c):\n    assert c(1)", entry="f") == ["check"]
    assert names("for x in (1, 2):\n    assert f(x)") == ["lines 1-2"]
    assert names("def test_a(): assert f(1)\ndef test_b(): assert f(2)", "unittest") == ["test_a", "test_b"]
    assert names("def test_a(): assert f(1)\ndef helper(): pass") == ["test_a"]
    assert names("assert f(1)", "unittest") == ["line 1"]
    marked = "@pytest.mark.parametrize('a', [1, 2])\ndef test_a(a): assert f(a)"
    assert names(f"import pytest\n{marked}", "unittest") == ["test_a[0]", "test_a[1]"]
    classes = "class Base(unittest.TestCase):\n    def test_a(self): pass\n"
    classes += "class B(Base):\n    def test_b(self): pass"
    assert names(f"import unittest\n{classes}", "unittest") == ["Base.test_a", "B.test_b", "B.test_a"]


@pytest.mark.parametrize("code", ["def f(:", "x = 1", "def helper(): pass", "print(f(1))", "nonlocal x", "x = '\0'"])
def test_code_without_tests_is_a_bad_reference(code: str) -> None:
    with pytest.raises(BadReferenceError) as error:
        plan_tests(CodeTests("assert", code))
    assert error.value.field == "tests.code"


def test_long_expressions_are_planned_or_refused() -> None:
    code = "assert f(1) == " + " + ".join(["1"] * 3000)
    with pytest.raises(BadReferenceError, match=r"nested|recursion"):
        plan_tests(CodeTests("assert", code))
    assert plan_tests(CodeTests("assert", "assert f(1) == " + " + ".join(["1"] * 300))).tests


def test_free_names() -> None:
    code = "import os\nfrom a import b\ndef g(x):\n    y = x + z\n    return [w for w in y]\nassert g(f(os.sep)) == b"
    assert free_names(code) == {"z", "f"}
    assert free_names("class A:\n    def m(self): return self.n(q)") == {"q"}


def test_an_entry_with_the_name_of_a_builtin() -> None:
    plan = plan_tests(CodeTests("assert", "assert sum(1, 2) == 3", entry="sum"))
    assert plan.tests[0].converted is not None
    assert plan.tests[0].converted.calls[0].name == "sum"


def test_methods_of_a_solution_class() -> None:
    checked = "def check(c):\n    assert c(1) == 2"
    tests = CodeTests("assert", f"{checked}\ncheck(Solution().f)\nassert Solution().f(2) == 3")
    names = [test.converted and test.converted.calls[0].name for test in plan_tests(tests).tests]
    assert names == ["Solution.f", "Solution.f"]
    spec = parse_reference({"tests": {"kind": "assert", "code": checked, "entry_point": "Solution().f"}})
    assert spec.entry == "Solution.f"
    assert isinstance(spec.tests, CodeTests)
    implied = plan_tests(spec.tests).tests[0].converted
    assert implied is not None
    assert implied.calls[0].name == "f"


def test_helpers_of_the_prompt_are_trusted_beside_a_stub_only() -> None:
    tests = CodeTests("assert", "def check(c):\n    assert c(enc('a')) == 'a'\ncheck(dec)")
    enc = "def enc(s):\n    return s[::-1]\n"
    assert plan_tests(tests, prompt=f"{enc}def dec(s):\n    '''Undo enc.'''\n").from_prompt == ("enc",)
    assert plan_tests(tests, prompt=f"{enc}def dec(s):\n    return s\n").from_prompt == ()
    assert plan_tests(tests, prompt=f"Repair this:\n{enc}").from_prompt == ()
    assert plan_tests(tests, prompt="").from_program == ("dec", "enc")
    assert plan_tests(tests, setup=enc).from_program == ("dec",)


def test_split_checks_count_assertions() -> None:
    tests = CodeTests("assert", "def check(c):\n    assert c(1) == 1\n    assert c(2) == 2\ncheck(f)")
    plan = plan_tests(tests, split=True)
    assert [test.name for test in plan.tests] == ["check#1", "check#2"]
    assert [len(test.converted.calls) for test in plan.tests if test.converted] == [1, 1]


LITERAL = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=6,
)
OPERATORS = ["==", "!=", "<", "<=", ">", ">=", "in", "not in"]


@given(LITERAL, LITERAL, st.sampled_from(OPERATORS))
def test_conversion_agrees_with_running_the_assertion(result: Any, expected: Any, operator: str) -> None:
    """What is decided outside is what Python would have decided inside."""
    text = f"f() {operator} {expected!r}"
    (test,) = converted(f"assert {text}")
    assert test is not None
    try:
        truth: bool | str = bool(eval(text, {"f": lambda: result}))
    except TypeError:
        truth = "raises"
    try:
        ours: bool | str = bool(evaluate(test.expectations[0].expression, [result]))
    except TypeError:
        ours = "raises"
    assert ours == truth


@given(st.text(alphabet="assert f(1)==2 \n:[]'for xin", max_size=60))
def test_any_code_is_planned_or_refused(code: str) -> None:
    try:
        plan = plan_tests(CodeTests("assert", code))
    except BadReferenceError:
        return
    assert plan.tests
    ast.parse(plan.code)


def test_conversion_of_a_found_test_is_pure() -> None:
    found = collect(CodeTests("assert", "assert f([1]) == [1]")).tests[0]
    assert convert(found, {"f"}.__contains__) == convert(found, {"f"}.__contains__)
