"""The symbolic stage: real worker processes, killed, starved and orphaned."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reward_servers.engines.math import (
    DEFAULT,
    Outcome,
    SymbolicPool,
    judge,
)
from reward_servers.engines.math.symbolic import worker

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def pool() -> Iterator[SymbolicPool]:
    with SymbolicPool(cpu_seconds=2.0) as started:
        yield started


@pytest.mark.parametrize(
    ("gold", "answer", "correct"),
    [
        ("\\int_0^1 x^2\\,dx", "\\frac13", True),
        ("\\int_0^1 x^2\\,dx", "\\frac12", False),
        ("\\sum_{k=1}^{n} k", "\\frac{n(n+1)}{2}", True),
        ("\\lim_{x\\to 0}\\frac{\\sin x}{x}", "1", True),
        ("\\frac{d}{dx} x^3", "3x^2", True),
        ("\\frac{d}{dx} x^3", "3x^3", False),
    ],
)
def test_evaluates_what_a_gold_leaves_open(pool: SymbolicPool, gold: str, answer: str, correct: bool) -> None:
    assert judge(f"\\boxed{{{answer}}}", gold, symbolic=pool).correct is correct


def test_an_answer_that_restates_the_question_never_comes_so_far(pool: SymbolicPool) -> None:
    judgement = judge("\\boxed{\\int_0^1 x^2\\,dx}", "\\frac13", symbolic=pool)
    assert (judgement.outcome, judgement.rule) == (Outcome.INCORRECT, "restated question")


def test_cpu_time_is_a_limit_of_the_question_and_the_pool_goes_on() -> None:
    with SymbolicPool(cpu_seconds=0.5) as pool:
        hard = judge("\\boxed{1}", "\\sum_{k=1}^{10^7} \\frac{1}{k^2+\\sin k}", symbolic=pool)
        assert (hard.outcome, hard.rule) == (Outcome.LIMIT, "cpu_seconds")
        assert judge("\\boxed{\\frac15}", "\\int_0^1 x^4\\,dx", symbolic=pool).correct


def test_a_killed_worker_is_replaced(pool: SymbolicPool) -> None:
    assert judge("\\boxed{\\frac12}", "\\int_0^1 x\\,dx", symbolic=pool).correct
    for pid in pool.pids:
        os.kill(pid, signal.SIGKILL)
    assert judge("\\boxed{\\frac16}", "\\int_0^1 x^5\\,dx", symbolic=pool).correct


def test_a_worker_that_cannot_start_is_a_failure_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    judgement = judge("\\boxed{\\frac13}", "\\int_0^1 x^2\\,dx + 0", symbolic=SymbolicPool())
    assert judgement.outcome is Outcome.UNDECIDED
    assert not judgement.outcome.is_verdict


def test_without_the_stage_nothing_is_accepted_on_trust() -> None:
    judgement = judge("\\boxed{\\frac13}", "\\int_0^1 x^2\\,dx", replace(DEFAULT, symbolic=False))
    assert (judgement.outcome, judgement.rule) == (Outcome.INCORRECT, "not shown equal")


def test_stop_ends_the_processes() -> None:
    pool = SymbolicPool(workers=2)
    pool.start()
    pids = pool.pids
    assert len(pids) == 2
    pool.stop()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_workers_end_when_their_owner_dies() -> None:
    script = textwrap.dedent(
        """
        import os, signal
        from reward_servers.engines.math import SymbolicPool
        pool = SymbolicPool()
        pool.start()
        print(pool.pids[0], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    pid = int(done.stdout)
    for _ in range(2400):
        if not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split(")")[1][:3]:
            return
        time.sleep(0.05)
    pytest.fail("the worker outlived its owner")


def test_a_pool_does_not_cross_a_fork(pool: SymbolicPool) -> None:
    child = os.fork()
    if child == 0:
        judgement = judge("\\boxed{\\frac14}", "\\int_0^1 x^3\\,dx", symbolic=pool)
        os._exit(7 if judgement.outcome is Outcome.UNDECIDED and "fork" in judgement.reason else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_memory_is_a_limit_of_the_question() -> None:
    with SymbolicPool(cpu_seconds=20, memory_mib=8) as pool:
        judgement = judge("\\boxed{1}", "\\int_0^1 (x+1)^{900}\\,dx", symbolic=pool)
    assert (judgement.outcome, judgement.rule) == (Outcome.LIMIT, "memory_mib")


@pytest.mark.parametrize(
    ("gold", "answer", "same"),
    [
        (r"\gcd(m,n)", "1", False),
        (r"\gcd(m,n)", r"\gcd(n,m)", True),
        (r"\gcd(m,n)", r"\gcd(m+n,n)", True),
        (r"\gcd(n,n+2)", "1", False),
        (r"\gcd(n,n+1)", "1", True),
        (r"\gcd(n,101)", "1", False),
        (r"\gcd(2n,4n)", "2n", True),
        (r"\frac{mn}{\gcd(m,n)}", r"\operatorname{lcm}(m,n)", True),
        (r"\operatorname{lcm}(m,n)", "mn", False),
    ],
)
def test_common_divisors_are_those_of_integers(pool: SymbolicPool, gold: str, answer: str, same: bool) -> None:
    assert judge(f"\\boxed{{{answer}}}", gold, symbolic=pool).correct is same


def test_an_error_of_the_worker_itself_is_a_failure_of_ours() -> None:
    one = ["num", "0x1", "0x1"]
    assert "error" in worker.answer({"left": ["const", "unheard of"], "right": one, "cpu": 5})
    assert worker.answer({"left": ["rank", one], "right": one, "cpu": 5}) == {"same": None, "why": "NoCounterpartError"}
    assert worker.answer({"left": ["sum", one], "right": one, "cpu": 5}) == {"same": None, "why": "NoCounterpartError"}
