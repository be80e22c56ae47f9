"""Processes of one host that share a client: whoever asks, and whoever ends meanwhile, nothing is lost or changed."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.adapters.sharing import Member, told_or_error
from tests.adapters.surviving import recipe
from trainer_client import Document, Recipe, RewardClient, Rollout, SharedRewardClient
from trainer_client._node import rendezvous
from trainer_client._node.frames import Reader, pack, pack_rollout, unpack_rollout

MIXED = (
    '[rewards.main]\nverifier = "test/outage"\n[rewards.short]\nverifier = "length"\noptions = { max = 3 }\n'
    'required = true\n[rewards.right]\nverifier = "exact"\n'
)
SLOW = '[rewards.main]\nverifier = "test/slow"\n'

Start = Callable[..., Member]


@pytest.fixture
def member(server: str) -> Iterator[Start]:
    """Start a process; all end with the test."""
    started: list[Member] = []

    def start(text: str, **more: Any) -> Member:
        started.append(Member(text, server, **more))
        return started[-1]

    yield start
    for one in started:
        if one.process.pid is not None and one.process.is_alive():
            os.kill(one.process.pid, signal.SIGCONT)
        one.end()


def named(name: str, rewards: str = MIXED) -> str:
    """A recipe of a test's own, so that its processes meet no others."""
    return recipe(rewards).replace('name = "tests"', f'name = "{name}"')


def rollouts(first: int, count: int) -> list[Rollout]:
    return [Rollout(str(n), "p", str(n), reference={"answer": str(n - n % 2)}) for n in range(first, first + count)]


def kill(one: Member) -> None:
    assert one.process.pid is not None
    os.kill(one.process.pid, signal.SIGKILL)
    one.process.join()


def test_all_get_what_a_client_of_their_own_would_tell_them(server: str, member: Start) -> None:
    text = named("same")
    odd = [
        Rollout("bytes", "p", "1", reference={"answer": b"1"}),
        Rollout("nan", "p", "1", reference={"answer": float("nan")}),
        Rollout("numbers", "p", "1", reference={"answer": 10**30, "tolerance": 0.1}),
        Rollout("surrogate", "p", "\ud83d", reference={"answer": "é"}),
        Rollout("chat", [{"role": "user", "content": "p"}], [{"role": "assistant", "content": "2"}]),
    ]
    asked = [*rollouts(0, 40), *odd]
    members = [member(text) for _ in range(4)]
    for one in members:
        one.do("submit", asked)
    told = [one.do("results") for one in members]
    with RewardClient(Recipe.loads(text), server) as alone:
        expected = told_or_error([alone.submit(one, step=1) for one in asked])
    assert told == [expected] * 4
    assert sorted(one.do("role") for one in members) == ["follows"] * 3 + ["leads"]
    assert [one.do("describe") for one in members] == [{"main": "test/outage", "short": "length", "right": "exact"}] * 4


def test_when_the_leader_is_killed_another_leads_and_asks_again(server: str, member: Start) -> None:
    text = named("killed", SLOW)
    members = [member(text) for _ in range(4)]
    first, *others = members
    first.score(rollouts(900, 1))
    assert first.do("role") == "leads"
    for place, one in enumerate(members):
        one.do("submit", rollouts(100 * place, 30))
    kill(first)
    told = [one.do("results") for one in others]
    with RewardClient(Recipe.loads(text), server) as alone:
        expected = [
            told_or_error([alone.submit(one, step=1) for one in rollouts(100 * place, 30)]) for place in (1, 2, 3)
        ]
    assert told == expected
    assert all(one["reward"] is not None for some in told for one in some)
    assert sorted(one.do("role") for one in others) == ["follows", "follows", "leads"]
    late = member(text)
    assert late.score(rollouts(5, 2)) == others[0].score(rollouts(5, 2))
    assert late.do("role") == "follows"


def test_one_that_is_killed_costs_the_others_nothing(member: Start) -> None:
    text = named("gone", SLOW)
    leader, gone, stays = member(text), member(text), member(text)
    leader.score(rollouts(0, 1))
    gone.do("submit", rollouts(0, 30))
    stays.do("submit", rollouts(0, 30))
    kill(gone)
    assert [one["reward"] is not None for one in stays.do("results")] == [True] * 30
    assert stays.do("role") == "follows"


def test_one_that_ends_as_it_should_hands_the_lead_over(member: Start) -> None:
    text = named("ends", SLOW)
    leader, other = member(text), member(text)
    leader.score(rollouts(0, 1))
    other.do("submit", rollouts(0, 10))
    leader.end()
    assert [one["reward"] is not None for one in other.do("results")] == [True] * 10
    assert other.do("role") == "leads"


def test_a_leader_that_is_stuck_is_left(member: Start) -> None:
    text = named("stuck")
    leader, other = member(text), member(text, silence_s=10.0)
    quick = member(text, silence_s=2.0)
    # Another patience is another client: this one meets no one.
    assert quick.score(rollouts(0, 1))
    assert quick.do("role") == "leads"
    leader.score(rollouts(0, 1))
    other.score(rollouts(0, 1))
    assert leader.process.pid is not None
    os.kill(leader.process.pid, signal.SIGSTOP)
    assert len(other.score(rollouts(0, 10))) == 10
    assert other.do("role") == "alone"


