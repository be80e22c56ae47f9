"""Pictures in prompt and response, as content parts at a real HTTP server."""

from __future__ import annotations

import base64
import io
import itertools
import json
from typing import Any

import pytest

pytest.importorskip("PIL", reason="needs the extra vision")

from PIL import Image as pillow

from reward_servers.core import Fault, Group, Message, Part, PromptContext, Rollout, Verdict, bind
from reward_servers.server import running as serving
from reward_servers.verifiers.best_of import best_of
from reward_servers.verifiers.judge import Judge
from reward_servers.verifiers.pairwise import pairwise
from reward_servers.verifiers.panel import panel
from reward_servers.verifiers.rubric import Rubric
from tests.engines.models.causal import causal
from tests.fakes.chat_server import FakeChatServer
from tests.typed import declared
from tests.verifiers.harness import bench
from tests.verifiers.judging import judging, served
from tests.verifiers.test_served import config
from trainer_client import AsyncRewardClient, Recipe, Reward
from trainer_client import Rollout as Sent


def picture(colour: str, kind: str = "JPEG", size: int = 16) -> bytes:
    file = io.BytesIO()
    pillow.new("RGB", (size, size), colour).save(file, kind)
    return file.getvalue()


def colour_of(url: str) -> str:
    """The colour that a judge sees, which must have been encoded again as a PNG."""
    head, _, payload = url.partition(",")
    assert head == "data:image/png;base64"
    seen = pillow.open(io.BytesIO(base64.b64decode(payload)))
    red, green, blue = seen.convert("RGB").getpixel((4, 4))  # type: ignore[misc]
    return max((red, "red"), (green, "green"), (blue, "blue"))[1]


def pictures_in(request: dict[str, Any]) -> list[tuple[str, str]]:
    """The name above each picture, and its colour."""
    content = request["messages"][1]["content"]
    if isinstance(content, str):
        return []
    found = []
    for label, part in itertools.pairwise(content):
        if part["type"] == "image_url":
            found.append((label["text"].split("a part of the ")[1].split(".")[0], colour_of(part["image_url"]["url"])))
    assert content[-1]["type"] == "text"
    return found


def illustrated(response: Any = "It is red.", *, prompt: bytes | None = None, own: bytes | None = None) -> Rollout:
    asked: Any = "Which colour?"
    if prompt is not None:
        asked = (Message("user", (Part("text", "Which colour?"), Part("blob", data=prompt, mime="image/jpeg"))),)
    if own is not None:
        response = (Message("assistant", (Part("text", response), Part("blob", data=own, mime="image/png"))),)
    return Rollout(response, PromptContext("g", asked, b"", size=1), "r")


def sees(request: dict[str, Any], number: int) -> str:
    """Say yes where every picture is red, and sign it."""
    text = request["messages"][1]["content"][-1]["text"]
    token = text.split(" RESPONSE>>>")[0].rsplit("<<<", 1)[1]
    red = all(colour == "red" for _, colour in pictures_in(request))
    return f"correct: {'yes' if red else 'no'} [{token}]"


async def test_a_judge_sees_the_pictures_of_prompt_and_response_written_again() -> None:
    fake = served(sees)
    async with judging(fake, images=True) as running:
        both = await running.verdict("judge", illustrated(prompt=picture("red"), own=picture("green", "PNG")))
        one = await running.verdict("judge", illustrated(prompt=picture("red")))
        alone = await running.verdict("judge", illustrated("", own=picture("red", "WEBP")))
    assert [pictures_in(request) for request in fake.requests] == [
        [("PROMPT", "red"), ("RESPONSE", "green")],
        [("PROMPT", "red")],
        [("RESPONSE", "red")],
    ]
    assert (both.score, one.score, alone.score) == (0.0, 1.0, 1.0)


