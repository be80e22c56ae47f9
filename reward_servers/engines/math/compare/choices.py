"""Multiple choice: letters, letters with text, several letters, and the texts of the options."""

from __future__ import annotations

import itertools
import re
from string import ascii_uppercase

from reward_servers.engines.math.compare.context import Context
from reward_servers.engines.math.errors import MathError
from reward_servers.engines.math.nodes import Node
from reward_servers.engines.math.normal.structure import normal
from reward_servers.engines.math.result import Decision, Outcome
from reward_servers.engines.math.syntax.grammar import parse
from reward_servers.engines.math.vocabulary.words import text_key
from reward_servers.engines.text import named_choices

_MACRO = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|bf|rm|boldsymbol|textsf|texttt)(?![A-Za-z])\s*"
    r"|\\[,;:! ]|\\q?quad|\\left|\\right|[{}$~*`\"]"
)
_AFTER_LETTER = re.compile(r"[(\[]?[A-Za-z][)\].:]*\s+(?P<text>\S.*)", re.S)
_SEVERAL = re.compile(r"[(\[]?[A-Za-z][)\]]?(?:\s*(?:,|;|and|&|\s)\s*(?:and\s+)?[(\[]?[A-Za-z][)\]]?)+")
_JOINED = re.compile(r"[A-J]{2,10}")
_ONE = re.compile(r"[(\[]?(?P<letter>[A-J])[)\].:]*|[(\[](?P<small>[a-j])[)\]][.:]?|(?P<closed>[a-j])\)")
_POINTED = re.compile(r"[\s${}]*(?P<letter>[a-j])\.[\s${}]*")
_ANY_ONE = re.compile(r"[(\[]?(?P<letter>[A-Za-z])[)\].:]*")
_MANY = re.compile(r"[(\[]?[A-Z][)\]]?(?:\s*(?:,|;|and)\s*[(\[]?[A-Z][)\]]?)+")
_WITH_ANOTHER = re.compile(r"[A-Za-z](?:(?:,|\s).*(?<![\w'])[B-HJ](?![\w'])|\s+[0-9(\\]).*", re.S)
_UNKNOWN = dict.fromkeys(ascii_uppercase, "")
_CONTRASTED = re.compile(r"(?<=[A-J)\]]),?\s*(?:and\s+|but\s+)?not\s+[(\[]?[A-J][)\]]?$")


def plain(text: str) -> str:
    """The text without presentation macros."""
    return " ".join(_MACRO.sub(" ", text).split()).strip(" .")


def gold_letters(text: str, *, choice: bool = False) -> frozenset[str] | None:
    """The letters of a gold that is a choice or several, else None.

    Args:
        text: The gold.
        choice: Whether it is known to be a choice: then any single letter in any case is one.
    """
    bare = plain(text)
    match = (_ANY_ONE if choice else _ONE).fullmatch(bare) or _POINTED.fullmatch(text)
    if match is not None:
        return frozenset(next(g for g in match.groups() if g).upper())
    if _MANY.fullmatch(bare):
        letters = re.findall(r"[A-Z]", bare)
        return frozenset(letters) if choice or all(letter <= "J" for letter in letters) else None
    if _JOINED.fullmatch(bare) and all(a < b for a, b in itertools.pairwise(bare)):
        return frozenset(bare)  # "ACD" chooses three
    labelled = re.fullmatch(r"\(([A-J])\)\s*\S.*", bare) or re.fullmatch(r"([A-J])[.)]\s+\S.*", bare)
    return frozenset(labelled[1]) if labelled else None


def option_letters(text: str, options: tuple[tuple[str, str], ...], context: Context) -> frozenset[str] | None:
    """The letter of the only option whose text a gold gives, None where it gives none or several."""
    letter = _option_named(text, dict(options), context)
    return None if letter is None else frozenset(letter.upper())


def answer_letters(text: str) -> frozenset[str] | None:
    """The letters that an answer chooses together, by themselves or in a list, else None."""
    bare = _CONTRASTED.sub("", plain(text))
    if len(bare) > 2000:
        return None
    if _JOINED.fullmatch(bare):
        return frozenset(bare) if len(set(bare)) == len(bare) else None
    if _SEVERAL.fullmatch(bare):
        letters = re.findall(r"\b([A-Za-z])\b", bare)
        enclosed = bare[0] in "([" and bare[2:3] not in (")", "]")
        if enclosed and any(letter.islower() for letter in letters):
            return None  # the point (a, b) or an interval
        return frozenset(letter.upper() for letter in letters)
    if _WITH_ANOTHER.fullmatch(bare) or bare[1:2] in ("'", "’"):  # A' is a point
        return None
    letter_set = named_choices(bare, _UNKNOWN)
    return letter_set if len(letter_set) == 1 else None


def decide(
    answer: str,
    letters: frozenset[str] | None,
    options: tuple[tuple[str, str], ...],
    gold: Node,
    context: Context,
) -> Decision | None:
    """Decide a choice; None where the answer does not choose a letter and must be compared as it is."""
    chosen = answer_letters(answer)
    texts = {letter.upper(): text for letter, text in options}
    if letters is not None and not texts and _is_order(letters) and _JOINED.fullmatch(plain(answer)):
        chosen = _in_order(plain(answer))
    if letters is not None and chosen is not None:
        form = ", ".join(sorted(chosen))
        if chosen == letters:
            if len(chosen) == 1 and texts and _beside(answer, texts, context) not in (None, form):
                return Decision(Outcome.INCORRECT, "choice", "the text is that of another option", form)
            return Decision(Outcome.CORRECT, "choice", "the gold's letter", form)
        return Decision(Outcome.INCORRECT, "choice", f"{form} is not {', '.join(sorted(letters))}", form)
    if letters is not None and len(named_choices(plain(answer), texts or _UNKNOWN)) > 1:
        return Decision(Outcome.INCORRECT, "choice", "more than one choice is stated", None)
    if texts and letters is not None:
        letter = _option_named(answer, texts, context)
        if letter is not None:
            outcome = Outcome.CORRECT if {letter} == set(letters) else Outcome.INCORRECT
            return Decision(outcome, "option text", f"the text of option {letter}", letter)
        return Decision(Outcome.INCORRECT, "choice", "neither a letter nor the text of an option", None)
    return None


def _is_order(letters: frozenset[str]) -> bool:
    """Whether the letters are the first three or more: ABCD may be an order of all, ACD is a selection."""
    return len(letters) > 2 and "".join(sorted(letters)) == "ABCDEFGHIJ"[: len(letters)]


def _in_order(bare: str) -> frozenset[str] | None:
    """Letters written together choose several only in the order of the alphabet; otherwise the order says something."""
    return frozenset(bare) if all(a < b for a, b in itertools.pairwise(bare)) else None


def _beside(answer: str, texts: dict[str, str], context: Context) -> str | None:
    """The only option whose text the answer gives behind a letter."""
    behind = _AFTER_LETTER.fullmatch(plain(answer))
    return None if behind is None else _option_named(behind["text"], texts, context)


def _option_named(text: str, options: dict[str, str], context: Context) -> str | None:
    """The only option whose text the answer gives."""
    letters = [letter for letter, option in options.items() if _same_text(text, option, context)]
    return letters[0] if len(letters) == 1 else None


def _same_text(answer: str, option: str, context: Context) -> bool:
    if text_key(answer) == text_key(option):
        return True
    try:
        limits = context.limits
        return context.equal(normal(parse(option, limits), limits), normal(parse(answer, limits), limits)).same is True
    except MathError:
        return False
