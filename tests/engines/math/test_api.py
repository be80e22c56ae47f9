import asyncio
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

import reward_servers.engines.math as engine
from reward_servers.engines.math import (
    DEFAULT,
    PROFILES,
    Gold,
    InvalidGoldError,
    Outcome,
    compile_gold,
    explain,
    integers_in,
    judge,
)

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "data" / "math"
PAIRS = [
    (row["response"], row["gold"])
    for row in map(json.loads, (DATA / "twins.jsonl").read_text(encoding="utf-8").splitlines())
]


def python(code: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, env={**os.environ, **env}
    )
    return done.stdout


def test_exports() -> None:
    assert sorted(engine.__all__) == [
        "AnswerSyntaxError",
        "CompiledGold",
        "DEFAULT",
        "Extraction",
        "Gold",
        "InvalidGoldError",
        "Judgement",
        "LimitExceededError",
        "Limits",
        "MathError",
        "Outcome",
        "PROFILES",
        "Policy",
        "SymbolicPool",
        "SymbolicUnavailableError",
        "VERSION",
        "compile_gold",
        "default_pool",
        "explain",
        "extract",
        "integers_in",
        "judge",
    ]
    for name in engine.__all__:
        assert getattr(engine, name) is not None


def test_the_fast_path_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom reward_servers.engines.math import judge\n"
        "assert judge('\\\\boxed{0.5}', '1/2').correct\n"
        "print(sorted({'sympy', 'flint', 'mpmath', 'numpy', 'subprocess', 'grpc'} & set(sys.modules)))"
    )
    assert python(code).strip() == "[]"


def test_a_judgement_is_plain_data() -> None:
    judgement = judge(r"so \boxed{\frac{2}{4}}", r"\frac12")
    data = json.loads(json.dumps(judgement.to_json()))
    assert data == {
        "outcome": "correct",
        "rule": "exact",
        "reason": "1/2 vs 1/2",
        "extracted": "\\frac{2}{4}",
        "span": [10, 21],
        "extraction_rule": "box",
        "gold": "\\frac12",
        "gold_form": "1/2",
        "answer_form": "1/2",
        "policy": "default",
        "version": engine.VERSION,
    }


def test_explain_shows_both_sides() -> None:
    response = r"so the area is \boxed{12 \text{ m}}."
    text = explain(judge(response, r"12 \text{ cm}"), response)
    assert "incorrect" in text
    assert "cm is not m" in text
    assert "⟦12 \\text{ m}⟧" in text
    assert "none" in explain(judge("nothing here", "5"))


@pytest.mark.parametrize("gold", ["", "  ", "\\frac{1}{", "((", "$$", "\\boxed{}"])
def test_unusable_golds(gold: str) -> None:
    assert judge("\\boxed{5}", gold).outcome is Outcome.GOLD_INVALID
    with pytest.raises(InvalidGoldError):
        compile_gold(gold)


def test_a_gold_that_is_no_text() -> None:
    with pytest.raises(InvalidGoldError, match="int"):
        compile_gold(Gold((5,)))  # type: ignore[arg-type]


@pytest.mark.parametrize("gold", ["$\\frac12$", "\\boxed{\\frac12}", "\\(\\frac12\\)", "so it is\n#### 1/2", " 0.5 "])
def test_golds_may_be_wrapped(gold: str) -> None:
    assert judge("\\boxed{1/2}", gold).correct


def test_several_golds() -> None:
    either = Gold(("5", "x=7"))
    assert judge("\\boxed{7}", either).correct
    assert not judge("\\boxed{6}", either).correct
    both = Gold(("5", "7"), "all")
    assert judge("\\boxed{7, 5}", both).correct
    assert not judge("\\boxed{7}", both).correct


def test_choices_with_their_texts() -> None:
    gold = Gold.choice("B", {"A": "12", "B": "\\frac12", "C": "an ellipse", "D": "13"})
    for answer in ("B", "(B) 0.5", "0.5", "\\text{B. } \\frac{1}{2}"):
        assert judge(f"\\boxed{{{answer}}}", gold).correct, answer
    for answer in ("C", "ellipse", "12", "(B) 12", "A, B", "77"):
        assert not judge(f"\\boxed{{{answer}}}", gold).correct, answer


@pytest.mark.parametrize(
    ("problem", "names"),
    [
        ("Let $n$ be a positive integer. Find the number of ways.", ("n",)),
        ("For integers $m$ and $n$ with m > n, find ...", ("m", "n")),
        ("where a and b are relatively prime positive integers", ("b",)),
        ("where $a$ and $b$ are relatively prime positive integers", ("a", "b")),
        ("Suppose $x_1, x_2$ are integers", ("x_1", "x_2")),
        ("for all $k \\in \\mathbb{Z}$", ("k",)),
        ("Let x be a real number.", ()),
        ("How many integers are there?", ()),
        ("Let $x$ be a real number and $q$ a prime.", ()),
        ("The integer part of x", ()),
    ],
)
def test_problems_declare_integers(problem: str, names: tuple[str, ...]) -> None:
    assert integers_in(problem) == names


def test_declared_integers_are_compared_at_integers() -> None:
    gold = Gold(("\\cos^2(\\pi x)",), integers=("x",))
    assert judge("\\boxed{1}", gold).correct
    assert not judge("\\boxed{1}", "\\cos^2(\\pi x)").correct
    assert not judge("\\boxed{2}", gold).correct