async def test_pictures_reach_the_judge_from_a_trainers_messages() -> None:
    url = "data:image/jpeg;base64," + base64.b64encode(picture("blue")).decode()
    prompt = [
        {"role": "user", "content": [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": url}}]}
    ]
    fake = FakeChatServer(sees)
    with fake.running() as address:
        settings = config(verifiers={"judge": {"base_url": address, "model": "m", "images": True}})
        recipe = Recipe((Reward("seen", "judge"),), advantage=None)
        async with (
            serving(settings, ["judge"]) as server,
            AsyncRewardClient(recipe, {"judge": [server.address]}) as client,
        ):
            table = await client.score([Sent("r", prompt, "It is blue.")])
    assert table.scores.tolist() == [[0.0]]
    assert pictures_in(fake.requests[0]) == [("PROMPT", "blue")]


async def test_a_picture_of_the_response_that_cannot_be_shown_is_its_own_doing() -> None:
    fake = served([])
    async with judging(fake, images=True) as running:
        broken = await running.verdict("judge", illustrated(own=b"no picture"))
        large = await running.verdict("judge", illustrated(own=picture("red", "PNG", 5_000)))
    assert (broken.score, broken.code) == (0.0, "malformed")
    assert (large.score, large.code) == (0.0, "limit")
    assert fake.requests == []


async def test_a_picture_of_the_prompt_that_cannot_be_shown_is_a_fault_of_the_data() -> None:
    async with judging(served([]), images=True) as running:
        fault = await running.fault("judge", illustrated(prompt=b"no picture"))
    assert (fault.party.value, fault.code) == ("dataset", "invalid_prompt")


async def test_pictures_are_never_left_out_in_silence() -> None:
    fake = served(lambda request, number: "correct: yes")
    async with judging(fake) as running:
        fault = await running.fault("judge", illustrated(prompt=picture("red")))
        text = await running.verdict("judge", illustrated(prompt=picture("red")), {"show_images": False})
    assert (fault.party.value, fault.code) == ("upstream", "judge_no_images")
    assert "set images = true" in fault.message
    assert text.score == 1.0
    async with judging(fake, images=True) as running:
        steps = await running.fault("judge", illustrated(own=picture("red")), {"protocol": "steps"})
    assert (steps.party.value, steps.code) == ("caller", "unsupported_media")


@pytest.mark.parametrize("name", ["judge", "panel", "rubric"])
async def test_a_response_that_is_only_a_picture_is_judged_by_whoever_asks_the_judge(name: str) -> None:
    fake = FakeChatServer(sees)
    drawn = illustrated("", own=picture("red"))
    drawn.own_reference = json.dumps({"rubric": [{"id": "red", "text": "It is red.", "weight": 1}]}).encode()
    hidden: dict[str, Any] = {"ask": {"show_images": False}} if name == "panel" else {"show_images": False}
    with fake.running() as url:
        for images in (True, False):
            settings = {"base_url": url, "model": "m", "images": images}
            async with bench(panel, bind(declared(Rubric), {}), bind(declared(Judge), settings)) as running:
                seen = (await running.outcomes(name, [drawn]))[0]
                unseen = await running.verdict(name, drawn, hidden)
            assert (unseen.score, unseen.code) == (0.0, "no_answer")
            if images:
                assert isinstance(seen, Verdict)
                assert seen.score == 1.0
            else:
                assert isinstance(seen, Fault)
                assert seen.code == "judge_no_images"
                assert "show_images = false" in seen.message
    assert {colour for request in fake.requests for _, colour in pictures_in(request)} == {"red"}


def drawn(colour: str, text: str = "") -> tuple[Message, ...]:
    return (Message("assistant", (Part("text", text), Part("blob", data=picture(colour), mime="image/jpeg"))),)


def gallery(*responses: Any) -> Group:
    asked = (Message("user", (Part("text", "Paint."), Part("blob", data=picture("blue"), mime="image/jpeg"))),)
    context = PromptContext("g", asked, b"", size=len(responses))
    return Group(context, [Rollout(one, context, f"r{at}") for at, one in enumerate(responses)])


def prefers_red(request: dict[str, Any], number: int) -> str:
    """The first response with a red picture is the best one; it is signed."""
    text = request["messages"][1]["content"][-1]["text"]
    token = text.split(" RESPONSE A>>>")[0].rsplit("<<<", 1)[1]
    red = [name[-1] for name, colour in pictures_in(request) if colour == "red" and name != "PROMPT"]
    return f"[[{red[0] if red else 'A'}]] [{token}]"


@pytest.mark.parametrize("name", ["pairwise", "best_of"])
async def test_the_pictures_of_every_compared_response_are_shown_under_its_name(name: str) -> None:
    fake = FakeChatServer(prefers_red)
    with fake.running() as url:
        settings = {"base_url": url, "model": "m", "images": True}
        async with bench(pairwise, best_of, bind(declared(Judge), settings)) as running:
            group = gallery("words", drawn("green"), drawn("red"), (Message("assistant", (Part("blob", data=b"no"),)),))
            seen = [one.outcome for one in await running.results(name, [group])]
            asked = len(fake.requests)
            texts = [one.outcome for one in await running.results(name, [group], {"show_images": False})]
    assert all(isinstance(one, Verdict) for one in seen)
    scores = [one.score for one in seen if isinstance(one, Verdict)]
    assert scores[2] == 1.0 == max(scores)
    # A picture that is none loses, and no one is asked about it.
    assert (scores[3], getattr(seen[3], "code", "")) == (0.0, "malformed")
    assert asked == (6 if name == "pairwise" else 3)
    shown = {frozenset(pictures_in(request)) for request in fake.requests[:asked]}
    assert all(("PROMPT", "blue") in one for one in shown)
    pair = [one for one in shown if {colour for _, colour in one} == {"blue", "green", "red"}]
    assert {frozenset({("PROMPT", "blue"), ("RESPONSE A", "green"), ("RESPONSE B", "red")})} <= set(pair) or (
        name == "best_of" and all(len(one) == 3 for one in shown)
    )
    # Where pictures are not shown, what is left of three of the responses is empty.
    assert [getattr(one, "code", "") for one in texts[1:]] == ["no_answer"] * 3


async def test_pictures_that_differ_make_no_tie_of_equal_words_and_equal_ones_do() -> None:
    fake = FakeChatServer(prefers_red)
    with fake.running() as url:
        async with bench(pairwise, bind(declared(Judge), {"base_url": url, "model": "m", "images": True})) as running:
            told = await running.results("pairwise", [gallery(drawn("red", "It."), drawn("green", "It."))])
            same = await running.results("pairwise", [gallery(drawn("red", "It."), drawn("red", "It."))])
    assert [getattr(one.outcome, "score", None) for one in told] == [1.0, 0.0]
    assert [getattr(one.outcome, "score", None) for one in same] == [0.5, 0.5]
    assert len(fake.requests) == 2


@pytest.mark.parametrize("name", ["pairwise", "best_of"])
async def test_comparisons_leave_no_picture_out_in_silence(name: str) -> None:
    fake = FakeChatServer(lambda request, number: "[[A]]")
    with fake.running() as url:
        async with bench(pairwise, best_of, bind(declared(Judge), {"base_url": url, "model": "m"})) as running:
            found = [one.outcome for one in await running.results(name, [gallery("words", drawn("red"))])]
    for one in found:
        assert isinstance(one, Fault)
        assert one.code == "judge_no_images"
        assert "show_images = false" in one.message
    assert fake.requests == []


async def test_a_picture_of_another_response_that_a_data_set_names_is_the_data_sets() -> None:
    item = illustrated(own=picture("red"))
    broken = base64.b64encode(b"no picture").decode()
    item.own_reference = json.dumps({"opponent": {"text": "blue", "images": [broken]}}).encode()
    async with judging(served([]), images=True) as running:
        fault = await running.fault("judge", item, {"protocol": "pairwise"})
    assert (fault.party.value, "reference: another response holds" in fault.message) == ("dataset", True)


async def test_a_control_call_shows_the_pictures_of_the_response_that_it_is_about() -> None:
    def refuses_red(request: dict[str, Any], number: int) -> str:
        told = [colour for name, colour in pictures_in(request) if name != "PROMPT"]
        return "I can't help with that." if "red" in told else prefers_red(request, number)

    fake = FakeChatServer(refuses_red)
    with fake.running() as url:
        settings = {"base_url": url, "model": "m", "images": True}
        async with bench(pairwise, bind(declared(Judge), settings)) as running:
            found = await running.results("pairwise", [gallery(drawn("red", "One."), drawn("green", "Two."))])
    assert [getattr(one.outcome, "score", None) for one in found] == [0.0, 1.0]


async def test_a_local_model_is_not_said_to_see(tmp_path: Any) -> None:
    settings = {"path": str(causal(tmp_path / "model"))}
    async with bench(bind(declared(Judge), settings)) as running:
        fault = await running.fault("judge", illustrated(prompt=picture("red")))
    assert fault.code == "judge_no_images"
