"""Figures in prose: numbers with their units, written in digits or in English words."""

from __future__ import annotations

import re
from collections.abc import Set
from typing import NamedTuple

from reward_servers.engines.citations._words import words_of

_WORDS = {
    word: float(value)
    for value, word in enumerate(
        re.findall(
            r"\w+",
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
            "seventeen eighteen nineteen twenty",
        )
    )
}
_WORDS |= {"thirty": 30.0, "forty": 40.0, "fifty": 50.0, "sixty": 60.0, "seventy": 70.0, "eighty": 80.0, "ninety": 90.0}
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_UNITS: dict[str, tuple[str, float, float]] = {}
"""Dimension, factor and offset to its base by the unit's name."""
for _dimension, _listed in {
    "length": "mm:.001 cm:.01 m:1 metre:1 meter:1 km:1000 kilometre:1000 kilometer:1000 in:.0254 inch:.0254 "
    "inches:.0254 ft:.3048 foot:.3048 feet:.3048 yd:.9144 yard:.9144 mi:1609.344 mile:1609.344",
    "mass": "g:.001 gram:.001 kg:1 kilogram:1 t:1000 tonne:1000 lb:.45359237 lbs:.45359237 pound:.45359237 oz:.0283495",
    "area": "ha:10000 hectare:10000 acre:4046.856 km²:1e6 m²:1",
    "volume": "l:1 litre:1 liter:1 ml:.001 gallon:3.785412",
    "speed": "km/h:1 kph:1 mph:1.609344 m/s:3.6",
    "time": "s:1 second:1 min:60 minute:60 h:3600 hour:3600 day:86400 week:604800",
}.items():
    for _entry in _listed.split():
        _name, _factor = _entry.split(":")
        _UNITS[_name] = (_dimension, float(_factor), 0.0)
