"""Whole numbers written out in German, French, Spanish, Russian, Chinese, Japanese and Korean."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

_GERMAN_NAMES = "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf"
_GERMAN_TEN_NAMES = "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig"
_FRENCH_NAMES = "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize"
_FRENCH_TEN_NAMES = "vingt trente quarante cinquante soixante"
_SPANISH_NAMES = """cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis
diecisiete dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro veinticinco veintiséis veintisiete
veintiocho veintinueve"""
_SPANISH_TEN_NAMES = "treinta cuarenta cincuenta sesenta setenta ochenta noventa"
_SPANISH_HUNDRED_NAMES = """ciento doscientos trescientos cuatrocientos quinientos seiscientos setecientos ochocientos
novecientos"""
_RUSSIAN_NAMES = """ноль один два три четыре пять шесть семь восемь девять десять одиннадцать двенадцать тринадцать
четырнадцать пятнадцать шестнадцать семнадцать восемнадцать девятнадцать"""
_RUSSIAN_TEN_NAMES = "двадцать тридцать сорок пятьдесят шестьдесят семьдесят восемьдесят девяносто"
_RUSSIAN_HUNDRED_NAMES = "сто двести триста четыреста пятьсот шестьсот семьсот восемьсот девятьсот"
_KOREAN_NAMES = "하나 둘 셋 넷 다섯 여섯 일곱 여덟 아홉"
_KOREAN_TEN_NAMES = "열 스물 서른 마흔 쉰 예순 일흔 여든 아흔"
_DIGIT_NAMES = "零〇영 一일 二两兩이 三삼 四사 五오 六육 七칠 八팔 九구"

_GERMAN, _GERMAN_TENS = _GERMAN_NAMES.split(), _GERMAN_TEN_NAMES.split()
_FRENCH, _FRENCH_TENS = _FRENCH_NAMES.split(), _FRENCH_TEN_NAMES.split()
_SPANISH, _SPANISH_TENS = _SPANISH_NAMES.split(), _SPANISH_TEN_NAMES.split()
_SPANISH_HUNDREDS = _SPANISH_HUNDRED_NAMES.split()
_RUSSIAN, _RUSSIAN_TENS = _RUSSIAN_NAMES.split(), _RUSSIAN_TEN_NAMES.split()
_RUSSIAN_HUNDREDS = _RUSSIAN_HUNDRED_NAMES.split()
_KOREAN, _KOREAN_TENS = ["", *_KOREAN_NAMES.split()], ["", *_KOREAN_TEN_NAMES.split()]

_DIGITS = {digit: value for value, digits in enumerate(_DIGIT_NAMES.split()) for digit in digits}
_UNITS = {"十": 10, "십": 10, "百": 100, "백": 100, "千": 1000, "천": 1000}
_MYRIADS = {"万": 10**4, "萬": 10**4, "만": 10**4}
_IDEOGRAPHS = re.compile(f"[{''.join((*_DIGITS, *_UNITS, *_MYRIADS))}]{{1,12}}")


def number_from_foreign_words(text: str) -> int | None:
    """The whole number that a text writes out, None where it writes none.

    Understands numbers below 1,000 in alphabets, and below 10^8 in Chinese, Japanese and Sino-Korean numerals.
    """
    words = " ".join(text.lower().replace("-", " ").split())
    if _IDEOGRAPHS.fullmatch(words):
        return _ideographs(words)
    return _table().get(words) if len(words) <= 60 else None


def _ideographs(text: str) -> int | None:
    """`二十一`, `三百零五`, `이십`; digits one after another are no number written out.

    `三百五` is 350 in Chinese and 305 in Japanese, and so no number here.
    """
    total, group, digit = 0, 0, -1
    largest = 10**5
    for sign in text:
        if sign in _DIGITS:
            if digit > 0:
                return None
            digit = _DIGITS[sign]
        elif sign in _UNITS:
            unit = _UNITS[sign]
            if unit >= largest or digit == 0:
                return None
            group, digit, largest = group + unit * (1 if digit < 0 else digit), -1, unit
        else:
            if total or not group + max(digit, 0):
                return None
            total, group, digit, largest = (group + max(digit, 0)) * _MYRIADS[sign], 0, -1, 10**5
    if digit > 0 and largest in (100, 1000) and text[-2] in "百千":
        return None
    return total + group + max(digit, 0)


@cache
def _table() -> dict[str, int]:
    table: dict[str, int] = {}
    for number in range(1000):
        for words in (german(number), *french(number), spanish(number), russian(number)):
            table.setdefault(words, number)
    table |= {"ein": 1, "eine": 1, "une": 1, "una": 1, "одна": 1, "две": 2, "hundert": 100}
    table |= dict(korean())
    return table


def german(number: int) -> str:
    """The number as it is written in German."""
    hundreds, below_hundred = divmod(number, 100)
    head = "" if not hundreds else ("ein" if hundreds == 1 else _GERMAN[hundreds]) + "hundert"
    return head if head and not below_hundred else head + _german_below_hundred(below_hundred)


def _german_below_hundred(number: int) -> str:
    if number < 13:
        return _GERMAN[number]
    tens, unit = divmod(number, 10)
    if tens == 1:
        return {6: "sech", 7: "sieb"}.get(unit, _GERMAN[unit]) + "zehn"
    ten = _GERMAN_TENS[tens - 2]
    return ten if not unit else ("ein" if unit == 1 else _GERMAN[unit]) + "und" + ten


def french(number: int) -> Iterator[str]:
    """The number as it is written in French, with and without the plural mark."""
    hundreds, below_hundred = divmod(number, 100)
    head = "" if not hundreds else "cent" if hundreds == 1 else f"{_FRENCH[hundreds]} cent"
    if head and not below_hundred:
        yield head
        yield head + "s"
    else:
        yield from (f"{head} {tail}".strip() for tail in _french_below_hundred(below_hundred))


def _french_below_hundred(number: int) -> tuple[str, ...]:
    if number < 17:
        return (_FRENCH[number],)
    if number < 20:
        return (f"dix {_FRENCH[number - 10]}",)
    if number >= 80:
        return (
            ("quatre vingts", "quatre vingt")
            if number == 80
            else (f"quatre vingt {_french_below_hundred(number - 80)[0]}",)
        )
    ten, unit = (60, number - 60) if number >= 60 else (number // 10 * 10, number % 10)
    name = _FRENCH_TENS[ten // 10 - 2]
    if not unit:
        return (name,)
    joint = " et " if unit in (1, 11) else " "
    return (f"{name}{joint}{_french_below_hundred(unit)[0]}",)


def spanish(number: int) -> str:
    """The number as it is written in Spanish."""
    hundreds, below_hundred = divmod(number, 100)
    if hundreds and not below_hundred:
        return "cien" if hundreds == 1 else _SPANISH_HUNDREDS[hundreds - 1]
    head = _SPANISH_HUNDREDS[hundreds - 1] + " " if hundreds else ""
    if below_hundred < 30:
        return head + _SPANISH[below_hundred]
    ten, unit = _SPANISH_TENS[below_hundred // 10 - 3], below_hundred % 10
    return head + (f"{ten} y {_SPANISH[unit]}" if unit else ten)


def russian(number: int) -> str:
    """The number as it is written in Russian."""
    hundreds, below_hundred = divmod(number, 100)
    words = [_RUSSIAN_HUNDREDS[hundreds - 1]] if hundreds else []
    if below_hundred >= 20:
        words.append(_RUSSIAN_TENS[below_hundred // 10 - 2])
        below_hundred %= 10
    if below_hundred or not words:
        words.append(_RUSSIAN[below_hundred])
    return " ".join(words)


def korean() -> Iterator[tuple[str, int]]:
    """The native numbers from 1 to 99."""
    for tens, ten in enumerate(_KOREAN_TENS):
        for unit, name in enumerate(_KOREAN):
            if ten or name:
                yield ten + name, 10 * tens + unit
