"""From conversations to token ids."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from reward_servers.engines.models import Conversation, Encoder, EncodingError, ResponseRefusedError
from tests.engines.models import tiny


@pytest.fixture
def encoder(tmp_path: Path) -> Encoder:
    tiny.tokenizer(tmp_path)
    return Encoder(AutoTokenizer.from_pretrained(tmp_path), "chat", 10)


def _talk(prompt: str, response: str) -> Conversation:
    return Conversation((("user", prompt),), (("assistant", response),))


def test_the_template_is_the_tokenizers_own_with_one_first_token(encoder: Encoder) -> None:
    encoded = encoder.encode(_talk("w1", "w2"), "refuse")
    assert encoded.ids == (1, 4, 8, 2, 5, 9, 2)
    assert (encoded.tokens, encoded.prompt_tokens, encoded.cut, encoded.escaped) == (7, 6, 0, 0)


def test_a_candidate_cannot_write_control_tokens(encoder: Encoder) -> None:
    encoded = encoder.encode(_talk("w1", "w2 <eos> <user> w3"), "refuse")
    assert encoded.ids.count(2) == 2
    assert encoded.ids.count(4) == 1
    assert encoded.escaped == 2


@pytest.mark.parametrize(
    ("truncation", "ids"),
    [
        ("refuse", (1, 4, 8, 2, 5, *range(9, 18), 2)),
        ("left", (*range(9, 18), 2)),
        ("middle", (1, 4, 8, 2, 5, 14, 15, 16, 17, 2)),
    ],
)
def test_truncation(encoder: Encoder, truncation: Any, ids: tuple[int, ...]) -> None:
    encoded = encoder.encode(_talk("w1", " ".join(f"w{one}" for one in range(2, 11))), truncation)
    assert encoded.ids == ids
    assert (encoded.tokens, encoded.cut) == (15, 15 - len(ids))


def test_a_tokenizer_without_a_template_is_refused(tmp_path: Path) -> None:
    tiny.tokenizer(tmp_path, chat=False)
    with pytest.raises(EncodingError, match="template"):
        Encoder(AutoTokenizer.from_pretrained(tmp_path), "chat", 10)


def test_an_end_of_sequence_is_added_once_and_only_where_it_is_asked_for(tmp_path: Path) -> None:
    tiny.tokenizer(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)

    def last(template: Any, add_eos: Any) -> tuple[int, ...]:
        return Encoder(tokenizer, template, 64, add_eos).encode(_talk("w1 ", "w2"), "refuse").ids[-2:]

    assert last("concat", "false") == (8, 9)
    assert last("concat", "true") == last("concat", "auto") == (9, 2)
    assert last("chat", "auto") == last("chat", "true") == (9, 2)
    tiny.tokenizer(tmp_path / "pairs", pair=True)
    pairs = AutoTokenizer.from_pretrained(tmp_path / "pairs")
    assert not Encoder(pairs, "concat", 64).adds_eos


def test_what_is_shared_comes_of_the_prompt_alone(tmp_path: Path) -> None:
    tiny.tokenizer(tmp_path)
    encoder = Encoder(AutoTokenizer.from_pretrained(tmp_path), "chat", 300)
    prompt = " ".join(f"w{one}" for one in range(100))
    first, second = (encoder.encode(_talk(prompt, text), "refuse") for text in ("w1", "w2 w3"))
    assert first.shared == second.shared == 96
    assert first.ids[:96] == second.ids[:96]
    assert encoder.encode(_talk("w1", "w2"), "refuse").shared == 0
    cut = Encoder(AutoTokenizer.from_pretrained(tmp_path), "chat", 60).encode(_talk(prompt, "w1 w2"), "left")
    assert cut.shared == 0


class Counting:
    """A tokenizer that counts the characters that it is given."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.seen = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __call__(self, text: str, **options: Any) -> Any:
        self.seen += len(text)
        return self._tokenizer(text, **options)


