"""Which differences between two texts count."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

from reward_servers.engines.text._composed import composed


class _Punctuation(dict[int, int | None]):
    """A translation table that drops punctuation and symbols of every script, filled as characters are met."""

    def __missing__(self, code: int) -> int | None:
        replacement = None if unicodedata.category(chr(code))[0] == "P" else code
        self[code] = replacement
        return replacement


_PUNCTUATION = _Punctuation()


@dataclass(frozen=True, slots=True)
class Form:
    """The form in which texts are compared.

    Attributes:
        case: Whether upper and lower case differ; when not, texts are case-folded (Unicode, section 3.13).
        whitespace: ``"keep"`` leaves it unchanged, ``"collapse"`` strips the ends and makes every run one space,
            ``"remove"`` drops it.
        punctuation: Whether punctuation counts (Unicode general categories P*).
        compatibility: Whether compatibility characters differ; when not, texts are brought to NFKC, else to NFC.
    """

    case: bool = False
    whitespace: Literal["keep", "collapse", "remove"] = "collapse"
    punctuation: bool = True
    compatibility: bool = False

    def of(self, text: str) -> str:
        """Bring a text to this form."""
        text = self._composed(text)
        if not self.case:
            text = text.casefold()
        if not self.punctuation:
            text = text.translate(_PUNCTUATION)
        if self.whitespace != "keep":
            text = (" " if self.whitespace == "collapse" else "").join(text.split())
        # Folding and dropping characters may leave pairs that compose.
        return self._composed(text)

    def _composed(self, text: str) -> str:
        return composed("NFC" if self.compatibility else "NFKC", text)
