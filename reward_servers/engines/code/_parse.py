"""From the JSON of a reference to a `TestSpec`.

The fields of the JSON form are described in the package's documentation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, get_args

from reward_servers.engines.code._compare import TEXT_KINDS, VALUE_KINDS, Comparison, Kind
from reward_servers.engines.code._data import TYPES, comparable
from reward_servers.engines.code._errors import BadReferenceError
from reward_servers.engines.code._guest import plain
from reward_servers.engines.code._languages import ALIASES, canonical
from reward_servers.engines.code._limits import Ceiling, parse_limits
from reward_servers.engines.code._packaged import JudgingProgram, JudgingStyle
from reward_servers.engines.code._prelude import check_prelude
from reward_servers.engines.code._published import as_reference
from reward_servers.engines.code._reader import Fields, describe
from reward_servers.engines.code._spec import (
    CallTest,
    CallTests,
    CodeTests,
    InteractiveTests,
    StdioTest,
    StdioTests,
    Style,
    Tests,
    TestSpec,
)

_KINDS = {
    "stdio": "stdio",
    "call": "call",
    "function": "call",
    "assert": "assert",
    "unittest": "unittest",
    "pytest": "unittest",
    "interactive": "interactive",
}


def parse_reference(
    reference: bytes | str | Mapping[str, Any],
    *,
    ceiling: Ceiling | None = None,
    language: str | None = None,
    prelude: str = "auto",
) -> TestSpec:
    """Read the reference of a task.

    Args:
        reference: JSON text or the decoded object.
        ceiling: Largest limits that this server allows, and the limits used where the reference gives none.
        language: Language where the reference names none (default Python).
        prelude: Prelude where the reference of a Python program gives none.

    Raises:
        BadReferenceError: Something in it is missing, misspelt or contradictory.
    """
    decoded = _decoded(reference, "reference")
    fields = Fields(as_reference(decoded) if isinstance(decoded, Mapping) else decoded)
    name = fields.take("language", str, language or "python")
    canonical_name = canonical(name)
    if canonical_name is None:
        raise fields.error("language", f"is the unknown {name!r}", f"Known: {', '.join(ALIASES)}")
    mode = fields.take("mode", str, "")
    tests, kind = _parse_tests(fields, mode)
    if kind not in ("stdio", "interactive") and canonical_name != "python":
        raise fields.error(
            "language", f"is {canonical_name}, but tests of kind {kind} need Python", "Write stdio tests"
        )
    ceiling = ceiling or Ceiling()
    if not isinstance(tests, CodeTests) and len(tests.tests) > ceiling.tests:
        raise fields.error(
            "tests", f"holds {len(tests.tests)} tests, above this server's {ceiling.tests}", "Give fewer"
        )
    compare, validator = _parse_compare(fields, kind)
    spec = TestSpec(
        language=canonical_name,
        tests=tests,
        compare=compare,
        validator=validator,
        limits=parse_limits(fields, ceiling),
        setup=fields.take("setup", str, ""),
        max_tests=ceiling.tests,
        prelude=_parse_prelude(fields, canonical_name, prelude),
    )
    fields.done(strict=False)
    return spec


def _parse_prelude(fields: Fields, language: str, default: str) -> str:
    body = fields.raw("prelude") if fields.has("prelude") else default if language == "python" else "auto"
    if isinstance(body, list) and all(isinstance(line, str) for line in body):
        body = "\n".join(body)
    if not isinstance(body, str):
        raise fields.error("prelude", f"is {describe(body)}", "Give auto, none, leetcode or Python source")
    if language != "python" and body not in ("auto", "none"):
        raise fields.error("prelude", f"is given for {language}", "Only Python programs take one")
    return check_prelude(body, fields.path("prelude"))


def _decoded(value: Any, field: str) -> Any:
    """JSON text as the object it holds; anything else as it is."""
    if not isinstance(value, bytes | str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise BadReferenceError(field, f"is no JSON: {error}", "Write a JSON object") from None


def _parse_tests(fields: Fields, mode: str) -> tuple[Tests, str]:
    """Read `tests`, which says its kind itself or, as a bare list or object, by `mode` beside it."""
    body = fields.raw("tests") if fields.has("tests") else None
    if body is None:
        raise fields.error("tests", "is missing", "Give an object with kind and cases, or kind and code")
    in_code = _KINDS.get(mode) in get_args(Style)
    if not (in_code and isinstance(body, str) and not body.lstrip().startswith(("{", "["))):
        body = _decoded(body, "tests")
    if isinstance(body, list | str):
        body = {"code" if in_code else "cases": body}
    tests = Fields(body, fields.path("tests"))
    name = tests.take("kind", str, mode or ("stdio" if tests.has("cases") else ""))
    kind = _KINDS.get(name)
    if kind is None or (mode and _KINDS.get(mode) != kind):
        raise tests.error("kind", f"is {name!r}", f"Give one of {', '.join(_KINDS)}")
    if kind == "stdio":
        parsed: Tests = _parse_stdio(tests)
    elif kind == "interactive":
        parsed = InteractiveTests(_parse_stdio(tests, kind).tests, _parse_judging(tests, "interactor"))
    elif kind == "call":
        parsed = _parse_calls(tests)
    else:
        parsed = _parse_code(tests, "assert" if kind == "assert" else "unittest")
    tests.done()
    return parsed, kind


def _cases(tests: Fields) -> list[Fields]:
    cases = tests.take("cases", list)
    if not cases:
        raise tests.error("cases", "is empty", "Give at least one test")
    return [Fields(case, f"{tests.path('cases')}[{index}]") for index, case in enumerate(cases)]


_ANSWERS = {"interactive": ("",)}
_MOST_PASSES = 100


def _parse_judging(fields: Fields, name: str) -> JudgingProgram:
    """A program of a problem package: `language`, `code`, and if need be `files`, `args`, `style`, `passes`."""
    field = fields.path(name)
    body = Fields(fields.take(name, dict), field)
    language_name = body.take("language", str, "python")
    language = canonical(language_name)
    if language is None:
        raise body.error("language", f"is the unknown {language_name!r}", f"Known: {', '.join(ALIASES)}")
    source, files, args = body.take("code", str), body.take("files", dict, {}), body.take("args", list, [])
    if not all(isinstance(text, str) for text in (*files.values(), *args)):
        raise body.error("files", "or args hold something else than strings", "Give strings")
    name = body.take("style", str, "kattis")
    style = next((choice for choice in get_args(JudgingStyle) if choice == name), None)
    if style is None:
        raise body.error("style", f"is {name!r}", f"Give one of {', '.join(get_args(JudgingStyle))}")
    passes = body.take("passes", int, 1)
    if not 1 <= passes <= _MOST_PASSES:
        raise body.error("passes", f"is {passes}", f"Give 1 to {_MOST_PASSES}")
    if passes > 1 and style != "kattis":
        raise body.error("passes", f"is {passes}, but style {style} has no directory for feedback", "Use style kattis")
    body.done()
    return JudgingProgram(field, language, source, tuple(files.items()), tuple(args), style, passes)


def _parse_stdio(tests: Fields, kind: str = "stdio") -> StdioTests:
    parsed = []
    for number, case in enumerate(_cases(tests), start=1):
        parsed.append(
            StdioTest(
                name=case.take("name", str, f"test {number}"),
                stdin=case.take("stdin", str, "", aliases=("input",)),
                expected=case.take("stdout", str, *_ANSWERS.get(kind, ()), aliases=("output", "expected", "answer")),
                public=case.take("public", bool, default=False),
            )
        )
        case.done()
    return StdioTests(tuple(parsed))


def _parse_calls(tests: Fields) -> CallTests:
    entry = _parse_entry(tests)
    if entry is None:
        raise tests.error("entry", "is missing", "Give the name of the function under test")
    types = _parse_types(tests)
    return_type = _parse_type(tests, tests.take("return_type", str, "") or None, "return_type")
    how = _parse_how(tests)
    parsed = []
    for number, case in enumerate(_cases(tests), start=1):
        args, kwargs = case.take("args", list, []), case.take("kwargs", dict, {})
        expected = case.raw("returns", aliases=("expected",))
        try:
            plain.encode([args, kwargs, expected])
        except (plain.NotPlainError, RecursionError) as problem:
            raise case.error("args", f"cannot be passed: {problem}", "Give less deeply nested data") from None
        parsed.append(
            CallTest(
                name=case.take("name", str, f"test {number}"),
                args=tuple(args),
                kwargs=kwargs,
                expected=comparable(expected, return_type),
                public=case.take("public", bool, default=False),
                alternatives=tuple(case.take("alternatives", list, [])),
            )
        )
        case.done()
    return CallTests(entry, tuple(parsed), types, return_type, how)


def _parse_types(tests: Fields) -> tuple[str | None, ...]:
    types = tests.take("arg_types", list, [])
    return tuple(_parse_type(tests, kind, "arg_types") for kind in types)


def _parse_type(tests: Fields, kind: Any, field: str) -> str | None:
    if kind is not None and kind not in TYPES:
        raise tests.error(field, f"names the unknown type {kind!r}", f"Give null or one of {', '.join(TYPES)}")
    return None if kind is None else str(kind)


def _parse_how(tests: Fields) -> tuple[tuple[str, Any], ...]:
    """What counts as the result: that of the coroutine, of all that is yielded, or an argument changed in place."""
    how: list[tuple[str, Any]] = [("runs", True)]
    if tests.take("iterables", bool, default=False):
        how.append(("list", True))
    if tests.has("in_place"):
        place = tests.raw("in_place")
        if place is True:
            place = 0
        if isinstance(place, bool) or not isinstance(place, int | str):
            raise tests.error("in_place", f"is {describe(place)}", "Give true, or number or name of the argument")
        how.append(("argument", place))
    else:
        tests.take("in_place", bool, default=False)
    return tuple(how)


def _parse_entry(tests: Fields) -> str | None:
    entry = tests.take("entry", str, "", aliases=("fn", "fn_name", "entry_point")).replace("().", ".")
    if entry and not all(part.isidentifier() for part in entry.split(".")):
        raise tests.error("entry", f"is {entry!r}", "Give a Python name, or Class.method")
    return entry or None


def _parse_code(tests: Fields, style: Style) -> CodeTests:
    body = tests.raw("code")
    if isinstance(body, list) and all(isinstance(line, str) for line in body):
        body = "\n".join(body)
    if not isinstance(body, str):
        raise tests.error("code", f"is {describe(body)}", "Give a string, or a list of strings")
    if not body.strip():
        raise tests.error("code", "is empty", "Give at least one test")
    public = tests.raw("public") if tests.has("public") else False
    if isinstance(public, list):
        public = frozenset(str(name) for name in public)
    elif not isinstance(public, bool):
        raise tests.error("public", f"is {describe(public)}", "Give true, false or a list of names of tests")
    return CodeTests(style, body, _parse_entry(tests), public)


def _parse_compare(fields: Fields, kind: str) -> tuple[Comparison, JudgingProgram | None]:
    """Read `compare`; the default is `lines` for stdio, `value` for calls."""
    default: Kind = "lines" if kind in ("stdio", "interactive") else "value"
    compare = Fields(fields.take("compare", dict, {}), fields.path("compare"))
    name = compare.take("kind", str, default)
    if kind == "interactive" and compare.has("kind"):
        raise compare.error("kind", "is given for interactive tests", "The interactor decides")
    allowed = (
        TEXT_KINDS
        if kind in ("stdio", "interactive")
        else VALUE_KINDS
        if kind == "call"
        else frozenset(("value", "python_eq"))
    )
    kind_named = next((item for item in get_args(Kind) if item == name and item in allowed), None)
    if kind_named is None:
        raise compare.error("kind", f"is {name!r}", f"Tests of kind {kind} take {', '.join(sorted(allowed))}")
    tolerant = kind_named == "float" or (kind_named == "value" and kind == "call")
    loose = 1e-6 if kind_named == "float" else 0.0
    result = Comparison(
        kind=kind_named,
        abs=compare.take("abs", float, loose) if tolerant else 0.0,
        rel=compare.take("rel", float, loose) if tolerant else 0.0,
        ignore_case=compare.take("ignore_case", bool, default=False)
        if kind_named in ("lines", "tokens", "float")
        else False,
        code=compare.take("code", str) if kind_named == "checker" else None,
        expected_is_right=compare.take("expected_is_right", bool, default=False) if kind_named == "checker" else False,
    )
    validator = _parse_judging(compare, "program") if kind_named == "validator" else None
    compare.done()
    if result.abs < 0 or result.rel < 0:
        raise compare.error("abs" if result.abs < 0 else "rel", "is negative", "Give 0 or more")
    return result, validator
