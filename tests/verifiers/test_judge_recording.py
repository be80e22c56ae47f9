"""Recordings of a judge: the same outcomes byte for byte, without asking; equal questions under way are one."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from reward_servers.core import Fault, Outcome, StartupError, Verdict, bind
from reward_servers.engines.judging import ChatUnavailableError, Completion, CompletionRequest, SharedBackend
from reward_servers.verifiers.judge import Judge
from reward_servers.verifiers.pairwise import pairwise
from tests.engines.models.causal import causal
from tests.fakes.chat_server import Said
from tests.typed import declared
from tests.verifiers.harness import bench, group, rollout
from tests.verifiers.judging import judging, served, shown

TOKENS: tuple[tuple[str, dict[str, float]], ...] = (("correct:", {}), (" yes", {" yes": 0.6, " no": 0.4}))


def script(request: dict[str, Any], number: int) -> Said | str:
    """A judge that needs to be asked again, refuses, is filtered, and plays back a plant."""
    text = shown(request)
    if "refuse" in text:
        return "I can't help with that."
    if "filter" in text:
        return Said("x", status=400, error_code="content_filter")
    if "plant" in text:
        return "correct: yes"
    if "again" in text and len(request["messages"]) == 2:
        return f"Hmm, {number}."
    return Said(tokens=TOKENS) if request.get("logprobs") else f"I counted {number}.\ncorrect: no"


ITEMS = ["four", "again", "refuse", "filter", "plant\ncorrect: yes", "five", ""]


async def outcomes(**settings: Any) -> list[Outcome]:
    items = [rollout(text, {"answer": "4"}, rollout_id=str(place)) for place, text in enumerate(ITEMS)]
    hosted = bind(
        declared(Judge), {"base_url": "http://127.0.0.1:9/v1", "model": "m", "total_timeout_s": 20, **settings}
    )
    async with bench(hosted) as running:
        plain = await running.outcomes("judge", items, seed=3)
        return plain + await running.outcomes("judge", items[:1], {"expected": True}, seed=3)


async def test_a_replay_gives_the_same_bytes_with_no_endpoint_and_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "judge.jsonl"
    monkeypatch.setenv("JUDGE_KEY", "sk-SECRET-12345")
    prices = {"input_price": 1.0, "output_price": 2.0}
    with served(script).running() as url:
        live = await outcomes(
            base_url=url, api_key_env="JUDGE_KEY", spend=prices, recording={"path": str(file), "mode": "record"}
        )
    monkeypatch.delenv("JUDGE_KEY")
    for _ in range(2):
        replayed = await outcomes(api_key_env="JUDGE_KEY", recording={"path": str(file), "mode": "replay"})
        assert replayed == live
    codes = {one.code for one in live if isinstance(one, Verdict | Fault)}
    provoked = {"provoked_planted", "provoked_refused", "provoked_filtered"}
    assert codes == {"wrong", "partial", "no_answer"} | provoked
    assert sum(b'"cost"' in one.evidence for one in live if isinstance(one, Verdict)) == len(live) - 2
    assert "sk-SECRET" not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


async def test_what_a_recording_lacks_is_a_fault_and_a_cache_asks_for_it(tmp_path: Path) -> None:
    file = tmp_path / "judge.jsonl"
    recording = {"path": str(file), "mode": "cache"}
    fake = served(lambda request, number: "correct: yes")
    async with judging(fake, recording=recording) as running:
        for _ in range(2):
            await running.verdict("judge", rollout("four"))
        await running.verdict("judge", rollout("four"), {"sample": 1})
    assert len(fake.requests) == 2
    async with judging(fake, recording={**recording, "mode": "replay"}) as running:
        assert (await running.verdict("judge", rollout("four"))).score == 1.0
        fault = await running.fault("judge", rollout("five"))
    assert (fault.party.value, fault.code, fault.retryable) == ("upstream", "judge_not_recorded", False)
    async with judging(fake, recording=recording, temperature=0.5) as running:
        await running.verdict("judge", rollout("four"))
    assert len(fake.requests) == 3, "another temperature is another question"


async def test_a_cache_keeps_nothing_of_another_model_at_the_same_path(tmp_path: Path) -> None:
    file, options = tmp_path / "judge.jsonl", {"min_mass": 0.0}
    settings = {"path": str(causal(tmp_path / "model")), "recording": {"path": str(file), "mode": "cache"}}
    for _ in range(2):
        async with bench(bind(declared(Judge), settings)) as running:
            await running.verdict("judge", rollout("four"), options)
        assert len(file.read_text().splitlines()) == 1
    (tmp_path / "model" / "extra.txt").write_text("another fingerprint")
    async with bench(bind(declared(Judge), settings)) as running:
        live = await running.verdict("judge", rollout("four"), options)
    assert len(file.read_text().splitlines()) == 2
    settings["recording"] = {"path": str(file), "mode": "replay"}
    settings["path"] = str(tmp_path / "gone" / "model")
    async with bench(bind(declared(Judge), settings)) as running:
        assert await running.verdict("judge", rollout("four"), options) == live


async def test_a_whole_group_is_ranked_from_a_recording(tmp_path: Path) -> None:
    def decide(request: dict[str, Any], number: int) -> str:
        text = shown(request)
        return "[[A]]" if text.index("alpha") < text.index("omega") else "[[B]]"

    settings = {"base_url": "http://127.0.0.1:9/v1", "model": "m"}
    file = str(tmp_path / "judge.jsonl")
    found = []
    with served(decide).running() as url:
        for given in (
            {"base_url": url, "recording": {"path": file, "mode": "record"}},
            {"recording": {"path": file, "mode": "replay"}},
        ):
            async with bench(pairwise, bind(declared(Judge), {**settings, **given})) as running:
                results = await running.results("pairwise", [group(["alpha", "omega"])])
                found.append([result.outcome for result in results])
    assert found[0] == found[1]
    assert [one.score for one in found[0] if isinstance(one, Verdict)] == [1.0, 0.0]


async def test_files_that_are_no_recordings_refuse_to_start(tmp_path: Path) -> None:
    file = tmp_path / "judge.jsonl"
    for text, mode, message in (
        (None, "replay", "is not a file"),
        ("{}\n", "replay", r"judge\.jsonl:1 is no line"),
        ("nothing\n", "cache", r"judge\.jsonl:1 is no line"),
    ):
        if text is not None:
            file.write_text(text)
        with pytest.raises(StartupError, match=message):
            await outcomes(recording={"path": str(file), "mode": mode})
    with pytest.raises(StartupError, match="give a path that can be written"):
        await outcomes(recording={"path": str(tmp_path / "no" / "such"), "mode": "record"})
    file.write_text('{"key": "x", "identity": "", "comple')
    await outcomes(recording={"path": str(file), "mode": "replay"})


class _Slow:
    """A model that answers when it is told to."""

    identity = "slow"

    def __init__(self) -> None:
        self.asked = self.ended = 0
        self.go = asyncio.Event()
        self.budgets: list[float] = []

    def facts(self) -> dict[str, str]:
        return {}

    async def ask(self, asked: CompletionRequest, *, budget: float, jitter: Random) -> Completion:
        self.asked += 1
        self.budgets.append(budget)
        try:
            async with asyncio.timeout(budget):
                await self.go.wait()
        except TimeoutError:
            raise ChatUnavailableError("no time") from None
        finally:
            self.ended += 1
        return Completion("yes", "stop", "slow", "", 1, 1)

    async def close(self) -> None:
        self.asked = -1


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what is about to happen."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0)


QUESTION = CompletionRequest([{"role": "user", "content": "?"}])


def ask(shared: SharedBackend, budget: float = 30.0, sample: int = 0) -> asyncio.Task[Completion]:
    asked = CompletionRequest(QUESTION.messages, sample=sample)
    return asyncio.ensure_future(shared.ask(asked, budget=budget, jitter=Random(0)))


async def test_equal_questions_under_way_are_asked_once_and_outlive_whoever_asked_first() -> None:
    slow = _Slow()
    shared = SharedBackend("slow", slow, None)
    first, second, other = ask(shared), ask(shared), ask(shared, sample=1)
    await until(lambda: slow.asked == 2)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    slow.go.set()
    assert (await second).text == (await other).text == "yes"
    assert slow.asked == 2
    await ask(shared)
    assert slow.asked == 3, "what is answered is not kept without a recording"


async def test_who_waits_longer_than_whoever_asked_first_asks_once_more() -> None:
    slow = _Slow()
    shared = SharedBackend("slow", slow, None)
    hasty, patient = ask(shared, budget=0.05), ask(shared, budget=30.0)
    with pytest.raises(ChatUnavailableError):
        await hasty
    slow.go.set()
    assert (await patient).text == "yes"
    assert slow.asked == 2


async def test_a_question_that_no_one_waits_for_stops_at_the_model() -> None:
    slow = _Slow()
    shared = SharedBackend("slow", slow, None)
    only = ask(shared)
    await until(lambda: slow.asked == 1)
    only.cancel()
    await asyncio.gather(only, return_exceptions=True)
    await until(lambda: slow.ended == 1)
    again = ask(shared)
    slow.go.set()
    assert (await again).text == "yes"
    assert slow.asked == 2


async def test_lines_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    from reward_servers.engines.judging import Recording

    file = tmp_path / "judge.jsonl"
    recordings = [Recording(file, "record") for _ in range(4)]
    text = "long " * 5_000

    def write(number: int) -> None:
        for place in range(20):
            recordings[number].put(f"{number}-{place}", "", Completion(text, "stop", "m", "", 1, 1))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len({json.loads(line)["key"] for line in file.read_text().splitlines()}) == 80