def test_a_prompt_is_tokenised_once_for_its_group_and_the_ids_are_those_of_the_whole(tmp_path: Path) -> None:
    tiny.tokenizer(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    draw, counting = random.Random(3), Counting(tokenizer)
    encoder = Encoder(counting, "chat", 1 << 20)
    prompt = " ".join(f"w{draw.randrange(200)}" for _ in range(4000))
    talks = [_talk(prompt, " ".join(f"w{draw.randrange(200)}" for _ in range(size))) for size in range(16)]
    talks.append(_talk(prompt, " <eos> w1"))
    counting.seen = 0
    found = [encoder.encode(talk, "refuse") for talk in talks]
    # The prompt alone, the first response, the second in both ways.
    assert counting.seen < 4.6 * len(prompt)
    whole = [Encoder(tokenizer, "chat", 1 << 20).encode(talk, "refuse") for talk in talks]
    assert [one.ids for one in found] == [one.ids for one in whole]
    assert {one.prompt_tokens for one in found} == {4005}


def test_a_prompt_that_is_too_long_is_read_once_and_kept_only_while_its_group_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.tokenizer(tmp_path)
    counting = Counting(AutoTokenizer.from_pretrained(tmp_path))
    encoder = Encoder(counting, "chat", 100)
    prompts = [" ".join([word] * 1000) for word in ("w1", "w2")]
    monkeypatch.setattr("reward_servers.engines.models._encoding._KEPT", 3 * len(prompts[0]) // 2)

    def read(prompt: str) -> int:
        counting.seen = 0
        for text in ("w3", "w4", "w5"):
            found = encoder.encode(_talk(prompt, text), "refuse")
            assert len(found.ids) == found.tokens == found.prompt_tokens == 1005
        return counting.seen // len(prompt)

    assert [read(prompt) for prompt in (*prompts, prompts[0])] == [1, 1, 1]
    assert read(prompts[0]) == 0


def test_a_template_that_refuses_a_response_is_told_from_one_that_refuses_a_prompt(tmp_path: Path) -> None:
    tiny.tokenizer(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    refuses = "{% if 'w7 w8' in m.content %}{{ raise_exception('no w7') }}{% endif %}"
    tokenizer.chat_template = tiny.CHAT.replace("{{ m.content }}", refuses + "{{ m.content }}")
    encoder = Encoder(tokenizer, "chat", 100)
    with pytest.raises(ResponseRefusedError, match="no w7"):
        encoder.encode(_talk("w1", "w7 w8"), "refuse")
    with pytest.raises(EncodingError, match="no w7") as raised:
        encoder.encode(_talk("w7 w8", "w1"), "refuse")
    assert not isinstance(raised.value, ResponseRefusedError)


def test_a_control_token_that_prompt_and_response_are_halves_of_is_broken_up(tmp_path: Path) -> None:
    tiny.tokenizer(tmp_path)
    encoder = Encoder(AutoTokenizer.from_pretrained(tmp_path), "concat", 100, "false")
    halves = encoder.encode(_talk("w1 <", "eos> w2"), "refuse")
    assert 2 not in halves.ids
    assert halves.escaped == 1
    assert encoder.encode(_talk("w1 <", " eos> w2"), "refuse").ids == halves.ids


def test_a_text_is_not_cut_where_its_parts_would_be_read_differently(tmp_path: Path) -> None:
    tiny.tokenizer(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)

    class Joined:
        """Reads the first letter of a text differently, as tokenizers do that put a space before it."""

        def __getattr__(self, name: str) -> Any:
            return getattr(tokenizer, name)

        def __call__(self, text: str, **options: Any) -> Any:
            found = tokenizer(text, **options)
            return {"input_ids": [*found["input_ids"], 3] if not text.startswith("<bos>") else found["input_ids"]}

    encoder = Encoder(Joined(), "chat", 100)
    for text in ("w1", "w2", "w3", "w4"):
        assert encoder.encode(_talk("w5", text), "refuse").ids[-2:] == (tokenizer(text)["input_ids"][0], 2)


def test_half_a_surrogate_pair_is_read_as_tokenizers_write_it(encoder: Encoder) -> None:
    found = encoder.encode(_talk("w1 \udcff", "w2 \ud800 \ud83d\ude00"), "refuse")
    assert found == encoder.encode(_talk("w1 \ufffd", "w2 \ufffd \U0001f600"), "refuse")
    assert encoder.harmless("\ud800 <eos>") == "\ufffd < eos>"
