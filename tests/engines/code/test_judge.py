"""Judging by whole programs and by calls, in real sandboxes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

import sandbox
from reward_servers.engines.code import (
    BadReferenceError,
    Judgement,
    JudgeOptions,
    Slots,
    Submission,
    Verdict,
    judge,
    parse_reference,
)
from tests.engines.code.conftest import Judge

SUM = {"tests": [{"stdin": "2 3\n", "stdout": "5\n"}, {"stdin": "10 -4\n", "stdout": "6\n", "public": True}]}
ADD = "a, b = map(int, input().split())\nprint(a + b)\n"


def call(entry: str, *cases: tuple[list[Any], Any], **compare: Any) -> dict[str, Any]:
    tests = [{"args": args, "returns": value} for args, value in cases]
    reference: dict[str, Any] = {"tests": {"kind": "call", "entry": entry, "cases": tests}}
    return {**reference, "compare": compare} if compare else reference


def checker(code: str, stdout: str = "") -> dict[str, Any]:
    return {"tests": [{"stdin": "7\n", "stdout": stdout}], "compare": {"kind": "checker", "code": code}}


def test_scores_and_codes(judged: Judge) -> None:
    right = judged(ADD, SUM)
    assert (right.verdict, right.score, right.code) == (Verdict.ACCEPTED, 1.0, "accepted")
    half = judged("print(5)", SUM)
    assert (half.verdict, half.score, half.code) == (Verdict.WRONG_ANSWER, 0.5, "partial")
    assert judged("print(5)", SUM, scoring="all").score == 0.0
    none = judged("print(0)", SUM)
    assert (none.score, none.code, none.passed) == (0.0, "wrong", 0)


def test_stop_at_the_first_failure(judged: Judge) -> None:
    stopped = judged("print(6)", SUM, stop_at_first_failure=True)
    assert [result.verdict for result in stopped.results] == [Verdict.WRONG_ANSWER]
    assert (stopped.total, stopped.score) == (2, 0.0)


def test_every_run_is_measured(judged: Judge) -> None:
    result = judged(
        "import time\nt = time.process_time()\nwhile time.process_time() - t < 0.2: pass\n" + ADD, SUM
    ).results[0]
    assert result.verdict is Verdict.ACCEPTED
    assert result.cpu_s is not None
    assert 0.2 <= result.cpu_s < 1
    assert result.wall_s > 0


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        ("import sys\nprint(5)\nsys.exit(1)", "runtime_error"),
        ("raise MemoryError", "memory_limit"),
        ("x = bytearray(1 << 30)", "memory_limit"),
        ("while True: pass", "time_limit"),
        ("import time\ntime.sleep(100)", "wall_limit"),
        ("while True: print('x' * 1000)", "output_limit"),
        ("import os\nos.kill(os.getpid(), 9)", "runtime_error"),
        ("def f(:", "compile_error"),
        ("return 1", "compile_error"),
        ("x = '\0'", "compile_error"),
        ("x = '\ud800'", "compile_error"),
        ("\x7fELF\x01\x02", "compile_error"),
        ("", "wrong_answer"),
    ],
)
def test_what_a_program_does_is_a_verdict(judged: Judge, source: str, verdict: str) -> None:
    reference = {"tests": [{"stdin": "1", "stdout": "5"}], "limits": {"cpu_s": 0.5, "wall_s": 2}}
    judgement = judged(source, reference)
    assert judgement.verdict.value == verdict
    assert judgement.score == 0.0
    json.dumps(judgement.evidence())
    json.dumps(judgement.feedback())


def test_a_program_over_the_cap_is_a_verdict(judged: Judge) -> None:
    huge = "#" * (50 << 20)
    judgement = judged(huge, SUM)
    assert (judgement.verdict, judgement.code, judgement.score) == (Verdict.TOO_LARGE, "limit", 0.0)
    assert len(judgement.results) == 2
    assert judged("#" * (20 << 20), SUM, max_source_bytes=64 << 20).verdict is Verdict.TOO_LARGE


def test_a_response_without_code_is_a_verdict(slots: Slots) -> None:
    spec = parse_reference(SUM)
    judgement = judge(Submission.from_response("I do not know", spec), spec, slots)
    assert (judgement.verdict, judgement.code, judgement.message) == (Verdict.NO_CODE, "no_code", "no fenced block")
    judgement = judge(Submission.from_response(f"```py\n{ADD}```", spec), spec, slots)
    assert judgement.score == 1.0
    assert judgement.evidence()["extraction"]["rule"] == "fence"


def test_an_unavailable_language_is_no_verdict(slots: Slots, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = parse_reference({"language": "javascript", "tests": [{"stdout": "1"}]})
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(sandbox.UnsupportedLanguageError):
        judge(Submission("console.log(1)"), spec, slots)


def test_other_languages(judged: Judge) -> None:
    cpp = "#include <iostream>\nint main(){int a,b;std::cin>>a>>b;std::cout<<a+b;}"
    assert judged(cpp, {**SUM, "language": "cpp"}).score == 1.0
    assert judged("int main(){return x;}", {**SUM, "language": "cpp"}).verdict is Verdict.COMPILE_ERROR
    assert judged("read a b; echo $((a + b))", {**SUM, "language": "bash"}).score == 1.0


# Calls


def test_results_of_calls(verdicts: Callable[..., list[str]]) -> None:
    reference = call("f", ([2], 4), ([3], 9))
    assert verdicts("def f(x): return x * x", reference) == ["accepted", "accepted"]
    assert verdicts("def f(x): return (x * x,)", reference) == ["wrong_answer", "wrong_answer"]
    assert verdicts("class Solution:\n    def f(self, x): return x * x", reference) == ["accepted", "accepted"]
    assert verdicts("g = 1", reference) == ["runtime_error", "runtime_error"]
    assert verdicts("f = 3", reference) == ["runtime_error", "runtime_error"]
    assert verdicts("class A:\n    def f(self, x): return x * x", call("A.f", ([2], 4))) == ["accepted"]
    assert (
        verdicts("def f(x):\n    if __name__ == '__main__': return 0\n    return x * x", reference) == ["accepted"] * 2
    )


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ("raise KeyError('x')", "runtime_error"),
        ("raise MemoryError", "memory_limit"),
        ("import sys; sys.exit(0)", "runtime_error"),
        ("import os; os._exit(0)", "runtime_error"),
        ("while True: pass", "time_limit"),
        ("import time; time.sleep(60)", "wall_limit"),
        ("return (n for n in [4])", "runtime_error"),
        ("return object()", "runtime_error"),
        ("from decimal import Decimal; return Decimal(4)", "runtime_error"),
        ("x = []; x.append(x); return x", "runtime_error"),
        ("return 'x' * (5 << 20)", "output_limit"),
        ("print('x' * (2 << 20)); return 4", "output_limit"),
        ("return 10 ** 5000", "wrong_answer"),
        ("return float('nan')", "wrong_answer"),
        ("return {n * (2 ** 61 - 1) for n in range(1000)}", "runtime_error"),
        ("import collections; return collections.Counter('a')", "wrong_answer"),
    ],
)
def test_what_a_call_does_is_a_verdict(judged: Judge, body: str, verdict: str) -> None:
    reference = {**call("f", ([2], 4)), "limits": {"cpu_s": 0.5, "wall_s": 2}}
    judgement = judged(f"def f(x):\n    {body}", reference)
    assert judgement.verdict.value == verdict, judgement.evidence()
    json.dumps(judgement.evidence())


@pytest.mark.parametrize(
    "source",
    [
        "import sys\nsys.exit(0)",
        "import os\nos._exit(0)",
        "def f(x):\n    class E(int):\n        def __eq__(self, o): return True\n    return E(0)",
        "import os\ndef f(x):\n    os.write(3, b'{\"ok\":4}\\n' * 5)\n    os._exit(0)",
        "import json\njson.dumps = lambda *a, **k: '{\"ok\": 4}'\ndef f(x): return 0",
        "import os\ndef f(x):\n    for n in range(3, 9):\n        try: os.write(n, b'1')\n        except OSError: pass",
    ],
)
def test_frauds_get_nothing_they_did_not_compute(judged: Judge, source: str) -> None:
    """Whatever the process of the program writes is at best a wrong result."""
    assert judged(source, call("f", ([20017], 50028), ([3], 71))).score == 0.0


def test_comparison_of_results(judged: Judge) -> None:
    assert judged("def f(x): return x + 1e-9", call("f", ([1.0], 1.0), kind="value", abs=1e-6)).score == 1.0
    assert judged("def f(x): return 1", call("f", ([1], True))).score == 0.0
    assert judged("def f(x): return 1", call("f", ([1], True), kind="python_eq")).score == 1.0
    code = "def check(args, result, expected):\n    return sorted(result) == sorted(expected)"
    assert judged("def f(x): return [2, 1]", call("f", ([1], [1, 2]), kind="checker", code=code)).score == 1.0


@pytest.mark.parametrize("depth", [10, 198, 199, 200, 201, 300])
def test_deep_results(judged: Judge, depth: int) -> None:
    source = f"def f(x):\n    y = []\n    for _ in range({depth}): y = [y]\n    return y"
    assert judged(source, call("f", ([1], 3))).score == 0.0
    compare = {"kind": "checker", "code": "def check(args, result, expected):\n    return False"}
    assert judged(source, call("f", ([1], 3), **compare)).score == 0.0


# Checkers


SPLIT = "def check(stdin, stdout, expected):\n    a, b = map(int, stdout.split())\n    return a + b == int(stdin)\n"


def test_checkers_decide(verdicts: Callable[..., list[str]]) -> None:
    assert verdicts("print(3, 4)", checker(SPLIT)) == ["accepted"]
    assert verdicts("print(3, 5)", checker(SPLIT)) == ["wrong_answer"]
    assert verdicts("print('x y')", checker(SPLIT)) == ["wrong_answer"]
    assert verdicts("print(1, 2, 3)", checker(SPLIT)) == ["wrong_answer"]
    leaving = "import sys\ndef check(i, o, e):\n    if o.strip() != '7': sys.exit(1)\n    return True"
    assert verdicts("print(8)", checker(leaving)) == ["wrong_answer"]
    asserting = "def check(i, o, e):\n    assert o.strip() == '7', 'no'\n    return True"
    assert verdicts("print(8)", checker(asserting)) == ["wrong_answer"]


@pytest.mark.parametrize(
    "code",
    [
        "def check(",
        "import no_such_module",
        "raise ValueError",
        "x = 1",
        "def check(stdin, stdout): return True",
        "def check(i, o, e): return undefined_name",
        "def check(i, o, e):\n    import no_such_module\n    return True",
        "def check(i, o, e): return open('/data/answers.txt').read() == o",
    ],
)
def test_a_broken_checker_is_a_bad_reference(judged: Judge, code: str) -> None:
    with pytest.raises(BadReferenceError) as error:
        judged("print(7)", checker(code))
    assert error.value.field == "compare.code"


OWN = """
class WA(Exception): pass
def check(stdin, stdout, expected):
    numbers = stdout.split()
    if len(numbers) != int(stdin):
        raise WA("count")
    return sorted(map(int, numbers)) == list(range(int(stdin)))
