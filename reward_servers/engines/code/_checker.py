"""Checkers: trusted code in a sandbox of its own.

A checker fails in three ways. It cannot run at all, or fails on an answer known to be right: `BadReferenceError`. It
exhausts its limits on what the program gave: a limit verdict, because a program could choose its answer so. It
raises on what the program gave: a wrong answer.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from reward_servers.engines.code._compare import Comparison
from reward_servers.engines.code._errors import BadReferenceError
from reward_servers.engines.code._guest import plain
from reward_servers.engines.code._slots import Slots
from reward_servers.engines.code._verdicts import Verdict, run_verdict
from sandbox import Limits

_MIB = 1 << 20
_SCIENTIFIC = re.compile(rb"^\s*(?:import|from)\s+(?:numpy|scipy|pandas|sympy)\b", re.MULTILINE)


def preload_for(source: bytes) -> str | None:
    """Packages that a program had better find in memory already: the set with those that it imports."""
    return "scientific" if _SCIENTIFIC.search(source) else None


def trusted_limits(limits: Limits) -> Limits:
    """Limits of trusted code beside a program with these limits."""
    return dataclasses.replace(
        limits,
        cpu_s=max(2.0, 4 * limits.cpu_s),
        wall_s=3 * limits.wall_s + 10.0,
        memory_bytes=max(512 * _MIB, limits.memory_bytes),
        stdout_bytes=limits.stdout_bytes + _MIB,
        reply_bytes=max(4 * _MIB, limits.reply_bytes),
    )


def run_checker(
    slots: Slots, comparison: Comparison, question: Any, answer: Any, expected: Any, limits: Limits
) -> tuple[Verdict, dict[str, Any]]:
    """Let a checker decide.

    Args:
        slots: Where it runs.
        comparison: Of kind `checker`: the source, with a function `check` of three arguments, and whether each expected
            value is itself a right answer, on which the checker must not fail.
        question: Standard input, or the arguments of the call.
        answer: Standard output, or the value returned.
        expected: From the reference.
        limits: Of the program; those of the checker follow from them.

    Raises:
        BadReferenceError: The checker does not load, fails in a way that no answer can cause, or on a right answer.
    """
    code = comparison.code or ""
    fields = {"code": code, "question": question, "answer": answer, "expected": expected}
    try:
        task = plain.dumps({**fields, "expected_is_right": comparison.expected_is_right})
    except plain.TooDeepError as problem:
        return Verdict.RUNTIME_ERROR, {"reason": f"the result is {problem}"}
    driver = slots.driver("blame", "checker", preload=preload_for(code.encode("utf-8", "replace")))
    allowed = trusted_limits(limits)
    result = slots.trusted.run(driver, request=task, limits=allowed)
    if not result.reply:
        # A checker may say no by ending its process, and a program may choose its answer so that it does.
        verdict = run_verdict(result) or Verdict.WRONG_ANSWER
        message = result.stderr[-500:].decode("utf-8", "replace")
        return verdict, {"where": "checker", "ended": result.ended.value, "message": message}
    judged = plain.loads(result.reply)
    if "broken" in judged:
        raise BadReferenceError(
            "compare.code", str(judged["broken"]), "Repair the checker: check(stdin, stdout, expected)"
        )
    if judged["accepted"]:
        return Verdict.ACCEPTED, {}
    if "raised" not in judged:
        return Verdict.WRONG_ANSWER, {}
    return Verdict.WRONG_ANSWER, {"where": "checker", **{name: judged[name] for name in ("raised", "line", "message")}}
