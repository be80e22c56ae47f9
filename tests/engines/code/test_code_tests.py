"""Test code in a second sandbox: what it sees of the program, and what the program cannot do to it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reward_servers.engines.code import BadReferenceError, Verdict
from tests.engines.code.conftest import Judge, asserts, unittests

ROUND_TRIP = """
def check(candidate):
    import random
    for _ in range(20):
        x = random.randint(0, 10 ** 6)
        assert candidate(x) == x + 1
check(f)
"""

FRAUDS = {
    "exits": "import sys\ndef f(x): sys.exit(0)",
    "leaves": "import os\ndef f(x): os._exit(0)",
    "leaves when loaded": "import os\nos._exit(0)",
    "exits when loaded": "import sys\nsys.exit(0)",
    "equals everything": "class E:\n    def __eq__(self, o): return True\n    __hash__ = None\ndef f(x): return E()",
    "equals everything, a number": "class E(int):\n    def __eq__(self, o): return True\ndef f(x): return E(0)",
    "loops": "def f(x):\n    while True: pass",
    "returns nothing": "def f(x): pass",
    "skips": "import unittest\ndef f(x): raise unittest.SkipTest",
    "stops": "def f(x): raise StopIteration",
    "interrupts": "def f(x): raise KeyboardInterrupt",
    "says done": 'import os, struct\nm = b\'{"op": "done", "outcome": "passed"}\'\n'
    "def f(x):\n    os.write(3, struct.pack('!I', len(m)) + m)\n    os._exit(0)",
    "says handle": 'import os, struct\nm = b\'{"handle": 0, "class": "x"}\'\n'
    "def f(x):\n    os.write(3, struct.pack('!I', len(m)) + m)\n    return 0",
    "writes noise": "import os\ndef f(x):\n    os.write(3, b'\\xff' * 100)\n    return 0",
    "patches unittest": "import unittest\nunittest.TestCase.run = lambda self, result=None: result\ndef f(x): return 0",
    "patches the driver": "import json, sys\njson.dumps = lambda *a, **k: '{\"ok\": 1}'\ndef f(x): return 0",
    "calls the driver": "import sys\ndef f(x):\n    g = sys._getframe(1).f_globals\n    g['_leave'](0)",
    "answers with a class": "def f(x): return f",
}


@pytest.mark.parametrize("fraud", FRAUDS)
def test_frauds_score_nothing(judged: Judge, fraud: str) -> None:
    reference = {**asserts(ROUND_TRIP), "limits": {"cpu_s": 0.5, "wall_s": 3}}
    judgement = judged(FRAUDS[fraud], reference)
    assert judgement.score == 0.0
    assert judgement.results[0].how == "code"
    converted = {
        **asserts("def check(c):\n    assert c(1) == 2\n    assert not c(-1)\ncheck(f)"),
        "limits": {"cpu_s": 0.5},
    }
    assert judged(FRAUDS[fraud], converted).score == 0.0


def test_an_honest_program_passes(judged: Judge) -> None:
    judgement = judged("def f(x): return x + 1", asserts(ROUND_TRIP))
    assert (judgement.score, judgement.results[0].how) == (1.0, "code")
    assert judgement.notes["names_from_program"] == ["f"]
    assert "check" in judgement.notes["ran_as_code"]


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        ("def f(x): return x", "wrong_answer"),
        ("def f(x): return None", "wrong_answer"),
        ("def f(x): raise ValueError('no')", "runtime_error"),
        ("def g(x): return x", "runtime_error"),
        ("def f(x): return object()", "runtime_error"),
        ("def f(x): raise MemoryError", "memory_limit"),
        ("def f(x):\n    while True: pass", "time_limit"),
        ("def f(x): return [0] * 10 ** 9", "memory_limit"),
        ("import time\ndef f(x): time.sleep(60)", "wall_limit"),
        ("def f(x):\n    print('x' * (1 << 20))\n    return x + 1", "output_limit"),
        ("raise KeyError", "runtime_error"),
        ("def f(x:", "compile_error"),
    ],
)
def test_verdicts(judged: Judge, source: str, verdict: str) -> None:
    reference = {**asserts(ROUND_TRIP), "limits": {"cpu_s": 0.5, "wall_s": 2}}
    judgement = judged(source, reference)
    assert judgement.verdict.value == verdict, judgement.evidence()


def test_a_failure_is_explained_by_the_last_call(judged: Judge) -> None:
    detail = judged("def f(x): return -1", asserts(ROUND_TRIP)).results[0].detail
    assert (detail["where"], detail["raised"], detail["line"]) == ("tests", "AssertionError", 6)
    assert '"name":"f"' in detail["asked"]
    assert detail["answered"] == '{"ok":-1}'


def test_arguments_changed_in_place_come_back(verdicts: Callable[..., list[str]]) -> None:
    code = "def test_a():\n    x = [3, 1, 2]\n    d = {}\n    sort_into(x, d)\n"
    code += "    assert x == [1, 2, 3]\n    assert d == {'n': 3}"
    good = "def sort_into(x, d):\n    x.sort()\n    d['n'] = len(x)"
    assert verdicts(good, unittests(code)) == ["accepted"]
    assert verdicts("def sort_into(x, d): pass", unittests(code)) == ["wrong_answer"]


def test_an_object_returned_where_data_are_expected_scores_nothing(judged: Judge) -> None:
    code = "def test_a():\n    s = Stack()\n    assert s.pop() == 5\n"
    code += "def test_b():\n    assert abs(Stack().pop() - 5) < 1e-9\ndef test_c():\n    assert 5 in [Stack().pop()]"
    sly = "class Stack:\n    def push(self, x): pass\n    def pop(self): return Stack()\n"
    sly += "    def __eq__(self, o): return True\n    def __bool__(self): return True\n    __hash__ = None\n"
    sly += "    def __sub__(self, o): return self\n    def __abs__(self): return 0.0"
    assert judged(sly, unittests(code)).score == 0.0
    ordered = "def test_a():\n    assert 3 < Stack().pop() < 5"
    assert judged(sly + "\n    def __lt__(self, o): return True\n    __gt__ = __lt__", unittests(ordered)).score == 0.0


def test_helpers_of_prompt_and_setup_are_trusted(judged: Judge) -> None:
    code = "def check(c):\n    for n in range(3):\n        assert c(enc(f'{n}x')) == f'{n}x'\ncheck(dec)"
    enc = "def enc(s):\n    return s[::-1]\n"
    prompt = f"{enc}\ndef dec(s):\n    '''Undo enc.'''\n"
    honest = f"{enc}def dec(s): return s[::-1]"
    sly = "class E(str):\n    def __eq__(self, o): return True\ndef enc(s): return s\ndef dec(s): return s"
    assert judged(honest, asserts(code), prompt=prompt).score == 1.0
    assert judged(sly, asserts(code), prompt=prompt).score == 0.0
    assert judged(sly, {**asserts(code), "setup": enc}).score == 0.0
    assert judged(honest, asserts(code)).score == 1.0


def test_modules_of_the_program(judged: Judge) -> None:
    code = "import app.core.math\nfrom src.solution import f\nfrom .impl import f as g\nimport solution as s\n"
    code += "from . import f as h\ndef test_a():\n    x = id(1) * 0 + 1\n"
    code += "    assert f(x) == g(x) == h(x) == s.f(x) == app.core.math.f(x) == 2"
    assert judged("def f(x): return x + 1", unittests(code)).score == 1.0
    assert judged("def f(x): return x", unittests(code)).score == 0.0


def test_constants_of_the_program(verdicts: Callable[..., list[str]]) -> None:
    code = "assert LIMIT == 3\nassert f() == LIMIT"
    assert verdicts("LIMIT = 3\ndef f(): return 3", asserts(code)) == ["accepted", "accepted"]
    assert verdicts("LIMIT = 4\ndef f(): return 3", asserts(code)) == ["wrong_answer", "wrong_answer"]


def test_library_values_are_compared_in_the_sandbox(judged: Judge) -> None:
    code = "from fractions import Fraction\nassert f() == 0.5\nassert f() == Fraction(1, 2)"
    judgement = judged("from fractions import Fraction\ndef f(): return Fraction(1, 2)", asserts(code))
    assert [result.how for result in judgement.results] == ["code", "code"]
    assert judgement.score == 1.0


def test_names_of_star_imports(judged: Judge) -> None:
    code = "from math import *\nfrom solution import *\nassert f(4) == sqrt(16)\nassert f(1) == floor(1.5)"
    assert judged("def f(x): return x", asserts(code)).score == 1.0
    assert judged("def f(x): return x + 1\ndef sqrt(x): return 5", asserts(code)).score == 0.0


def test_random_tests_are_the_same_each_time(judged: Judge) -> None:
    code = "import random\ndef check(c):\n    assert c(random.random()) < 0.4\ncheck(f)"
    first = judged("def f(x): return x", asserts(code))
    assert all(judged("def f(x): return x", asserts(code)).score == first.score for _ in range(3))


def test_a_test_that_asks_for_nothing_is_left_out(judged: Judge) -> None:
    code = "def test_a():\n    pass\ndef test_b():\n    assert f(1) == 2"
    judgement = judged("def f(x): return x", unittests(code))
    assert (judgement.total, judgement.score) == (1, 0.0)
    assert judgement.notes["says_nothing"] == ["test_a"]
    with pytest.raises(BadReferenceError):
        judged("def f(x): return x", unittests("def test_a():\n    pass"))


@pytest.mark.parametrize(
    "code",
    [
        "def test_a(request):\n    assert f(1)",
        "import pytest\ndef test_a():\n    pytest.importorskip('x')\n    assert f(1)",
        "import pickle, os\ndef test_a():\n    assert f(pickle.load(open('a')))",
        "from hypothesis import given\n@given()\ndef test_a():\n    assert f(1)",
        "def test_a():\n    while True: pass",
        "return 1\ndef test_a():\n    assert f(id(1))",
    ],
)
def test_test_code_that_cannot_run_is_a_bad_reference(judged: Judge, code: str) -> None:
    with pytest.raises(BadReferenceError) as error:
        judged("def f(x): return x", {**unittests(code), "limits": {"cpu_s": 0.3}})
    assert error.value.field == "tests.code"


def test_test_code_kept_busy_by_an_answer_is_the_programs_doing(judged: Judge) -> None:
    code = "def test_a():\n    n = f(1)\n    while n > 0:\n        n -= 1\n    assert n == 0"
    judgement = judged("def f(x): return 10 ** 30", {**unittests(code), "limits": {"cpu_s": 0.3}})
    assert judgement.verdict is Verdict.TIME_LIMIT
    assert judgement.results[0].detail["where"] == "tests"


def test_more_tests_than_allowed_are_a_bad_reference(judged: Judge) -> None:
    with pytest.raises(BadReferenceError, match="1001 tests"):
        judged("def f(x): return x", asserts("assert f(1)\n" * 1001))


def test_what_a_library_tries_to_import_is_not_the_programs(judged: Judge) -> None:
    """`pandas`, where it is not loaded beforehand, looks for packages that it can do without."""
    pytest.importorskip("pandas")
    code = (
        "def check(candidate):\n    pd = __import__('pan' + 'das')\n"
        "    for n in range(2): assert candidate(n) == pd.Series([n + 1])[0]\n"
    )
    assert judged("def f(x): return x + 1", asserts(code, entry="f")).score == 1.0


def test_the_program_is_imported_on_behalf_of_the_test(judged: Judge) -> None:
    code = (
        "import importlib, unittest\nfrom unittest import mock\nclass T(unittest.TestCase):\n"
        "    def test(self):\n        self.assertEqual(importlib.import_module('solution').f(1), 2)\n"
        "        with mock.patch('solution.g', return_value=5): self.assertEqual(f(1), 2)\n"
    )
    assert judged("def g(): return 1\ndef f(x): return x + 1", unittests(code)).score == 1.0
