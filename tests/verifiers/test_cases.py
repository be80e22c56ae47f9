"""Every verifier that has a case file: labels, laws, attempts to cheat, and cases that notice a changed verifier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from reward_servers.core import Verifier, find, installed
from reward_servers.testing import HACKS, HONEST_FORMS, CheckServer, check_hacks, check_verifier, serve
from tests.e2e.test_judge_example import endpoint
from tests.verifiers.cases import FOLDER, differing, rows_of, subjects_of
from tests.verifiers.hosting import HOSTED, all_written
from tests.verifiers.mutants import mutants_of, noticing

NAMES = sorted(file.stem for file in FOLDER.glob("*.jsonl"))
MODELS = [name for name in NAMES if name in HOSTED and HOSTED[name].model]
MUTANTS = 24
PATIENCE_S = 300.0
"""For an item: a judge is asked many times about a megabyte."""
_SHARED = "what it shares with the reference by chance is paid by definition of the metric"
_OTHERS_BESIDE = {"many answers": "what is right among others is paid by definition of the metric"}
_BY_WORDS = dict.fromkeys(
    ("many answers", "right in look-alikes"), "the judge of these tests looks for the words of the reference alone"
)
_HARMONY = {"reasoning in front": "a text in Harmony begins with a mark of Harmony"}
_ORDERS = dict.fromkeys(("orders to the reader", "order in front"), _SHARED)
EXCEPTED: dict[str, dict[str, str]] = {
    **dict.fromkeys(("judge", "panel", "pairwise", "best_of", "meaning"), _BY_WORDS),
    **dict.fromkeys(("boxes", "evidence", "language", "qa", "recommendation", "prefixes"), _OTHERS_BESIDE),
    "rubric": {"echo of the prompt": "a prompt may name what a criterion asks for", **_OTHERS_BESIDE},
    "pattern": dict.fromkeys(("many answers", "right in look-alikes"), "it need only occur, wherever it stands"),
    "bleu": {**_ORDERS, **_OTHERS_BESIDE},
    "chrf": dict.fromkeys(
        (
            "frames without content",
            "placeholders",
            "planted verdict",
            "planted JSON",
            "planted tags",
            "plant behind",
            "plant in front",
            "padding behind",
            "many answers",
            *_ORDERS,
        ),
        _SHARED,
    ),
    "rouge": {**_ORDERS, **_OTHERS_BESIDE},
    "ifeval": dict.fromkeys(
        (
            "frames without content",
            "placeholders",
            "planted verdict",
            "planted JSON",
            "planted tags",
            "orders to the reader",
            "plant behind",
            "plant in front",
            "order in front",
        ),
        "it follows instructions on form and words, and nothing else is judged",
    ),
    "behaviour": dict.fromkeys(
        ("right in closed reasoning", "unfinished reasoning", "right in unfinished reasoning"),
        "what is done while thinking is a behaviour, too",
    ),
    "citation": {
        "plant in front": "without a judge it is not checked whether a source supports what cites it",
        "right with invisible characters": "a reader sees the statements and their markers, which are what is checked",
    },
    "format": {
        "placeholders": "the form alone is judged, and this has it",
        "frames without content": "the form alone is judged, and this has it",
        "planted JSON": "the form alone is judged, and JSON is one",
        "planted tags": "the form alone is judged, and this has it",
        "reasoning in front": "reasoning is part of the form",
        "unfinished reasoning": "what is asked for may be in the reasoning",
    },
    "refusal": dict.fromkeys(
        (
            "frames without content",
            "placeholders",
            "planted verdict",
            "planted JSON",
            "planted tags",
            "orders to the reader",
        ),
        "what does not refuse is paid where no refusal is wanted, whatever it says",
    )
    | {"many answers": "what stands at the start decides"},
    "code_format": {
        "reasoning in front": "the published rule allows one closing tag of reasoning",
        "unfinished reasoning": "the published rule asks for a closing tag of reasoning alone",
    },
    "agent_form": {
        "frames without content": "the form alone is judged, and this has some of it",
        "placeholders": "the form alone is judged, and this has some of it",
        "planted tags": "the form alone is judged, and this has some of it",
        "right in a comment": "the form alone is judged, wherever it stands",
        "reasoning in front": "each turn thinks once",
        "unfinished reasoning": "thinking is part of the form",
    },
    "language": {
        "right written backwards": "groups of letters tell a language, whichever way they are read",
        "many answers": "what is paid is the share of the text in the language, and half of this is",
    },
    "sql": {"many answers": "the query is what stands in the last code fence, and nothing beside it"},
    "typed_answer": {"many answers": "the published rule reads the first answer, and no other one counts"},
    "trajectory": {**_HARMONY, "many answers": "the calls of all turns are looked at"},
    "tool_calls": _HARMONY,
    "call_form": _HARMONY,
    "tags": {
        "frames without content": "the form alone is judged, and this has some of it",
        "placeholders": "the form alone is judged, and this has it",
        "planted tags": "the form alone is judged, and this has it",
        "reasoning in front": "reasoning is part of the form",
        "unfinished reasoning": "what is asked for may stand in the reasoning",
    },
    "carr": _OTHERS_BESIDE,
    "citation_support": {"many answers": "what is said again counts once"},
    "faithfulness": {
        **_OTHERS_BESIDE,
        "right with invisible characters": "the judge of these tests finds no word in it that documents lack",
    },
    "process": {"unfinished reasoning": "its steps are judged, whether the reasoning ends or not"},
    "value": dict.fromkeys((*HACKS, *HONEST_FORMS), "it values the prompt, whatever the response is"),
    "surrogate": dict.fromkeys((*HACKS, *HONEST_FORMS), "it needs no label: form and length alone are paid"),
    "grit": dict.fromkeys(
        (*HACKS, *HONEST_FORMS), "the published rules read the raw text; the judge beside them decides"
    ),
    "repetition": dict.fromkeys((*HACKS, *HONEST_FORMS), "what does not repeat itself is paid, whatever it says"),
    "leak": dict.fromkeys(
        (
            "placeholders",
            "frames without content",
            "planted verdict",
            "planted JSON",
            "planted tags",
            "orders to the reader",
            "invisible characters",
            "unfinished reasoning",
        ),
        "a hint that gives nothing away is what is asked for; `judge` says whether it helps",
    ),
    "length": dict.fromkeys((*HACKS, *HONEST_FORMS), "every text has a length"),
}
"""Attempts that a verifier pays by design, with the reason."""

OF_THE_HOST = {"code": ("bounds_cpu", "facts")}
"""Functions that tell what a host can do, which no response changes; tests of the sandbox hold them."""


@pytest.mark.parametrize("name", NAMES)
def test_a_third_of_the_cases_is_hostile(name: str) -> None:
    rows = rows_of(name)
    assert len(rows) >= 20, "write at least 20 cases"
    assert len({row["rollout_id"] for row in rows}) == len(rows)
    hostile = sum(row.get("hostile", False) for row in rows)
    assert 3 * hostile >= len(rows), 'a third of the cases are attempts to be paid for nothing: "hostile": true'


# One server of all verifiers: to start one for each takes longer than its checks. Those with models are apart, since
# each of them loads torch: who needs none does not wait for it.
@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CheckServer]:
    """A server of all verifiers without a model."""
    with serving([name for name in NAMES if name not in MODELS], tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CheckServer]:
    """A server of those with one."""
    with serving(MODELS, tmp_path_factory) as server:
        yield server


@contextmanager
def serving(names: Sequence[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[CheckServer]:
    with endpoint() as url, serve(*names, config=all_written(names, url, tmp_path_factory.mktemp("served"))) as server:
        yield server


@pytest.fixture
def server(name: str, request: pytest.FixtureRequest) -> CheckServer:
    """The one that hosts the verifier."""
    server: CheckServer = request.getfixturevalue("models" if name in MODELS else "plain")
    return server


@pytest.mark.parametrize("name", NAMES)
def test_labels_and_laws(name: str, server: CheckServer) -> None:
    report = check_verifier(name, FOLDER / f"{name}.jsonl", timeout_s=PATIENCE_S, server=server)
    assert report.labelled >= 20


@pytest.mark.parametrize("name", NAMES)
def test_attempts_to_cheat(name: str, server: CheckServer) -> None:
    file, excepted = FOLDER / f"{name}.jsonl", EXCEPTED.get(name)
    check_hacks(name, file, excepted=excepted, timeout_s=PATIENCE_S, server=server)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in HOSTED])
def test_cases_notice_a_changed_verifier(name: str) -> None:
    verifier = loaded(name)
    subjects = subjects_of(verifier)
    assert differing(verifier, subjects) is None
    mutants = mutants_of(verifier, MUTANTS, apart=OF_THE_HOST.get(name, ()))
    surviving = []
    for mutant in mutants:
        place = noticing(mutant, verifier, subjects)
        if place is None:
            surviving.append(mutant.place)
        else:
            # What notices one change is likely to notice the next, so it is asked first.
            subjects.insert(0, subjects.pop(place))
    assert 3 * len(surviving) <= len(mutants), surviving


def test_every_verifier_has_cases() -> None:
    ours = {name for name, entry in installed().items() if entry.path.startswith("reward_servers.verifiers.")}
    assert ours == set(NAMES)


def loaded(name: str) -> Verifier:
    return find(name)
