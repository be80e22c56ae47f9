"""Calls and preludes: nodes, names without imports, what counts as the result of a call."""

# ruff: noqa: E501 (programs in one line)

from __future__ import annotations

from typing import Any

import pytest

from reward_servers.engines.code import BadReferenceError, Verdict
from tests.engines.code.conftest import Judge, asserts

# Linked lists and trees

REVERSE = """
class Solution:
    def f(self, head: Optional[ListNode]) -> Optional[ListNode]:
        before = None
        while head:
            head.next, before, head = before, head, head.next
        return before
    def depth(self, root: Optional[TreeNode]) -> int:
        return 0 if root is None else 1 + max(self.depth(root.left), self.depth(root.right))
    def mirror(self, root):
        if root:
            root.left, root.right = self.mirror(root.right), self.mirror(root.left)
        return root
"""


def test_nodes_in_calls(judged: Judge) -> None:
    def calls(entry: str, kind: str, returned: str | None, *cases: tuple[Any, Any]) -> dict[str, Any]:
        body = [{"args": [given], "returns": returns} for given, returns in cases]
        return {"tests": {"kind": "call", "entry": entry, "arg_types": [kind], "return_type": returned, "cases": body}}

    lists = calls("Solution.f", "ListNode", "ListNode", ([1, 2, 3], [3, 2, 1]), ([], []))
    assert judged(REVERSE, lists).score == 1.0
    assert judged(REVERSE.replace("return before", "return head"), lists).score == 0.5
    assert judged(REVERSE, calls("depth", "TreeNode", None, ([1, None, 2, 3], 3), ([], 0))).score == 1.0
    trees = calls("mirror", "TreeNode", "TreeNode", ([1, 2, 3, None, 4], [1, 3, 2, None, None, 4]), ([], None))
    assert judged(REVERSE, trees).score == 1.0
    own = "class ListNode:\n    def __init__(self, val=0, next=None): self.val, self.next = val, next\n" + REVERSE
    assert judged(own, lists).score == 1.0
    endless = REVERSE.replace("return before", "before.next = before; return before")
    assert judged(endless, lists).score == 0.0


def test_nodes_in_test_code(judged: Judge) -> None:
    code = "def check(candidate):\n    assert is_same_list(candidate(head=list_node([1, 2])), list_node([2, 1]))\n"
    reference = asserts(code, entry="Solution().f")
    assert judged(REVERSE, reference).score == 1.0
    assert judged(REVERSE.replace("return before", "return None"), reference).score == 0.0
    sly = "def is_same_list(a, b): return True\ndef list_node(v): return 1\n" + REVERSE.replace(
        "return before", "return None"
    )
    assert judged(sly, reference).score == 0.0
    tree = "def check(candidate):\n    root = tree_node([1, 2])\n    assert is_same_tree(candidate(root), tree_node([1, None, 2]))\n"
    tree += "    assert root.left is None and root.right.val == 2\n"
    assert judged(REVERSE, asserts(tree, entry="Solution().mirror")).score == 1.0
    setup = "class ListNode:\n    def __init__(self, val=0, next=None):\n        self.val, self.next = val, next\n"
    local = "def check(candidate):\n    n = candidate(ListNode(1, ListNode(2)))\n    assert (n.val, n.next.val, n.next.next) == (2, 1, None)\n"
    for reference in (
        {**asserts(local, entry="Solution().f"), "setup": setup},
        asserts(setup + local, entry="Solution().f"),
    ):
        judgement = judged(REVERSE, reference)
        assert judgement.score == 1.0, judgement.evidence()


# Preludes


def test_preludes(judged: Judge) -> None:
    source = "class Solution:\n    def f(self, a: List[int]):\n        heapq.heapify(a)\n        return heappop(a) + inf * 0 if 0 else a[0] + gcd(4, 6)"
    reference = {"tests": {"kind": "call", "entry": "f", "cases": [{"args": [[3, 1]], "returns": 3}]}}
    assert judged(source, reference).score == 1.0
    assert judged(source, {**reference, "prelude": "none"}).verdict is Verdict.RUNTIME_ERROR
    function = "def f(a):\n    heapq.heapify(a)\n    return a[0] + 2"
    assert judged(function, reference).verdict is Verdict.RUNTIME_ERROR
    assert judged(function, {**reference, "prelude": "leetcode"}).score == 1.0
    assert judged(function, {**reference, "prelude": ["import heapq"]}).score == 1.0
    assert (
        judged("def pow(a, b): return 3\ndef f(a): return pow(a, 1)", {**reference, "prelude": "leetcode"}).score == 1.0
    )
    stdio = {"tests": [{"stdin": "3 4", "stdout": "12"}], "prelude": "leetcode"}
    assert judged("print(lcm(*map(int, input().split())))", stdio).score == 1.0
    assert judged("print(lcm(*map(int, input().split())))\nraise SystemExit(3)", stdio).verdict is Verdict.RUNTIME_ERROR
    with pytest.raises(BadReferenceError, match="prelude"):
        judged(function, {**reference, "prelude": "leetkode"[:4] + " ("})


# Calls


def calls(*cases: tuple[list[Any], Any], **fields: Any) -> dict[str, Any]:
    body = [{"args": args, "returns": returns} for args, returns in cases]
    return {"tests": {"kind": "call", "entry": "f", "cases": body, **fields}}


def test_kinds_of_results_of_calls(judged: Judge) -> None:
    assert (
        judged("import asyncio\nasync def f(x):\n    await asyncio.sleep(0)\n    return x + 1", calls(([1], 2))).score
        == 1.0
    )
    assert judged("def f(a): yield from a", calls(([[1, 2]], [1, 2]))).verdict is Verdict.RUNTIME_ERROR
    assert judged("def f(a): yield from a", calls(([[1, 2]], [1, 2]), iterables=True)).score == 1.0
    assert judged("def f(a): yield from a[1:]", calls(([[1, 2]], [1, 2]), iterables=True)).score == 0.0
    endless = "import itertools\ndef f(a): return itertools.count()"
    assert judged(endless, calls(([1], [1]), iterables=True)).score == 0.0
    in_place = calls(([[3, 1]], [1, 3]), in_place=True)
    assert judged("def f(a): a.sort()", in_place).score == 1.0
    assert judged("def f(a): return sorted(a)", in_place).score == 0.0
    record = "import dataclasses\n@dataclasses.dataclass\nclass P:\n    x: int\ndef f(): return [P(1)]"
    assert judged(record, calls(([], [{"x": 1}]))).score == 1.0
    assert judged(record, calls(([], [{"x": 2}]))).score == 0.0


def test_keys_that_json_cannot_write(judged: Judge) -> None:
    gold = {"1": 1, "2": {"true": [0]}}
    assert judged("def f(): return {1: 1, 2: {True: [0]}}", calls(([], gold))).score == 1.0
    assert judged("def f(): return {'1': 1, '2': {'true': [0]}}", calls(([], gold))).score == 1.0
    for wrong in (
        "{1: 1, 2: {True: [1]}}",
        "{1: 1, 3: {True: [0]}}",
        "{1: 1, '1': 1}",
        "{1: 1, 2: {1: [0]}}",
        "{1.0: 1, 2: 2}",
    ):
        assert judged(f"def f(): return {wrong}", calls(([], gold))).score == 0.0
    strict = {**calls(([], {"1": 1})), "compare": {"kind": "python_eq"}}
    assert judged("def f(): return {1: 1}", strict).score == 0.0
