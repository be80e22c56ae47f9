"""What JSON objects say as verdicts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reward_servers.engines.judging._json import read_json
from reward_servers.engines.judging._reply import Status

_YES_NO = {"yes": True, "no": False, "true": True, "false": False}
_VERDICTS = (
    *("verdict", "final_verdict", "final verdict", "evaluation", "judgement", "judgment", "assessment", "decision"),
    *("result", "grade", "grading", "final", "output", "review", "rating", "scoring"),
)
_LOOSE_SCORE = re.compile(
    # A number at the very end of the text may have been cut: only one that something follows is whole.
    r"""["'](?P<key>score|rating)["']\s*:\s*["']?(?P<value>[+-]?\d+(?:\.\d+)?)(?=["'\s,}])["']?\s*(?=[,}]|$)""",
    re.IGNORECASE,
)
_WHOLE_END = re.compile(r"(?:\d\s|true|false|null|\"|\]|\})\s*\Z")

Read = Callable[[str], float | None]


def _field(decoded: dict[Any, Any], names: Sequence[str]) -> list[Any]:
    return [value for key, value in decoded.items() if isinstance(key, str) and key.strip().casefold() in names]


def _numeric(value: Any, read: Read) -> float | None:
    if isinstance(value, str):
        return read(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e15:
        return None
    return float(value)


def _fields_named(decoded: dict[Any, Any], names: Sequence[str]) -> list[Any]:
    """The fields of these names at the top, or one level down where the object around them is called a verdict."""
    values = _field(decoded, names)
    nested = [value for value in _field(decoded, _VERDICTS) if isinstance(value, dict)]
    if values or len(_field(decoded, _VERDICTS)) > 1:
        return values
    return [value for item in nested for value in _field(item, names)]


def score_of(decoded: Any, read: Read) -> float | None:
    """The one score of an object, at the top or one level down; None when there is none that can be used."""
    if not isinstance(decoded, dict):
        return None
    scores = _fields_named(decoded, ("score", "rating"))
    return _numeric(scores[0], read) if len(scores) == 1 else None


def _met_value(value: Any) -> bool | None:
    if isinstance(value, str):
        return _YES_NO.get(value.strip().casefold())
    return value if isinstance(value, bool) else None


def verdict_of(decoded: Any) -> bool | None:
    """The one ``correct`` of an object, at the top or one level down."""
    if not isinstance(decoded, dict):
        return None
    values = _fields_named(decoded, ("correct",))
    verdict = _met_value(values[0]) if len(values) == 1 else None
    verdicts = [is_met for value in _field(decoded, _VERDICTS) if (is_met := _met_value(value)) is not None]
    return None if any(further != verdict for further in verdicts) else verdict


def criteria_of(decoded: Any, keys: Sequence[str]) -> dict[str, bool] | None:
    """The verdict of every criterion; None when one is missing, unknown, given twice or not a yes or no."""
    if isinstance(decoded, dict):
        listed = _field(decoded, ("verdicts",))
        if len(decoded) == 1 and listed and isinstance(listed[0], list):
            decoded = listed[0]
        else:
            pairs = list(decoded.items())
    if isinstance(decoded, list):
        if not all(isinstance(item, dict) for item in decoded):
            return None
        fields = [(_field(item, ("name", "id", "criterion")), _field(item, ("verdict", "met"))) for item in decoded]
        if not all(len(names) == 1 and len(verdicts) == 1 for names, verdicts in fields):
            return None
        pairs = [(names[0], verdicts[0]) for names, verdicts in fields]
    elif not isinstance(decoded, dict):
        return None
    keys_by_folded = {key.casefold(): key for key in keys}
    result: dict[str, bool] = {}
    for name, verdict in pairs:
        key = keys_by_folded.get(str(name).strip().casefold())
        is_met = _met_value(verdict)
        if key is None or key in result or is_met is None:
            return None
        result[key] = is_met
    return {key: result[key] for key in keys} if len(result) == len(keys) else None


def ratings_of(decoded: Any, keys: Sequence[str], read: Read) -> dict[str, float] | None:
    """The rating of every key; None when one is missing, unknown, given twice or no number."""
    if not isinstance(decoded, dict) or len(decoded) != len(keys):
        return None
    result: dict[str, float] = {}
    for key in keys:
        values = _field(decoded, (key.strip().casefold(),))
        value = _numeric(values[0], read) if len(values) == 1 else None
        if value is None:
            return None
        result[key] = value
    return result


def comparison_of(decoded: Any, read: Read) -> dict[str, float] | None:
    """The three numbers of a generative reward model's comparison."""
    if not isinstance(decoded, dict):
        return None
    values: dict[str, float] = {}
    for key in ("score_1", "score_2", "ranking"):
        ratings = _field(decoded, (key,))
        value = _numeric(ratings[0], read) if len(ratings) == 1 else None
        if value is None or (key == "ranking" and value != int(value)):
            return None
        values[key] = value
    return values


def check_comparison(value: Mapping[str, float]) -> Status:
    """Whether the three numbers are within their bounds and agree with each other."""
    first, second, ranking = value["score_1"], value["score_2"], value["ranking"]
    if not (1 <= first <= 5 and 1 <= second <= 5 and 1 <= ranking <= 6):
        return Status.OUT_OF_RANGE
    contradicts = (first > second and ranking > 3) or (first < second and ranking <= 3)
    return Status.INCONSISTENT if contradicts else Status.OK


def damaged_score(text: str, spans: Sequence[tuple[int, int]]) -> tuple[int, int, float] | None:
    """An object spoilt by unescaped quotes or a missing last brace, with one score field in the whole text."""
    opening = text.find("{")
    fields = list(_LOOSE_SCORE.finditer(text))
    if opening < 0 or len(fields) != 1 or fields[0].start() < opening:
        return None
    if spans:
        try:
            read_json(text[slice(*spans[0])])
        except ValueError:
            pass
        else:
            return None
    elif _WHOLE_END.search(text) is None or text.count('"') % 2:
        return None
    return opening, len(text), float(fields[0]["value"])
