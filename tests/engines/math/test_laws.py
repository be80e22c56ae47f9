"""Laws that hold for every expression, over generated ones."""

from fractions import Fraction
from math import gcd
from random import Random

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reward_servers.engines.math import Outcome, judge
from reward_servers.engines.math.vocabulary.number_words import (
    french,
    german,
    korean,
    number_from_foreign_words,
    russian,
    spanish,
)

SETTINGS = settings(max_examples=120, deadline=None)


def boxed(text: str) -> str:
    return f"So the answer is $\\boxed{{{text}}}$."


def same(gold: str, answer: str) -> bool:
    judgement = judge(boxed(answer), gold)
    assert judgement.outcome.is_verdict, judgement
    return judgement.correct


integers = st.integers(-(10**12), 10**12)
fractions = st.fractions(min_value=-1000, max_value=1000, max_denominator=500)
letters = st.sampled_from("abxyz")


def latex(value: Fraction) -> str:
    sign = "-" if value < 0 else ""
    return f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> str:
    if depth == 0 or draw(st.booleans()):
        return draw(st.one_of(st.integers(0, 99).map(str), letters, st.just("\\pi"), st.just("\\sqrt{2}")))
    a, b = draw(expressions(depth - 1)), draw(expressions(depth - 1))
    shape = draw(
        st.sampled_from(
            ["({a})+({b})", "({a})-({b})", "({a})({b})", "\\frac{{{a}}}{{{b}+101}}", "({a})^{{2}}", "\\sin({a})"]
        )
    )
    return shape.format(a=a, b=b)


@SETTINGS
@given(expressions())
def test_reflexive(text: str) -> None:
    assert same(text, text)


@SETTINGS
@given(expressions(depth=2), expressions(depth=2))
def test_symmetric(a: str, b: str) -> None:
    assert same(a, b) == same(b, a)


@SETTINGS
@given(expressions(depth=2), expressions(depth=2))
def test_sums_and_products_commute(a: str, b: str) -> None:
    assert same(f"({a})+({b})", f"({b})+({a})")
    assert same(f"({a})({b})", f"({b})({a})")


@SETTINGS
@given(expressions(depth=2))
def test_rewriting_keeps_the_verdict_and_perturbing_flips_it(text: str) -> None:
    assert same(text, f"({text})+0")
    assert same(text, f"\\frac{{2({text})}}{{2}}")
    assert same(text, f"1 \\cdot ({text})")
    assert not same(text, f"({text})+1")
    assert not same(text, f"({text})+10^{{-30}}")
    assert not same(text, f"({text})\\cdot\\frac{{1001}}{{1000}}") or same(text, "0")


@SETTINGS
@given(integers)
def test_integers_in_every_dress(value: int) -> None:
    grouped = f"{value:,}"
    for form in (
        str(value),
        f"{value}.0",
        grouped,
        grouped.replace(",", "{,}"),
        f"\\text{{{value}}}",
        f"x = {value}",
        f"\\mathbf{{{value}}}",
    ):
        assert same(str(value), form), form
    assert not same(str(value), str(value + 1))
    assert same(str(value), str(-value)) == (value == 0)


@SETTINGS
@given(fractions)
def test_fractions_in_every_dress(value: Fraction) -> None:
    text = latex(value)
    assert same(text, f"{value.numerator}/{value.denominator}")
    assert same(text, latex(Fraction(value)).replace("frac", "dfrac"))
    assert same(text, f"\\frac{{{7 * value.numerator}}}{{{7 * value.denominator}}}")
    assert not same(text, latex(value + Fraction(1, 10**9)))


@SETTINGS
@given(st.lists(st.integers(-50, 50), min_size=2, max_size=5, unique=True), st.randoms())
def test_sets_forget_order_and_tuples_keep_it(values: list[int], random: Random) -> None:
    shuffled = values[:]
    random.shuffle(shuffled)
    inside, mixed = ", ".join(map(str, values)), ", ".join(map(str, shuffled))
    assert same(f"\\{{{inside}\\}}", f"\\{{{mixed}\\}}")
    assert same(inside, mixed)
    assert same(f"({inside})", f"({mixed})") == (values == shuffled)
    assert not same(f"\\{{{inside}\\}}", f"\\{{{inside}, 99\\}}")
    assert not same(f"\\{{{inside}\\}}", f"\\{{{', '.join(map(str, values[1:]))}\\}}") or len(values) == 1


@SETTINGS
@given(st.integers(-20, 20), st.integers(1, 20), st.booleans(), st.booleans())
def test_intervals_and_inequalities(low: int, width: int, closed_low: bool, closed_high: bool) -> None:
    high = low + width
    left, right = "[" if closed_low else "(", "]" if closed_high else ")"
    gold = f"{left}{low},{high}{right}"
    relations = ["\\le" if closed else "<" for closed in (closed_low, closed_high)]
    inequality = f"{low} {relations[0]} x {relations[1]} {high}"
    assert same(gold, inequality)
    assert same(inequality, gold)
    assert not same(gold, f"{'(' if closed_low else '['}{low},{high}{right}")
    assert not same(gold, f"{left}{low},{high + 1}{right}")


