"""The pages that the tools of CaRR's browser showed in a conversation, as documents that its answer may cite.

What a tool showed belongs to a page only where that is certain: an output whose call is unknown, matches before any
page was opened, and search results with one number for two pages belong to none.

Source of the formats: THUDM/CaRR tool_server @25d44105, deepsearch_rm_with_rubrics/launch_server.py @e81b3149.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from reward_servers.engines.citations import same_page
from trainer_client import Document

_TOOL = re.compile(r"browser[._](search|open|find)")
_RESULT = re.compile(r"^\[(?P<number>\d+)\] Title: (?P<title>.*)\n\[(?P=number)\] URL Source: (?P<uri>\S+)[ ]*$", re.M)
_LABEL = re.compile(r"^\[\d+\] (?:Description: |Date: .*)", re.M)
_OPENED = re.compile(r"\s*Title:(?P<title>[^\n]*)\n\s*URL Source:[ ]*(?P<uri>\S+)[ ]*(?:\n|\Z)")
_CONTENT = "Markdown Content:"
_MATCH = re.compile(r"^\[Match \d+\]$", re.M)


class Output(NamedTuple):
    """What a tool gave back.

    Attributes:
        place: Number of its message in the conversation, and of itself in the message.
        tool: ``search``, ``open`` or ``find``; empty for another tool, and where its call is not known.
        text: What it gave back.
    """

    place: tuple[int, int]
    tool: str
    text: str


@dataclass(slots=True)
class _Page:
    uri: str
    title: str
    parts: dict[str, None] = field(default_factory=dict)


def pages_of(history: Sequence[Mapping[str, Any]]) -> tuple[list[Document], frozenset[tuple[int, int]]]:
    """The pages of a conversation, each once, in the order in which they were first shown.

    The words that were looked for are left out: they are the policy's own, and no evidence.

    Args:
        history: Messages with flat calls and outputs, as CaRR's trainer posts them. Anything in them may be malformed.

    Returns:
        The documents, with their addresses as ids; and the places of the outputs whose text they hold.
    """
    pages: dict[str, _Page] = {}
    places: set[tuple[int, int]] = set()
    opened: _Page | None = None
    for output in _outputs(history):
        pages_shown: list[tuple[str, str, str]] = []
        if output.tool == "search":
            pages_shown = list(_results(output.text))
        elif output.tool == "open":
            pages_shown = list(_opened(output.text))
        for uri, title, text in pages_shown:
            page = pages.setdefault(same_page(uri), _Page(uri, title))
            page.parts.setdefault(text)
        if output.tool == "open":
            opened = pages[same_page(pages_shown[0][0])] if pages_shown else None
        elif output.tool == "find" and opened is not None:
            opened.parts.setdefault(_MATCH.sub("", output.text).strip())
        if pages_shown or (output.tool == "find" and opened is not None):
            places.add(output.place)
    documents = [
        Document(page.uri, "\n\n".join(filter(None, page.parts)), page.title, page.uri) for page in pages.values()
    ]
    return documents, frozenset(places)


def _outputs(history: Sequence[Mapping[str, Any]]) -> Iterator[Output]:
    tools: dict[str, str] = {}
    for place, message in enumerate(history):
        if message.get("role") == "assistant":
            tools |= _calls(message.get("tool_calls"))
        content = message.get("content")
        if message.get("role") != "tool" or not isinstance(content, list):
            continue
        for number, part in enumerate(content):
            if isinstance(part, dict) and isinstance(part.get("output"), str) and part["output"].strip():
                yield Output((place, number), tools.get(str(part.get("tool_call_id")), ""), part["output"])


def _calls(calls: Any) -> dict[str, str]:
    """Which of the browser's tools each call names, by its id."""
    tools = {}
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict):
            function = call.get("function")
            name = function.get("name") if isinstance(function, dict) else call.get("name")
            tool = _TOOL.fullmatch(str(name))
            tools[str(call.get("tool_call_id", call.get("id")))] = tool[1] if tool is not None else ""
    return tools


def _results(text: str) -> Iterator[tuple[str, str, str]]:
    """Address, title and description of each search result.

    Results count up by one. A page writes its own description, which may look like another result: what is out of the
    order is part of the description, and a number that stands twice names no page.
    """
    heads: list[re.Match[str]] = []
    numbers: Counter[int] = Counter()
    for head in _RESULT.finditer(text):
        number = int(head["number"])
        numbers[number] += 1
        if not heads or number == int(heads[-1]["number"]) + 1:
            heads.append(head)
    ends = [*(head.start() for head in heads[1:]), len(text)]
    for head, end in zip(heads, ends, strict=False):
        if numbers[int(head["number"])] == 1:
            yield head["uri"], head["title"].strip(), _LABEL.sub("", text[head.end() : end]).strip()


def _opened(text: str) -> Iterator[tuple[str, str, str]]:
    """Address, title and content of an opened page; nothing where opening it failed."""
    head = _OPENED.match(text)
    if head is not None:
        _, _, content = text[head.end() :].partition(_CONTENT)
        yield head["uri"], head["title"].strip(), content.strip()
