"""The visible text of a response: what is neither reasoning nor a comment.

It is the only text in which an answer counts, for every verifier.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from reward_servers.engines.text._fences import Fences
from reward_servers.engines.text._reasoning import Marks, Token, tokens_of

_MOST = 10_000


class Visible(NamedTuple):
    """The visible text.

    Attributes:
        text: The remaining text. If a span was removed between two words, a space separates them.
        open: Whether a reasoning span never ends. Everything after its start is then hidden.
        closed: Whether any reasoning span ends.
        begins: The position in the original behind the last reasoning span that ends; 0 when none does.
        pieces: Start and end, in the original, of each part that remains.
        starts: Where each of these parts begins in ``text``.
    """

    text: str
    open: bool
    closed: bool
    begins: int
    pieces: tuple[tuple[int, int], ...]
    starts: tuple[int, ...]

    @property
    def size(self) -> int:
        """Characters of the original that are visible."""
        return sum(end - start for start, end in self.pieces)

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original text from which a span of the visible text comes; (-1, -1) for (-1, -1)."""
        if start < 0 or not self.pieces:
            return start, end
        first = self._place(start)
        return first, self._place(end - 1) + 1 if end > start else first

    def _place(self, position: int) -> int:
        piece = max(0, bisect_right(self.starts, position) - 1)
        begin, end = self.pieces[piece]
        return min(begin + position - self.starts[piece], end)


def visible(text: str, marks: Marks = ()) -> Visible:
    """Take reasoning and comments out of a text, in linear time.

    A mark closes the span of its own format and whatever is open inside; spans nest. A closing mark without an opening
    one ends a span that began before the text, since chat templates often write the opening mark into the prompt; one
    without a closing mark hides the rest. Harmony shows its ``final`` channel. Marks inside a closed code block or
    between backticks are text, as are marks inside a comment.

    Args:
        text: A response or a reply.
        marks: Pairs of an opening and a closing mark to know in addition to the table of formats.

    Returns:
        The visible text, with its places in the original. With more than 10,000 marks or fences nothing is visible: no
        honest text has them, and to read on would take its time.
    """
    tokens = tokens_of(text, marks, _MOST)
    if not tokens:
        return Visible(text, False, False, 0, ((0, len(text)),), (0,))
    fences = Fences(text, _MOST)
    if len(tokens) > _MOST or fences.too_many:
        return Visible("", True, False, 0, (), ())
    reader = _Reader(text, fences)
    for token in tokens:
        reader.take(token)
    return reader.result()


@dataclass(slots=True)
class _Open:
    """A span that has begun."""

    format: str
    start: int
    end: int


