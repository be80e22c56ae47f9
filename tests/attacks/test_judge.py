"""The rules of the harness that the files of this repository do not exercise."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from tests.attacks._host import Sampler
from tests.attacks._judge import PASSED, Outcome, Status, check_expectation, judge_host

_LIMITS = {"cpu_s": 1.0, "wall_s": 2.0, "memory_mb": 256, "disk_mb": 64}
_SENTENCE = "the verdict is in expect.verdict_in, each other field of expect holds, and on the host: "


@pytest.mark.parametrize(
    "sentence",
    [
        "stdout is exactly expect.stdout_bytes_hex",
        "the signal that ended the run is reported",
        "no connection arrives at a planted listener",
        "no escape bytes of the program come into the logs of the service",
        "what the run stored is at most limits.disk_mb",
    ],
)
def test_every_sentence_of_the_format_is_measured(sentence: str) -> None:
    line: dict[str, Any] = {"limits": _LIMITS, "probe": {"pass_if": {"pass": _SENTENCE + sentence}}}
    ended = Outcome("runtime_error", 0.1, signal=9)
    assert judge_host(line, ended, Sampler(), "per_process").status is Status.PASS


@pytest.mark.parametrize("sentence", ["reported cpu_s is that of the limit", "it answers well before the wall limit"])
def test_a_time_that_is_wrong_is_told_from_other_failures(sentence: str) -> None:
    line: dict[str, Any] = {"limits": _LIMITS, "probe": {"pass_if": {"pass": _SENTENCE + sentence}}}
    judgement = judge_host(line, Outcome("time_limit", 1.9, cpu_s=1.9), Sampler(), "per_process")
    assert judgement.status is Status.FAIL
    assert judgement.by_clock_only


def test_a_signal_that_is_not_there_is_a_failure() -> None:
    line = {"limits": _LIMITS, "probe": {"pass_if": {"pass": _SENTENCE + "the signal that ended the run is reported"}}}
    ended = Outcome("runtime_error", 0.1, exit_code=1)
    assert judge_host(line, ended, Sampler(), "per_process").status is Status.FAIL


@pytest.mark.parametrize(
    ("expect", "holds"), [({"stdout_bytes_hex": "00FF"}, True), ({"stdout_bytes_hex": "00"}, False)]
)
def test_bytes_are_compared(expect: dict[str, Any], holds: bool) -> None:
    result = Outcome("ok", 0.1, stdout=b"\0\xff", exit_code=0)
    judgement = check_expectation({"verdict_in": ["ok"], **expect}, result, lambda: 1.0)
    assert (judgement is PASSED) == holds


@pytest.mark.parametrize(("slowness", "holds"), [(1.0, False), (3.0, True)])
def test_a_slow_answer_is_excused_by_a_slow_host_only(slowness: float, holds: bool) -> None:
    expect = {"verdict_in": ["wall_limit"], "max_wall_s": 4}
    assert (check_expectation(expect, Outcome("wall_limit", 9.0), lambda: slowness) is PASSED) == holds


@pytest.mark.parametrize(("verdict", "by_clock_only"), [("wall_limit", True), ("ok", False)])
def test_only_what_the_clock_alone_speaks_against_is_tried_again(verdict: str, by_clock_only: bool) -> None:
    expect = {"verdict_in": ["wall_limit"], "max_wall_s": 4}
    judgement = check_expectation(expect, Outcome(verdict, 9.0), lambda: 1.0)
    assert judgement.status is Status.FAIL
    assert judgement.by_clock_only == by_clock_only


@pytest.mark.parametrize("code", [137, -9])
def test_a_signal_may_be_told_as_an_exit_code(code: int) -> None:
    result = Outcome("runtime_error", 0.1, exit_code=code)
    assert check_expectation({"verdict_in": ["runtime_error"], "signal": 9}, result, lambda: 1.0) is PASSED


def test_a_refused_plant_is_told_from_a_broken_one() -> None:
    from tests.attacks._worker import _REFUSED

    assert _REFUSED.search(b"Traceback ...\nPermissionError: [Errno 1] Operation not permitted\n")
    assert not _REFUSED.search(b"NameError: name 'x' is not defined\n")


def test_what_the_service_writes_is_looked_at() -> None:
    source = (
        "import os\nfrom tests.attacks._host import Written\nw = Written()\nos.write(2, b'a line\\n')\n"
        "first = w.complaint()\nprint('\\x1b[2J', flush=True)\nsecond = w.complaint()\nw.close()\n"
        "assert not first and 'x1b' in second, (first, second)"
    )
    done = subprocess.run([sys.executable, "-c", source], cwd=os.getcwd(), capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(b"a line\n")