_UNITS |= {
    "kelvin": ("temperature", 1.0, -273.15),
    "°c": ("temperature", 1.0, 0.0),
    "°f": ("temperature", 5 / 9, -160 / 9),
}
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\u0e00-\u0e7f"
"""Scripts that put no space between a word and a number."""
_CHARACTER_SCALES = {"千": 1e3, "万": 1e4, "萬": 1e4, "亿": 1e8, "億": 1e8, "만": 1e4, "억": 1e8}
_IN_DIGITS = (
    # Digits are looked for first and the text before them afterwards, because digits are found fastest.
    rf"(?P<digits>\d(?<![^\W{_UNSPACED}]\d)(?<!\.\d)(?:\d{{0,2}}(?:[,\u202f\u00a0]\d{{3}})+(?:\.\d+)?|\d*(?:[.,]\d+)?))"
    rf"(?![^\W{_UNSPACED}]*\d)(?P<ordinal>(?ai:st|nd|rd|th)\b)?(?P<decade>(?ai:s)\b)?"
)
_IN_WORDS = (
    rf"\b(?=(?ai:[zotfsen]))(?P<word>(?ai:{'|'.join(_WORDS)}))"
    r"(?:[\s-](?P<second>(?ai:one|two|three|four|five|six|seven|eight|nine)))?\b"
)
_DIGITS_ALONE = re.compile(_IN_DIGITS)
_DEGREES = {"celsius": "°c", "c": "°c", "fahrenheit": "°f", "f": "°f"}
UNIT_WORDS = frozenset({*_UNITS, *(f"{name}s" for name in _UNITS), *_DEGREES, "degree", "degrees"})
_FIGURE = re.compile(f"{_IN_DIGITS}|{_IN_WORDS}")
_DIGIT = re.compile(r"\d")
_BEHIND = re.compile(
    r"[\s-]?(?P<first>°?[^\W\d_]+(?:[/²][^\W\d_]*)?)(?:[\s-](?P<second>°?[^\W\d_]+(?:[/²][^\W\d_]*)?))?"
)
_HEDGE = re.compile(
    r"\b(?:about|around|roughly|nearly|almost|approximately|approx\.?|some|circa|ca\.?|over|under|above|below|more\s+than|less\s+than|"
    r"fewer\s+than|at\s+least|at\s+most|up\s+to|just)\s*$|[~≈<>]\s*$",
    re.IGNORECASE,
)
_HEDGE_ENDS = (
    *(
        "about",
        "around",
        "roughly",
        "nearly",
        "almost",
        "approximately",
        "approx",
        "approx.",
        "some",
        "circa",
        "ca",
        "ca.",
    ),
    *("over", "under", "above", "below", "than", "least", "most", "to", "just", "~", "≈", "<", ">"),
)
"""What every hedge ends with: a quick test before."""
_GROUPED, _GROUPING = (
    re.compile(r"\d{1,3}(?:[,\u202f\u00a0]\d{3})+(?:\.\d+)?"),
    str.maketrans("", "", ",\u202f\u00a0"),
)
_DOTTED_DATE = re.compile(r"(?<![\w.])(\d{1,2})\.(\d{1,2})\.(\d{4})(?![\w]|\.\d)")
_MONTHS = (
    r"(?:Jan(?:uary|\.)?|Feb(?:ruary|\.)?|Mar(?:ch|\.)?|Apr(?:il|\.)?|May|June?|July?|Aug(?:ust|\.)?|Sept?(?:ember|\.)?|Oct(?:ober|\.)?|"
    r"Nov(?:ember|\.)?|Dec(?:ember|\.)?|Januar|Februar|März|Mai|Juni|Juli|Oktober|Dezember|janvier|février|mars|avril|mai|juin|"
    r"juillet|août|septembre|octobre|novembre|décembre|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|"
    r"noviembre|diciembre|gennaio|febbraio|aprile|maggio|giugno|luglio|settembre|ottobre|dicembre|janeiro|fevereiro|março|"
    r"maio|junho|julho|setembro|outubro|novembro|dezembro)(?!\w)"
)
_BEFORE_MONTH = re.compile(rf"\d{{1,2}}(?:st|nd|rd|th|\.|er)?\s+(?:(?:of|de)\s+)?{_MONTHS}")
_BEHIND_MONTH = re.compile(rf"(?<!\w){_MONTHS}\s+$")
_NUMERIC_DATE = re.compile(rf"{_DOTTED_DATE.pattern}|(?<![\w-])\d{{4}}-\d\d-\d\d(?![\w-])")
_GROUPS = re.compile(r"(?<![\w.,])[1-9]\d{0,2}(?:(?: \d{3})+|(?:\.\d{3})+)(?!\w|[.,]\d)")
_CENTURY = re.compile(r"[\s-]?centur", re.IGNORECASE)


class Figure(NamedTuple):
    """A number of a text.

    Attributes:
        value: Its value.
        unit: Its unit; empty for none that can be converted.
        hedged: Whether the text calls it approximate or a bound.
        span: How many years it covers, for a decade; else 0.
        in_words: Whether it is written in words.
        is_day: Whether it is the day of a month that is named beside it.
    """

    value: float
    unit: str = ""
    hedged: bool = False
    span: int = 0
    in_words: bool = False
    is_day: bool = False


def figures(text: str) -> list[Figure]:
    """The figures of a text, in order; ordinals of centuries are left out."""
    return [
        Figure(value, unit, _is_hedged(text, at), span, in_words, value <= 31 and _is_day(text, at))
        for at, value, unit, span, in_words in _figure_places(text, words_of(text)[1])
    ]


def plain_figures(text: str, words: Set[str]) -> list[tuple[float, str]]:
    """Values and units of a text's figures, in order. Hedges such as "about" are ignored.

    Args:
        text: The text.
        words: The parts of its words.
    """
    return [(value, unit) for _, value, unit, _, _ in _figure_places(text, words)]


