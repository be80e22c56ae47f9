import pytest

from reward_servers.engines.math import DEFAULT, PROFILES, Outcome, extract, judge


@pytest.mark.parametrize(
    ("response", "text", "rule"),
    [
        (r"so $\boxed{42}$.", "42", "box"),
        (r"\boxed{\frac{a}{b}} done", r"\frac{a}{b}", "box"),
        (r"\boxed 12", "12", "box"),
        (r"\fbox{12}", "12", "box"),
        (r"\boxed{1} no, \boxed{2}", "2", "box"),
        (r"\boxed{1} and \boxed{2}", "1, 2", "joined boxes"),
        (r"$x=\boxed{2}$ or $x=\boxed{3}$", "2 or 3", "joined boxes"),
        (r"\boxed{\boxed{5} \text{ or } 6}", r"\boxed{5} \text{ or } 6", "box"),
        ("<answer>7</answer>", "7", "tag"),
        ("<answer>the sum is \\boxed{7}</answer>", "7", "box"),
        ("sum\n#### 1,080", "1,080", "hash"),
        ("The answer is 42.", "42", "phrase"),
        ("**Answer:** $\\frac12$ because of this", "\\frac12", "phrase"),
        ("Final answer\n\n14", "14", "phrase"),
        ("A: 26", "26", "phrase"),
        ("The correct option is (B).", "(B)", "phrase"),
        ("C is correct", "C", "phrase"),
        ("The answer is not 4. The answer is 5.", "5", "phrase"),
    ],
)
def test_finds(response: str, text: str, rule: str) -> None:
    found = extract(response, DEFAULT)
    assert (found.text, found.rule) == (text, rule)
    if rule != "joined boxes":
        assert response[found.start : found.end].strip("$ ") == text


@pytest.mark.parametrize(
    ("response", "outcome", "rule"),
    [
        ("", Outcome.NO_ANSWER, "none"),
        ("I could not find it.", Outcome.NO_ANSWER, "none"),
        (r"\boxed{5", Outcome.NO_ANSWER, "truncated"),
        (r"first \boxed{5}, then \boxed{5", Outcome.NO_ANSWER, "truncated"),
        ("<answer>5", Outcome.NO_ANSWER, "truncated"),
        (r"\boxed{}", Outcome.NO_ANSWER, "empty"),
        (r"It is not \boxed{5}.", Outcome.INCORRECT, "negated"),
        (r"\boxed{5} is wrong.", Outcome.INCORRECT, "negated"),
        (r"\cancel{\boxed{5}}", Outcome.INCORRECT, "struck out"),
        (r"<think>\boxed{5}</think>", Outcome.NO_ANSWER, "none"),
        (r"<think>\boxed{5}", Outcome.NO_ANSWER, "none"),
        (r"<!-- \boxed{5} -->", Outcome.NO_ANSWER, "none"),
    ],
)
def test_finds_nothing(response: str, outcome: Outcome, rule: str) -> None:
    judgement = judge(response, "5")
    assert judgement.outcome is outcome
    assert rule in (judgement.rule, judgement.extraction.rule)


def test_a_closing_tag_alone_hides_what_stands_before_it() -> None:
    assert judge(r"\boxed{9}</think> The answer is 5.", "5").correct


def test_positions_survive_masking() -> None:
    response = r"<think>é \boxed{9}</think> → \boxed{5}"
    found = judge(response, "5").extraction
    assert response[found.start : found.end] == "5"


def test_box_only_profile_ignores_phrases() -> None:
    assert judge("The answer is 5.", "5", PROFILES["box_only"]).outcome is Outcome.NO_ANSWER


@pytest.mark.parametrize("text", ["\ud800", "\x00\\boxed{5}\x00", "\ufeff\\boxed{5}", "答案是\\boxed{5}。"])
def test_odd_characters(text: str) -> None:
    assert judge(text, "5").outcome in (Outcome.CORRECT, Outcome.NO_ANSWER)


@pytest.mark.parametrize("tail", ["or more", "or maybe 8", "at most", "million", "is wrong"])
def test_words_after_a_formula_are_not_lost(tail: str) -> None:
    assert not judge(f"The answer is $9$ {tail}.", "9").correct


@pytest.mark.parametrize("tail", ["", " cm", " because $3^2=9$", ", as required", " for this triangle", ", i.e. nine"])
def test_words_that_change_nothing(tail: str) -> None:
    assert judge(f"The answer is $9${tail}.", "9").correct
