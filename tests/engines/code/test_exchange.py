"""What crosses between test code and program: objects, callbacks, patches, files, arrays."""

# ruff: noqa: E501 (programs in one line)

from __future__ import annotations

from typing import Any

import pytest

from reward_servers.engines.code import BadReferenceError, Verdict
from tests.engines.code.conftest import Judge, asserts, unittests


def check(body: str, entry: str = "f", before: str = "") -> dict[str, Any]:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return asserts(f"{before}def check(candidate):\n{lines}", entry=entry)


# Objects that functions return


@pytest.mark.parametrize(
    ("source", "body", "wrong"),
    [
        (
            "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\ndef f(): return P(1)",
            "assert candidate().x == 1",
            ("P(1)", "P(2)"),
        ),
        (
            "from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(): return P(1, 2)",
            "assert candidate().y == 2\nassert candidate() == (1, 2)",
            ("P(1, 2)", "P(1, 3)"),
        ),
        (
            "class N:\n    def __init__(s, v, n=None): s.val = v; s.next = n\ndef f(): return N(1, N(2))",
            "n = candidate()\nassert n.val == 1 and n.next.val == 2 and n.next.next is None",
            ("N(2)", "N(3)"),
        ),
        (
            "from collections import Counter\ndef f(): return Counter('aab')",
            "c = candidate()\nassert c['a'] == 2 and c['z'] == 0 and c == {'a': 2, 'b': 1}",
            ("'aab'", "'ab'"),
        ),
        (
            "from collections import defaultdict\ndef f():\n    d = defaultdict(list)\n    d[1].append(2)\n    return d",
            "assert candidate() == {1: [2]}\nassert candidate()[7] == []",
            ("append(2)", "append(3)"),
        ),
        ("def f(): return int", "assert candidate() == int\nassert candidate()('7') == 7", ("int", "str")),
    ],
)
def test_objects_as_results(judged: Judge, source: str, body: str, wrong: tuple[str, str]) -> None:
    right = judged(source, check(body))
    assert right.score == 1.0, right.evidence()
    assert judged(source.replace(*wrong), check(body)).score == 0.0


def test_an_object_does_not_answer_for_data_where_the_test_looks_into_none(judged: Judge) -> None:
    sly = "class S:\n    def __contains__(self, x): return True\n    def __eq__(self, o): return True\n"
    sly += "    def __len__(self): return 3\n    __hash__ = None\ndef f(x): return S()"
    for body in ("assert 5 in candidate(id(1))", "assert candidate(id(1)) == 5", "assert len(candidate(id(1))) == 3"):
        assert judged(sly, check(body)).score == 0.0


ARRAYS = """
import numpy as np
def f(x):
    return np.array(x) * 2
"""


def test_arrays(judged: Judge) -> None:
    for body in (
        "assert np.allclose(candidate([1, 2]), [2, 4])",
        "assert (candidate([[1, 2], [3, 4]]) == np.array([[2, 4], [6, 8]])).all()",
        "assert candidate([1.5]).shape == (1,) and candidate([1.5]).max() == np.float64(3)",
        "np.testing.assert_array_equal(candidate(np.arange(3)), [0, 2, 4])\nassert True",
    ):
        judgement = judged(ARRAYS, check(body, before="import numpy as np\n"))
        assert judgement.score == 1.0, judgement.evidence()
        assert judged(ARRAYS.replace("* 2", "* 3"), check(body, before="import numpy as np\n")).score == 0.0
    calls = {"tests": {"kind": "call", "entry": "f", "cases": [{"args": [[[1], [2]]], "returns": [[2], [4]]}]}}
    assert judged(ARRAYS, calls).score == 1.0
    assert judged(ARRAYS.replace("* 2", "* 3"), calls).score == 0.0


TABLES = """
import pandas as pd
def f(d):
    return pd.DataFrame(d).sort_values('a')
def g(d):
    return pd.DataFrame(d).groupby('b')['a'].sum()
"""


