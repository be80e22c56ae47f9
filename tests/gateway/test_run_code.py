"""Programs over HTTP as SandboxFusion's clients send them."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from sandbox import SandboxError, open_sandbox
from tests.gateway.conftest import ANSWERS, Start, post


@pytest.fixture(scope="module")
def url(gateway: Start) -> str:
    try:
        open_sandbox().close()
    except SandboxError as error:
        pytest.skip(f"no sandbox here: {error}")
    return gateway(ANSWERS, "--run-code", "2")


def run(url: str, code: str, **more: Any) -> Any:
    body = {
        "compile_timeout": 10, "run_timeout": 10, "code": code, "stdin": "", "language": "python", "files": {},
        "fetch_files": [], **more,
    }  # fmt: skip
    response = httpx.post(f"{url}/run_code", json=body, timeout=60)
    assert response.status_code == 200, response.text
    return response.json()


def test_a_program_that_works(url: str) -> None:
    files = {"data.txt": base64.b64encode(b"there").decode()}
    told = run(url, "print(input(), open('data.txt').read())", stdin="hello", files=files)
    assert (told["status"], told["compile_result"]) == ("Success", None)
    ran = told["run_result"]
    assert (ran["status"], ran["return_code"], ran["stdout"]) == ("Finished", 0, "hello there\n")


@pytest.mark.parametrize(
    ("code", "status", "returned", "said"),
    [
        ("raise SystemExit(3)", "Finished", 3, ""),
        ("1/0", "Finished", 1, "ZeroDivisionError"),
        ("def", "Finished", 1, "SyntaxError"),
        ("while True: pass", "TimeLimitExceeded", None, ""),
        ("import time; time.sleep(60)", "TimeLimitExceeded", None, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "Finished", -9, ""),
    ],
)
def test_what_a_program_did_is_an_answer(url: str, code: str, status: str, returned: int | None, said: str) -> None:
    told = run(url, code, run_timeout=1)
    assert told["status"] == "Failed"
    assert (told["run_result"]["status"], told["run_result"]["return_code"]) == (status, returned)
    assert said in told["run_result"]["stderr"]


def test_programs_share_nothing_and_wait_their_turn(url: str) -> None:
    code = "import os; print(os.path.exists('mark')); open('mark', 'w').close()"
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: run(url, code), range(8)))
    assert [one["run_result"]["stdout"] for one in told] == ["False\n"] * 8


def test_what_cannot_be_run_is_named(url: str) -> None:
    cases: dict[str, dict[str, Any]] = {
        "language": {"language": "verilog"}, "files.a": {"files": {"a": "%"}}, "fetch_files": {"fetch_files": ["a"]},
    }  # fmt: skip
    for field, more in cases.items():
        response = post(f"{url}/run_code", json={"code": "", **more})
        assert response.status_code == 422
        assert response.json()["error"]["field"] == field
