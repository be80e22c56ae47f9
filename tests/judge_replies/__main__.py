"""Compares the reader of judges' replies with labelled files, or with generated replies.

``python -m tests.judge_replies FILE...`` prints each difference and ``passed/total`` last.
``python -m tests.judge_replies --generate 5000 --seed S`` prints wrong values and how many honest replies are read.
It ends with 1 when a label is missed, when a value is wrong, or when less than 97 % of honest signed replies are read.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reward_servers.engines.judging import Reply, Status, parse_reply
from tests.judge_replies._generate import MARKS, TOKEN, Made, generate

Reader = Callable[..., Reply]
SHARE_READ = 0.97


def difference(case: dict[str, Any], read: Reader = parse_reply) -> str:
    """What a labelled case differs in; empty when the reader agrees."""
    expected = case["expected"]
    reply = read(
        case["raw"],
        case["protocol"],
        finish_reason=case.get("finish_reason", "stop"),
        candidate_texts=case.get("candidate_texts", ()),
        expected_keys=expected.get("expected_keys", ()),
        token=case.get("token", ""),
    )
    problems = []
    if reply.status not in (expected["status"], *expected.get("also_accept", ())):
        problems.append(f"status {reply.status.value}, not {expected['status']}")
    elif reply.status == expected["status"] and not _same(reply.value, expected["value"]):
        problems.append(f"value {reply.value!r}, not {expected['value']!r}")
    if "margin" in expected and reply.margin != expected["margin"]:
        problems.append(f"margin {reply.margin}, not {expected['margin']}")
    if "injection_detected" in expected and reply.injection_detected != expected["injection_detected"]:
        problems.append(f"injection_detected {reply.injection_detected}")
    return "; ".join(problems)


def _same(value: Any, expected: Any) -> bool:
    return bool(value == expected) and isinstance(value, bool) == isinstance(expected, bool)


def _check_files(files: list[Path]) -> int:
    passed = total = 0
    for file in files:
        for line in file.read_text("utf-8").splitlines():
            if line.strip():
                case = json.loads(line)
                found = difference(case)
                total += 1
                passed += not found
                if found:
                    print(f"{file.name}:{case['id']}: {found}: {case['raw'][:200]!r}")
    print(f"{passed}/{total}")
    return int(passed < total)


def judged(cases: list[Made], read: Reader = parse_reply) -> tuple[list[Made], list[Made]]:
    """The cases of which a wrong value is read, and the honest signed ones of which none is."""
    wrong, lost = [], []
    for case in cases:
        reply = read(case.raw, case.protocol, candidate_texts=case.candidates, token=TOKEN, marks=MARKS)
        if reply.status is Status.OK and (type(reply.value), reply.value) != (_type(case.meant), case.meant):
            wrong.append(case)
        elif reply.status is not Status.OK and case.honest_signed:
            lost.append(case)
    return wrong, lost


def _type(meant: Any) -> type:
    return float if type(meant) is int else type(meant)


def _check_generated(count: int, seed: int) -> int:
    cases = generate(count, seed)
    wrong, lost = judged(cases)
    for name, found in (("wrong", wrong), ("not read", lost)):
        for case in found[:20]:
            print(f"{name} ({case.kind}, {case.protocol}, means {case.meant!r}): {case.raw!r} {case.candidates}")
    honest = sum(case.honest_signed for case in cases)
    read = honest - len(lost) - sum(case.honest_signed for case in wrong)
    print(f"{len(wrong)} wrong values in {count} replies; {read}/{honest} honest signed replies read")
    return int(bool(wrong) or read < SHARE_READ * honest)


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.judge_replies", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--generate", type=int, default=0, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    if not chosen.files and not chosen.generate:
        parser.error("give files of labelled replies, or --generate N")
    failed = _check_files(chosen.files) if chosen.files else 0
    return failed | (_check_generated(chosen.generate, chosen.seed) if chosen.generate else 0)


if __name__ == "__main__":
    sys.exit(main())