def test_tables(judged: Judge) -> None:
    before = "import pandas as pd\nimport pandas.testing as tm\n"
    body = "d = {'a': [2, 1], 'b': ['x', None]}\nassert list(candidate(d).columns) == ['a', 'b']\n"
    body += "tm.assert_frame_equal(candidate(d), pd.DataFrame(d).sort_values('a'))\n"
    body += "assert candidate(pd.DataFrame(d)).iloc[0]['a'] == 1"
    limits = {"cpu_s": 3, "memory_mb": 512}
    judgement = judged(TABLES, {**check(body, before=before), "limits": limits})
    assert judgement.score == 1.0, judgement.evidence()
    assert (
        judged(TABLES.replace("sort_values('a')", "fillna(1)"), {**check(body, before=before), "limits": limits}).score
        == 0
    )
    body = "s = candidate({'a': [1, 2, 3], 'b': ['x', 'y', 'x']})\nassert s['x'] == 4 and s.name == 'a'\nassert s.index.name == 'b'"
    judgement = judged(TABLES, {**check(body, "g", before), "limits": limits})
    assert judgement.score == 1.0, judgement.evidence()


# Objects that the program is given


def test_built_in_types_and_functions_as_arguments(judged: Judge) -> None:
    source = "def f(t, kind): return [x for x in t if not isinstance(x, kind)]\ndef g(h, xs): return [h(x) for x in xs]"
    code = "assert f((4, 'a', 5.5), int) == ['a', 5.5]\nassert g(len, ['a', 'bc']) == [1, 2]\nassert g(str.upper, ['a']) == ['A']"
    judgement = judged(source, asserts(code))
    assert judgement.score == 1.0, judgement.evidence()
    assert judged(source.replace("not ", ""), asserts(code)).score == pytest.approx(2 / 3)


CALLBACKS = """
def apply(h, x): return h(x)
def compose(*hs):
    def run(x):
        for h in hs: x = h(x)
        return x
    return run
def order(xs, key): return sorted(xs, key=key)
def guard(h):
    try: return h()
    except KeyError as e: return 'no'
def twice(h):
    def inner(*a): return [h(*a), h(*a)]
    return inner
def area(shape): return shape.w * shape.h() + len(shape)
"""


@pytest.mark.parametrize(
    "body",
    [
        "assert apply(lambda x: x + 1, 2) == 3",
        "assert compose(lambda x: x + 1, lambda x: x * 2)(3) == 8",
        "assert order([3, 1, 2], key=lambda x: -x) == [3, 2, 1]",
        "def bad(): raise KeyError('x')\n    assert guard(bad) == 'no'",
        "class Own(Exception): pass\n    def bad(): raise Own('x')\n    with pytest.raises(Own):\n        guard(bad)",
        "seen = []\n    assert twice(seen.append)(7) == [None, None] and seen == [7, 7]",
        "from unittest.mock import Mock\n    m = Mock(return_value=4)\n    assert apply(m, 9) == 4\n    m.assert_called_once_with(9)",
        "class R:\n        w = 2\n        def h(self): return 3\n        def __len__(self): return 4\n    assert area(R()) == 10",
        "assert apply(apply, None) if False else apply(lambda x: apply(lambda y: y * x, 4), 5) == 20",
    ],
)
def test_callbacks(judged: Judge, body: str) -> None:
    code = f"import pytest\ndef test_a():\n    {body}\n"
    judgement = judged(CALLBACKS, unittests(code))
    assert judgement.score == 1.0, judgement.evidence()
    lazy = "def nothing(*a, **k): return None\napply = compose = order = guard = twice = area = nothing"
    assert judged(lazy, unittests(code)).score == 0.0