def test_hints() -> None:
    assert judge("\\boxed{b}", "B").correct
    assert not judge("\\boxed{b}", Gold(("B",), hint="expression")).correct
    assert judge("\\boxed{3 red}", Gold(("3 red",), hint="text")).correct
    interval = Gold(("(1,2)",), hint="interval")
    assert judge("\\boxed{1 < x < 2}", interval).correct
    assert judge("\\boxed{(1, 2)}", interval).correct
    assert not judge("\\boxed{1, 2}", interval).correct
    assert not judge("\\boxed{[1, 2]}", interval).correct
    assert not judge("\\boxed{(1, 2)}", Gold(("1, 2",), hint="set")).correct
    with pytest.raises(InvalidGoldError, match="no integer"):
        compile_gold(Gold(("\\frac12",), hint="integer"))
    with pytest.raises(InvalidGoldError, match="no number"):
        compile_gold(Gold(("Alice",), hint="number"))


@pytest.mark.parametrize(
    ("profile", "gold", "response", "correct"),
    [
        ("default", "0.333", "\\boxed{\\frac13}", False),
        ("math_verify", "0.333333", "\\boxed{\\frac13}", True),
        ("math_verify", "\\frac13", "so we get $\\frac{1}{3}$ in the end", True),
        ("math_verify", "2.74", "cela fait 2,74", True),
        ("math_verify", "0.333", "\\boxed{\\frac13}", False),
        ("math_verify", "42", "#### 42", True),
        ("math_verify", "42", "<answer>42</answer>", True),
        ("math_verify", "5", "\\boxed{4=5}", True),
        ("default", "5", "\\boxed{4=5}", False),
        ("math_verify", "10 \\text{ cm}", "\\boxed{10 \\text{ m}}", True),
        ("minerva", "42", "Final Answer: The final answer is $42$. I hope it is correct.", True),
        ("minerva", "42", "\\boxed{42}", False),
        ("minerva", "42", "The final answer is 42.", False),
        ("minerva", "\\frac12", "Final Answer: The final answer is $x=0.5$. I hope it is correct.", True),
        ("minerva", "12", "Final Answer: The final answer is $12$ inches. I hope it is correct.", True),
        ("minerva", "50\\%", "Final Answer: The final answer is $0.5$. I hope it is correct.", False),
        ("dapo", "42", "long text\nAnswer: 42", True),
        ("dapo", "42", "Answer: 42" + " filler" * 100, False),
        ("dapo", "\\frac12", "Answer: 0.5", False),
        ("dapo", "\\frac12", "Answer: $\\frac12$", True),
        ("dapo", "\\frac12", "Answer: 1/2", False),
        ("dapo", "1000", "answer : $x = 1,000$", True),
        ("dapo", "12", "the answer is 12", False),
        ("dapo", "((", "Answer: ((", True),
        ("deepscaler_strict", "\\frac12", "</think>\\boxed{\\frac12}", True),
        ("deepscaler_strict", "\\frac12", "</think>\\boxed{\\frac24}", False),
        ("deepscaler_strict", "4", "</think>\\boxed{2^2}", False),
        ("deepscaler_strict", "4", "\\boxed{4}", False),
        ("trl_reasoning", "4", "<think>x</think>\\boxed{4}", True),
        ("trl_reasoning", "4", "\\boxed{4}", False),
        ("strict", "120", "\\boxed{5!}", False),
        ("strict", "10 \\text{ cm}", "\\boxed{10}", False),
    ],
)
def test_profiles(profile: str, gold: str, response: str, correct: bool) -> None:
    assert judge(response, gold, PROFILES[profile]).correct is correct


@pytest.mark.parametrize("tolerance", [-1.0, float("inf"), float("nan")])
def test_a_tolerance_is_a_finite_number(tolerance: float) -> None:
    with pytest.raises(ValueError, match="tolerance"):
        replace(DEFAULT, tolerance=tolerance)


def test_profiles_are_named_after_their_key() -> None:
    assert all(policy.name == name for name, policy in PROFILES.items())
    assert PROFILES["default"] is DEFAULT


def test_code_is_never_run(tmp_path: Path) -> None:
    target = tmp_path / "made"
    for code in (
        f"exec(\"open('{target}','w')\") or 5\\pi",
        f"[open('{target}','w')]",
        f"open('{target}','w')",
        f"__import__('os').system('touch {target}')",
        f"\\input{{|touch {target}}}",
        f"\\write18{{touch {target}}}",
    ):
        for gold in ("5", "5\\pi", "\\begin{pmatrix}1\\\\2\\end{pmatrix}", "x", "\\int x\\,dx"):
            assert not judge(f"\\boxed{{{code}}}", gold).correct
    assert not target.exists()


def verdicts() -> list[str]:
    return [judge(response, gold).outcome.value for response, gold in PAIRS]


def test_threads_and_asyncio_give_the_same_verdicts() -> None:
    expected = verdicts()
    with ThreadPoolExecutor(8) as threads:
        assert all(found == expected for found in threads.map(lambda _: verdicts(), range(8)))

    async def together() -> list[list[str]]:
        return await asyncio.gather(*(asyncio.to_thread(verdicts) for _ in range(3)))

    assert all(found == expected for found in asyncio.run(together()))


def test_hash_seeds_do_not_matter() -> None:
    code = (
        "import json, hashlib\nfrom reward_servers.engines.math import judge\n"
        "rows = [json.loads(l) for l in open('tests/data/math/twins.jsonl', encoding='utf-8')]\n"
        "found = [list(judge(r['response'], r['gold'])[:3]) for r in rows]\n"
        "print(hashlib.sha256(json.dumps(found).encode()).hexdigest())"
    )
    assert len({python(code, PYTHONHASHSEED=str(seed)) for seed in (0, 1, 4242)}) == 1
