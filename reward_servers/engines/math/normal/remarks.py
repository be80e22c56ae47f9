"""What may stand after an answer without being part of it: reasons, and what its letters are."""

from __future__ import annotations

import re

_SPACE = r"(?:\s|\\q?quad(?![A-Za-z])|\\[,;:! ])*"
_OPEN = r"(?:\\(?:text|textrm|mathrm|mbox)\s*\{\s*|\(\s*)*"
_REASON = re.compile(
    rf"{_SPACE}[,;.]?{_SPACE}{_OPEN}[,;]?\s*\b(?:since|because|as\s+(?:required|desired|claimed|stated|expected|needed)"
    r"|as\s*\}?\s*\$?\s*[A-Za-z]\s*(?:[<>=]|\\(?:ge|le|ne|geq|leq|neq|in)(?![A-Za-z]))"
    r"|assuming|provided|given\s+that|which|hence)\b.*",
    re.S | re.I,
)
_EXPLAINED = re.compile(rf"{_SPACE}[,;]?{_SPACE}{_OPEN}[,;]?\s*\bwhere\b(?P<what>[^=<>0-9]*)", re.S | re.I)


def without_remark(text: str) -> str | None:
    """The text before a reason or an explanation of its letters, None where there is none."""
    for pattern in (_REASON, _EXPLAINED):
        match = pattern.search(text)
        if match is not None and match.end() == len(text) and match.start() > 0:
            before = text[: match.start()].strip()
            return (
                before
                if before and before.count("{") == before.count("}") and before.count("(") == before.count(")")
                else None
            )
    return None
