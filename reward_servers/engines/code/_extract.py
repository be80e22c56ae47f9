"""Code out of a response: which text is the program, by which rule it was chosen, and what was cut off.

    Extraction   the program, where in the response it stands, and how it was found
    Rule         fence (tagged with the language), untagged_fence, whole_response, none
    Blocks       which of several blocks counts: last (default), first, all (joined), entry (the last that defines
                 the function under test, else the last)

Only the visible text is looked at: code in reasoning is a draft and never counts. Blocks tagged with another language
never count, blocks without a tag only where no block carries the language's. Blank blocks give way to others.

A fence may have text before it on its line: an opening one a title (`**Solution:** ```python`), a closing one the last
line of the program. A fence inside a string or a comment of the program is none of its own: a Python block that does
not compile as far as the first fence that could close it ends at the last one up to which it does, and a block of
another language ends at the first one that its lexical rules place outside of strings and comments. Where there is no
such fence, the first one counts.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from reward_servers.engines.code import _lexical
from reward_servers.engines.code._languages import ALIASES, canonical
from reward_servers.engines.code._syntax import UnparsableError, parse
from reward_servers.engines.text import Marks, visible

Rule = Literal["fence", "untagged_fence", "whole_response", "none"]
Blocks = Literal["last", "first", "all", "entry"]
BLOCKS: tuple[Blocks, ...] = ("last", "first", "all", "entry")

_FENCE = re.compile(r"^(?P<indent>[ \t]*(?:>[ \t]?)*)(?P<mark>`{3,}|~{3,})(?P<info>[^\n]*)$")
# After text, and at the end of the line: a fence with the tag of a language or none, and one that ends a program.
_TITLED_FENCE = re.compile(r"(?P<mark>`{3,}|~{3,})[ \t]*(?P<info>[^\s`~]*)[ \t]*\Z")
_LAST_LINE = re.compile(r"(?P<mark>`{3,})[ \t]*\Z")
_MOST_FENCES = 20
_MOST_FENCES_IN_ALL = 400
"""Tried beyond the first of their block, of a whole response: one of nothing but fences costs no more."""
_LONGEST_TRIED = 1 << 17
_PART_OF = {"cpp": "c", "typescript": "javascript"}
_OPENS_BESIDE_TAG = re.compile(r"^[ \t]*(?:<[A-Za-z_]+>[ \t]*)+(?=```)")
_CLOSES_BESIDE_TAG = re.compile(r"(?<=```)[ \t]*(?:</[A-Za-z_]+>[ \t]*)+\r?$")
_TAGGED = frozenset().union(*ALIASES.values())


@dataclasses.dataclass(frozen=True, slots=True)
class Extraction:
    """The program found in a response.

    Attributes:
        source: Text of the program, None if there is none.
        language: Language that was looked for, as the sandbox names it.
        rule: How it was found.
        span: Start and end in the response, in characters; of the first and last block when several are joined.
        blocks: How many blocks of the language there were.
        truncated: The response ends inside the block, or inside a reasoning section.
        hidden_chars: Characters of reasoning and comments set aside.
        note: Why there is no program, or what was unusual.
    """

    source: str | None
    language: str
    rule: Rule
    span: tuple[int, int] | None = None
    blocks: int = 0
    truncated: bool = False
    hidden_chars: int = 0
    note: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class _Block:
    tag: str
    text: str
    start: int
    end: int
    closed: bool


def extract(
    response: str,
    language: str,
    *,
    blocks: Blocks = "last",
    entry: str | None = None,
    bare: bool = False,
    marks: Marks = (),
) -> Extraction:
    """Find the program in a response.

    Args:
        response: Text of the model, reasoning included.
        language: As the sandbox names it: `python`, `cpp`, ...
        blocks: Which block counts when there are several.
        entry: Name of the function under test, for `blocks="entry"`.
        bare: Take a response without any fence as the program itself (Python: only if it parses).
        marks: Pairs of marks around reasoning, in addition to those that are known.
    """
    visible_text = visible(response, marks)
    hidden = len(response) - visible_text.size
    fences = _fenced(response, visible_text.pieces, language)
    chosen, rule = _of_language(fences, language)
    if chosen:
        picked = _pick(chosen, blocks, entry)
        return Extraction(
            source="\n".join(block.text for block in picked),
            language=language,
            rule=rule,
            span=(picked[0].start, picked[-1].end),
            blocks=len(chosen),
            truncated=not picked[-1].closed,
            hidden_chars=hidden,
        )
    # As a whole the answer is a program, in which comments of markup are text.
    text = response[visible_text.begins :]
    if bare and not fences and text.strip() and not visible_text.open and _plausible(text, language):
        span = (visible_text.begins, len(response))
        return Extraction(text, language, "whole_response", span=span, blocks=1, hidden_chars=hidden)
    if visible_text.open:
        note = "the response ends inside its reasoning"
    elif fences:
        tags = sorted({block.tag[:20] or "untagged" for block in fences})
        note = f"no block of {language}; found: {', '.join(tags[:5])}"
    else:
        note = "no fenced block"
    return Extraction(None, language, "none", truncated=visible_text.open, hidden_chars=hidden, note=note)


def _lines(text: str, pieces: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Start and end of each line of some pieces of a text, without its line break."""
    for start, stop in pieces:
        position = start
        while position < stop:
            newline = text.find("\n", position, stop)
            end = stop if newline < 0 else newline
            yield position, end
            position = end + 1


