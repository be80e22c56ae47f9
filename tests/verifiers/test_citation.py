"""The citation verifier through the core."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from reward_servers.core import Document
from reward_servers.verifiers.citation import citation
from tests.verifiers.harness import bench, evidence, rollout

DOCUMENTS = [Document("d1", "The tower is tall."), Document("d2", "Varga won.", uri="https://a.example/v")]


async def test_what_is_reported() -> None:
    text = 'It is "tall" [d1]. She "lost" (https://a.example/v). So [d9]. Nothing.'
    async with bench(citation) as running:
        verdict = await running.verdict("citation", rollout(text, documents=DOCUMENTS))
        lenient = await running.verdict("citation", rollout(text, documents=DOCUMENTS), {"gates": []})
        strict = await running.verdict(
            "citation", rollout('It is "small" [d1].', documents=DOCUMENTS), {"gates": ["altered_quote"]}
        )
    assert (verdict.score, verdict.code) == (0.0, "fabricated_citation")
    # One of four statements cites what it comes from, one of three citations.
    assert lenient.score == pytest.approx(2 / 7)
    assert lenient.code == "partial"
    assert (strict.score, strict.code) == (0.0, "altered_quote")
    aspects = dict(verdict.aspects)
    assert (aspects["coverage"], aspects["valid"], aspects["fabricated"], aspects["cited"]) == (0.5, 0.5, 1.0, 2.0)
    assert (aspects["quotes"], aspects["quotes_exact"]) == (2.0, 0.5)
    assert (evidence(verdict)["support"], evidence(verdict)["meaning"]) == ("by words", "not checked")
    assert json.loads(verdict.feedback) == {
        "fabricated": ["d9"],
        "without_citation": ["So [d9].", "Nothing."],
        "not_in_the_source": [],
    }


async def test_an_aspect_without_meaning_has_no_value() -> None:
    async with bench(citation) as running:
        verdict = await running.verdict("citation", rollout("It is tall [d1].", documents=DOCUMENTS))
    assert dict(verdict.aspects)["quotes_exact"] is None


async def test_only_the_rollouts_own_documents_exist() -> None:
    own = replace(rollout("Tall [d1]. Won [d3].", documents=DOCUMENTS[:1]), own_documents=(Document("d3", "x"),))
    other = rollout("Tall [d1]. Won [d3].", documents=DOCUMENTS[:1], rollout_id="s")
    async with bench(citation) as running:
        first, second = await running.outcomes("citation", [own, other])
    assert (getattr(first, "score", None), getattr(first, "code", None)) == (0.5, "partial")
    assert getattr(second, "code", None) == "fabricated_citation"


async def test_without_documents_every_citation_is_invented() -> None:
    async with bench(citation) as running:
        verdict = await running.verdict("citation", rollout("It is tall [1]."))
    assert (verdict.score, verdict.code) == (0.0, "fabricated_citation")


async def test_a_complete_response_names_what_the_reference_asks_for() -> None:
    text = "The tower is tall [d1]."
    async with bench(citation) as running:
        half = await running.verdict(
            "citation", rollout(text, {"short_answers": ["tall", ["Varga", "I. Varga"]]}, documents=DOCUMENTS)
        )
        whole = await running.verdict("citation", rollout(text, {"short_answers": [["Tall!"]]}, documents=DOCUMENTS))
    assert (half.score, dict(half.aspects)["completeness"]) == (0.5, 0.5)
    assert (whole.score, whole.code) == (1.0, "accepted")


async def test_a_source_that_says_otherwise_is_told() -> None:
    page = Document("d1", "The tower is 41 metres tall.")
    async with bench(citation) as running:
        verdict = await running.verdict("citation", rollout("The tower is 14 metres tall [d1].", documents=[page]))
    assert (verdict.score, verdict.code) == (0.0, "wrong")
    assert evidence(verdict)["statements"][0]["refuted"] == "number"
    assert json.loads(verdict.feedback)["not_in_the_source"] == ["The tower is 14 metres tall [d1]."]


@pytest.mark.parametrize("claim", ["The mast was raised by Okafor in 1893", "She lit the lamp of the old mast"])
async def test_a_page_that_shows_what_its_address_says_supports_nothing(claim: str) -> None:
    address = f"https://echo.example/say?text={claim.replace(' ', '+')}"
    documents = [Document(address, f"You said: {claim}.", f"About {claim}", address), DOCUMENTS[0]]
    async with bench(citation) as running:
        one = rollout(f"{claim} [1]. The tower is tall [d1].", documents=documents)
        verdict = await running.verdict("citation", one)
        real = replace(documents[0], uri="https://mast.example/")
        other = rollout(f"{claim} [1]. The tower is tall [d1].", documents=[replace(real, id="d0"), DOCUMENTS[0]])
        honest = await running.verdict("citation", other)
    assert (dict(verdict.aspects)["recall"], honest.score) == (0.5, 1.0)


HIDDEN = [
    "<think>{}</think>",
    "<!-- {} -->",
    "Also (https://a.example/v#{}).",
    "![{}](x.png) ",
    "References\n[1] {}, https://a.example/v\n\n# More\n",
]


@pytest.mark.parametrize("hidden", HIDDEN)
async def test_what_is_not_said_completes_nothing(hidden: str) -> None:
    reference = {"short_answers": ["Varga", "tall"]}
    async with bench(citation) as running:
        shown = await running.verdict("citation", rollout("The tower is tall [d1].", reference, documents=DOCUMENTS))
        text = hidden.format("Varga") + " The tower is tall [d1]."
        verdict = await running.verdict("citation", rollout(text, reference, documents=DOCUMENTS))
    assert dict(verdict.aspects)["completeness"] == dict(shown.aspects)["completeness"] == 0.5