def test_nothing_behind_a_callback_can_be_reached(judged: Judge) -> None:
    code = "SECRET = 4711\ndef test_a():\n    assert f(lambda x: x) == SECRET"
    for way in (
        "h.__globals__['SECRET']",
        "h.__closure__",
        "h.__code__.co_names",
        "h.__self__",
        "h.__init__.__globals__",
    ):
        assert judged(f"def f(h):\n    return {way}", unittests(code)).score == 0.0
    mocked = "from unittest.mock import Mock\nSECRET = 4711\ndef test_a():\n    m = Mock()\n    assert f(m) == SECRET"
    for way in ("m._mock_parent", "m.__class__.__init__.__globals__", "m.call.__globals__"):
        assert judged(f"def f(m):\n    return {way}", unittests(mocked)).score == 0.0


# Patches

PATCHED = """
import os, time, random, json
def now(): return time.time()
def roll(): return random.randint(1, 6)
def home(): return os.environ.get('PLACE', 'nowhere')
def ask(): return input('name? ').upper()
def lines():
    import sys
    return [line.strip() for line in sys.stdin]
def helper(): return 1
def total(): return helper() + 1
def say(x): print(x)
def dump(x): return json.dumps(x)
"""


@pytest.mark.parametrize(
    "body",
    [
        "with patch('time.time', return_value=5):\n        assert now() == 5\n    assert now() > 5",
        "with patch('random.randint', side_effect=[3, 4]) as r:\n        assert [roll(), roll()] == [3, 4]\n    assert r.call_count == 2",
        "with patch.dict('os.environ', {'PLACE': 'here'}):\n        assert home() == 'here'\n    assert home() == 'nowhere'",
        "os.environ['PLACE'] = 'there'\n    assert home() == 'there'",
        "with patch('builtins.input', return_value='ann'):\n        assert ask() == 'ANN'",
        "with patch('sys.stdin', io.StringIO('a\\nb\\n')):\n        assert lines() == ['a', 'b']",
        "sys.stdin = io.StringIO('c\\n')\n    assert lines() == ['c']",
        "with patch('solution.helper', return_value=10):\n        assert total() == 11\n    assert total() == 2",
        "with patch('builtins.print') as p:\n        say(3)\n    p.assert_called_once_with(3)",
        "with patch('json.dumps', return_value='{}') as d:\n        assert dump([1]) == '{}'\n    d.assert_called_once_with([1])",
        "with patch.object(time, 'time', lambda: 7):\n        assert now() == 7",
    ],
)
def test_patches_reach_the_program(judged: Judge, body: str) -> None:
    code = "import io, os, sys, time\nfrom unittest.mock import patch\nfrom solution import *\n"
    names = "now, roll, home, ask, lines, total, say, dump"
    code += f"from solution import {names}\ndef test_a():\n    {body}\n"
    judgement = judged(PATCHED, unittests(code))
    assert judgement.score == 1.0, judgement.evidence()
    lazy = f"def helper(): return 1\ndef nothing(*a): return None\n{' = '.join(names.split(', '))} = nothing"
    assert judged(lazy, unittests(code)).score == 0.0


def test_decorators_and_monkeypatch(judged: Judge) -> None:
    code = """
import unittest, time
from unittest.mock import patch
class T(unittest.TestCase):
    @patch('time.time')
    def test_a(self, clock):
        clock.return_value = 9
        self.assertEqual(now(), 9)
        clock.assert_called_once()
def test_b(monkeypatch):
    monkeypatch.setenv('PLACE', 'x')
    monkeypatch.setattr('time.time', lambda: 3)
    assert home() == 'x' and now() == 3
"""
    judgement = judged(PATCHED, unittests(code))
    assert (judgement.total, judgement.score) == (2, 1.0), judgement.evidence()


# Files


