"""The verifiers by themselves, and served against labelled cases and the laws of all verifiers."""

from collections.abc import Iterator
from pathlib import Path

import acme_books
import pytest

from reward_servers import Rollout
from reward_servers.testing import CheckServer, check_hacks, check_verifier, serve

FOLDER = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("number", "digits"),
    [("0-306-40615-2", "978030640615"), ("978-0-306-40615-7", "978030640615"), ("080442957X", "978080442957")],
)
def test_both_forms_of_an_isbn_are_one(number: str, digits: str) -> None:
    """A check digit of 10 is an X."""
    assert acme_books.digits_of(number) == digits


@pytest.mark.parametrize("number", ["0-306-40615-3", "978-0-306-40615-8", "030640615", "977-0-306-40615-7", ""])
def test_a_wrong_check_digit_is_none(number: str) -> None:
    """So is a wrong length."""
    assert acme_books.digits_of(number) is None


def test_the_last_one_counts() -> None:
    """A response that lists many is not right for one of them."""
    book = acme_books.Book(answer="0-306-40615-2")
    hedged = Rollout("ISBN 0-306-40615-2 or 080442957X")
    assert acme_books.isbn(hedged, book, acme_books.IsbnOptions()).value == 0.0


@pytest.fixture(scope="module")
def server() -> Iterator[CheckServer]:
    """One server for all checks."""
    with serve(acme_books.isbn, acme_books.brief) as server:
        yield server


def test_agrees_with_its_labels_and_keeps_the_laws(server: CheckServer) -> None:
    """Deterministic, in range, sound on odd and large responses, strict with references."""
    assert check_verifier(acme_books.isbn, FOLDER / "cases.jsonl", server=server).labelled >= 20


def test_pays_no_attempt_to_cheat(server: CheckServer) -> None:
    """Planted verdicts, answers in reasoning, frames without content and the like."""
    check_hacks(acme_books.isbn, FOLDER / "cases.jsonl", server=server)


def test_the_brief_one_wins_among_the_right_ones(server: CheckServer) -> None:
    """A whole group, with the verifier that it asks beside it."""
    assert check_verifier(acme_books.brief, FOLDER / "groups.jsonl", server=server).labelled == 4
