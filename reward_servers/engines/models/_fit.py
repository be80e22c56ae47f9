"""Proof, at the start, that a tokenizer and a model belong together.

A tokenizer that loses text, or that was made for another model, would give every response a score, and a wrong one.
"""

from __future__ import annotations

from collections.abc import Iterable

from reward_servers.engines.models._encoding import Conversation, Encoder, EncodingError
from reward_servers.engines.models._loading import Loaded, ModelUnusableError

_PROBES = 48
_MAY_FOLD = 0.25
_CONTROL_TOKENS = 64


def check_fit(loaded: Loaded, encoder: Encoder) -> None:
    """Try tokenizer, template and embedding on probes.

    Args:
        loaded: The model.
        encoder: Its encoder.

    Raises:
        ModelUnusableError: They do not fit; the message names the file and the remedy.
    """
    tokenizer, path = loaded.tokenizer, loaded.path
    rows = loaded.model.get_input_embeddings().num_embeddings
    vocabulary = tokenizer.get_vocab()
    token, highest = max(vocabulary.items(), key=lambda entry: entry[1], default=("", -1))
    if highest >= rows:
        raise ModelUnusableError(
            f"{path}: the tokenizer's token {token!r} has id {highest}, but the model embeds {rows} ids; "
            "use the tokenizer of this model"
        )
    try:
        _check_texts(loaded, encoder, _texts_of(tokenizer, vocabulary.values()))
        _check_control_tokens(loaded, encoder)
    except EncodingError as error:
        raise ModelUnusableError(f"{path}: {error}; give another template") from None


def _ids(encoder: Encoder, text: str) -> tuple[int, ...]:
    return encoder.encode(Conversation((("user", ""),), (("assistant", text),)), "refuse").ids


def _texts_of(tokenizer: object, ids: Iterable[int]) -> list[str]:
    """Sample texts from all over the vocabulary."""
    decode, special = tokenizer.decode, set(tokenizer.all_special_ids)  # type: ignore[attr-defined]
    plain = sorted(set(ids) - special)
    step = max(1, len(plain) // (4 * _PROBES))
    texts = dict.fromkeys(decode([token]).strip() for token in plain[::step])
    return [text for text in texts if text and "\ufffd" not in text][:_PROBES]


def _check_texts(loaded: Loaded, encoder: Encoder, texts: list[str]) -> None:
    texts_by_ids: dict[tuple[int, ...], str] = {_ids(encoder, ""): ""}
    lost: list[tuple[str, str]] = []
    for text in texts:
        ids = _ids(encoder, text)
        if ids in texts_by_ids:
            lost.append((text, texts_by_ids[ids]))
        texts_by_ids.setdefault(ids, text)
    # A few texts may be one to a tokenizer that folds case, accents or quotation marks.
    if len(lost) > len(texts) * _MAY_FOLD or len(texts_by_ids) < 3:
        example = " and ".join(map(repr, lost[0])) if lost else "all texts"
        raise ModelUnusableError(
            f"{loaded.path}: the tokenizer loses text: it gives {example} the same ids; "
            "use the tokenizer that the model was trained with"
        )
    first, bos = next(iter(texts_by_ids)), loaded.tokenizer.bos_token_id
    if bos is not None and first[:2] == (bos, bos):
        raise ModelUnusableError(
            f"{loaded.path}: sequences begin with two {loaded.tokenizer.bos_token!r}; "
            "let the chat template or the tokenizer add it, not both"
        )


def _check_control_tokens(loaded: Loaded, encoder: Encoder) -> None:
    """Control tokens in a text must be text: a response could end its own turn with them."""
    special = {loaded.tokenizer.convert_tokens_to_ids(token) for token in encoder.control}
    special.discard(loaded.tokenizer.unk_token_id)
    expected = sum(identifier in special for identifier in _ids(encoder, "a b"))
    for token in encoder.control[:_CONTROL_TOKENS]:
        if sum(identifier in special for identifier in _ids(encoder, f"a {token} b")) != expected:
            raise ModelUnusableError(
                f"{loaded.path}: {token!r} in a response is read as a control token; use a tokenizer that splits it"
            )
