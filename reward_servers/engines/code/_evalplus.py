"""Rows of EvalPlus (HumanEval+, MBPP+) as its releases ship them: inputs and a solution in place of expected values.

    as_test_code   such a row as test code, which asks the solution what the program should say

A row has `entry_point`, `canonical_solution` (to be read behind `prompt`), `base_input`, `plus_input` and `atol`. Two
answers agree as they do there: they are equal, or of the same type and close (`atol`, or 1e-6 for floats, and 1e-7
relative). Some tasks have rules of their own. The solution runs beside the tests and never beside the program;
`contract`, by which inputs were made, is not needed.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from reward_servers.engines.code._errors import BadReferenceError
from reward_servers.engines.code._reader import describe
from reward_servers.engines.code._syntax import UnparsableError, parse

_COLUMNS = ("base_input", "plus_input")
_INPUTS_OF_A_TEST = 100
_REFERENCE = "assay_solution"

# What JSON has made of the arguments of some MBPP tasks, by task: as an expression of the list `a` of arguments.
_ARGUMENTS: dict[str, tuple[int, ...]] = {
    "[tuple(x) for x in a]": (
        *(2, 116, 132, 143, 222, 261, 273, 394, 399, 421, 424),
        *(429, 470, 560, 579, 596, 616, 630, 726, 740, 744, 809),
    ),
    "[[tuple(y) for y in x] for x in a]": (63, 64, 70, 94, 120, 237, 272, 299, 400, 409, 417, 438, 473, 614, 780),
    "[[tuple(y) for y in a[0]], *a[1:]]": (75, 413, 444, 753),
    "[a[0], tuple(a[1]), *a[2:]]": (106, 750),
    "[[set(y) if y else {} for y in a[0]]]": (115,),
    "[float(a[0]), complex(a[1])]": (124,),
    "[tuple(a[0]), *a[1:]]": (250, 307, 405, 446, 617, 720, 763, 808),
    "[complex(a[0])]": (252,),
    "[tuple(tuple(y) for y in x) for x in a]": (259, 401, 445),
    "[tuple(tuple(y) if isinstance(y, list) else y for y in x) for x in a]": (278,),
    "[{k: tuple(v) for k, v in a[0].items()}, *a[1:]]": (722,),
    "list(assay_deep_tuple(a))": (580, 615, 791),
}
_CONVERSIONS = {task: expression for expression, tasks in _ARGUMENTS.items() for task in tasks}

# What else is right, by the function of the task, as an expression of the answer, the expected one and the arguments.
_SETS = (
    *("similar_elements", "find_char_long", "common_in_nested_lists", "extract_singly"),
    *("larg_nnum", "intersection_array", "find_dissimilar", "Diff"),
)
_OBJECTS = ("check_str", "text_match_three", "text_starta_endb")  # whose answers are no plain data
_FOUND = "(answer if isinstance(answer, bool) else answer is not None) == (expected is not None)"
_ALSO_RIGHT: dict[str, dict[str, str]] = {
    "mbpp": {
        "are_equivalent": "True",
        "sum_div": "answer == 0",
        "surface_Area": "abs(answer - assay_surface(*args)) <= atol",
        "digit_distance_nums": "answer == assay_digit_distance(*args)",
        **dict.fromkeys(_SETS, "set(answer) == set(expected)"),
        **dict.fromkeys(_OBJECTS, _FOUND),
    },
    "humaneval": {"find_zero": "abs(sum(c * answer**i for i, c in enumerate(args[0]))) <= atol"},
}

# The prefix keeps them apart from the functions of tasks, of which one is `compare`.
_HELPERS = """
import copy, json, math

def assay_deep_tuple(value):
    return tuple(map(assay_deep_tuple, value)) if isinstance(value, list) else value

def assay_surface(edge, height):
    return round(edge**2 + 2 * edge * math.sqrt((edge / 2) ** 2 + height**2))

def assay_digit_distance(one, other):
    one, other = str(one), str(other)
    width = max(len(one), len(other))
    return sum(abs(int(a) - int(b)) for a, b in zip(one.zfill(width), other.zfill(width)))

def assay_are_floats(value):
    if isinstance(value, (list, tuple)) and value:
        return all(isinstance(item, float) for item in value)
    return isinstance(value, float) or getattr(value, "dtype", None) in ("float32", "float64")

def assay_close(answer, expected, atol):
    if isinstance(expected, (list, tuple)):
        same = isinstance(answer, (list, tuple)) and len(answer) == len(expected)
        return same and all(assay_close(one, other, atol) for one, other in zip(answer, expected))
    if not isinstance(expected, (int, float, complex)):
        import numpy
        return bool(numpy.allclose(answer, expected, rtol=1e-7, atol=atol))
    return answer == expected or abs(answer - expected) <= atol + 1e-7 * abs(expected)

