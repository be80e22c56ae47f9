"""XML answers compared with a reference element by element."""

from __future__ import annotations

from typing import Any
from xml.parsers import expat

from pydantic import Field

from reward_servers import DatasetError, ItemLimits, Reference, Rollout, Score, verifier
from reward_servers.verifiers.form._values import ASPECTS, ValueOptions, compared

_DEEPEST = 64


class XmlReference(Reference):
    """The right document."""

    answer: str = Field(min_length=1, description="One element as XML.")


class XmlOptions(ValueOptions):
    """Which differences count. Elements of the same name form a list."""


class _Builder:
    """Makes a value of a document: an element is its attributes (`@name`), its text (`#text`) and lists of elements."""

    def __init__(self) -> None:
        self.root: dict[str, Any] = {}
        self.open: list[dict[str, Any]] = [self.root]

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self.open) > _DEEPEST:
            raise ValueError(f"elements in more than {_DEEPEST} others")
        element: dict[str, Any] = {f"@{key}": value for key, value in attributes.items()}
        self.open[-1].setdefault(name, []).append(element)
        self.open.append(element)

    def end(self, _: str) -> None:
        closed = self.open.pop()
        text = " ".join("".join(closed.pop("#parts", ())).split())
        if text or not closed:
            closed["#text"] = text

    def text(self, data: str) -> None:
        self.open[-1].setdefault("#parts", []).append(data)


def _refuse(*_: Any) -> None:
    raise ValueError("a document type, which is not read")


def _read(text: str) -> Any:
    """The value of a document of one element. Document types and their entities are refused.

    Raises:
        ValueError: It is not XML.
    """
    parser, builder = expat.ParserCreate(), _Builder()
    parser.StartElementHandler, parser.EndElementHandler = builder.start, builder.end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = builder.text, _refuse
    parser.buffer_text = True
    try:
        parser.Parse(text.strip().encode("utf-8", "replace"), True)
    except expat.ExpatError as error:
        raise ValueError(str(error)) from None
    return builder.root


@verifier("xml_match", version="1", limits=ItemLimits(response_bytes=1 << 19), aspects=ASPECTS)
def xml_match(rollout: Rollout, ref: XmlReference, options: XmlOptions) -> Score:
    """How much of an XML answer agrees with the right one: elements, attributes and texts; a code fence is left out.

    Source: XML 1.0; how elements are matched is ours.
    """
    try:
        right = _read(ref.answer)
    except ValueError as error:
        raise DatasetError(f"reference.answer: not XML: {error}"[:300]) from None
    return compared(rollout, options, _read, right, "XML")
