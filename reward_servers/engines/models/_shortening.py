"""How much of a text shows that it is too long.

A tokenizer reads a megabyte in about a second, others wait for it meanwhile, and a prompt may have 60. Three rules
bound the tokens of a text from below. Each holds for the tokenizers whose parts are known to keep it; for others there
is none:

- *Bytes.* Where a tokenizer loses nothing, a token stands for no more bytes than the longest has. Spaces do not count,
  since some control tokens take those beside them into themselves.
- *Words.* Where texts are split at spaces first, a word with a letter or digit has a token of its own.
- *Beginnings.* WordPiece reads words by themselves, and a longer word as one token at worst: what follows a beginning
  takes back no more than the pieces of one word. This is for texts without spaces, and asks the tokenizer once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

_LEAST_PIECE = 4096
_SPACES = re.compile(r"\s+")
# Of ASCII only, which no normaliser that is known below takes away; other spaces may be no spaces to a tokenizer.
_WORD = re.compile(r"[A-Za-z0-9][^ ]*")
_COMPOSED = 9
"""How many times shorter NFC makes a text at most: a character a third of its bytes, and three of those one."""
_BYTES = 256

Part = dict[str, Any]


class TextShortener:
    """Shortens texts that are surely too long.

    Attributes:
        bounds: Each gives a number of tokens that a text has at least.
    """

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        """Take a tokenizer of transformers and the tokens of the longest sequence."""
        self._max_length = max_length
        self._first = max(_LEAST_PIECE, 8 * max_length)
        self.bounds: list[Callable[[str], int]] = []
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            return
        normalizers, splitters = list(_parts(backend.normalizer)), list(_parts(backend.pre_tokenizer))
        if (longest := _longest_token(tokenizer, backend, normalizers, splitters)) is not None:
            self._longest = longest
            self.bounds.append(self._by_bytes)
        if _splits_at_spaces(tokenizer, backend, normalizers, splitters):
            self.bounds.append(self._by_words)
            if type(backend.model).__name__ == "WordPiece":
                self._tokenizer, self._pieces = tokenizer, int(backend.model.max_input_chars_per_word)
                self.bounds.append(self._by_beginning)

    def shorten(self, text: str) -> str:
        """The text, or as much of its beginning as surely has more tokens than the longest sequence."""
        size = self._first
        while self.bounds and size < len(text):
            beginning = text[:size]
            if any(bound(beginning) > self._max_length for bound in self.bounds):
                return beginning
            size *= 2
        return text

    def _by_bytes(self, text: str) -> int:
        return len(_SPACES.sub("", text).encode(errors="replace")) // self._longest

    def _by_words(self, text: str) -> int:
        return sum(1 for _ in islice(_WORD.finditer(text), self._max_length + 1))

    def _by_beginning(self, text: str) -> int:
        if len(text) > self._first:
            return 0
        return len(self._tokenizer(text, add_special_tokens=False)["input_ids"]) - self._pieces


def _parts(part: Any) -> Iterator[Part]:
    """A normaliser or splitter of tokenizers as its parts one by one."""
    if part is not None:
        yield from _flat(json.loads(part.__getstate__()))


def _flat(part: Part) -> Iterator[Part]:
    if part["type"] != "Sequence":
        yield part
        return
    for one in part.get("normalizers") or part.get("pretokenizers") or ():
        yield from _flat(one)


def _longest_token(tokenizer: Any, backend: Any, normalizers: list[Part], splitters: list[Part]) -> int | None:
    """Bytes of a text that one token stands for at most; None where that is not known."""
    model = backend.model
    if type(model).__name__ != "BPE" or model.continuing_subword_prefix or model.end_of_word_suffix:
        return None
    if not all(map(_only_lengthens, normalizers)) or not all(map(_keeps_all, splitters)):
        return None
    vocabulary = tokenizer.get_vocab()
    if any(one["type"] == "ByteLevel" for one in splitters):
        from tokenizers.pre_tokenizers import ByteLevel

        alphabet = set(ByteLevel.alphabet())
        whole = alphabet <= vocabulary.keys()
    else:
        alphabet = set()
        whole = model.byte_fallback and all(f"<0x{byte:02X}>" in vocabulary for byte in range(_BYTES))
    if not whole:
        return None
    # A character of the alphabet of bytes is one byte; another is as long as it is written.
    longest = max(len(token) if alphabet.issuperset(token) else len(token.encode()) for token in vocabulary)
    return longest * (_COMPOSED if any(one["type"] == "NFC" for one in normalizers) else 1)


def _only_lengthens(normalizer: Part) -> bool:
    if normalizer["type"] == "Replace":
        pattern = normalizer["pattern"].get("String", "")
        return 0 < len(pattern.encode()) <= len(normalizer["content"].encode())
    return normalizer["type"] in ("NFC", "Prepend")


def _keeps_all(splitter: Part) -> bool:
    return splitter["type"] in ("ByteLevel", "Split", "Digits", "Metaspace", "Punctuation") and (
        splitter.get("behavior") != "Removed"
    )


def _splits_at_spaces(tokenizer: Any, backend: Any, normalizers: list[Part], splitters: list[Part]) -> bool:
    """Whether no token is of two words that a space parts, and each word with a letter or digit has one."""
    if type(backend.model).__name__ not in ("WordPiece", "WordLevel", "Unigram"):
        return False
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    if any(" " in str(token) for token in added) or not all(map(_keeps_words, normalizers)):
        return False
    at_spaces = any(
        one["type"] in ("BertPreTokenizer", "Whitespace", "WhitespaceSplit")
        or (one["type"] == "Metaspace" and one.get("split", True))
        for one in splitters
    )
    known = ("BertPreTokenizer", "Whitespace", "WhitespaceSplit", "Metaspace", "Digits", "Punctuation")
    return at_spaces and all(one["type"] in known and one.get("behavior") != "Removed" for one in splitters)


def _keeps_words(normalizer: Part) -> bool:
    if normalizer["type"] == "Replace":
        return bool(normalizer["pattern"] == {"Regex": " {2,}"} and normalizer["content"] in (" ", "▁"))
    return normalizer["type"] in (
        *("BertNormalizer", "Lowercase", "StripAccents", "Strip", "NFC", "NFD", "NFKC", "NFKD"),
        *("Nmt", "Precompiled"),
    )