@SETTINGS
@given(
    st.integers(1, 10**6),
    st.sampled_from([("cm", "m"), ("kg", "g"), ("hours", "minutes"), ("feet", "inches"), ("miles", "km")]),
)
def test_units_may_be_dropped_but_not_changed(value: int, units: tuple[str, str]) -> None:
    mine, other = units
    gold = f"{value} \\text{{ {mine}}}"
    assert same(gold, str(value))
    assert same(str(value), gold)
    assert not same(gold, f"{value} \\text{{ {other}}}")
    assert not same(gold, f"{value + 1} \\text{{ {mine}}}")


@SETTINGS
@given(st.integers(2, 12), st.integers(2, 12), st.integers(-9, 9))
def test_equations_may_be_scaled_but_not_changed(a: int, b: int, c: int) -> None:
    assume(c != 0)
    gold = f"{a}x+{b}y={c}"
    assert same(gold, f"{3 * a}x+{3 * b}y={3 * c}")
    assert same(gold, f"y=\\frac{{{c}-{a}x}}{{{b}}}")
    assert same(gold, f"0={c}-{a}x-{b}y")
    assert not same(gold, f"{a}x+{b}y={c + 1}")
    assert not same(gold, f"{a + 1}x+{b}y={c}")


@SETTINGS
@given(st.integers(1, 99), st.integers(1, 99), st.integers(1, 99))
def test_a_false_chain_never_scores(a: int, b: int, c: int) -> None:
    assume(a != c)
    assert not same(str(c), f"{a}={c}")
    assert not same(str(c), f"{a}={b}={c}")
    assert not same(str(c), f"{c}={c}")


@SETTINGS
@given(
    st.integers(1, 5), st.integers(-9, 9), st.integers(2, 9), st.integers(1, 5), st.integers(-9, 9), st.integers(2, 9)
)
def test_steps_of_integers_agree_only_where_all_integers_do(a: int, b: int, c: int, d: int, e: int, f: int) -> None:
    """Floors and ceilings of a linear expression in n, against what they are at the integers."""
    up, down = f"\\lceil \\frac{{{a}n+{b}}}{{{c}}}\\rceil", f"\\lfloor \\frac{{{d}n+{e}}}{{{f}}}\\rfloor"
    for shift in (0, 1):
        truth = all(-((-a * n - b) // c) == (d * n + e) // f + shift for n in range(-100, 100))
        assert same(up, f"{down}+{shift}") == truth
    assert same(up, f"\\lfloor \\frac{{{a}n+{b + c - 1}}}{{{c}}}\\rfloor")
    never_whole = b % gcd(a, c) != 0
    assert same(up, f"\\lfloor \\frac{{{a}n+{b}}}{{{c}}}\\rfloor+1") == never_whole


@SETTINGS
@given(st.text("ABCDHT", min_size=2, max_size=5), st.randoms())
def test_the_order_of_letters_counts(word: str, random: Random) -> None:
    letters = list(word)
    random.shuffle(letters)
    other = "".join(letters)
    chosen = sorted(word) == letters and len(set(word)) == len(word)
    assert same(word, word)
    assume(not chosen)
    if same(word, other):
        assert word == other or (list(word) == sorted(set(word)) and word not in ("ABC", "ABCD"))


def test_no_two_numbers_are_written_alike() -> None:
    """A word means one number, in whichever of the languages it is read."""
    found: dict[str, int] = {}
    for number in range(1000):
        for words in (german(number), *french(number), spanish(number), russian(number)):
            assert found.setdefault(words, number) == number
            assert number_from_foreign_words(words) == number
    for words, number in korean():
        assert found.setdefault(words, number) == number
    assert [number_from_foreign_words(w) for w in ("三百零五", "二十", "이십일", "三百五", "一一", "abc")] == [
        305, 20, 21, None, None, None,
    ]  # fmt: skip


@SETTINGS
@given(st.integers(1, 20), st.integers(0, 11), st.integers(1, 11))
def test_feet_and_inches(feet: int, inches: int, shift: int) -> None:
    gold = f"{feet}'{inches}''"
    for dressed in (
        f"{feet}\\text{{ feet }}{inches}\\text{{ inch}}",
        f"{feet}' {inches}\"",
        f"{feet}\\text{{ ft }}{inches}\\text{{ in}}",
        f"{12 * feet + inches}\\text{{ inches}}",
    ):
        assert same(gold, dressed)
        assert same(dressed, gold)
    assert not same(gold, f"{feet}'{(inches + shift) % 12}''")
    assert not same(gold, f"{feet + shift}'{inches}''")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80), st.text(max_size=20))
def test_judging_never_raises(response: str, gold: str) -> None:
    assert judge(response, gold).outcome in Outcome
    assert judge(boxed(response), gold).outcome in Outcome
