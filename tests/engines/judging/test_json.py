"""JSON in the replies of judges and in what candidates write."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from reward_servers.engines.judging import _json


def test_brackets_are_matched_in_a_few_passes_whatever_stands_there(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counted:
        scanned = 0

        def __init__(self, pattern: re.Pattern[str]) -> None:
            self._pattern = pattern

        def finditer(self, text: str, start: int) -> Iterator[re.Match[str]]:
            Counted.scanned += len(text) - start
            return self._pattern.finditer(text, start)

    monkeypatch.setattr(_json, "_MARKS", Counted(_json._MARKS))
    monkeypatch.setattr(_json, "_PLAIN_MARKS", Counted(_json._PLAIN_MARKS))
    for text in ("{" * 20_000, '{"' * 10_000, '{\\"' * 7_000, "[{" * 10_000):
        Counted.scanned = 0
        assert list(_json.json_spans(text)) == []
        assert Counted.scanned <= 5 * len(text)
    assert list(_json.json_spans('} {"a": "}"} {')) == [(2, 12)]
