"""Units of measurement and counting nouns: words to a normal form, and when two forms conflict.

A unit's normal form is a string such as `cm^2`, `m*s^-1` or `apple`.  Nothing is converted, except
cents into dollars: two explicit units that differ are two different answers.
"""

from __future__ import annotations

import re
from fractions import Fraction

from reward_servers.engines.math.vocabulary.tables import names
from reward_servers.engines.math.vocabulary.words import CJK

_ALIASES = """
cm: centimeter centimetre 厘米 公分 センチ
mm: millimeter millimetre 毫米
m: meter metre mtr 米 メートル 미터
km: kilometer kilometre 千米 公里 キロ 킬로미터
nm: nanometer nanometre
um: µm μm micrometer micrometre micron
dm: decimeter decimetre
inch: inches in
foot: feet ft
yard: yd
mile: mi
kg: kilogram kilo 千克 公斤
g: gram gm 克
mg: milligram
ton: tonne
lb: pound lbs
oz: ounce
stone:
l: liter litre L 升
ml: milliliter millilitre mL 毫升
cl: centiliter centilitre
gallon: gal
quart: qt
pint: pt
cup:
tablespoon: tbsp
teaspoon: tsp
s: second sec 秒 초
ms: millisecond
min: minute mins 分钟 분
h: hour hr hrs 小时 時間 시간
day: 天 日 일
week: wk
month:
year: yr yrs 年 岁 歳
decade:
century: centuries
n: newton N
j: joule J
kj: kilojoule kJ
cal: calorie
kcal: kilocalorie
w: watt W
kohm: kiloohm kΩ
megaohm: MΩ
kw: kilowatt kW
kwh: kWh
v: volt V
amp: ampere A
ohm: Ω ohms
coulomb: C
farad: F
tesla: T
hz: hertz Hz
khz: kHz
mhz: MHz
ghz: GHz
pa: pascal Pa
kpa: kPa
atm: atmosphere
mol: mole
k: kelvin K
celsius: °C degC
fahrenheit: °F degF
acre:
hectare: ha
dollar: usd USD buck dollars
cent: cents ¢ penny pennies
euro: eur EUR €
gbp: GBP £
yen: jpy JPY ¥ 円 日元
rupee: inr INR ₹ Rs rs
yuan: rmb RMB CNY cny 元 块 人民币
peso:
bit:
byte:
kb: KB kilobyte
mb: MB megabyte
gb: GB gigabyte
rad: radian
unit: units
rpm:
milliampere: mA
millivolt: mV
kilovolt: kV
milliwatt: mW
megawatt: MW
gigawatt: GW
millijoule: mJ
megajoule: MJ
kilonewton: kN
nanofarad: nF
picofarad: pF
megapascal: MPa
gigapascal: GPa
millimole: mmol
kilomole: kmol
millitesla: mT
electronvolt: eV
kiloelectronvolt: keV
megaelectronvolt: MeV
gigaelectronvolt: GeV
angstrom: Å Å
people: 人 명 person persons peoples
child: children
man: men
woman: women
foot: feet
die: dice
"""
_COMPOUND = {
    "M": "mol*l^-1",
    "molar": "mol*l^-1",
    "mph": "mile*h^-1",
    "kph": "km*h^-1",
    "kmh": "km*h^-1",
    "kmph": "km*h^-1",
    "fps": "foot*s^-1",
    "mps": "m*s^-1",
    "sqft": "foot^2",
    "cc": "cm^3",
    "sqm": "m^2",
    "平方米": "m^2",
    "平方厘米": "cm^2",
    "平方千米": "km^2",
    "平方公里": "km^2",
    "立方米": "m^3",
    "立方厘米": "cm^3",
}
MICRO = {"m": "um", "s": "microsecond", "g": "microgram", "F": "microfarad", "A": "microampere", "C": "microcoulomb"}
"""Units behind a `\\mu` that stands for a millionth."""
PLAIN_LETTERS = frozenset("mgsNJWVAKL")
"""Letters that are a unit where they stand alone behind a number; in a compound more are."""
COMPOUND_LETTERS = PLAIN_LETTERS | frozenset("CTFHhl")
_DROP = names("a an the of each total in long wide tall high old away altogether only")


def _build() -> dict[str, str]:
    table: dict[str, str] = {}
    for line in _ALIASES.strip().splitlines():
        name, _, aliases = line.partition(":")
        for alias in (name, *aliases.split()):
            table[alias] = name
            if len(alias) > 3 and not alias.endswith("s"):
                table[alias + "s"] = name
    return table


_TABLE = _build()
CURRENCY_CODES = {
    "USD": "dollar",
    "EUR": "euro",
    "GBP": "gbp",
    "JPY": "yen",
    "INR": "rupee",
    "Rs": "rupee",
    "CNY": "yuan",
}
"""Spellings that may stand before an amount."""
UNIT_WORDS = frozenset(w for w in (*_TABLE, *_COMPOUND) if len(w) > 1)
"""Spellings of two letters and more; a single letter is a unit only where it is set upright."""

