"""Validators and interactors of problem packages."""

# ruff: noqa: E501 (programs in one line)

from __future__ import annotations

from typing import Any

import pytest

from reward_servers.engines.code import BadReferenceError, Verdict
from tests.engines.code.conftest import Judge

# Any two numbers with the given sum.
VALIDATOR = """
import sys
want = int(open(sys.argv[1]).read())
try:
    a, b = map(int, sys.stdin.read().split())
except ValueError:
    open(sys.argv[3] + 'judgemessage.txt', 'w').write('not two numbers')
    sys.exit(43)
sys.exit(42 if a + b == want else 43)
"""
VALIDATOR_CPP = """
#include <fstream>
#include <iostream>
int main(int, char **argv) {
    std::ifstream in(argv[1]), out(argv[2]), answer(argv[3]);
    long want, a, b;
    in >> want;
    if (!(out >> a >> b)) return 2;
    return a + b == want ? 0 : 1;
}
"""


def validated(code: str, **fields: Any) -> dict[str, Any]:
    cases = [{"stdin": "7\n", "stdout": "3 4"}, {"stdin": "9\n", "stdout": ""}]
    return {"tests": cases, "compare": {"kind": "validator", "program": {"code": code, **fields}}}


@pytest.mark.parametrize(
    "reference",
    [validated(VALIDATOR), validated(VALIDATOR_CPP, language="cpp", style="testlib")],
    ids=["kattis", "testlib"],
)
def test_validators(judged: Judge, reference: dict[str, Any]) -> None:
    assert judged("n = int(input())\nprint(n - 1, 1)", reference).score == 1.0
    assert judged("print(6, 1)", reference).score == 0.5
    assert judged("print('x')", reference).verdict is Verdict.WRONG_ANSWER
    assert judged("pass", reference).verdict is Verdict.WRONG_ANSWER
    assert judged("print(6, 1)\nraise SystemExit(1)", reference).verdict is Verdict.RUNTIME_ERROR


def test_a_validator_that_breaks_on_an_output_has_found_it_wrong(judged: Judge) -> None:
    breaking = validated("import sys\na, b = map(int, sys.stdin.read().split())\nsys.exit(42)")
    judgement = judged("print('x')", breaking)
    assert judgement.verdict is Verdict.WRONG_ANSWER
    assert judgement.rejected_by_error == 2
    hanging = {
        **validated("import sys\nwhile 'x' in sys.stdin.read(): pass\nwhile True: pass"),
        "limits": {"cpu_s": 0.3},
    }
    assert judged("print('x')", hanging).verdict is Verdict.TIME_LIMIT


