"""Verifiers read an answer in the visible text; who reads the whole response says why."""

from __future__ import annotations

import ast
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "reward_servers" / "verifiers"

READERS = frozenset(("visible", "judge", "extract", "check_citations", "code_judge"))
"""What takes a response and its marks, and finds the visible text by itself."""

WHOLE = {
    "_judge_questions.py": "handed to `visible` in the next line",
    "_shown.py": "an option shows a judge the reasoning too",
    "_turn.py": "the form of a whole turn: how long it thinks, and what follows",
    "citation.py": "whether there is a response at all; the engine reads the visible text",
    "code.py": "the engine reads the visible text",
    "form/language.py": "an option counts the reasoning too",
    "form/leak.py": "a hint must not leak in its reasoning either",
    "form/repetition.py": "loops are counted wherever they are",
    "form/tags.py": "the form of a whole response",
    "format.py": "the form of a whole response",
    "length.py": "the length of a whole response",
    "models/process.py": "steps of the reasoning are what is scored",
    "papers/behaviour.py": "behaviours are looked for in the reasoning",
    "papers/grit.py": "rules about the reasoning; the answer is read in the visible text",
    "papers/prefixes.py": "whether there is a response at all",
    "papers/surrogate.py": "whether there is reasoning",
    "papers/tool_steps.py": "places of visible steps in the whole response",
    "ranking/relevance.py": "the form of a whole response; the answer is read in the visible text",
    "tools/_made.py": "calls of tools in the Harmony format, whose channels are no tags",
}


def _reads_whole(tree: ast.Module) -> bool:
    """Whether a rollout's response is used in another way than as what a reader is handed."""
    handed = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and {ast.unparse(one).rpartition(".")[2] for one in (node.func, *node.args)} & READERS
        for part in node.args
    }
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == "response"
        and ast.unparse(node.value).endswith("rollout")
        and id(node) not in handed
        for node in ast.walk(tree)
    )


def test_verifiers_read_the_visible_text_or_have_a_reason() -> None:
    whole = {
        str(path.relative_to(FOLDER))
        for path in sorted(FOLDER.rglob("*.py"))
        if _reads_whole(ast.parse(path.read_text("utf-8")))
    }
    assert whole <= set(WHOLE), "read visible(rollout.response, rollout.reasoning_marks), or add the reason above"
