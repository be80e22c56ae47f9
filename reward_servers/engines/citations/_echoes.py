"""Text of a page that only repeats the page's address. Its author wrote the address, so it is no evidence.

Some sites show what stands in the address that they are asked for: a search for a sentence, a page that was not found,
services that give back what they get. A policy that opens such a page has written its words itself.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_plus, urlsplit

from reward_servers.engines.citations._assertions import has_verb
from reward_servers.engines.citations._figures import figures
from reward_servers.engines.citations._urls import URL

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+")
_RUN = 5
"""Words in a row that no page shares with its address by chance."""
_GAP = "[...]"


def without_echo(text: str, address: str) -> str:
    """A page without the text that only repeats its address.

    Taken out are five words or more in a row that the address holds in that order: behind its question mark or number
    sign whatever they are, in its path where they state something. A path may also be made from a page's title, which
    is then as a rule no sentence and has no figure.

    Args:
        text: The page.
        address: Its address, or its id if the id is an address.
    """
    if not text or not URL.match(address):
        return text
    try:
        parts = urlsplit(address)
    except ValueError:
        return text
    query_runs, path = _runs(f"{parts.query} {parts.fragment}"), _runs(parts.path)
    if not (query_runs or path):
        return text
    words = list(_WORD.finditer(text))
    spelt = [word[0].casefold() for word in words]
    spans = _echoed(spelt, query_runs) + [
        (start, end)
        for start, end in _echoed(spelt, path)
        if _states(text[words[start].start() : words[end - 1].end()])
    ]
    result, at = "", 0
    for start, end in sorted(spans):
        if words[start].start() >= at:
            result += text[at : words[start].start()] + _GAP
        at = max(at, words[end - 1].end())
    return result + text[at:]


def _runs(part: str) -> frozenset[tuple[str, ...]]:
    """Each five words of a part of an address that follow each other."""
    # Twice: an address within an address is written so.
    words = [word[0].casefold() for word in _WORD.finditer(unquote_plus(unquote_plus(part)))]
    return frozenset(tuple(words[at : at + _RUN]) for at in range(len(words) - _RUN + 1))


def _echoed(words: list[str], runs: frozenset[tuple[str, ...]]) -> list[tuple[int, int]]:
    """Places of words, first and behind the last, that some runs make together."""
    echoes: list[tuple[int, int]] = []
    for at in range(len(words) - _RUN + 1) if runs else ():
        if tuple(words[at : at + _RUN]) in runs:
            if echoes and at < echoes[-1][1]:
                echoes[-1] = (echoes[-1][0], at + _RUN)
            else:
                echoes.append((at, at + _RUN))
    return echoes


def _states(text: str) -> bool:
    return has_verb(text) or any(figure.value >= 10 for figure in figures(text))