def test_what_the_servers_refuse_is_the_same_error(server: str, member: Start) -> None:
    text = named("refused", '[rewards.short]\nverifier = "length"\noptions = { mxa = 3 }\n')
    members = [member(text) for _ in range(2)]
    told = [one.score(rollouts(0, 2)) for one in members]
    with RewardClient(Recipe.loads(text), server) as alone:
        expected = told_or_error([alone.submit(one, step=1) for one in rollouts(0, 2)])
    assert expected[0][0] == "RequestRejectedError"
    assert told == [expected] * 2


def test_what_ends_a_run_ends_it_everywhere(server: str, member: Start) -> None:
    rewards = '[rewards.main]\nverifier = "test/outage"\non_missing = { default = "abort" }\n'
    text = named("aborts", rewards)
    members = [member(text) for _ in range(2)]
    told = [one.score(rollouts(0, 12)) for one in members]
    with RewardClient(Recipe.loads(text), server) as alone:
        expected = told_or_error([alone.submit(one, step=1) for one in rollouts(0, 12)])
    assert "IncompleteBatchError" in {one[0] for one in expected if isinstance(one, tuple)}
    assert told == [expected] * 2


def test_an_adapter_takes_one_and_so_do_forked_and_pickled_processes(member: Start) -> None:
    text = named("adapter")
    leader = member(text)
    leader.score(rollouts(0, 1))
    assert leader.do("role") == "leads"
    other = member(text)
    other.score(rollouts(0, 1))
    assert other.do("role") == "follows"
    assert leader.do("fork") == (True, "follows")
    leader.end()
    # The child held copies of the sockets; the name is free for all that.
    assert len(other.score(rollouts(0, 3))) == 3
    assert other.do("role") == "leads"


def test_what_is_no_longer_waited_for_is_not_judged(server: str, member: Start) -> None:
    text = named("cancelled", SLOW)
    leader = member(text)
    leader.score(rollouts(0, 1))
    with SharedRewardClient(Recipe.loads(text), server) as shared:
        futures = [shared.submit(one) for one in rollouts(0, 10)]
        assert all(future.cancel() for future in futures[:5])
        assert [future.result().reward is not None for future in futures[5:]] == [True] * 5
        assert shared.role == "follows"
        link = shared._link()
        assert not link._open


def test_garbage_at_the_socket_costs_no_one_anything(server: str, member: Start) -> None:
    text = named("garbage")
    with SharedRewardClient(Recipe.loads(text), server) as shared:
        assert shared.submit(rollouts(0, 1)[0]).result()
        core = shared._client._core
        name = rendezvous.name_of(shared.recipe, core.settings, local=False)
        for said in (
            b"\xff" * 64,
            pack(["nothing"]),
            pack(["score", ["", 0, 0, ""], [1], [5]], [b"[1,2]"]),
            b"\0" * 15,
        ):
            with socket.socket(socket.AF_UNIX) as stranger:
                stranger.connect(name)
                stranger.sendall(said)
                assert len(shared.submit(rollouts(1, 1)[0]).result().scores) == 3
        assert member(text).score(rollouts(0, 2))[1]["id"] == "1"


def test_another_user_is_not_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        rendezvous.require_same_user(one)
        monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
        with pytest.raises(PermissionError, match="the other end of the socket is user"):
            rendezvous.require_same_user(one)


def test_who_asks_something_else_meets_elsewhere(server: str) -> None:
    def name(text: str, **told: Any) -> bytes:
        core = RewardClient(Recipe.loads(text), server, **told)._core
        return rendezvous.name_of(Recipe.loads(text), core.settings, core.is_local)

    known = [name(recipe()), name(named("other")), name(recipe(), token="a"), name(recipe(), token="b")]
    known.append(name(recipe(), pin=False))
    assert len(set(known)) == 5
    assert name(recipe()) == known[0]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.text(min_size=1), st.text(), st.text(), _JSON, st.dictionaries(st.text(), _JSON, max_size=2), st.lists(st.text())
)
@settings(max_examples=60)
def test_a_rollout_arrives_as_it_is(one: str, prompt: str, response: str, known: Any, more: Any, texts: Any) -> None:
    documents = tuple(Document(str(place), text) for place, text in enumerate(texts))
    made = Rollout(one, prompt, response, reference=known, metadata=more, documents=documents, token_ids=[1, 2])
    assert unpack_rollout(memoryview(pack_rollout(made))) == made


@given(st.lists(st.tuples(st.text(), st.binary(max_size=20)), max_size=5), st.integers(1, 7))
@settings(max_examples=60)
def test_frames_arrive_whole_however_they_are_cut(frames: list[tuple[str, bytes]], size: int) -> None:
    data = b"".join(pack(["text", text], [body]) for text, body in frames)
    reader = Reader()
    found = [frame for at in range(0, len(data), size) for frame in reader.feed(data[at : at + size])]
    assert [(one.head[1], bytes(one.body)) for one in found] == frames
