r"""Notations of a whole answer that the grammar does not have: feet and inches, `1 out of 4`."""

from __future__ import annotations

import re

_FOOT = r"(?:'|’|′|\^\s*(?:\\prime|\{\s*\\prime\s*\}))"
_INCH = r"(?:''|\"|”|″|’’|′′|\^\s*\{\s*(?:\\prime\s*){2}\})"
_FEET_AND_INCHES = re.compile(
    rf"\s*\$?\s*(?:\\text\s*\{{)?\s*(?P<feet>[0-9]{{1,9}})\s*{_FOOT}(?!['’′])\s*(?:\\[ ,;:!])*\s*-?\s*"
    rf"(?P<inches>[0-9]{{1,2}}(?:\.[0-9]{{1,9}})?)\s*{_INCH}\s*\}}?\s*\$?\s*\.?\s*"
)
_OUT_OF = re.compile(
    r"\s*\$?\s*(?:\\text\s*\{)?\s*(?P<part>[0-9]{1,18})\s*(?:\\text\s*\{)?\s*out\s+of\s*\}?\s*(?P<whole>[0-9]{1,18})\s*\}?\s*\$?\s*\.?\s*"
)


def in_grammar(text: str) -> str:
    """The answer in a notation of the grammar; itself where it is in none of these."""
    if "'" in text or '"' in text or "prime" in text or "’" in text or "′" in text:
        match = _FEET_AND_INCHES.fullmatch(text)
        if match is not None and float(match["inches"]) < 12:
            return f"{match['feet']}\\text{{ feet }}{match['inches']}\\text{{ inches}}"
    if "out" in text and (match := _OUT_OF.fullmatch(text)) is not None:
        return f"{match['part']}/{match['whole']}"
    return text