def _opening(line: str) -> re.Match[str] | None:
    """The fence that a line opens."""
    # Templates of answers put their tags on the line of a fence: <answer>```python ... ```</answer>.
    match = _FENCE.match(_OPENS_BESIDE_TAG.sub("", line))
    if match is None:
        titled = _after_text(_TITLED_FENCE, line)
        is_tagged = titled is not None and (not titled["info"] or titled["info"].lower() in _TAGGED)
        return titled if is_tagged else None
    # An info string with a backtick is inline code, not a fence.
    return None if match["mark"].startswith("`") and "`" in match["info"] else match


def _closing(fence: re.Match[str], line: str) -> str | None:
    """The last line of the program, if a line closes a fence: what stands before the mark, `""` if nothing does."""
    line = _CLOSES_BESIDE_TAG.sub("", line)
    match = _FENCE.match(line)
    if match is not None:
        deeper = len(match["indent"]) > len(fence.groupdict().get("indent") or "") + 3
        closes = match["mark"].startswith(fence["mark"]) and not match["info"].strip() and not deeper
        return "" if closes else None
    if not fence["mark"].startswith("`"):
        return None
    last = _after_text(_LAST_LINE, line)
    return line[: last.start()] if last is not None and last["mark"].startswith(fence["mark"]) else None


def _after_text(pattern: re.Pattern[str], line: str) -> re.Match[str] | None:
    """A fence at the end of a line, after text that holds no other one."""
    first = min((place for place in (line.find("`"), line.find("~~~")) if place > 0), default=-1)
    return pattern.match(line, first) if first > 0 and line[:first].strip() else None


def _fenced(response: str, pieces: Sequence[tuple[int, int]], language: str) -> list[_Block]:
    """All fenced blocks of the visible pieces; the last may lack its closing fence."""
    fences: list[_Block] = []
    lines = list(_lines(response, pieces))
    index = 0
    budget = iter(range(_MOST_FENCES_IN_ALL))
    while index < len(lines):
        start, end = lines[index]
        fence = _opening(response[start:end].rstrip("\r"))
        index += 1
        if fence is None or not _is_block(response, lines, index, fence):
            continue
        block, index = _closed_block(response, lines, index, fence, language, budget)
        fences.append(block)
    return fences


def _is_block(response: str, lines: Sequence[tuple[int, int]], first: int, fence: re.Match[str]) -> bool:
    """Whether a fence opens a block: one without a tag after text may be prose, unless the next fence closes it.

    One without a tag that nothing follows is the end of a block without a beginning.
    """
    if fence["info"].strip():
        return True
    following_lines = (response[slice(*lines[index])].rstrip("\r") for index in range(first, len(lines)))
    titled = fence.start() > 0 or "indent" not in fence.groupdict()
    for line in following_lines:
        if titled and _closing(fence, line) is not None:
            return True
        if titled and _opening(line) is not None:
            return False
        if not titled and line.strip():
            return True
    return False


class _End(NamedTuple):
    """A fence that may close a block.

    Attributes:
        block: The block, if it does.
        next: Number of the line after it.
        alone: Whether it has its line for itself.
    """

    block: _Block
    next: int
    alone: bool


