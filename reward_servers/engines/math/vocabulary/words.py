"""Words: numbers written out, the folding of text answers, and the few phrases that name values."""

from __future__ import annotations

import re
from fractions import Fraction

from reward_servers.engines.math.vocabulary.tables import names

_SMALL_NAMES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen"""
_TEN_NAMES = "twenty thirty forty fifty sixty seventy eighty ninety"
_SMALL = {word: number for number, word in enumerate(_SMALL_NAMES.split())}
_TENS = {word: 10 * number for number, word in enumerate(_TEN_NAMES.split(), 2)}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PART_NAMES = "half third quarter fifth sixth seventh eighth ninth tenth"
_PARTS = {word: number for number, word in enumerate(_PART_NAMES.split(), 2)}
_PARTS |= {"halves": 2, "fourth": 4, "fourths": 4} | {
    word + "s": number for word, number in _PARTS.items() if number > 2
}
_CJK_SCALES = {"百": 100, "千": 1000, "万": 10**4, "萬": 10**4, "만": 10**4, "亿": 10**8, "億": 10**8, "억": 10**8}
SCALE_WORDS = {"hundred": 100, **_SCALES, "dozen": 12, **_CJK_SCALES}
"""Words that multiply a numeral before them."""

NUMBER_WORDS = frozenset((*_SMALL, *_TENS, "hundred", *_SCALES, *_PARTS, "dozen", "negative", "minus"))

BASE_WORDS = _SMALL | {"binary": 2, "octal": 8, "decimal": 10, "hex": 16}


CJK = "\u3005\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3"
"""Characters of Chinese, Japanese and Korean, for a character class."""
JOINTS = {"或者": "or", "或": "or", "または": "or", "또는": "or", "以及": "and", "和": "and", "与": "and", "及": "and"}
"""Words that join alternatives or elements in other scripts."""


def number_from_words(words: list[str]) -> Fraction | None:
    """The value of a number written out in English, else None.

    Understands `twenty-one`, `one hundred and five`, `two thirds`, `three and a half`, `negative four`.
    """
    flat = [w for word in words for w in word.lower().split("-") if w]
    if not flat or any(w not in NUMBER_WORDS and w not in ("and", "a", "an") for w in flat):
        return None
    sign = 1
    if flat[0] in ("negative", "minus"):
        sign, flat = -1, flat[1:]
    value = _with_part(flat) if flat and flat[-1] in _PARTS else _whole_number(flat)
    return None if value is None else sign * value


def _with_part(flat: list[str]) -> Fraction | None:
    part = Fraction(1, _PARTS[flat[-1]])
    head = flat[:-1]
    if "and" in head:
        cut = len(head) - 1 - head[::-1].index("and")
        whole, count = _whole_number(head[:cut]), _whole_number(head[cut + 1 :])
        return None if whole is None or count is None else whole + count * part
    count = _whole_number(head) if head else Fraction(1)
    return None if count is None else count * part


def _whole_number(flat: list[str]) -> Fraction | None:
    if flat in (["a"], ["an"]):
        return Fraction(1)
    total, group, has_number = 0, 0, False
    previous = 10**18
    for position, word in enumerate(flat):
        if word == "and" and has_number and position + 1 < len(flat):
            continue
        if word in ("a", "an") and not has_number:
            group = 1
        elif word in _SMALL or word in _TENS:
            value = _SMALL.get(word, _TENS.get(word, 0))
            # "two three" is no number; "twenty three" and "hundred three" are.
            if has_number and (previous <= value or (previous < 20)):
                return None
            group += value
            previous = value if value else 1
            if value < 20:
                previous = min(previous, 19)
        elif word == "hundred":
            group = max(group, 1) * 100
            previous = 100
        elif word == "dozen":
            group, previous = max(group, 1) * 12, 1
        elif word in _SCALES:
            total += max(group, 1) * _SCALES[word]
            group, previous = 0, 1000
        else:
            return None
        has_number = True
    return Fraction(total + group) if has_number else None


_ARTICLES = {"a", "an", "the", "is", "it", "its", "it's", "on", "answer"}
_ORDINAL = re.compile(r"^([0-9]+)(?:st|nd|rd|th)$")
_MONTHS = names("january february march april may june july august september october november december")
_MACRO = re.compile(
    r"\\(?:text|textbf|textit|textrm|texttt|textsf|mathrm|mathbf|mathit|mathsf|mbox|operatorname|bf|rm|it|emph|"
    r"textnormal|hbox|underline|displaystyle|left|right|quad|qquad)\*?(?![A-Za-z])"
)
_LISTED = re.compile(r"\s*(?:[,;]\s*(?:\band\b|\\text\{\s*and\s*\})?|\band\b|\\text\{\s*and\s*\}|\\&)\s*")
_SPLIT = re.compile(r"[^0-9a-z'+\-^.µ-ɏͰ-῿぀-鿿가-힣/=<>]+")


def text_key(text: str) -> str:
    """Fold a text answer: case, articles, punctuation, presentation macros, ordinals, order of a date."""
    plain = _MACRO.sub(" ", text)
    plain = re.sub(r"\\[,;:! ]|[{}$~*_]|\\\(|\\\)", " ", plain).replace("’", "'").replace("\\", " ").casefold()
    words = [w.strip(".'-") for w in _SPLIT.split(plain)]
    words = [_ORDINAL.sub(r"\1", w) for w in words if w]
    while len(words) > 1 and words[0] in _ARTICLES:
        words = words[1:]
    words = [p for w in words if w not in ("the", "a", "an") or len(words) == 1 for p in w.split("-") if p]
    if _MONTHS.intersection(words):
        words = sorted(w for w in words if w != "of")
    key = " ".join(words)
    return _SYNONYMS.get(key, key)


def text_list(text: str) -> tuple[str, ...] | None:
    """The folded elements of a list of words, sorted (`Alice, Bob and Carol`), None where it is none."""
    parts = [text_key(p) for p in _LISTED.split(text)]
    if len(parts) < 2 or any(not 0 < len(p.split()) <= 3 for p in parts):
        return None
    return tuple(sorted(parts))


_AFFIRMED = names("yes true ja oui sí да 是 是的 对 正确 真 はい 예 네")
_DENIED = names("no false nein non нет 否 不是 不对 错 错误 假 いいえ 아니요 아니오")
_LEADING_WORD = re.compile(r"\s*(?P<word>[^\W\d_]+)\s*(?:[.,;:!—–(，。；：！-].*)?", re.S)


def polarity(text: str) -> bool | None:
    """Whether a text says yes or no, true or false, alone or before an explanation; None where it says neither.

    An explanation that says the opposite makes it neither.
    """
    plain = re.sub(r"[{}$*_`\"]", " ", _MACRO.sub(" ", text))
    match = _LEADING_WORD.fullmatch(plain)
    if match is None:
        return None
    word = match["word"].casefold()
    if word not in _AFFIRMED and word not in _DENIED:
        return None
    opposite = _DENIED if word in _AFFIRMED else _AFFIRMED
    later = plain[match.end("word") :].casefold()
    return None if opposite.intersection(re.findall(r"[^\W\d_]+", later)) else word in _AFFIRMED


_SYNONYM_GROUPS = """
does not exist: 不存在|存在しない
does not exist: dne|doesn't exist|limit does not exist|limit doesn't exist|do not exist|not exist|nonexistent
no solution: 无解|无实数解|解なし|해가 없다
no solution: no solutions|no real solution|no real solutions|there is no solution|there are no solutions
no solution: there are no real solutions|there is no real solution|has no solution|has no solutions|none|empty set
no solution: no real solutions exist|no real solution exists|there exist no solutions|there exist no real solutions
no solution: null set|no such|no roots|no real roots|no values|no solution exists|no solutions exist|set is empty
infinity: 无穷大|无穷|正无穷
infinity: infinitely many|infinite|infinitely many solutions|infinite solutions|infinite number|positive infinity|inf
infinity: infinite number of solutions|there are infinitely many|there are infinitely many solutions|plus infinity
negative infinity: minus infinity|-infinity|- infinity|-inf
undefined: not defined|is undefined|is not defined
all real numbers: all reals|real numbers|reals|every real number|any real number|all real x|x is any real number
all real numbers: set of all real numbers|set of real numbers|all real values|all real values of x|for all real x
all real numbers: all real numbers x
integers: all integers|set of integers|set of all integers|any integer|every integer
cannot be determined: can't be determined|not enough information|cannot determine|insufficient information
cannot be determined: cannot be determined from information given
"""


def _synonyms() -> dict[str, str]:
    table: dict[str, str] = {}
    for line in _SYNONYM_GROUPS.strip().splitlines():
        name, _, aliases = line.partition(": ")
        table.update(dict.fromkeys(aliases.split("|"), name))
    return table


_SYNONYMS = _synonyms()

TEXT_VALUES = {"infinity": "oo", "all real numbers": "R", "integers": "Z", "no solution": "empty"}
"""Folded texts that name a constant."""

CONNECTORS = frozenset({"and", "or"})
LABEL_WORDS = names(
    """the answer final is are was equals equal to of value result solution solutions so thus therefore hence we get
    have area volume perimeter length width height sum product difference total probability angle maximum minimum
    max min number radius distance average mean median cost price time speed option choice correct remainder
    it x y z n k a b p q there exactly if equation roots root measure ans point points vector interval set pair pairs
    ordered coordinates line vertex center centre focus matrix function polynomial by given numbers integer
    year"""
)
"""Words that may stand before a value without changing it (`the answer is 7`, `area = 5`)."""

NEGATIONS = names("not no never isn't false wrong incorrect neither nor cannot except excluding")
HEDGES = names("maybe perhaps possibly probably either something anything otherwise unsure guess likely unknown")
