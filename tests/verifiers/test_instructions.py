"""Instructions are checked as the published package checks them, on 1,000 random inputs."""

from __future__ import annotations

import json
from collections import Counter
from types import ModuleType

import pytest

from reward_servers.engines.instructions import FAMILIES, read_instruction
from tests.verifiers import ifbench_inputs, ifbench_words_inputs, ifeval_inputs

KINDS = pytest.mark.parametrize("kind", [ifeval_inputs, ifbench_inputs, ifbench_words_inputs])


@KINDS
def test_instructions_are_those_of_their_authors(kind: ModuleType) -> None:
    theirs = json.loads(kind.RECORDED.read_text("utf-8"))["verdicts"]
    drawn = kind.inputs()
    ours = [read_instruction(name, given).followed(text) for name, given, text in drawn]
    differ = [one for one, mine, other in zip(drawn, ours, theirs, strict=True) if mine != bool(int(other))]
    assert len(drawn) == 1000
    assert differ == []


def test_the_inputs_follow_and_break_every_family() -> None:
    drawn = [*ifeval_inputs.inputs(), *ifbench_inputs.inputs(), *ifbench_words_inputs.inputs()]
    seen = Counter((name, read_instruction(name, given).followed(text)) for name, given, text in drawn)
    # Families for single prompts have labelled answers: random ones follow none of them.
    drawn_for = [name for name, one in FAMILIES.items() if not one.check.__module__.endswith("_single")]
    assert [name for name in drawn_for if not (seen[name, True] and seen[name, False])] == []
