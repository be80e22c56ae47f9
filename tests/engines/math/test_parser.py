import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_servers.engines.math import InvalidGoldError, Outcome, compile_gold, judge


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("1{,}234.5", "2469/2"),
        ("12 345", "12345"),
        ("0.1\\overline{6}", "1/6"),
        ("0.333...", "1/3"),
        ("1.6e-19", "1/6250000000000000000"),
        ("2\\frac{1}{3}", "7/3"),
        ("2\\binom{5}{2}", "20"),
        ("\\frac12", "1/2"),
        ("x^10", "x^10"),
        ("x^2_1", "x_1^2"),
        ("\\sin^2 x", "sin(x)^2"),
        ("\\tan^{-1} x", "atan(x)"),
        ("-2^2", "-4"),
        ("33\\frac{1}{3}\\%", "(100/3)%"),
        ("5 \\text{ square feet}", "5 foot^2"),
        ("(1,2]", "(1, 2]"),
        ("]1,2[", "(1, 2)"),
        ("\\{1,2,\\dots,5\\}", "{1, 2, 3, 4, 5}"),
        ("x=-1, 3", "x = -1, x = 3"),
        ("twenty-one", "21"),
        ("\\text{three and a half}", "7/2"),
        ("8:05 \\text{ p.m.}", 'clock(8, 5, "pm")'),
        ("1010_2", 'base("1010", 2)'),
        ("\\int_0^1 x^2\\,dx", "int(x^2, x, 0, 1)"),
    ],
)
def test_reads(text: str, form: str) -> None:
    assert compile_gold(text).form == form


@pytest.mark.parametrize(
    "text", ["", "(", "\\frac{1}", "1+", "5\\ldots", "\\neg 3", "7 42", "a ? b", "\\unknown", "{", "1,,2", "\\sqrt"]
)
def test_refuses_with_a_position(text: str) -> None:
    with pytest.raises(InvalidGoldError) as caught:
        compile_gold(text)
    assert 0 <= caught.value.position <= len(text)


@pytest.mark.parametrize(("gold", "position"), [("", 0), ("   ", 0), ("\\frac{1}{", 9), ("((2)", 0), ("3+", 2)])
def test_a_bad_gold_is_a_fault_with_its_position(gold: str, position: int) -> None:
    with pytest.raises(InvalidGoldError) as caught:
        compile_gold(gold)
    assert caught.value.position == position


ALPHABET = st.sampled_from(
    [
        "\\frac",
        "\\sqrt",
        "\\boxed",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "\\{",
        "\\}",
        "|",
        "^",
        "_",
        "+",
        "-",
        "*",
        "/",
        "=",
        "<",
        ",",
        ";",
        ":",
        "1",
        "23",
        "4.5",
        "x",
        "y",
        "i",
        "e",
        "\\pi",
        "\\sin",
        "\\text{ cm}",
        "%",
        "\\%",
        "$",
        "!",
        "'",
        " ",
        "\\pm",
        "\\cup",
        "\\infty",
        "\\begin{pmatrix}",
        "\\end{pmatrix}",
        "&",
        "\\\\",
        "or",
        "and",
        "\\sum",
        "\\int",
        "dx",
        "\\overline",
        "...",
        "°",
        "½",
        "²",
        "\\left",
        "to",
    ]
)


@settings(max_examples=600, deadline=None)
@given(st.lists(ALPHABET, max_size=24).map("".join))
def test_fuzzed_answers_are_always_judged(text: str) -> None:
    assert judge(f"\\boxed{{{text}}}", text).outcome in Outcome


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_judged(text: str) -> None:
    assert judge(f"\\boxed{{{text}}}", text).outcome in Outcome