# Words that change what a number says.  None of them may be read as a counting noun.
_MEANING = names(
    """
not no never false wrong incorrect isn't is are was were be been being am equals equal or either neither nor else maybe
perhaps possibly probably something anything other others another otherwise than less least more most greater fewer
approximately about around roughly nearly almost over under above below between except excluding without within
million billion trillion thousand hundred half halves third thirds quarter quarters dozen dozens
plus minus times divided multiplied squared cubed mod modulo remainder choose factorial true correct answer gold
and but if when unless because since so therefore hence then while where which that this these those what who
infinity infinite undefined nan none null unknown cannot can could would should may might will shall do does did
percent percentage pct to from through until till into upon via versus vs yes
doubled tripled halved inverse inverted reciprocal opposite negative negated conjugate complement added subtracted
subtract excluded increased decreased raised power exponent sine cosine tangent logarithm twice double triple fold
bigger smaller larger higher lower reversed backwards transposed transpose invalid nope error unsure mistaken
tenth tenths hundredth hundredths thousandth thousandths millionth millionths
"""
)


_CJK_SIGN = re.compile(f"[{CJK}]")
_CJK_MEANING = frozenset("不非无没半倍万萬亿億千百十多余約约至以或和与及만억배")
"""Signs that change what a number says."""
_POINTING = names("this that these those when where while which because since so therefore hence then from")


def _singular(word: str) -> str:
    low = word.lower()
    if len(low) > 4 and low.endswith("ies"):
        return low[:-3] + "y"
    if len(low) > 4 and low.endswith(("ches", "shes", "xes", "sses")):
        return low[:-2]
    if len(low) > 3 and low.endswith("s") and not low.endswith(("ss", "us", "is")):
        return low[:-1]
    return low


def known_unit(word: str) -> str | None:
    """The normal form of a unit of the table, else None."""
    for form in (word, word.lower(), _singular(word)):
        if form in _TABLE:
            return _TABLE[form]
        if form in _COMPOUND:
            return _COMPOUND[form]
    return None


def is_noun(word: str) -> bool:
    """Whether an unknown word may be read as the noun that a number counts."""
    if len(word) == 1:
        return _CJK_SIGN.fullmatch(word) is not None and word not in _CJK_MEANING
    return word.isalpha() and word.lower() not in _MEANING and not (word[0] in _CJK_MEANING or word[-1] in "倍以")


def changes_meaning(words: list[str]) -> bool:
    """Whether any of the words says something about the value it follows (`or more`, `is wrong`)."""
    return any(word.lower() in _MEANING - _POINTING for word in words)


def unit_form(parts: list[str]) -> str | None:
    """Normal form of a unit phrase given as words, `^n`, `/` and `*`; None where a word is no unit.

    `["square", "feet"]`, `["ft", "^2"]` give `foot^2`; `["km", "/", "h"]`, `["km", "per", "hour"]` give
    `h^-1*km`; `["red", "apples"]` gives `red apple`.
    """
    powers: dict[str, int] = {}
    nouns: list[str] = []
    sign, pending, last = 1, 1, ""
    for part in parts:
        low = part.lower().rstrip(".")
        if part in ("/", "per") or low in ("per",):
            sign, last = -1, ""
        elif part == "*" or low in ("-", "·"):
            last = ""
        elif part.startswith("^"):
            if not last or not re.fullmatch(r"\^-?[0-9]{1,2}", part):
                return None
            powers[last] += (int(part[1:]) - 1) * (1 if powers[last] > 0 else -1) if int(part[1:]) > 0 else 0
            if int(part[1:]) < 0:
                powers[last] = int(part[1:])
        elif low in ("squared", "cubed") and last not in powers:
            return None  # "12 squared" is another number
        elif low in ("square", "sq", "squared"):
            pending, last = _power(low, powers, last, 2)
        elif low in ("cubic", "cu", "cubed"):
            pending, last = _power(low, powers, last, 3)
        else:
            form = known_unit(part.rstrip("."))
            if form is None:
                if low in _DROP:
                    continue
                if not is_noun(low):
                    return None
                nouns.append(_singular(low))
                last = ""
                continue
            for atom in form.split("*"):
                name, _, exponent = atom.partition("^")
                powers[name] = powers.get(name, 0) + sign * pending * int(exponent or 1)
                last = name
            pending = 1
    named_powers = {n: p for n, p in powers.items() if p and n != "unit"}
    if not named_powers and not nouns and powers.get("unit"):
        named_powers = {"unit": powers["unit"]}
    atoms = sorted(f"{n}^{p}" if p != 1 else n for n, p in named_powers.items())
    return "*".join(atoms + ([" ".join(nouns)] if nouns else []))


def _power(low: str, powers: dict[str, int], last: str, exponent: int) -> tuple[int, str]:
    if low.endswith("ed") and last in powers:
        powers[last] *= exponent
        return 1, last
    return exponent, ""


_NOUNS_ONLY = re.compile(r"[a-z]+(?: [a-z]+)*")


def compatible(left: str, right: str) -> bool:
    """Whether two explicit units may name the same thing (`red apple` and `apple` may)."""
    if left == right or not left or not right:
        return True
    if is_generic(left) or is_generic(right):
        generic, specific = (left, right) if is_generic(left) else (right, left)
        powers = re.fullmatch(r"\w+(?:\^([0-9]))?", specific)
        return generic == "unit" or specific == "unit" or powers is None or powers[1] == generic[-1]
    if known_unit(left) or known_unit(right):
        return False
    if _NOUNS_ONLY.fullmatch(left) and _NOUNS_ONLY.fullmatch(right):
        a, b = set(left.split()), set(right.split())
        return a <= b or b <= a
    return False


def is_generic(unit: str) -> bool:
    """Whether the unit is `units`, `square units` and the like, which name no unit in particular."""
    return unit.partition("^")[0] == "unit"


def in_dollars(value: Fraction, unit: str) -> Fraction | None:
    """An amount of dollars or cents as dollars, else None."""
    if unit == "dollar":
        return value
    return value / 100 if unit == "cent" else None