@pytest.mark.parametrize(
    ("source", "body"),
    [
        ("def f(p): return open(p).read()", "p = os.path.join(tempfile.mkdtemp(), 'a')\n    open(p, 'w').write('x')\n    assert f(p) == 'x'"),
        ("def f(p):\n    with open(p, 'w') as h: h.write('y')", "p = tempfile.mktemp()\n    f(p)\n    assert open(p).read() == 'y'"),
        ("def f(p):\n    open(p, 'a').write('z')", "f('log.txt')\n    f('log.txt')\n    assert open('log.txt').read() == 'zz'"),
        ("import os\ndef f(d): return sorted(os.listdir(d))", "d = tempfile.mkdtemp()\n    for n in 'ba': open(f'{d}/{n}', 'w').close()\n    assert f(d) == ['a', 'b']\n    os.remove(f'{d}/a')\n    assert f(d) == ['b']"),
        ("import shutil\ndef f(d): shutil.rmtree(d)", "d = tempfile.mkdtemp()\n    open(d + '/x', 'w').close()\n    f(d)\n    assert not os.path.exists(d)"),
        ("def f(p): return open(p, 'rb').read()[::-1]", "open('b', 'wb').write(bytes(range(256)))\n    assert f('b') == bytes(range(256))[::-1]"),
        ("def f(p):\n    s = open(p).read()\n    open(p, 'w').write(s.swapcase())", "open('q', 'w').write('aB')\n    f('q')\n    assert open('q').read() == 'Ab'\n    f('q')\n    assert open('q').read() == 'aB'"),
    ],
)  # fmt: skip
def test_files_are_shared(judged: Judge, source: str, body: str) -> None:
    code = f"import os, tempfile\ndef test_a():\n    {body}\n"
    judgement = judged(source, unittests(code))
    assert judgement.score == 1.0, judgement.evidence()
    assert judged("def f(p): return None", unittests(code)).score == 0.0


def test_a_temporary_path(judged: Judge) -> None:
    code = "def test_a(tmp_path):\n    p = tmp_path / 'x'\n    p.write_text('1')\n    assert f(str(p)) == 1"
    assert judged("def f(p): return int(open(p).read())", unittests(code)).score == 1.0


@pytest.mark.parametrize("place", ["json.py", "/tmp/json.py", "helper_of_test.py", "numpy/__init__.py"])
def test_a_module_that_the_program_writes_is_not_imported_by_the_tests(judged: Judge, place: str) -> None:
    code = "import os\ndef test_a():\n    f(1)\n    assert os.listdir('.')\n    import textwrap, json, wave\n"
    code += "    try:\n        import helper_of_test\n    except BaseException:\n        pass\n    assert f(2) == 3"
    lie = "import sys\nfor m in list(sys.modules.values()):\n    if hasattr(m, 'send'): m.send(b'{\"op\": \"done\"}')\nraise SystemExit(0)"
    source = f"import os\ndef f(x):\n    os.makedirs(os.path.dirname({place!r}) or '.', exist_ok=True)\n"
    source += f"    open({place!r}, 'w').write({lie!r})\n    open('wave.py', 'w').write({lie!r})\n    return 0"
    assert judged(source, unittests(code)).score == 0.0


@pytest.mark.parametrize(
    "use", ["pickle.load(open('a', 'rb'))", "exec(open('a').read())", "subprocess.run(['sh', 'a'])"]
)
def test_running_what_the_program_wrote_is_a_bad_reference(judged: Judge, use: str) -> None:
    code = f"import pickle, subprocess\ndef test_a():\n    open('b', 'w')\n    f('a')\n    assert {use}"
    with pytest.raises(BadReferenceError, match="shares files"):
        judged("def f(p): open(p, 'w').write('x')", unittests(code))


def test_files_too_large_to_share_are_the_programs_doing(judged: Judge) -> None:
    code = "def test_a():\n    f('a')\n    assert open('a').read() == 'x'"
    judgement = judged("def f(p): open(p, 'w').write('x' * (3 << 20))", unittests(code))
    assert judgement.verdict is Verdict.RUNTIME_ERROR
