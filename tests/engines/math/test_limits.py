"""Bounds: every hostile input is answered, in little CPU time and memory, in any process."""

import resource
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from reward_servers.engines.math import DEFAULT, InvalidGoldError, Limits, Outcome, compile_gold, judge
from tests.engines.math.hostile import answers

ROOT = Path(__file__).parents[3]


def test_hostile_answers_in_a_small_process() -> None:
    """All of them, boxed and bare, against golds of every kind, under 256 MiB more than the import took."""
    script = textwrap.dedent(
        """
        import resource
        from tests.engines.math.hostile import GOLDS, answers
        from reward_servers.engines.math import judge
        assert judge("\\\\boxed{\\\\sqrt{2}}", "\\\\sqrt{3}").outcome.value == "incorrect"
        with open("/proc/self/statm") as statm:
            size = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + (256 << 20), size + (256 << 20)))
        resource.setrlimit(resource.RLIMIT_CPU, (240, 240))
        outcomes = set()
        for number, answer in enumerate(answers()):
            for gold in GOLDS[number % 5 :: 5]:
                for response in ("\\\\boxed{" + answer + "}", answer):
                    outcomes.add(judge(response, gold).outcome.value)
        assert "limit" in outcomes
        assert outcomes <= {"correct", "incorrect", "limit", "no_answer"}, outcomes
        """
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize(
    "answer", ["9^{9^{9^{9}}}", "(1000!)!", "10^{10^{10}}", "(x+1)^{3000}", "{" * 20 + "1" + "}" * 20]
)
def test_a_large_form_equals_itself(answer: str) -> None:
    assert judge(f"\\boxed{{{answer}}}", answer).correct


@pytest.mark.parametrize(
    ("answer", "bound"),
    [
        ("((100!)!)!", "bits"),
        ("7" * 5000, "digits"),
        ("1e99999", "digits"),
        ("(" * 200 + "1" + ")" * 200, "depth"),
        ("1/" * 200 + "1", "height"),
        ("x" * 20_000, "answer_chars"),
        ("\\{1,2,\\dots,10000000\\}", "items"),
        ("\\sin(10^{10^{10}})", "precision"),
    ],
)
def test_each_bound_is_a_verdict_with_its_name(answer: str, bound: str) -> None:
    judgement = judge(f"\\boxed{{{answer}}}", "1")
    assert (judgement.outcome, judgement.rule) == (Outcome.LIMIT, bound)


def test_a_gold_beyond_a_bound_is_a_fault_of_the_data() -> None:
    with pytest.raises(InvalidGoldError, match="digits"):
        compile_gold("7" * 5000)
    assert judge("\\boxed{1}", "7" * 5000).outcome is Outcome.GOLD_INVALID


def test_a_response_may_be_bounded() -> None:
    policy = replace(DEFAULT, limits=replace(Limits(), response_chars=100))
    assert judge("x" * 101, "1", policy).outcome is Outcome.LIMIT


def test_sizes_decide_where_numbers_are_too_long_to_write() -> None:
    assert judge("\\boxed{(10^9)!}", "3").outcome is Outcome.INCORRECT
    assert judge("\\boxed{10^{10^{10}}+1}", "10^{10^{10}}").outcome is Outcome.INCORRECT
    assert judge("\\boxed{4^{50000}}", "2^{100000}").correct


def test_memory_stays_flat() -> None:
    """Five thousand judgements of distinct answers grow the process by less than 20 MiB."""
    for number in range(1000):
        judge(f"\\boxed{{\\sqrt{{{number}}}+x}}", f"\\sqrt{{{number}}}+y")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(5_000):
        judge(f"thus \\boxed{{{number}x+1}}", f"{number % 977}x+1")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024


def test_every_hostile_answer_reads_the_same_twice() -> None:
    for answer in answers()[:40]:
        assert judge(f"\\boxed{{{answer}}}", "1")[:3] == judge(f"\\boxed{{{answer}}}", "1")[:3]
