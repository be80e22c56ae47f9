"""What trainers call a reference, and names for rollouts that have none."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from trainer_client._errors import RolloutError

ANSWERS = ("answer", "solution", "ground_truth")
"""Columns that hold an answer, in the order in which they are looked for."""


def read_cell(value: Any) -> Any:
    """A cell of a data set: an object without what the row lacks, out of JSON text too; anything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        try:
            decoded = json.loads(value)
        except (ValueError, RecursionError):
            return value
        value = decoded if isinstance(decoded, dict) else value
    return {key: part for key, part in value.items() if part is not None} if isinstance(value, Mapping) else value


def reference_of(value: Any) -> Any:
    """The reference that a label means: an object is one, a text, a number or a list is an answer, None is none."""
    value = read_cell(value)
    return value if value is None or isinstance(value, Mapping) else {"answer": value}


def text_of(content: Any, field: str) -> str:
    """The text of a message's content: a text, a list of parts of text, or nothing.

    Raises:
        RolloutError: it holds something else, which a text would lose.
    """
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, Sequence) and all(isinstance(part, Mapping) for part in content):
        if all(isinstance(part.get("text"), str) for part in content):
            return "".join(part["text"] for part in content)
        kinds = ", ".join(sorted({str(part.get("type")) for part in content if not isinstance(part.get("text"), str)}))
        raise RolloutError(f"holds parts of kind {kinds}; only texts can be sent here", field)
    raise RolloutError(f"expected text or a list of parts, found {type(content).__name__}", field)


def equal_lengths(**columns: Sequence[Any]) -> None:
    """Refuse columns of different lengths.

    Raises:
        RolloutError: some differ; it names each with its length.
    """
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} has {count}" for name, count in lengths.items())
        raise RolloutError(f"columns differ in length: {counts}", next(iter(columns)))


ENDS = ("</s>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<eos>")
"""Marks of tokenizers that end a response, where a trainer decodes them."""


def response_of(query: str, prompt: str, ends: Sequence[str] = ENDS) -> str | None:
    """The response in a text that holds prompt and response, without the marks that end it.

    The tokenizer may put a mark before the prompt; what the policy wrote cannot come before it.

    Returns:
        The response; None where the text does not hold the prompt.
    """
    start = query.find(prompt)
    if start < 0:
        return None
    text = query[start + len(prompt) :]
    while True:
        shorter = text
        for end in ends:
            shorter = shorter.removesuffix(end)
        if shorter == text:
            return text
        text = shorter


def content_id(*parts: Any) -> str:
    """A name that follows from what a rollout holds: verifiers that draw then draw the same for the same content.

    Raises:
        RolloutError: something is nested too deeply.
    """
    pieces: list[str] = []
    for part in parts:
        # Texts, which are long, as they are; what separates parts says how long each is, and of which kind.
        try:
            text = part if type(part) is str else repr(part)
        except RecursionError:
            raise RolloutError("holds a value that is nested too deeply") from None
        pieces.append(f"{'t' if text is part else 'v'}{len(text)}:{text}")
    data = "".join(pieces).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=12).hexdigest()