def test_a_judging_program_that_does_not_compile_is_a_bad_reference(judged: Judge) -> None:
    for reference in (validated("def f(:"), validated("int main( {", language="cpp")):
        with pytest.raises(BadReferenceError) as error:
            judged("print(1, 2)", reference)
        assert error.value.field == "compare.program"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"language": "cobol"}, "compare.program.language"),
        ({"style": "domjudge"}, "compare.program.style"),
        ({"files": {"a": 1}}, "compare.program.files"),
        ({"kode": "x"}, "compare.program.kode"),
        ({"passes": 0}, "compare.program.passes"),
        ({"passes": 101}, "compare.program.passes"),
        ({"passes": 2, "style": "testlib"}, "compare.program.passes"),
        ({"files": {"../a": ""}}, "compare.program"),
    ],
)
def test_malformed_judging_programs(judged: Judge, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(BadReferenceError) as error:
        judged("pass", validated(VALIDATOR, **fields))
    assert error.value.field == field


# Guess a number between 1 and 100 in at most 7 questions.
INTERACTOR = """
import sys
secret = int(open(sys.argv[1]).read())
for turn in range(8):
    line = sys.stdin.readline()
    if not line:
        sys.exit(43)
    try:
        guess = int(line)
    except ValueError:
        sys.exit(43)
    if guess == secret:
        print('correct', flush=True)
        sys.exit(42)
    print('lower' if secret < guess else 'higher', flush=True)
sys.exit(43)
"""
GUESS = """
low, high = 1, 100
while True:
    guess = (low + high) // 2
    print(guess, flush=True)
    said = input()
    if said == 'correct': break
    if said == 'lower': high = guess - 1
    else: low = guess + 1
"""
GUESS_CPP = """
#include <iostream>
#include <string>
int main() {
    int low = 1, high = 100;
    for (;;) {
        int guess = (low + high) / 2;
        std::cout << guess << std::endl;
        std::string said;
        std::cin >> said;
        if (said == "correct") return 0;
        if (said == "lower") high = guess - 1; else low = guess + 1;
    }
}
"""


def interactive(code: str = INTERACTOR, **fields: Any) -> dict[str, Any]:
    cases = [{"input": "1"}, {"input": "77"}, {"input": "100"}]
    return {"tests": {"kind": "interactive", "interactor": {"code": code}, "cases": cases}, **fields}


def test_interactors(judged: Judge) -> None:
    right = judged(GUESS, interactive())
    assert right.score == 1.0, right.evidence()
    assert judged(GUESS_CPP, interactive(language="cpp")).score == 1.0
    js = "const r = require('readline').createInterface({input: process.stdin}); let l = 1, h = 100, g = 50; console.log(g);"
    js += "r.on('line', s => { if (s === 'correct') process.exit(0); if (s === 'lower') h = g - 1; else l = g + 1; g = (l + h) >> 1; console.log(g); })"
    assert judged(js, interactive(language="javascript")).score == 1.0


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        ("for n in range(1, 101):\n    print(n, flush=True)\n    if input() == 'correct': break", "wrong_answer"),
        ("print('x', flush=True)", "wrong_answer"),
        ("pass", "wrong_answer"),
        ("raise SystemExit(3)", "wrong_answer"),
        ("print(7, flush=True)\nprint(1 / 0)", "wrong_answer"),
        ("input()", "wall_limit"),
        ("import time\ntime.sleep(60)", "wall_limit"),
        ("while True: pass", "time_limit"),
        ("while True: print(101)", "wrong_answer"),
        ("import sys\nsys.stdout.write('9' * 3000000)", "output_limit"),
        ("print(7, flush=True)\nwhile input() == 'higher': print(8, flush=True)", "wrong_answer"),
        ("import sys\nsys.stdout.write('77\\n' + '9' * 9000000)", "output_limit"),
        (GUESS.replace("break", "raise SystemExit(1)"), "runtime_error"),
        (GUESS.replace("break", "\n        while True: pass"), "time_limit"),
        ("for _ in range(8): print(7)\nimport sys\nsys.stdout.flush()\nwhile True: pass", "wrong_answer"),
    ],
)
def test_wrong_programs_before_an_interactor(judged: Judge, source: str, verdict: str) -> None:
    reference = interactive(limits={"cpu_s": 0.5, "wall_s": 1})
    reference["tests"]["cases"] = [{"input": "77"}]
    judgement = judged(source, reference)
    assert judgement.verdict.value == verdict, judgement.evidence()
    assert judgement.score == 0.0


def test_a_program_cannot_reach_what_the_interactor_has(judged: Judge) -> None:
    peek = "import os\nfound = [os.path.join(d, f) for d, _, fs in os.walk('/tmp') for f in fs]\nprint(open('tests/0.in').read() if 'tests/0.in' in found else len(found), flush=True)"
    reference = interactive()
    reference["tests"]["cases"] = [{"input": "77"}]
    assert judged(peek, reference).score == 0.0


def test_interactive_tests_take_no_comparison(judged: Judge) -> None:
    with pytest.raises(BadReferenceError, match="interactor decides"):
        judged(GUESS, interactive(compare={"kind": "tokens"}))
    with pytest.raises(BadReferenceError, match="kind"):
        judged(GUESS, {"tests": {"kind": "multi-pass", "cases": [{"input": "1"}]}})


# The first pass writes what the second one gets to undo: a text in letters for one in digits.
TWO_PASSES = """
import os, sys
data, feedback = open(sys.argv[1]).read().split(), sys.argv[3]
output = sys.stdin.read().split()
if data[0] == 'encode':
    if len(output) != 1 or not output[0].isalpha():
        sys.exit(43)
    open(feedback + 'secret', 'w').write(data[1])
    open(feedback + 'nextpass.in', 'w').write('decode ' + output[0][::-1])
    sys.exit(42)
sys.exit(42 if output == [open(feedback + 'secret').read()] else 43)
"""
TWO_PASSES_CPP = """
#include <algorithm>
#include <fstream>
#include <iostream>
#include <string>
int main(int, char **argv) {
    std::ifstream in(argv[1]);
    std::string kind, word, output, feedback(argv[3]), rest;
    in >> kind >> word;
    if (!(std::cin >> output) || (std::cin >> rest)) return 43;
    if (kind == "encode") {
        for (char c : output) if (c < 'a' || c > 'z') return 43;
        std::ofstream(feedback + "secret") << word;
        std::reverse(output.begin(), output.end());
        std::ofstream(feedback + "nextpass.in") << "decode " << output;
        return 42;
    }
    std::string secret;
    std::ifstream(feedback + "secret") >> secret;
    return output == secret ? 42 : 43;
}
"""
CODER = """
kind, word = input().split()
if kind == 'encode': print(''.join(chr(97 + int(c)) for c in word))
else: print(''.join(str(ord(c) - 97) for c in reversed(word)))
"""


