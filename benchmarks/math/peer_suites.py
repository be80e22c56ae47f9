"""Measure the engine on the test suites of other graders, read from checkouts given by path.

    python -m benchmarks.math.peer_suites math-verify=PATH latex2sympy=PATH nemo-skills=PATH

A path is a git directory or a work tree.  The suites are collected with pytest in a scratch copy; pairs of
gold and prediction are taken from the parameters of the tests, or recorded where the tests compare a LaTeX
string with a sympy expression (rendered back to LaTeX).  Nothing of a suite is stored.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SUITES = {
    "math-verify": [
        "tests/test_all.py",
        "tests/test_boxed.py",
        "tests/test_numina_cases.py",
        "tests/test_open_thoughts.py",
        "tests/test_strict.py",
        "tests/test_yujianll.py",
    ],
    "latex2sympy": ["tests"],
    "nemo-skills": ["tests/test_math_equal.py"],
}


@dataclass
class Case:
    """One pair with the verdict its suite expects."""

    gold: str
    prediction: str
    expected: bool
    origin: str


def unpack(source: Path, scratch: Path) -> None:
    """Copy the tests of a checkout (bare or not) into a scratch folder."""
    archive = subprocess.run(
        ["git", "-C", str(source), "archive", "HEAD", "tests"], check=True, capture_output=True
    ).stdout
    subprocess.run(["tar", "-x", "-C", str(scratch)], input=archive, check=True)


def collect(suite: str, source: Path) -> list[Case]:
    """The pairs of a suite, by running pytest with this file as its plugin."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        unpack(source, scratch)
        out = scratch / "cases.json"
        for name in ("conftest.py", "tests/conftest.py", "pytest.ini", "pyproject.toml"):
            (scratch / name).unlink(missing_ok=True)
        plugin = Path(__file__).resolve()
        env = {**os.environ, "PYTHONPATH": f"{plugin.parent}:{scratch}", "PEER_OUT": str(out), "PEER_SUITE": suite}
        patterns = ["-o", "python_files=*test*.py"]
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-p",
                plugin.stem,
                "-q",
                "-x",
                "--no-header",
                "-p",
                "no:cacheprovider",
                "--maxfail=100000",
                *patterns,
                *SUITES[suite],
            ],
            cwd=scratch,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        cases = [Case(**c) for c in json.loads(out.read_text())]
        if suite == "latex2sympy":
            return list({(c.gold, c.prediction, c.expected): c for c in cases}.values())
        return cases


# As a pytest plugin -----------------------------------------------------------------------------

_cases: list[Case] = []


def _pair(params: dict[str, Any]) -> tuple[Any, Any, Any] | None:
    if "gold" in params and "pred" in params:
        return params["gold"], params["pred"], params.get("expected", params.get("result"))
    return None


def _accented(name: str) -> str:
    r"""Name as LaTeX: sympy leaves `bar{x}_2` as it is, it should be `\bar{x}_2`."""
    import sympy

    return "\\" + name if name.startswith("bar{") else sympy.latex(sympy.Symbol(name))


def pytest_configure(config: Any) -> None:
    suite = os.environ.get("PEER_SUITE")
    if suite == "latex2sympy":
        import sympy
        import tests.context as context  # the suite's own

        def record(latex: str, expr: Any, symbolically: bool = False, variables: Any = None) -> None:
            if variables or expr is None:
                return
            if isinstance(expr, float):
                rendered = repr(expr)
            elif isinstance(expr, sympy.Basic | sympy.MatrixBase):
                names = {s: _accented(s.name) for s in expr.free_symbols}
                rendered = sympy.latex(expr, symbol_names=names)
            else:
                rendered = str(expr)
            _cases.append(Case(rendered, latex, True, "assert_equal"))

        context.assert_equal = record
    elif suite == "nemo-skills":
        import types

        for name in ("nemo_skills", "nemo_skills.evaluation", "nemo_skills.evaluation.math_grader"):
            sys.modules[name] = types.ModuleType(name)
        sys.modules["nemo_skills.evaluation.math_grader"].math_equal = lambda *a, **k: None  # type: ignore[attr-defined]


def pytest_collection_modifyitems(items: list[Any]) -> None:
    suite = os.environ.get("PEER_SUITE")
    if suite == "latex2sympy":
        return
    for item in items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        if suite == "nemo-skills" and "output_pair" in params:
            gold, pred = params["output_pair"]
            if pred is not None:
                _cases.append(Case(str(gold), str(pred), "incorrect" not in item.name, item.name))
        elif (found := _pair(params)) is not None:
            gold, pred, expected = found
            _cases.append(
                Case(
                    gold,
                    pred,
                    bool(expected),
                    json.dumps({k: v for k, v in params.items() if k in ("precision", "strict")}),
                )
            )
    items.clear()


def pytest_sessionfinish(session: Any) -> None:
    out = os.environ.get("PEER_OUT")
    if out:
        Path(out).write_text(json.dumps([asdict(c) for c in _cases]))


# As a program -----------------------------------------------------------------------------------


def evaluate(suite: str, cases: list[Case], verbose: bool) -> None:
    from dataclasses import replace

    from reward_servers.engines.math import PROFILES, judge

    wrong: list[tuple[str, Case, Any]] = []
    start = time.perf_counter()
    for case in cases:
        policy = PROFILES["math_verify"]
        gold, prediction = case.gold, case.prediction
        if suite == "math-verify":
            precision = json.loads(case.origin).get("precision")
            if precision:
                policy = replace(policy, float_rounding=precision)
            gold = gold_of(gold)
        else:
            prediction = f"\\boxed{{{prediction}}}" if _balanced(prediction) else f"The answer is {prediction}"
        judgement = judge(prediction, gold, policy)
        if judgement.correct != case.expected:
            wrong.append(("FP" if judgement.correct else "FN", case, judgement))
    spent = time.perf_counter() - start
    false_positives = sum(kind == "FP" for kind, _, _ in wrong)
    print(
        f"{suite}: {len(cases)} cases, accuracy {1 - len(wrong) / max(1, len(cases)):.4f}, "
        f"FP {false_positives}, FN {len(wrong) - false_positives}, {spent:.2f} s"
    )
    if verbose:
        for kind, case, judgement in wrong:
            print(
                f"  {kind} {case.gold[-90:]!r} | {case.prediction[-90:]!r} | {judgement.extraction.text!r:.60} | "
                f"{judgement.outcome.value} {judgement.rule}: {judgement.reason} | {judgement.gold_form} | "
                f"{judgement.answer_form}"
            )


def gold_of(text: str) -> str:
    """The reference inside a gold that is a whole solution, by the policy's own extraction."""
    from reward_servers.engines.math import PROFILES, extract

    if "boxed" not in text and len(text) < 200:
        return text
    found = extract(text, PROFILES["math_verify"])
    return found.text if found.text is not None else text


def _balanced(text: str) -> bool:
    return text.count("{") == text.count("}") and not text.endswith("\\")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="+", help="NAME=PATH, with NAME one of " + ", ".join(SUITES))
    parser.add_argument("-v", "--verbose", action="store_true", help="list the disagreements")
    args = parser.parse_args()
    for given in args.suites:
        suite, _, path = given.partition("=")
        evaluate(suite, collect(suite, Path(path)), args.verbose)


if __name__ == "__main__":
    main()