def _closed_block(
    response: str,
    lines: list[tuple[int, int]],
    first: int,
    fence: re.Match[str],
    language: str,
    budget: Iterator[int],
) -> tuple[_Block, int]:
    """The block that a fence opens, and the number of the line after it."""
    ends = _ends(response, lines, first, fence, budget)
    nearest = next(ends, None)
    if nearest is None:
        begin = lines[first][0] if first < len(lines) else len(response)
        body = [response[start:end].rstrip("\r") for start, end in lines[first:]]
        return _block(fence, body, begin, len(response), closed=False), len(lines)
    written_in = canonical(nearest.block.tag) if nearest.block.tag else language
    end = nearest
    if written_in == "python":
        end = _compiling(nearest, ends)
    elif written_in is not None and _lexical.knows(written_in):
        end = _in_the_open(nearest, ends, written_in)
    return end.block, end.next


def _ends(
    response: str, lines: list[tuple[int, int]], first: int, fence: re.Match[str], budget: Iterator[int]
) -> Iterator[_End]:
    """The fences that may close a block, as far as they are tried."""
    body: list[str] = []
    tries = 0
    for index in range(first, len(lines)):
        start, end = lines[index]
        line = response[start:end].rstrip("\r")
        last = _closing(fence, line)
        if last is not None:
            all_lines = [*body, last] if last else body
            yield _End(_block(fence, all_lines, lines[first][0], start + len(last), closed=True), index + 1, not last)
            tries += 1
            if tries == _MOST_FENCES or next(budget, None) is None:
                return
        body.append(line)


def _compiling(nearest: _End, others: Iterator[_End]) -> _End:
    """The end up to which a Python program compiles; the nearest where there is none."""
    fits: _End | None = None
    for end in itertools.chain([nearest], others):
        if len(end.block.text) > _LONGEST_TRIED:
            return nearest
        if _plausible(end.block.text, "python"):
            if end.alone:
                return end
            fits = end
    return fits or nearest


def _in_the_open(nearest: _End, others: Iterator[_End], language: str) -> _End:
    """The first end that lies outside of comments and strings; the nearest where there is none."""
    text = nearest.block.text
    if len(text) > _LONGEST_TRIED or not _lexical.hidden(text, [_place(nearest)], language)[0]:
        return nearest
    ends = list(itertools.takewhile(lambda end: len(end.block.text) <= _LONGEST_TRIED, others))
    if not ends:
        return nearest
    # Each text is the beginning of the next.
    hidden = _lexical.hidden(ends[-1].block.text, [_place(end) for end in ends], language)
    return next((end for end, inside in zip(ends, hidden, strict=True) if not inside), nearest)


def _place(end: _End) -> int:
    """Where a fence is in the program, were it a part of that."""
    return len(end.block.text) - (not end.alone)


def _block(opening: re.Match[str], body: list[str], start: int, end: int, *, closed: bool) -> _Block:
    indent = opening.groupdict().get("indent") or ""
    lines = (
        [line[len(indent) :] if line.startswith(indent) else line.lstrip(" \t") for line in body] if indent else body
    )
    words = opening["info"].strip().strip("{}").replace(",", " ").replace(":", " ").split()
    tag = words[0].lstrip(".").lower() if words else ""
    return _Block(tag, "".join(line + "\n" for line in lines), start, end, closed)


def _of_language(blocks: list[_Block], language: str) -> tuple[list[_Block], Rule]:
    """Blocks that carry the language's tag, else those without any tag; blank ones only where all are blank."""
    tagged = [block for block in blocks if block.tag in ALIASES[language]]
    # The older language is a part of the newer one, and its compiler takes both.
    tagged = tagged or [block for block in blocks if block.tag in ALIASES.get(_PART_OF.get(language, ""), ())]
    chosen = tagged or [block for block in blocks if not block.tag]
    rule: Rule = "fence" if tagged else "untagged_fence"
    return [block for block in chosen if block.text.strip()] or chosen, rule


def _pick(chosen: list[_Block], blocks: Blocks, entry: str | None) -> list[_Block]:
    if blocks == "all":
        return chosen
    if blocks == "first":
        return chosen[:1]
    if blocks == "entry" and entry:
        defines = re.compile(rf"^[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+{re.escape(entry)}\b", re.MULTILINE)
        return [block for block in chosen if defines.search(block.text)][-1:] or chosen[-1:]
    return chosen[-1:]


def _plausible(text: str, language: str) -> bool:
    """Prose parses as no Python program; for the other languages the compiler will say."""
    if language != "python":
        return True
    try:
        parse(text)
    except UnparsableError:
        return False
    return True
