"""Styles of test code: unittest, pytest, scripts under a guard; what counts as one test, and what may be shown."""

from __future__ import annotations

import pytest

from reward_servers.engines.code import Verdict
from tests.engines.code.conftest import Judge, asserts, unittests

UNITTEST = """
import unittest
from solution import div, Stack, TooSmall

class TestDiv(unittest.TestCase):
    def setUp(self):
        self.pairs = [(6, 3, 2), (9, 3, 3)]

    def test_values(self):
        for a, b, c in self.pairs:
            with self.subTest(a=a):
                self.assertEqual(div(a, b), c)

    def test_raises(self):
        with self.assertRaises(ZeroDivisionError):
            div(1, 0)

    def test_own_exception(self):
        self.assertRaises(TooSmall, div, -1, 1)
        with self.assertRaisesRegex(TooSmall, "small"):
            div(-1, 1)

class TestStack(unittest.TestCase):
    def test_objects(self):
        stack = Stack()
        stack.push(1)
        stack.push([2])
        self.assertEqual(len(stack), 2)
        self.assertEqual(stack.pop(), [2])
        self.assertIsInstance(stack, Stack)
        self.assertEqual(stack.items, [1])
        self.assertEqual(Stack.limit, 3)
        stack.items = [7, 8]
        self.assertEqual(stack.pop(), 8)
        self.assertEqual(Stack(), Stack())
        self.assertNotEqual(stack, Stack())
        self.assertIsNotNone(stack)

if __name__ == "__main__":
    unittest.main()
"""
SOLUTION = """
class TooSmall(ValueError): pass
def div(a, b):
    if a < 0: raise TooSmall("too small")
    return a // b
class Stack:
    limit = 3
    def __init__(self): self.items = []
    def push(self, x): self.items.append(x)
    def pop(self): return self.items.pop()
    def __len__(self): return len(self.items)
    def __eq__(self, other): return self.items == other.items
"""


def test_unittest_style(judged: Judge) -> None:
    judgement = judged(SOLUTION, unittests(UNITTEST))
    names = ["TestDiv.test_values", "TestDiv.test_raises", "TestDiv.test_own_exception", "TestStack.test_objects"]
    assert [result.name for result in judgement.results] == names
    assert judgement.score == 1.0, judgement.evidence()
    broken = SOLUTION.replace("a // b", "a / b + 1").replace("raise TooSmall", "raise KeyError")
    found = [result.verdict.value for result in judged(broken, unittests(UNITTEST)).results]
    assert found == ["wrong_answer", "accepted", "runtime_error", "accepted"]


PYTEST = """
import pytest
from your_module import f

@pytest.fixture
def base():
    yield 10

@pytest.mark.parametrize("x,y", [(1, 2), pytest.param(2, 3, id="b")])
def test_pairs(x, y):
    assert f(x) == y

@pytest.mark.slow
def test_fixture(base):
    assert f(base) == base + 1

def test_approx():
    values = [f(n) for n in range(3)]
    assert values == pytest.approx([1.0, 2.0, 3.0])

def test_raises():
    with pytest.raises(TypeError, match="int"):
        f("a")
    with pytest.raises((TypeError, ValueError)) as info:
        f(None)
    assert info.type is TypeError

class TestMore:
    def setup_method(self):
        self.n = 4

    def test_method(self):
        assert f(self.n) == 5
"""


def test_pytest_style(judged: Judge) -> None:
    sound = "def f(x):\n    if not isinstance(x, int): raise TypeError('give an int')\n    return x + 1"
    judgement = judged(sound, unittests(PYTEST))
    assert (judgement.total, judgement.score) == (6, 1.0)
    silent = judged(sound.replace("give an int", "no"), unittests(PYTEST))
    assert [result.name for result in silent.results if result.verdict is not Verdict.ACCEPTED] == ["test_raises"]
    wrong = judged("def f(x): return x + 2", unittests(PYTEST))
    assert [result.name for result in wrong.results if result.verdict is Verdict.ACCEPTED] == ["test_raises"]


def test_public_tests_by_name(judged: Judge) -> None:
    reference = asserts("assert f(1) == 1\nassert f(2) == 3", public=["line 1"])
    feedback = judged("def f(x): return 0", reference).feedback()
    assert [test["name"] for test in feedback["tests"]] == ["line 1"]


def test_what_the_program_prints_reaches_the_test(judged: Judge) -> None:
    code = """
import contextlib, io, unittest
from unittest.mock import patch
from solution import hello, shout

def test_capsys(capsys):
    hello("a")
    assert capsys.readouterr().out == "hello a\\n"
    assert shout("b") is None
    assert capsys.readouterr().out == "B\\n"

class T(unittest.TestCase):
    @patch("sys.stdout", new_callable=io.StringIO)
    def test_patch(self, out):
        hello("c")
        self.assertEqual(out.getvalue(), "hello c\\n")

    def test_redirect(self):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            hello("d")
        self.assertIn("d", out.getvalue())
"""
    source = (
        "import sys\ndef hello(x): print('hello', x)\ndef shout(x): sys.stdout.buffer.write(b'B\\n')\nprint('loaded')"
    )
    judgement = judged(source, unittests(code))
    assert judgement.score == 1.0, judgement.evidence()
    assert judged(source.replace("hello'", "bye'"), unittests(code)).score == pytest.approx(1 / 3)


def test_tests_under_the_main_guard(judged: Judge) -> None:
    guarded = "def check(c):\n    assert c(1) == 1\nif __name__ == '__main__':\n    check(f)\n    print('ok')"
    assert judged("def f(x): return x", asserts(guarded)).score == 1.0
    assert judged("def f(x): return 0", asserts(guarded)).score == 0.0
    runner = (
        "def test_a():\n    assert f(1) == id(1) * 0 + 1\nif __name__ == '__main__':\n    test_a()\n    undefined()"
    )
    assert judged("def f(x): return x", unittests(runner)).score == 1.0


def test_split_checks(judged: Judge) -> None:
    reference = asserts("def check(c):\n    assert c(1) == 1\n    assert c(2) == 3\ncheck(f)")
    assert judged("def f(x): return x", reference).score == 0.0
    assert judged("def f(x): return x", reference, split_checks=True).score == 0.5
