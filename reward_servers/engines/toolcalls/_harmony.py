"""Messages of a text in Harmony: ``<|start|>role<|channel|>name to=recipient<|message|>content<|end|>``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_MESSAGE = re.compile(
    r"(?P<head>(?:<\|start\|>[^<]{0,200})?(?:<\|channel\|>[^<]{0,200})?(?:<\|constrain\|>[^<]{0,200})?)"
    r"<\|message\|>(?P<content>.*?)(?:<\|(?:end|call|return)\|>|(?=<\|start\|>)|\Z)",
    re.DOTALL,
)
_RECIPIENT = re.compile(r"\bto=(\S+)")
_ROLE = re.compile(r"<\|start\|>\s*([\w.-]+)")


@dataclass(frozen=True, slots=True)
class HarmonyMessage:
    """One message.

    Attributes:
        role: Who wrote it: ``assistant``, which a message without a start is of, or the name of a tool.
        recipient: Whom it is for, such as ``functions.search``; empty for a message to the user.
        content: What it says.
    """

    role: str
    recipient: str
    content: str


def is_harmony(text: str) -> bool:
    """Whether a text is written in this format: it begins with a mark of it, so that none is taken from a quotation."""
    return text.lstrip().startswith(("<|channel|>", "<|start|>")) and "<|message|>" in text


def harmony_messages(text: str) -> Iterator[HarmonyMessage]:
    """The messages of a text in their order."""
    for match in _MESSAGE.finditer(text):
        head = match["head"]
        role, recipient = _ROLE.search(head), _RECIPIENT.search(head)
        yield HarmonyMessage(role[1] if role else "assistant", recipient[1] if recipient else "", match["content"])
