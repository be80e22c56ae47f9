"""Keys of the verdict cache: different subjects have different keys, equal ones equal keys."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_servers.core import Document, Group, Message, Part, PromptContext, Rollout, ToolCall
from reward_servers.core._cache import KeyMaker, fields
from reward_servers.core._outcomes import Verdict
from tests.core import unruly
from tests.core.helpers import as_verdict, group, outcomes, request, scoring

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
_CASES = st.builds(PromptContext, st.just("g"), _CONTENTS, _TEXTS.map(str.encode), _DOCUMENTS, st.integers(0, 2))


@st.composite
def _subjects(draw: st.DrawFn) -> Rollout | Group:
    case = draw(_CASES)
    members = draw(
        st.lists(
            st.builds(
                Rollout,
                _CONTENTS,
                st.just(case),
                st.just("name"),
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
    return Group(case, members) if draw(st.booleans()) else replace(members[0], prompt_context=replace(case, size=0))


@settings(max_examples=600, deadline=None)
@given(_subjects(), _subjects(), st.sampled_from([None, 7]))
def test_different_subjects_have_different_keys_and_equal_ones_equal_keys(
    one: Rollout | Group, other: Rollout | Group, seed: int | None
) -> None:
    keys = [KeyMaker("digest", b"{}", seed=seed).key(subject) for subject in (one, other)]
    assert (keys[0] == keys[1]) == (one == other)


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