class _Reader:
    """Processes the marks of a text one after the other."""

    def __init__(self, text: str, fences: Fences) -> None:
        self._text = text
        self._fences = fences
        self._block, self._block_start = self._fences.opening(0)
        self._block_end = -1
        self._hidden: list[tuple[int, int]] = []
        self._spans: list[_Open] = []
        self._depth: dict[str, int] = {}
        self._comment = -1
        self._met_opening = False
        self._closed = False
        self._begins = 0

    def take(self, token: Token) -> None:
        """Take the next mark."""
        if token.kind == "shows" and self._spans:
            self._restart(token)
        elif self._spans:
            self._within(token)
        elif self._comment >= 0:
            self._within_comment(token)
        elif self._is_text(token):
            self._met_opening |= token.kind == "opens"
        else:
            self._outside(token)

    def _within(self, token: Token) -> None:
        """Process a mark inside reasoning, where comments, code and quotes have no meaning."""
        if token.kind == "opens":
            last = self._spans[-1]
            # A template's opening mark that the model repeats opens one span.
            if last.format == token.format and not self._text[last.end : token.start].strip():
                last.end = token.end
            elif token.format != "harmony":
                self._push(token)
        elif token.kind == "closes" and self._depth.get(token.format):
            while self._spans:
                span = self._spans.pop()
                self._depth[span.format] -= 1
                if span.format == token.format:
                    break
            if not self._spans:
                self._hide(span.start, token.end)

    def _within_comment(self, token: Token) -> None:
        if token.kind == "uncomment":
            self._hidden.append((self._comment, token.end))
            self._comment = -1
            self._look_for_blocks(token.end)
        elif _ends_what_stood_before(token) and not self._closed and not self._met_opening:
            # The comment stood in reasoning that began before the text.
            self._restart(token)
        elif token.kind == "opens":
            self._met_opening = True

    def _outside(self, token: Token) -> None:
        if token.kind == "opens":
            self._met_opening = True
            self._push(token)
        elif _ends_what_stood_before(token):
            self._restart(token)
        elif token.kind == "comment":
            self._comment = token.start
        elif token.kind != "uncomment":
            self._hidden.append((token.start, token.end))
            if token.kind == "empty":
                self._closed, self._begins = True, token.end

    def _is_text(self, token: Token) -> bool:
        """Whether a mark outside of reasoning is quoted rather than used."""
        text, start, end = self._text, token.start, token.end
        if token.kind in ("comment", "uncomment"):
            return self._in_block(start)
        if text[start - 1 : start] == "`" and text[end : end + 1] == "`":
            return True
        if not self._in_block(start):
            return False
        # A draft that stopped inside a code block looks like one that goes on behind the end of the reasoning.
        at_edge = text[start - 1 : start] in ("", "\n") or text[end : end + 1] in ("", "\n", "\r")
        return not (token.kind == "closes" and at_edge and not self._closed and not self._met_opening)

    def _in_block(self, position: int) -> bool:
        while 0 <= self._block_start < position:
            # The end is looked for only here: most blocks that a hidden span covers are never asked about.
            if self._block_end < 0:
                self._block_end = self._fences.end(self._block)
            if position < self._block_end:
                return True
            self._look_for_blocks(self._block_end)
        return False

    def _look_for_blocks(self, position: int) -> None:
        self._block, self._block_start = self._fences.opening(position)
        self._block_end = -1

    def _push(self, token: Token) -> None:
        self._spans.append(_Open(token.format, token.start, token.end))
        self._depth[token.format] = self._depth.get(token.format, 0) + 1

    def _hide(self, start: int, end: int) -> None:
        self._hidden.append((start, end))
        self._closed, self._begins = True, end
        self._look_for_blocks(end)

    def _restart(self, token: Token) -> None:
        """Hide everything up to a mark."""
        self._hidden.clear()
        self._spans.clear()
        self._depth.clear()
        self._comment = -1
        self._hide(0, token.end)

    def result(self) -> Visible:
        """The visible text after all marks are processed."""
        is_open = bool(self._spans)
        hidden_from = self._spans[0].start if is_open else self._comment
        if hidden_from >= 0:
            self._hidden.append((hidden_from, len(self._text)))
        pieces = tuple(self._pieces())
        return _joined(self._text, pieces, is_open, self._closed, self._begins)

    def _pieces(self) -> Iterator[tuple[int, int]]:
        at = 0
        for start, end in self._hidden:
            if start > at:
                yield at, start
            at = max(at, end)
        if at < len(self._text):
            yield at, len(self._text)


def _ends_what_stood_before(token: Token) -> bool:
    """Whether a mark outside of reasoning says that all before it was reasoning."""
    return token.kind == "shows" or (token.kind == "closes" and token.format != "harmony")


def _joined(text: str, pieces: tuple[tuple[int, int], ...], is_open: bool, closed: bool, begins: int) -> Visible:
    parts: list[str] = []
    starts: list[int] = []
    length, last = 0, " "
    for start, end in pieces:
        if not last.isspace() and not text[start].isspace():
            parts.append(" ")
            length += 1
        starts.append(length)
        parts.append(text[start:end])
        length += end - start
        last = text[end - 1]
    return Visible("".join(parts), is_open, closed, begins, pieces, tuple(starts))
