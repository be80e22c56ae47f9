"""What the words of documents show against a statement."""

from __future__ import annotations

import pytest

from reward_servers.engines.citations import Evidence
from reward_servers.engines.citations._figures import Figure, figures

TEXTS = {
    "tower": "The Corran Point lighthouse was designed by Ilse Varga and first lit on 3 May 1887. It is 41 metres tall "
    "and weighs 1,200 tonnes. It did not close until 1950. The lamp never failed the ships near Marrow.",
    "prize": "Ilse Varga, born in the 1850s, won the Telford Prize. Its purse was 300 guineas, and 120 were paid.",
    "zh": "塔高41米，建于1887年。",
}


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("It was first lit in 1887.", ""),
        ("It was first lit in 1878.", "number"),
        ("It is 134.5 feet tall.", ""),
        ("It is 150 feet tall.", "number"),
        ("It is about 40 metres tall.", ""),
        ("It is 40 metres tall.", "number"),
        ("It weighs 1200 t.", ""),
        ("It weighs 1.2 thousand tonnes.", ""),
        ("It weighs twelve hundred tonnes.", ""),
        ("It closed in 1950.", ""),
        ("It closed after 63 years.", ""),
        ("It has two doors.", ""),
        ("Forty-one metres is its height.", ""),
        ("The Telford Prize was won.", "name"),
        ("Varga designed it.", ""),
        ("The lamp failed the ships near Marrow.", "negation"),
        ("The lamp never failed the ships near Marrow.", ""),
        ("It was first lit on 3.5.1887.", ""),
        ("It was first lit on 1887-05-03.", ""),
        ("It was first lit on May 3, 1887.", ""),
        ("It was first lit on 5 May 1887.", "number"),
        ("It was first lit on 5.5.1888.", "number"),
        ("It weighs 1 200 t.", ""),
        ("Er wiegt 1.200 t.", ""),
        ("It weighs 1 300 t.", "number"),
    ],
)
def test_what_speaks_against_a_statement(statement: str, why: str) -> None:
    assert Evidence(TEXTS).refutes(["tower"], statement) == why


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Der Turm wurde von Varga in jenem Jahr gebaut.", "Der Turm wurde nicht von Varga in jenem Jahr gebaut."),
        ("Le phare a été construit par Varga.", "Le phare n'a pas été construit par Varga."),
        ("O farol foi construído por Varga.", "O farol não foi construído por Varga."),
        ("灯塔由瓦尔加设计。", "灯塔不由瓦尔加设计。"),
        ("灯塔建于1887年。", "灯塔建于1878年。"),
        ("인구는 3만 명이다.", "인구는 30만 명이다."),
    ],
)
def test_other_languages(one: str, other: str) -> None:
    for text, statement in ((one, other), (other, one)):
        assert Evidence({"d": text}).refutes(["d"], statement) in ("negation", "number")
        assert Evidence({"d": text}).may_support(["d"], text)


def test_a_short_sentence_with_its_figure_is_turned_too() -> None:
    evidence = Evidence({"d": "The mine was not closed in 1950. The old mill was not closed in 1950."})
    assert evidence.refutes(["d"], "The mine was closed in 1950.") == "negation"
    assert evidence.refutes(["d"], "The mill was closed in 1950.") == ""


def test_a_list_of_figures_is_read_one_by_one() -> None:
    evidence = Evidence({"d": "Marks: 41 200 312 900. Built in 1887."})
    assert evidence.refutes(["d"], "It had 200 marks.") == ""
    assert evidence.refutes(["d"], "It had 2.5 marks on 4 May.") == "number"


def test_documents_are_taken_together() -> None:
    evidence = Evidence(TEXTS)
    assert evidence.refutes(["tower", "prize"], "Varga won the Telford Prize and lit the tower in 1887.") == ""
    assert evidence.refutes(["prize"], "She was born in 1855.") == ""
    assert evidence.refutes(["prize"], "180 guineas were left.") == ""
    assert evidence.refutes([], "It is tall.") == "no_document"


def test_a_document_of_other_words_supports_nothing() -> None:
    evidence = Evidence(TEXTS)
    assert evidence.may_support(["tower"], "The lighthouse is 41 metres tall.")
    assert not evidence.may_support(["prize"], "Granite was brought by sea.")
    assert evidence.may_support(["zh"], "塔建于1887年。")
    assert not evidence.may_support(["zh"], "船长喜欢唱歌。")
    assert evidence.holders("The lighthouse was designed by Varga.")[:1] == ["tower"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1,200 tonnes", [Figure(1200.0, "tonne")]),
        ("3.5 million", [Figure(3_500_000.0)]),
        ("twenty-one", [Figure(21.0, in_words=True)]),
        ("H2O in the 19th century, 3rd", [Figure(3.0)]),
        ("about 5 km", [Figure(5.0, "km", hedged=True)]),
        ("the 1880s", [Figure(1880.0, span=10)]),
        ("塔高41米，建于1887年，约3万人", [Figure(41.0), Figure(1887.0), Figure(30_000.0)]),
        ("v1.2.3 a12 h2 12b4", []),
        ("1342 degrees Celsius", [Figure(1342.0, "°c")]),
    ],
)
def test_figures(text: str, found: list[Figure]) -> None:
    assert figures(text) == found


def test_many_figures_and_sentences_take_little_time() -> None:
    """What is looked up is bounded for each statement: 2,000 statements against 2,000 sentences."""
    page = " ".join(f"The mast number {place} was never seen near Marrow in {place + 3_000}." for place in range(2_000))
    evidence = Evidence({"d": page})
    verdicts = [evidence.refutes(["d"], f"The mast number {place} was seen near Marrow.") for place in range(2_000)]
    assert set(verdicts) == {"negation"}
