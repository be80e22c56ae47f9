"""Errors of test code: the data set's where no answer can cause them, a wrong answer elsewhere."""

# ruff: noqa: E501 (tests in one line)

from __future__ import annotations

from typing import Any

import pytest

from reward_servers.engines.code import BadReferenceError, Verdict
from tests.engines.code.conftest import Judge

GOOD = "def f(x):\n    return x + 1\n"
WRONG = "def f(x):\n    return 0\n"


def asserted(code: str, **fields: Any) -> dict[str, Any]:
    return {"tests": {"kind": "assert", "entry": "f", "code": code}, **fields}


def suite(code: str) -> dict[str, Any]:
    return {"tests": {"kind": "unittest", "entry": "f", "code": code}}


BROKEN = {
    "a module": asserted("import os.nothing\ndef check(c):\n    assert c(1) == 2\n    globals()\n"),
    "a name of a module": asserted("from math import nothing\ndef check(c):\n    assert c(1) == 2\n    globals()\n"),
    "a module after a question": asserted("def check(c):\n    assert c(1) in (0, 2)\n    import os.nothing\n    globals()\n"),
    "a name before it is bound": asserted("def check(c):\n    assert c(1) in (0, 2)\n    assert c(1) in LATER\n    x = [1]\n    del x\n    x.y\ncheck(f)\nLATER = [0, 2]\n"),
    "a file": asserted("def check(c):\n    data = open('/srv/expected.json').read()\n    assert c(1) == data\n"),
    "a file after a question": asserted("def check(c):\n    x = c(1)\n    assert open('/srv/expected.json').read() == x\n"),
    "a value": asserted("def check(c):\n    expected = {}['key']\n    assert c(1) == expected\n"),
    "an assertion about nothing": asserted("def check(c):\n    assert len([]) > 1\n    assert c(1) == 2\n    globals()\n"),
    "set-up of unittest": suite("import unittest\nclass T(unittest.TestCase):\n    def setUp(self):\n        self.x = int('a')\n    def test_f(self):\n        self.assertEqual(f(1), 2)\n"),
    "helpers": asserted("def check(c):\n    assert c(1) == helper()\n    globals()\n", setup="def helper():\n    return undefined\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("source", [GOOD, WRONG], ids=["good", "wrong"])
def test_what_no_answer_can_cause_is_the_data_sets_fault(judged: Judge, name: str, source: str) -> None:
    with pytest.raises(BadReferenceError) as error:
        judged(source, BROKEN[name])
    assert error.value.field == "tests.code"
    assert error.value.remedy


# What the program returns, lacks or names must not become a fault of the data set.
CAUSED = {
    "a result that the test code breaks on": ("def f(x):\n    return {}\n", asserted("def check(c):\n    assert c(1)['n'] == 2\n    globals()\n")),
    "a file that the result names": ("def f(x):\n    return '/srv/nothing'\n", asserted("def check(c):\n    assert open(c(1)).read() == ''\n")),
    "a file that was to be written": ("def f(x):\n    return 1\n", asserted("def check(c):\n    c('out.txt')\n    assert open('out.txt').read() == 'x'\n")),
    "a temporary file that was to be written": ("def f(x):\n    return 1\n", asserted("def check(c):\n    c('/tmp/out.txt')\n    assert open('/tmp/out.txt').read() == 'x'\n")),
    "a name that the result holds": ("def f(x):\n    return 'undefined'\n", asserted("def check(c):\n    assert eval(c(1)) == 2\n")),
    "a module that the result names": ("def f(x):\n    return 'import os.nothing'\n", asserted("def check(c):\n    exec(c(1))\n    assert c(1) == 2\n")),
    "a function that is missing": ("def g(x):\n    return 2\n", asserted("def check(c):\n    assert c(1) == 2\n    globals()\n")),
    "a name that is not to be imported": ("def g(x):\n    return 2\n", asserted("from solution import f as h\ndef check(c):\n    assert h(1) == 2\n    globals()\n")),
    "a class that is missing": ("x = 1\n", {"tests": {"kind": "assert", "code": "class Mine(Base):\n    pass\ndef check():\n    assert Mine().f(1) == 2\ncheck()\n"}}),
    "a class that is a function": ("def Base():\n    return 1\n", {"tests": {"kind": "assert", "code": "class Mine(Base):\n    pass\ndef check():\n    assert Mine().f(1) == 2\ncheck()\n"}}),
    "a value that is not to be taken": ("f = 1\n", asserted("def check(c):\n    assert f.x == 2\n    globals()\n")),
    "an error of the program": ("def f(x):\n    return undefined\n", asserted("def check(c):\n    assert c(1) == 2\n    globals()\n")),
    "an import of the program": ("def f(x):\n    import os.nothing\n", asserted("def check(c):\n    assert c(1) == 2\n    globals()\n")),
    "an import at the top": ("import os.nothing\ndef f(x):\n    return x\n", asserted("def check(c):\n    assert c(1) == 2\n    globals()\n")),
    "a local name": ("def f(x):\n    return 3\n", asserted("def check(c):\n    if c(1) == 2:\n        y = 1\n    assert y == 1\n")),
}  # fmt: skip


@pytest.mark.parametrize("name", CAUSED)
def test_what_a_program_can_cause_is_no_shelter(judged: Judge, name: str) -> None:
    source, reference = CAUSED[name]
    judgement = judged(source, reference)
    assert judgement.score == 0.0
    assert judgement.verdict in (Verdict.WRONG_ANSWER, Verdict.RUNTIME_ERROR), judgement.evidence()


def test_errors_of_test_code_are_counted(judged: Judge) -> None:
    breaks = asserted("def check(c):\n    assert c(1)['n'] == 2\n    globals()\n")
    assert judged("def f(x):\n    return {}", breaks).rejected_by_error == 1
    assert judged("def f(x):\n    return {'n': 3}", breaks).rejected_by_error == 0
    assert judged("def f(x):\n    return {'n': 2}", breaks).rejected_by_error == 0
