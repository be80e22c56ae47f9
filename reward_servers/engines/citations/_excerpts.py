"""The parts of long documents that a statement may come from."""

from __future__ import annotations

import re
from collections.abc import Mapping

from reward_servers.engines.citations._normalised import stems

_PARAGRAPH = re.compile(r"\S(?:.|\n(?!\s*\n)){0,1500}?(?=\s*(?:\n\s*\n|\Z)|(?<=[.!?。！？])\s|$)")
_GAP = "\n[...]\n"


def excerpt(texts: Mapping[str, str], prose: str, longest: int) -> dict[str, str]:
    """Documents. If they are too long together, they are cut to the parts that share most words with a statement.

    Args:
        texts: The documents by name.
        prose: The statement.
        longest: Characters of all together.

    Returns:
        The same names; parts that are left out are marked.
    """
    if sum(map(len, texts.values())) <= longest:
        return dict(texts)
    prose_stems = stems(prose)
    parts = [
        (-len(prose_stems & stems(match[0])), name, match.start(), match.end())
        for name, text in texts.items()
        for match in _PARAGRAPH.finditer(text)
    ]
    chosen: dict[str, list[tuple[int, int]]] = {name: [] for name in texts}
    left = longest
    for _, name, start, end in sorted(parts, key=lambda part: (part[0], part[2])):
        if end - start <= left:
            chosen[name].append((start, end))
            left -= end - start
    return {name: _GAP.join(texts[name][start:end] for start, end in sorted(spans)) for name, spans in chosen.items()}
