"""Keys of the verdict cache: different subjects have different keys, equal ones equal keys."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_servers.core import (
    Document,
    Group,
    Message,
    Part,
    PromptContext,
    Result,
    Rollout,
    SkipReason,
    ToolCall,
    Verdict,
)
from reward_servers.core._cache import KeyMaker, fields
from tests.core import asked_twice, unruly
from tests.core.by_name import by_name
from tests.core.helpers import as_skip, as_verdict, group, outcomes, request, scored, scoring
from tests.typed import declared

# Few letters, so that two generated subjects are often nearly the same; some look like a length or an end.
_TEXTS = st.text("1\0a(", max_size=4)
_PARTS = st.builds(Part, st.sampled_from(["text", "reasoning", "blob"]), _TEXTS, _TEXTS.map(str.encode), _TEXTS)
_CALLS = st.builds(ToolCall, _TEXTS, _TEXTS, _TEXTS)
_MESSAGES = st.builds(
    Message,
    _TEXTS,
    st.lists(_PARTS, max_size=2).map(tuple),
    _TEXTS,
    st.lists(_CALLS, max_size=2).map(tuple),
    _TEXTS,
)
_CONTENTS = _TEXTS | st.lists(_MESSAGES, max_size=2).map(tuple)
_DOCUMENTS = st.lists(st.builds(Document, _TEXTS, _TEXTS, _TEXTS, _TEXTS), max_size=2).map(tuple)
_NAMES = st.sampled_from(["", "g", "gg"])
_MARKS = st.lists(st.tuples(_TEXTS, _TEXTS), max_size=2).map(tuple)
_CASES = st.builds(PromptContext, _NAMES, _CONTENTS, _TEXTS.map(str.encode), _DOCUMENTS, st.integers(0, 2), _MARKS)


@st.composite
def _subjects(draw: st.DrawFn) -> Rollout | Group:
    case = draw(_CASES)
    members = draw(
        st.lists(
            st.builds(
                Rollout,
                _CONTENTS,
                st.just(case),
                _NAMES,
                _TEXTS,
                _TEXTS.map(str.encode),
                _DOCUMENTS,
                st.lists(st.integers(0, 300), max_size=2).map(tuple),
                _TEXTS.map(str.encode),
            ),
            min_size=1,
            max_size=3,
        )
    )
    return Group(case, members) if draw(st.booleans()) else members[0]


def _shown(subject: Rollout | Group, named: bool) -> object:
    """What a verifier goes by: names of rollouts, and that of the group of a single one, only where it reads them."""
    if named:
        return subject
    if isinstance(subject, Group):
        return Group(subject.prompt_context, [replace(one, rollout_id="") for one in subject.rollouts])
    return replace(subject, rollout_id="", prompt_context=replace(subject.prompt_context, group_id="", size=0))


@settings(max_examples=300, deadline=None)
@given(_subjects(), _subjects(), st.sampled_from([None, 7]), st.booleans())
def test_different_subjects_have_different_keys_and_equal_ones_equal_keys(
    one: Rollout | Group, other: Rollout | Group, seed: int | None, named: bool
) -> None:
    keys = [KeyMaker("digest", b"{}", seed=seed, with_names=named).key(subject) for subject in (one, other)]
    shown = [_shown(subject, named or seed is not None) for subject in (one, other)]
    assert (keys[0] == keys[1]) == (shown[0] == shown[1])


async def test_a_verifier_that_reads_names_is_asked_again_under_another_name() -> None:
    async with scoring(by_name, asked_twice.counted) as scorer:
        for verifier, scores in (("test/by-name", [0.25, 0.75]), ("test/counted", [0.0, 0.0])):
            found = [await scored(scorer, request(verifier, group("same", name=name))) for name in "gh"]
            assert [as_verdict(one.outcome).score for (one,) in found] == scores
            assert found[1][0].cached == (verifier == "test/counted")


@pytest.mark.parametrize("other", [{"client": "other"}, {"seed": 1}, {"options": b'{"marks": 2}'}, {"text": "b"}])
async def test_two_calls_that_were_given_one_name_are_judged_each_for_itself(other: dict[str, Any]) -> None:
    async def draw(text: str = "a", **how: Any) -> Result:
        how = {"request_id": "step 1", "client": "one", **how}
        (found,) = await scored(scorer, request("test/draws", group(text), **how))
        assert json.loads(as_verdict(found.outcome).evidence) == {"text": text}
        return found

    async with scoring(asked_twice.draws) as scorer:
        first, again, differs = await draw(), await draw(), await draw(**other)
    assert (again.cached, again.outcome) == (True, first.outcome)
    assert not differs.cached


async def test_a_caller_that_joined_an_item_gets_its_score_after_the_deadline_of_the_one_that_asked_first(
    tmp_path: Path,
) -> None:
    busy, here = f"busy {tmp_path / 'done'}", group("same")
    async with scoring(declared(asked_twice.Held)) as scorer:
        first = asyncio.create_task(outcomes(scorer, request("test/held", group(busy))))
        hurried = asyncio.create_task(outcomes(scorer, request("test/held", here, timeout=0.2)))
        patient = asyncio.create_task(outcomes(scorer, request("test/held", here)))
        assert [as_skip(one).reason for one in await hurried] == [SkipReason.DEADLINE]
        (tmp_path / "done").touch()
        assert [as_verdict(one).score for one in (*await first, *await patient)] == [1.0, 1.0]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=3), max_size=3), st.lists(st.binary(max_size=3), max_size=3))
def test_lists_of_fields_are_told_apart(one: list[bytes], other: list[bytes]) -> None:
    assert (fields(*one) == fields(*other)) == (one == other)


@pytest.mark.parametrize("again", [("1111", "1"), ("11111", ""), ("", "11111")])
async def test_a_group_whose_responses_join_to_the_same_text_is_judged_by_itself(again: tuple[str, str]) -> None:
    async with scoring(unruly.lengths) as scorer:
        await outcomes(scorer, request("test/lengths", group("1", "1111")))
        found = await outcomes(scorer, request("test/lengths", group(*again)))
    assert [as_verdict(one).score for one in found] == [float(len(one)) for one in again]
    assert all(isinstance(one, Verdict) for one in found)
