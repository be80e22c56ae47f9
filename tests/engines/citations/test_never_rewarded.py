"""What must never raise a score: over generated answers and documents, by the words of the documents alone."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from reward_servers.engines.citations import Evidence, Source, check_citations, measured_by

PEOPLE = ("Varga", "Okafor", "Lindqvist", "Marchetti", "Tanaka")
THINGS = ("lighthouse", "bridge", "harbour", "observatory", "canal")


def documents(size: int) -> dict[str, str]:
    return {f"d{place}": f"{fact(place)} and is {40 + 9 * place} metres long." for place in range(size)}


def fact(place: int) -> str:
    return f"The {THINGS[place]} of {PEOPLE[place]} was opened in {1800 + 7 * place}"


def score(answer: str, texts: dict[str, str]) -> float:
    report = check_citations(answer, [Source(name, text) for name, text in texts.items()], question="What was opened?")
    evidence = Evidence(texts)
    return measured_by(report, lambda names, claim: evidence.may_support(names, claim.prose), texts).f1


def written(cited: Sequence[Sequence[int]]) -> str:
    return " ".join(f"{fact(place)} {''.join(f'[d{one}]' for one in ones)}." for place, ones in enumerate(cited))


FACTS = {
    "de": "Der Leuchtturm von {name} wurde {year} eröffnet",
    "fr": "Le phare de {name} a été ouvert en {year}",
    "es": "El faro de {name} fue inaugurado en {year}",
    "it": "Il faro di {name} è stato aperto nel {year}",
    "ru": "Маяк {name} был открыт в {year} году",
    "zh": "{name}灯塔建于{year}年并且被命名",
    "ja": "{name}灯台は{year}年に建てられた",
}
"""A fact about a lighthouse, by language."""
FULL_STOPS = {"zh": "。", "ja": "。"}

SIZES = st.integers(2, 5)


@given(SIZES, st.data())
def test_a_citation_that_is_not_needed_or_of_another_document(size: int, data: st.DataObject) -> None:
    texts = documents(size)
    right = [[place] for place in range(size)]
    at = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size - 1).filter(lambda place: place != at))
    more = [*right[:at], [at, other], *right[at + 1 :]]
    wrong = [*right[:at], [other], *right[at + 1 :]]
    assert score(written(right), texts) == 1.0
    assert score(written(more), texts) < 1.0
    assert score(written(wrong), texts) < 1.0


@given(SIZES)
def test_citing_everything_everywhere(size: int) -> None:
    texts = documents(size)
    assert score(written([range(size)] * size), texts) < score(written([[place] for place in range(size)]), texts)


HIDING = st.sampled_from(
    [
        "\n# {}\n",
        "\n**{}**\n",
        "\nDid you know that {}?\n",
        "\n{}, right?\n",
        "\n{}:\n",
        "\n- {}\n",
        "\n| {} | x |\n|---|---|\n| a [d0] | b |\n",
        "\n| x |\n|---|\n| {} |\n",
        "\n```\n{}\n```\n",
        "\n```python\n# {}\n```\n",
        "\n![{}](x.png)\n",
        "\nThe documents do not say more, but {}.\n",
        "\nNote to the grader: {}.\n",
        "\n> {}\n",
        "\nReferences:\n[1] d0\n{}\n",
        "\nReferences:\n[1] d0. {}\n",
        "\nReferences:\n[1] d0\n[2] {}.\n",
        "\n[^9]: {}.\n",
        "\n{}\n===\n",
        "\n{}\n---\n",
        '\n```python\nprint("{}.")\n```\n',
        "\n<h3>{}</h3>\n",
        "<br>{}.",
        "<ul><li>{}</li></ul>",
        "<table><tr><td>{}</td><td>x</td></tr></table>",
        "<details><summary>{}</summary></details>",
    ]
)


@given(HIDING, st.integers(1, 4), st.booleans())
def test_a_fact_that_is_moved_out_of_sight(hiding: str, place: int, false: bool) -> None:
    texts = documents(5)
    told = fact(place).replace("18", "19") if false else fact(place)
    shown = f"{fact(0)} [d0]. "
    plain, moved = score(f"{shown}{told}.", texts), score(shown + hiding.format(told), texts)
    assert moved <= plain < score(shown, texts)


@given(SIZES, st.integers(0, 4))
def test_a_document_that_none_returned(size: int, at: int) -> None:
    texts = documents(size)
    right = written([[place] for place in range(size)])
    invented = right.replace(f"[d{at % size}]", f"[d{at % size}][d{size + 3}]")
    assert score(invented, texts) < score(right, texts)


@given(SIZES, st.integers(2, 6))
def test_saying_the_same_again_or_nothing_at_all(size: int, times: int) -> None:
    texts = documents(size)
    shown = f"{fact(0)} [d0]. {fact(1)}."
    assert score(shown + f" {fact(0)} [d0]." * times, texts) <= score(shown, texts)
    assert score(shown + " It is so [d0]. Yes [d0]." * times, texts) < score(shown, texts)


def facts_of(language: str) -> list[str]:
    return [FACTS[language].format(name=name, year=1801 + 7 * place) for place, name in enumerate(PEOPLE)]


@given(st.sampled_from(sorted(FACTS)), st.integers(0, 4), st.integers(0, 4))
def test_in_other_languages_only_what_comes_from_the_cited_document_counts(language: str, at: int, other: int) -> None:
    end, facts = FULL_STOPS.get(language, "."), facts_of(language)
    texts = {f"d{place}": fact + end for place, fact in enumerate(facts)}
    right = " ".join(f"{fact} [d{place}]{end}" for place, fact in enumerate(facts))
    assert score(right, texts) == 1.0
    changed = facts[at].replace("18", "19")
    worse = [right.replace(facts[at], changed), right.replace(f" [d{at}]", ""), right.replace(f"[d{at}]", "[d7]")]
    worse.append(right.replace(f"[d{at}]", "".join(f"[{name}]" for name in texts)))
    if at != other:
        worse += [right.replace(f"[d{at}]", f"[d{other}]"), right.replace(f"[d{at}]", f"[d{at}][d{other}]")]
    assert all(score(one, texts) < 1.0 for one in worse)


OUT_OF_SIGHT = HIDING.filter(lambda one: not any(asks in one for asks in ("Did you", "right?", "do not say", "Note")))


@given(OUT_OF_SIGHT, st.sampled_from(sorted(FACTS)), st.integers(1, 4), st.booleans())
def test_a_fact_in_another_language_that_is_moved_out_of_sight(
    hiding: str, language: str, place: int, false: bool
) -> None:
    end, facts = FULL_STOPS.get(language, "."), facts_of(language)
    texts = {f"d{number}": fact + end for number, fact in enumerate(facts)}
    told = facts[place].replace("18", "19") if false else facts[place]
    shown = f"{facts[0]} [d0]{end} "
    plain, moved = score(f"{shown}{told}{end}", texts), score(shown + hiding.format(told), texts)
    assert moved <= plain < score(shown, texts)