"""


@pytest.mark.parametrize("kind", ["WA", "RuntimeError", "ValueError", "SystemExit", "AssertionError"])
def test_a_checker_may_say_no_by_any_exception(verdicts: Callable[..., list[str]], kind: str) -> None:
    code = OWN.replace("raise WA", f"raise {kind}")
    assert verdicts("print(*range(7))", checker(code, stdout="any permutation")) == ["accepted"]
    for wrong in ("pass", "print(1, 2)", "print('any permutation')"):
        assert verdicts(wrong, checker(code, stdout="any permutation")) == ["wrong_answer"]
        assert verdicts(wrong, checker(code)) == ["wrong_answer"]


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("def check(i, o, e):\n    return eval(o) == 7", "nope"),
        ("def check(i, o, e):\n    exec(o)\n    return True", "import nope"),
        ("def check(i, o, e):\n    return open(o.strip()).read() == '7'", "/tmp/nope"),
        ("def check(i, o, e):\n    return bool(__import__(o.strip()))", "nope"),
        ("def check(i, o, e):\n    if o == '7': x = 1\n    return x == 1", "nope"),
        ("import os\ndef check(i, o, e):\n    os._exit(int(o.strip() == 'nope'))", "nope"),
        ("import os\ndef check(i, o, e):\n    os._exit(0)", "nope"),
    ],
)
def test_no_answer_makes_itself_a_fault_of_the_checker(judged: Judge, code: str, answer: str) -> None:
    assert judged(f"print({answer!r})", checker(code)).score == 0.0


def test_a_checker_that_fails_on_what_is_known_to_be_right_is_broken(judged: Judge) -> None:
    def vouched(code: str) -> dict[str, Any]:
        reference = checker(code, stdout="7\n")
        return {**reference, "compare": {**reference["compare"], "expected_is_right": True}}

    for body in ("return int('x') == int(o)", "raise ValueError('x')", "return False"):
        code = f"def check(i, o, e):\n    {body}"
        assert judged("print(7)", checker(code, stdout="7\n")).verdict is Verdict.WRONG_ANSWER
        with pytest.raises(BadReferenceError):
            judged("print(8)", vouched(code))
    sound = "def check(i, o, e):\n    return int(o) == int(e)"
    assert judged("print(7)", vouched(sound)).score == 1.0
    assert judged("print('x')", vouched(sound)).verdict is Verdict.WRONG_ANSWER


def test_an_answer_of_the_wrong_form_finds_no_shelter_in_a_picky_checker(judged: Judge) -> None:
    code = "def check(i, o, e):\n    h, m = o.split(':')\n    return int(h) * 60 + int(m) == int(e.split('=')[1])"
    assert judged("print('x')", checker(code, stdout="minutes=90")).verdict is Verdict.WRONG_ANSWER
    assert judged("print('1:30')", checker(code, stdout="minutes=90")).verdict is Verdict.ACCEPTED


def test_a_checker_that_never_ends_is_the_answers_doing(judged: Judge) -> None:
    code = "def check(i, o, e):\n    while o.strip() == 'slow': pass\n    return True"
    judgement = judged("print('slow')", {**checker(code), "limits": {"cpu_s": 0.4}})
    assert judgement.verdict is Verdict.TIME_LIMIT
    assert judgement.results[0].detail["where"] == "checker"


# What is told


def test_feedback_holds_public_tests_only(judged: Judge) -> None:
    judgement = judged("import sys\nprint('wrong')\nprint('trace', file=sys.stderr)", SUM)
    feedback = judgement.feedback()
    assert [test["name"] for test in feedback["tests"]] == ["test 2"]
    assert feedback["tests"][0]["expected"] == "6\n"
    assert "2 3" not in json.dumps(feedback)
    evidence = judgement.evidence()
    assert evidence["tests"][0]["expected"] == "5\n"
    assert (evidence["passed"], evidence["total"]) == (0, 2)


def test_evidence_quotes_the_first_failures_only(judged: Judge) -> None:
    reference = {"tests": [{"stdin": str(n), "stdout": "x" * 5000} for n in range(15)]}
    evidence = judged("print(1)", reference).evidence()
    assert sum("expected" in test for test in evidence["tests"]) == 10
    assert len(json.dumps(evidence)) < 60_000


def test_the_same_submission_gets_the_same_judgement(judged: Judge) -> None:
    source = "import random\nprint(5 if random.random() < 2 else 0)"

    def facts(judgement: Judgement) -> list[Any]:
        return [judgement.verdict, judgement.score, *(result.verdict for result in judgement.results)]

    assert facts(judged(source, SUM)) == facts(judged(source, SUM))


def test_options_are_shared_by_extraction_and_judging(slots: Slots) -> None:
    spec = parse_reference(call("f", ([1], 1)))
    response = "```python\ndef f(x): return x\n```\n```python\nprint(f(1))\n```"
    last, entry = JudgeOptions(), JudgeOptions(blocks="entry")
    assert judge(Submission.from_response(response, spec, last), spec, slots, last).score == 0.0
    assert judge(Submission.from_response(response, spec, entry), spec, slots, entry).score == 1.0


def test_closed_slots_stay_closed() -> None:
    spec = parse_reference(SUM)
    with Slots(sandbox.open_sandbox) as slots:
        assert judge(Submission(ADD), spec, slots).score == 1.0
        slots.close()
        with pytest.raises(sandbox.SandboxClosedError):
            judge(Submission(ADD), spec, slots)


@pytest.mark.parametrize("source", ["import time\ntime.sleep(60)", "def f(x):\n    import time\n    time.sleep(60)"])
def test_closing_ends_a_judgement_in_progress(source: str) -> None:
    code = "import random\ndef check(c):\n    assert c(random.random())\ncheck(f)"
    reference: dict[str, Any] = {"tests": {"kind": "assert", "code": code}} if "def f" in source else SUM
    with Slots(sandbox.open_sandbox) as slots:
        assert slots.program.report.isolation
        closing = threading.Timer(0.5, slots.close)
        closing.start()
        with pytest.raises(sandbox.SandboxClosedError):
            judge(Submission(source), parse_reference(reference), slots)
        closing.join()
