"""Equality of strings after the folding of Minerva, for policies that compare what is written.

The steps are those of Lewkowycz et al. (2022), appendix D.1, which the graders of DAPO and of the Minerva
harness share: what follows the last `=`, without articles, spaces, a list of units, and markup.
"""

from __future__ import annotations

import re

_REPLACED = (
    ("an ", ""),
    ("a ", ""),
    (".$", "$"),
    ("\\$", ""),
    ("\\ ", ""),
    (" ", ""),
    ("mbox", "text"),
    (",\\text{and}", ","),
    ("\\text{and}", ","),
    ("\\text{m}", "\\text{}"),
)
_WORDS = """square ways integers dollars mph inches hours km units \\ldots sue points feet minutes digits cents degrees
cm gm pounds meters meals edges students childrentickets multiples"""
_MARKUP = r"\text{s} \text{.} \text{}^2 \text{}^3 \text{} \mathrm{th} ^\circ ^{\circ} \; ,\! {,} " + '" \\dots'
_REMOVED = (*_WORDS.split(), *_MARKUP.split())
_GROUPS = tuple(re.compile(rf"\\{name}\{{(.*?)\}}") for name in ("text", "textbf", "overline"))
_MATH = re.compile(r"^.*?\$(.*?)\$.*", re.M)
_BOX = re.compile(r"\\boxed\{(.*)\}")
"""A step of that folding, as published: it strips a wrapper from a short answer, up to the last brace of a line. It is
no reader of boxes: whatever looks for an answer in a box uses `engines.text`."""
_SHORT_FRACTION = re.compile(r"frac([^{])(.)")
_SHORT_ROOT = re.compile(r"sqrt([^{])")


def string_key(text: str) -> str:
    """The folded form of an answer."""
    text = text.rpartition("=")[2]
    for old, new in _REPLACED:
        text = text.replace(old, new)
    for part in _REMOVED:
        text = text.replace(part, "")
    text = _MATH.sub(r"$\1$", text)
    for group in _GROUPS:
        text = group.sub(r"\1", text)
    text = _BOX.sub(r"\1", text)
    text = _SHORT_FRACTION.sub(r"frac{\1}{\2}", text)
    text = _SHORT_ROOT.sub(r"sqrt{\1}", text)
    text = text.replace("$", "")
    digits = text.replace(",", "")
    return (digits if digits.isdigit() else text).strip()
