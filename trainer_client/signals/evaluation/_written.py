"""Equality of two answers as they are written."""

from __future__ import annotations

import re

_DROPPED = ("\n", "\\!", "\\left", "\\right", "^{\\circ}", "^\\circ", "\\$")
_UNIT = "\\text{ "
_SHORT_ROOT = re.compile(r"\\sqrt([^{])")
_RATIO = re.compile(r"([-+]?\d+)/([-+]?\d+)")


def written_alike(first: str, second: str) -> bool:
    """Whether two answers are the same string once notation is folded; no algebra, and commas count.

    Folded are spacing commands, sizes of brackets, degrees, dollars, percent, a unit in LaTeX text, a short left side
    such as ``x=``, short fractions and roots, ``a/b`` of integers, and 0.5. What cannot be folded is compared as is.

    Source: the string comparison of the MATH data set (Hendrycks et al. 2021), as MPO uses it; minnesotanlp/mpo
    trl/extras/mpo/rm_math_reasoning.py @19972d3b.
    """
    left, right = _folded(first), _folded(second)
    if left is None or right is None:
        return first == second
    return left == right


def _folded(text: str) -> str | None:
    """The folded form; None where the text is none that folding is made for."""
    for piece in _DROPPED[:2]:
        text = text.replace(piece, "")
    text = text.replace("\\\\", "\\").replace("tfrac", "frac").replace("dfrac", "frac")
    for piece in _DROPPED[2:]:
        text = text.replace(piece, "")
    if text.count(_UNIT) > 1 or text.endswith("\\sqrt"):
        return None
    text = text.partition(_UNIT)[0].replace("\\%", "").replace(" .", " 0.").replace("{.", "{0.")
    if text.startswith("."):
        text = "0" + text
    left, sign, right = text.partition("=")
    if sign and "=" not in right and len(left) <= 2:
        text = right
    if not text:
        return text
    text = _braced_fractions(_SHORT_ROOT.sub(r"\\sqrt{\1}", text).replace(" ", ""))
    if text == "0.5":
        return "\\frac{1}{2}"
    ratio = _RATIO.fullmatch(text)
    if ratio and text == f"{int(ratio[1])}/{int(ratio[2])}":
        return f"\\frac{{{int(ratio[1])}}}{{{int(ratio[2])}}}"
    return text


def _braced_fractions(text: str) -> str:
    """LaTeX fractions with braces; the text as it is when a fraction lacks its parts."""
    head, *rest = text.split("\\frac")
    built = [head]
    for part in rest:
        if part.startswith("{"):
            built.append(part)
        elif len(part) < 2:
            return text
        elif part[1] == "{":
            built.append(f"{{{part[0]}}}{part[1:]}")
        else:
            built.append(f"{{{part[0]}}}{{{part[1]}}}{part[2:]}")
    return "\\frac".join(built)