def passing(code: str = TWO_PASSES, passes: int = 2, **fields: Any) -> dict[str, Any]:
    cases = [{"stdin": "encode 123\n", "stdout": ""}, {"stdin": "encode 0\n", "stdout": ""}]
    return {"tests": cases, "compare": {"kind": "validator", "program": {"code": code, "passes": passes, **fields}}}


@pytest.mark.parametrize("reference", [passing(), passing(TWO_PASSES_CPP, language="cpp")], ids=["python", "cpp"])
def test_problems_of_several_passes(judged: Judge, reference: dict[str, Any]) -> None:
    right = judged(CODER, reference)
    assert right.score == 1.0, right.evidence()
    forgetful = judged(CODER.replace("reversed(word)", "word"), reference)
    assert [result.verdict.value for result in forgetful.results] == ["wrong_answer", "accepted"]
    assert forgetful.results[0].detail["pass"] == 2
    assert judged("print('abc')", reference).score == 0.0
    breaking = judged(CODER.replace("else: ", "else: 1 / 0; "), reference)
    assert breaking.verdict is Verdict.RUNTIME_ERROR
    assert judged(CODER.replace("else: ", "else:\n    while True: pass\n    "), reference).verdict is Verdict.TIME_LIMIT


def test_a_program_takes_nothing_from_pass_to_pass(judged: Judge) -> None:
    remembers = "import os\n" + CODER.replace(
        "if kind", "open('mine', 'w').write(word) if kind == 'encode' else 0\nif kind"
    )
    cheats = remembers.replace(
        "else: print", "elif os.path.exists('mine'): print(open('mine').read())\nelse: print(7); 0 and print"
    )
    assert judged(remembers, passing()).score == 1.0
    assert judged(cheats, passing()).score == 0.0


def test_no_program_makes_passes_without_end(judged: Judge) -> None:
    """A validator that asks for as many passes as the output says is no shelter for it."""
    endless = (
        "import sys\nif 'more' in sys.stdin.read(): open(sys.argv[3] + 'nextpass.in', 'w').write('x')\nsys.exit(42)"
    )
    judgement = judged("print('more')", passing(endless, passes=3))
    assert judgement.verdict is Verdict.WRONG_ANSWER
    assert judgement.rejected_by_error == 2
    assert judgement.results[0].detail["raised"] == "more than 3 passes"
    assert judged("print('enough')", passing(endless, passes=3)).score == 1.0
    # One pass is all where the reference says nothing of more.
    assert judged("print('more')", passing(endless, passes=1)).score == 1.0
    no = "import sys\nopen(sys.argv[3] + 'nextpass.in', 'w').write('x')\nsys.exit(43)"
    assert judged("print('more')", passing(no)).verdict is Verdict.WRONG_ANSWER


def test_an_interactor_of_several_passes(judged: Judge) -> None:
    talks = "import sys\nn = int(open(sys.argv[1]).read())\nprint(n, flush=True)\nif int(input()) != 2 * n: sys.exit(43)\nif n < 40: open(sys.argv[3] + 'nextpass.in', 'w').write(str(2 * n))\nsys.exit(42)"
    reference = {
        "tests": {
            "kind": "interactive",
            "interactor": {"code": talks, "passes": 4},
            "cases": [{"input": "5"}, {"input": "33"}],
        }
    }
    right = judged("print(2 * int(input()))", reference)
    assert right.score == 1.0, right.evidence()
    wrong = judged("n = int(input())\nprint(2 * n + (n == 20))", reference)
    assert [result.verdict.value for result in wrong.results] == ["wrong_answer", "accepted"]
    assert (
        judged("n = int(input())\nprint(2 * n)\nif n == 20: raise SystemExit(1)", reference).verdict
        is Verdict.RUNTIME_ERROR
    )
