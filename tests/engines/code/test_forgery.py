"""Programs that write to the data descriptor themselves: whatever they forge scores nothing and breaks nothing."""

from __future__ import annotations

import pytest

from tests.engines.code.conftest import Judge, asserts
from tests.engines.code.test_code_tests import ROUND_TRIP

FRAMES = [
    '{"ok": {"$": "Fraction", "v": ["1e999999999", 1]}}',
    '{"ok": {"$": "Decimal", "v": "1E+999999999999"}}',
    '{"ok": {"$": "range", "v": [0, 999999999999, 1]}}',
    '{"ok": {"$": "nothing", "v": 1}}',
    '{"ok": {"$": ["list"], "v": 1}}',
    '{"ok": {"$": "dict", "v": [[[], 1]]}}',
    '{"ok": ' + "[" * 5000 + "]" * 5000 + "}",
    *(f'{{"ok": {"[" * depth + "]" * depth}}}' for depth in (200, 205, 900, 950, 960, 970, 980, 985, 990, 995)),
    '{"raised": ' + "[" * 900 + "]" * 900 + "}",
    '{"load": {"raised": ' + "[" * 900 + "]" * 900 + "}}",
    '{"ok": NaN}',
    '{"ok": true}',
    '{"handle": 0, "class": "RemoteFunction"}',
    '{"handle": true}',
    '{"callable": true}',
    '{"ready": true}',
    '{"load": {"raised": "X"}}',
    '{"changed": [[99, 1], [-1, []]], "ok": 1}',
    '{"raised": "X", "bases": ["object"], "builtin": "BaseExceptionGroup"}',
    '{"raised": "X", "builtin": "SystemExit", "message": "0"}',
    '{"raised": "X", "builtin": "open"}',
    '{"raised": 3}',
    '{"printed": "1 passed"}',
    '{"op": "done", "outcome": "unpassable", "message": "", "line": 0, "kind": ""}',
    "[]",
    "null",
    "{",
    "",
]


@pytest.mark.parametrize("frame", FRAMES, ids=range(len(FRAMES)))
@pytest.mark.parametrize("moment", ["load", "describe", "call"])
def test_forged_messages_score_nothing_and_break_nothing(judged: Judge, frame: str, moment: str) -> None:
    """A program that writes answers of its own, in place of those of the driver, from any moment on."""
    source = f"import os, struct\nm = {frame!r}.encode()\ndef forge():\n"
    source += "    for _ in range(50): os.write(3, struct.pack('!I', len(m)) + m)\n"
    if moment == "load":
        source += "forge()\nos._exit(0)"
    elif moment == "describe":
        source += "os.write(3, struct.pack('!I', 15) + b'{\"ready\": true}')\nforge()\nos._exit(0)"
    else:
        source += "def f(x):\n    forge()\n    os._exit(0)"
    judgement = judged(source, {**asserts(ROUND_TRIP), "limits": {"cpu_s": 0.3}})
    assert judgement.score == 0.0
    assert judgement.results[0].how == "code"


@pytest.mark.parametrize("frame", FRAMES, ids=range(len(FRAMES)))
def test_forged_results_of_calls(judged: Judge, frame: str) -> None:
    """The same where the calls are listed beforehand; nothing asked for equals anything forged."""
    source = f"import os\nm = {frame!r}.encode() + b'\\n'\ndef f(x):\n    os.write(3, m * 50)\n    os._exit(0)"
    reference = {"tests": {"kind": "call", "entry": "f", "cases": [{"args": [1], "returns": 20017}]}}
    assert judged(source, reference).score == 0.0
    assert judged(source, {**asserts("assert f(1) == 20017"), "limits": {"cpu_s": 0.3}}).score == 0.0