def assay_agrees(answer, expected, args, atol):
    atol = atol or (1e-6 if assay_are_floats(expected) else 0)
    if ALSO_RIGHT:
        return True
    same = answer == expected
    if bool(same if isinstance(same, bool) else same.all()):
        return True
    return atol > 0 and type(answer) is type(expected) and assay_close(answer, expected, atol)

def assay_compare(ask, inputs, atol):
    inputs = [CONVERSION for a in json.loads(inputs)]
    expected = [SOLUTION(*copy.deepcopy(args)) for args in inputs]
    for args, right in zip(inputs, expected):
        assert assay_agrees(ask(*copy.deepcopy(args)), right, args, atol), args
"""


def is_row(row: Mapping[str, Any]) -> bool:
    """Whether a row has the columns of EvalPlus."""
    return any(row.get(name) is not None for name in _COLUMNS)


def as_test_code(row: Mapping[str, Any]) -> dict[str, Any]:
    """The tests that a row means: one of `base_input`, one of each hundred of `plus_input`.

    Raises:
        BadReferenceError: A column is missing or malformed.
    """
    entry = row.get("entry_point")
    if not isinstance(entry, str) or not entry.isidentifier():
        raise BadReferenceError("entry_point", f"is {describe(entry)}", "Give the name of the function under test")
    atol = row.get("atol") or 0
    if not isinstance(atol, int | float) or isinstance(atol, bool) or not 0 <= atol < math.inf:
        raise BadReferenceError("atol", f"is {describe(atol)}", "Give a number of 0 or more")
    family, number = _task(row)
    special = _ALSO_RIGHT.get(family, {}).get(entry, "False")
    conversion = _CONVERSIONS.get(number, "a") if family == "mbpp" else "a"
    helpers = _HELPERS.replace("ALSO_RIGHT", special).replace("CONVERSION", conversion)
    parts = [_solution(row, entry), helpers.replace("SOLUTION", _REFERENCE)]
    for name, inputs in _parts(row):
        body = f"    assay_compare({entry}, {json.dumps(inputs)!r}, {atol!r})\n    return\n"
        looks_into = f"    {entry}.kind\n" if family == "mbpp" and entry in _OBJECTS else ""
        parts.append(f"def test_{name}():\n{body}{looks_into}")
    return {"mode": "unittest", "tests": {"kind": "unittest", "code": "\n\n".join(parts), "entry": entry}}


def _task(row: Mapping[str, Any]) -> tuple[str, int]:
    """Collection and number of a task, as in `Mbpp/2`."""
    family, _, number = str(row.get("task_id", "")).partition("/")
    return family.lower(), int(number) if number.isascii() and number.isdigit() else -1


def _parts(row: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """Names of the tests, and the inputs of each."""
    size = 0
    for column in _COLUMNS:
        inputs = row.get(column)
        if inputs is None or inputs == {}:  # as some tasks say that there are none
            continue
        if not isinstance(inputs, list) or not all(isinstance(args, list) for args in inputs):
            raise BadReferenceError(column, f"is {describe(inputs)}", "Give a list of lists of arguments")
        for start in range(0, len(inputs), _INPUTS_OF_A_TEST):
            part = inputs[start : start + _INPUTS_OF_A_TEST]
            size += len(part)
            yield f"{column}_{start + 1}_to_{start + len(part)}", part
    if not size:
        raise BadReferenceError("plus_input", "holds no input, nor does base_input", "Give the row as it is shipped")


def _solution(row: Mapping[str, Any], entry: str) -> str:
    """The solution under a name that no program has, with what stands around it."""
    text = row.get("canonical_solution")
    if not isinstance(text, str) or not text.strip():
        raise BadReferenceError("canonical_solution", f"is {describe(text)}", "Give the row as it is shipped")
    prompt = row.get("prompt") or ""
    try:
        module = parse(f"{prompt}{text}")
    except UnparsableError as error:
        raise BadReferenceError(
            "canonical_solution", f"does not compile behind the prompt: {error}", "Give the row as it is shipped"
        ) from None
    if not any(isinstance(node, ast.FunctionDef) and node.name == entry for node in module.body):
        raise BadReferenceError("canonical_solution", f"defines no {entry}", "Give the row as it is shipped")
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef) and node.name == entry:
            node.name = _REFERENCE
        elif isinstance(node, ast.Name) and node.id == entry:
            node.id = _REFERENCE
        elif isinstance(node, ast.arg) and node.arg == entry:
            node.arg = _REFERENCE
    return ast.unparse(module)
