"""Judging of programs: code out of a response, tests into isolated runs, results compared outside, a verdict.

    TestSpec      what a task asks for, read from its reference by `parse_reference`
    Submission    a program, found in a response by `Submission.from_response` or given as such
    Slots         the sandboxes that one judging thread uses
    judge         submission + spec -> `Judgement`: verdict, score, one `TestResult` per test, evidence, feedback

    with Slots(sandbox.open_sandbox) as slots:
        spec = parse_reference({"tests": [{"stdin": "2 3", "stdout": "5"}]})
        judgement = judge(Submission.from_response(response, spec), spec, slots)

**No expected value and no test enters the process of the program.** Standard output and results of calls are compared
here. Assertions become comparisons through their syntax tree; test code that does not convert runs in a second
sandbox, and only plain data pass between it and the program. Exit codes and texts of a program never count as success.

Reference (JSON object)
    language   `python` (default), `cpp`, `c`, `java`, `go`, `rust`, `javascript`, `typescript`, `bash`
    tests      one of
        {"kind": "stdio", "cases": [{"stdin", "stdout", "name"?, "public"?}]}
        {"kind": "call", "entry": "f", "cases": [{"args"?, "kwargs"?, "returns", "name"?, "public"?}]}
        {"kind": "assert", "code": "assert f(1) == 2 ...", "entry"?, "public"?}
        {"kind": "unittest", "code": "class T(unittest.TestCase) ... or def test_x() ...", "entry"?, "public"?}
        {"kind": "interactive", "interactor": {"language"?, "code", "files"?, "args"?, "style"?, "passes"?},
         "cases"}
               A bare list of cases (for assert and unittest: bare code, or a list of its parts), or an object
               without `kind`, goes with `"mode": "<kind>"` beside it. `input`,
               `output`, `expected`, `fn`, `fn_name`, `entry_point` and the kinds `function` and `pytest` are read as
               synonyms; `tests` may be a string of JSON, `code` a list of strings. `entry` names a function, a
               method of a class `Solution`, or `Class.method` (also `Class().method`). `public` marks what the policy
               may see (for code: true, or a list of names of tests).
               A call may say `arg_types`, `return_type`, `iterables`, `in_place`, see docs/verifiers/code.md.
               Rows of public collections are read as they are shipped, see `_published`.
    compare    {"kind": ...}; stdio: `lines` (default), `tokens`, `float` (`abs`, `rel`, 1e-6 each by default),
               `exact`, `checker` (`code`), `validator` (`program`, like an interactor); the first three take
               `ignore_case`. call: `value` (default; `abs`, `rel`), `python_eq`, `checker`.
               Checkers are Python with `check(stdin, stdout, expected)`, or
               `check(args, result, expected)`; one that raises on an answer has found it wrong, unless no answer
               can be the cause, or `expected_is_right` and it fails on the expected one.
    limits     `cpu_s`, `wall_s`, `memory_mb`, `stdout_bytes`, `stderr_bytes`, `disk_mb`, `files`, `processes` of each
               test; `compile_cpu_s`, `compile_wall_s`. Asking for more than the server's `Ceiling` is an error.
    setup      Python helpers that the tests use; trusted, run beside the tests and never beside the program
    prelude    names that the program finds without importing them: `auto`, `none`, `leetcode`, or Python source

What is one test: a case; an assertion at the top of assert code; a call of `check(f)` or a statement with assertions;
a test function or method, once per written-out set of parameters. `JudgeOptions.split_checks` counts the assertions of
such a function one by one. Every test starts from a fresh process and directory; an assertion at the top about an
object, or about data, that earlier assertions may have changed runs after those. A test that asks the program for
nothing is left out and named in the notes.

Test code names the program by its functions or by any module that does not exist (`from solution import f`). It finds
unittest with `mock`, the everyday part of pytest (`raises`, `approx`, `mark.parametrize`, `fixture`, `capsys`,
`monkeypatch`, `tmp_path`, `fail`, `skip`, `param`), and `random` seeded with 0. Arguments changed in place are changed
for the test too, exceptions come as the nearest built-in type, what the program prints appears on the test's own
standard output, and files, patches and callbacks of the test reach the program. Classes of the program can be
instantiated and used by test code; equality of two such objects is the program's own to say, so tests that rely on it
trust it. Names of built-ins are the program's in tests that ask it for nothing else, see `_shadowed`.

Verdicts and what they become in a service (`Judgement.code`)
    accepted                                  `accepted`; `partial` where some tests failed, whatever the reason
    wrong_answer                              `wrong`
    runtime_error, compile_error, no_code     the same
    time_limit, memory_limit, output_limit,
    wall_limit, too_large                     `limit`
`wall_limit` is a verdict: time spent waiting for a processor does not count, so a program that reaches it slept.

Errors (who has to act)
    BadReferenceError (data set), BadOptionsError (caller), sandbox.SandboxInternalError (ours, retry),
    UnmeasuredLimitError, sandbox.SandboxUnavailableError and sandbox.UnsupportedLanguageError (operator),
    sandbox.SandboxClosedError (cancelled).
"""

from reward_servers.engines.code._compare import Comparison
from reward_servers.engines.code._errors import (
    BadOptionsError,
    BadReferenceError,
    CodeEngineError,
    UnmeasuredLimitError,
)
from reward_servers.engines.code._extract import Extraction, extract
from reward_servers.engines.code._judge import JudgeOptions, Submission, judge
from reward_servers.engines.code._limits import Ceiling, RunLimits
from reward_servers.engines.code._parse import parse_reference
from reward_servers.engines.code._slots import Slots
from reward_servers.engines.code._spec import (
    CallTest,
    CallTests,
    CodeTests,
    InteractiveTests,
    StdioTest,
    StdioTests,
    TestSpec,
)
from reward_servers.engines.code._swap import swapped
from reward_servers.engines.code._verdicts import Judgement, TestResult, Verdict
from sandbox import Limits

__all__ = [
    "BadOptionsError",
    "BadReferenceError",
    "CallTest",
    "CallTests",
    "Ceiling",
    "CodeEngineError",
    "CodeTests",
    "Comparison",
    "Extraction",
    "InteractiveTests",
    "JudgeOptions",
    "Judgement",
    "Limits",
    "RunLimits",
    "Slots",
    "StdioTest",
    "StdioTests",
    "Submission",
    "TestResult",
    "TestSpec",
    "UnmeasuredLimitError",
    "Verdict",
    "extract",
    "judge",
    "parse_reference",
    "swapped",
]
