"""How much of a text shows that it is too long, beside what tokenizers make of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from reward_servers.engines.models import Conversation, Encoder, TextShortener

_MOST = 40
_ALPHABETS = (
    "ab c",
    "aé ñ",
    "中文字",
    "  \n\t",
    "!?,. ",
    "e\u0301\u0301 o",
    "\u212a\u2126",
    "🙂👍🏽",
    "a" * 9 + " ",
    "w1 ",
)


def _bytes(*parts: Any, normalizer: Any = None, words: tuple[str, ...] = ()) -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pairs = [("a", "b"), ("ab", "ab"), ("Ġ", "Ġ"), ("ĠĠ", "ĠĠ"), ("Ã", "©")]
    tokens = dict.fromkeys([*alphabet, *("".join(pair) for pair in pairs), *words])
    tokenizer = Tokenizer(models.BPE({token: place for place, token in enumerate(tokens)}, pairs))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*parts, pre_tokenizers.ByteLevel(False, use_regex=not parts)])
    return tokenizer


def _fallback() -> Tokenizer:
    tokens = [*(f"<0x{byte:02X}>" for byte in range(256)), "<unk>", "▁", "a", "b", "▁▁", "ab"]
    model = models.BPE(
        {token: place for place, token in enumerate(tokens)},
        [("▁", "▁"), ("a", "b")],
        unk_token="<unk>",
        fuse_unk=True,
        byte_fallback=True,
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return tokenizer


def _pieces() -> Tokenizer:
    tokens = ["[UNK]", *"abceo中文,.!?w1", *(f"##{one}" for one in "abceo1")]
    tokenizer = Tokenizer(models.WordPiece({token: place for place, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _unigram() -> Tokenizer:
    model = models.Unigram([("<unk>", -9.0), ("▁", -2.0), ("a", -3.0), ("▁a", -3.5), ("b", -3.0)], 0, False)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer


def _words() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "a": 1}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


_KINDS: dict[str, tuple[Callable[[], Tokenizer], int]] = {
    "gpt-2": (_bytes, 1),
    "qwen": (lambda: _bytes(pre_tokenizers.Split(Regex(r"\s+|\w+"), "isolated"), normalizer=normalizers.NFC()), 1),
    "sentencepiece": (_fallback, 1),
    "bert": (_pieces, 2),
    "unigram": (_unigram, 1),
    "words": (_words, 1),
    "drops": (lambda: _bytes(pre_tokenizers.Split("b", "removed")), 0),
    "strips": (lambda: _bytes(normalizer=normalizers.Strip()), 0),
    "replaces": (lambda: _bytes(normalizer=normalizers.Replace("ab", "a")), 0),
    "anything": (lambda: _bytes(normalizer=normalizers.Replace(Regex("a+"), "a")), 0),
}


def _wrapped(tokenizer: Tokenizer) -> Any:
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer)  # type: ignore[no-untyped-call]
    wrapped.add_tokens([AddedToken("<end>", rstrip=True, lstrip=True, special=True)], special_tokens=True)
    return wrapped


def _texts(size: int) -> Iterator[str]:
    dice = random.Random(5)
    for alphabet in _ALPHABETS:
        yield "".join(dice.choices(alphabet, k=size))
    for _ in range(30):
        parts = ("".join(dice.choices(dice.choice(_ALPHABETS), k=dice.randint(1, 300))) for _ in range(size // 100))
        yield "".join(parts)


@pytest.mark.parametrize("kind", _KINDS)
def test_a_beginning_is_too_long_only_where_the_whole_is(kind: str) -> None:
    make, bounds = _KINDS[kind]
    tokenizer = _wrapped(make())
    shortener = TextShortener(tokenizer, _MOST)
    assert len(shortener.bounds) == bounds
    shortened = 0
    for text in _texts(8_000):
        beginning = shortener.shorten(text)
        assert text.startswith(beginning)
        if beginning != text:
            shortened += 1
            assert len(tokenizer(beginning)["input_ids"]) > _MOST
            assert len(tokenizer(text)["input_ids"]) > _MOST
    assert bool(shortened) == bool(bounds)


@pytest.mark.parametrize("kind", [kind for kind, (_, bounds) in _KINDS.items() if bounds])
def test_no_bound_counts_more_tokens_than_there_are(kind: str) -> None:
    tokenizer = _wrapped(_KINDS[kind][0]())
    shortener = TextShortener(tokenizer, 1 << 30)
    for text in _texts(3_000):
        text = text.replace("!", "<end>")
        there = len(tokenizer(text)["input_ids"])
        for bound in shortener.bounds:
            assert bound(text) <= there, (bound, text[:80])
            assert bound(text[: len(text) // 2]) <= there


class _Counting:
    """Counts the characters that a tokenizer is asked to read."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.read = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __call__(self, *texts: str, **options: Any) -> Any:
        self.read += sum(map(len, texts))
        return self._tokenizer(*texts, **options)


@pytest.mark.parametrize("template", ["chat", "pair", "concat"])
@pytest.mark.parametrize("kind", ["gpt-2", "qwen", "sentencepiece", "bert", "words"])
def test_a_long_prompt_is_refused_without_being_read(kind: str, template: Any) -> None:
    wrapped = _wrapped(_KINDS[kind][0]())
    wrapped.chat_template = "{% for m in messages %}{{ m.content }} <end>{% endfor %}"
    tokenizer = _Counting(wrapped)
    encoder = Encoder(tokenizer, template, _MOST)
    tokenizer.read = 0
    long = "a word of many " * 8_000
    encoded = encoder.encode(Conversation((("user", long),), (("assistant", "b"),)), "refuse")
    assert encoded.prompt_tokens > _MOST
    assert 0 < tokenizer.read < 20_000
    # What is cut needs to be read whole: how much was cut is told.
    encoder.encode(Conversation((("user", long),), (("assistant", "b"),)), "left")
    assert tokenizer.read > len(long)


def test_what_is_refused_does_not_depend_on_who_asked_before() -> None:
    wrapped = _wrapped(_bytes())
    talk = Conversation((("user", "a b " * 5_000),), (("assistant", "b"),))
    fresh, used = Encoder(wrapped, "concat", _MOST, "false"), Encoder(wrapped, "concat", _MOST, "false")
    used.encode(talk, "refuse")
    assert used.encode(talk, "middle") == fresh.encode(talk, "middle")
    assert used.encode(talk, "left") == fresh.encode(talk, "left")