def _figure_places(text: str, words: Set[str]) -> list[tuple[int, float, str, int, bool]]:
    """Place, value, unit and span of each figure, and whether it is in words."""
    figures: list[tuple[int, float, str, int, bool]] = []
    in_words = not words.isdisjoint(_WORDS)
    if not in_words and _DIGIT.search(text) is None:
        return figures
    if _DOTTED_DATE.search(text) is not None:
        text = _DOTTED_DATE.sub(_spaced, text)
    for match in (_FIGURE if in_words else _DIGITS_ALONE).finditer(text):
        last, end = match.lastgroup, match.end()
        if last == "digits":
            value = _value(match[1])
        elif last in ("ordinal", "decade"):
            if last == "decade" or _CENTURY.match(text, end) is None:
                value = _value(match["digits"])
                figures.append((match.start(), value, "", 10 if last == "decade" and value >= 1000 else 0, False))
            continue
        else:
            value = _WORDS[match["word"].casefold()] + _WORDS.get((match["second"] or "").casefold(), 0.0)
        scale, unit = _behind(text, end)
        if scale:
            value *= _SCALES.get(scale) or _CHARACTER_SCALES[scale]
        figures.append((match.start(), value, unit, 0, last != "digits"))
    return figures


def _is_day(text: str, at: int) -> bool:
    """Whether the number at a place has the name of a month beside it."""
    return _BEFORE_MONTH.match(text, at) is not None or _BEHIND_MONTH.search(text, max(0, at - 12), at) is not None


def has_numeric_date(text: str) -> bool:
    """Whether a text has a date in digits: 3.5.1912 or 1912-05-03."""
    return _NUMERIC_DATE.search(text) is not None


def _spaced(date: re.Match[str]) -> str:
    return date[0].replace(".", " ")


def regrouped(text: str) -> str:
    """The text with spaces and full stops between groups of three digits read as separators, as in most countries.

    It is another way to read it: in a list or a table, and for a decimal point, they are none.
    """
    return _GROUPS.sub(lambda number: number[0].replace(" ", ",").replace(".", ","), text)


def _is_hedged(text: str, at: int) -> bool:
    """Whether the text calls a number approximate or a bound."""
    start = max(0, at - 20)
    if not text[start:at].rstrip().casefold().endswith(_HEDGE_ENDS):
        return False
    return _HEDGE.search(text, start, at) is not None


def _behind(text: str, at: int) -> tuple[str, str]:
    """Scale and unit behind a number."""
    match = _BEHIND.match(text, at)
    if match is None:
        return "", ""
    first, second = match["first"], match["second"] or ""
    if first[0] in _CHARACTER_SCALES:
        return first[0], ""
    if first.casefold() in ("degree", "degrees") and second.casefold() in _DEGREES:
        return "", _DEGREES[second.casefold()]
    if (scale := first.casefold()) in _SCALES:
        return scale, _unit(second)
    return "", _unit(first)


def _unit(word: str) -> str:
    if word == "K":
        return "kelvin"
    folded = word.casefold()
    return folded if folded in _UNITS else folded[:-1] if folded[-1:] == "s" and folded[:-1] in _UNITS else ""


def _value(digits: str) -> float:
    if digits.isdecimal():
        return float(digits)
    if _GROUPED.fullmatch(digits):
        return float(digits.translate(_GROUPING))
    return float(digits.replace(",", "."))


def same(figure: Figure, second: Figure) -> bool:
    """Whether two figures agree: equal, or equal within rounding or a hedge, also across units."""
    if figure.value == second.value and (not figure.unit or not second.unit or figure.unit == second.unit):
        return True
    if figure.span or second.span:
        low = figure if figure.span else second
        return low.value <= (second if figure.span else figure).value < low.value + low.span
    slack = 0.1 if figure.hedged or second.hedged else 0.0
    if figure.unit and second.unit and figure.unit != second.unit:
        kind, factor, offset = _UNITS[figure.unit]
        other_kind, other_factor, other_offset = _UNITS[second.unit]
        if kind != other_kind:
            return False
        return _near(figure.value * factor + offset, second.value * other_factor + other_offset, max(slack, 0.02))
    return bool(slack) and _near(figure.value, second.value, slack)


def _near(first: float, second: float, share: float) -> bool:
    return abs(first - second) <= share * max(abs(first), abs(second))
