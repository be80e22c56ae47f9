"""Functions that were written for trainers give verdicts, and faults where they break."""

from __future__ import annotations

import pytest

from reward_servers.core import VerifierDefinitionError, VerifierNotFoundError, bind, find
from tests.styles.conftest import HERE, Ask


def test_a_reward_function_of_trl_with_its_columns_and_its_logs(ask: Ask) -> None:
    name = f"trl+{HERE}:accuracy"
    right, wrong = ask(name, ["it is 42", "it is 41"], {"answer": "42"})
    assert (right.score, right.code, wrong.score, wrong.code) == (1.0, "accepted", 0.0, "wrong")
    assert right.aspects == {"rows": 1.0}
    assert right.evidence["seen"] == "2*21? -> it is 42"
    (fault,) = ask(name, ["it is 42"])
    assert (fault.score, fault.code) == (None, "missing_reference")
    assert "'solution'" in fault.message


@pytest.mark.parametrize(
    ("said", "code", "part"),
    [
        ("raise", "verifier_error", "KeyError"),
        ("exit", "verifier_error", "SystemExit"),
        ("none", "not_applicable", "no reward"),
        ("nan", "not_applicable", "nan"),
        ("text", "invalid_score", "str '1.0'"),
        ("two", "invalid_score", "2 rewards for 1"),
        ("number", "invalid_score", "not a list"),
        ("nothing", "invalid_score", "not a list"),
        ("large", "invalid_score", "?range=LOW..HIGH"),
        ("inf", "invalid_score", "outside"),
        ("sleep", "wall_limit", ""),
    ],
)
def test_what_breaks_is_a_fault_and_costs_no_other_item_anything(ask: Ask, said: str, code: str, part: str) -> None:
    before, broken, after = ask(f"trl+{HERE}:by_content", ["fine", said, "fine"])
    assert (broken.score, broken.code) == (None, code)
    assert part in broken.message
    assert (before.score, after.score) == (0.5, 0.5)


def test_what_the_function_does_to_its_process_is_told_as_of_every_verifier(ask: Ask) -> None:
    spun, ended, fine, true = ask(f"trl+{HERE}:by_content", ["spin", "die", "fine", "true"])
    assert (spun.score, spun.code) == (0.0, "limit")
    assert (ended.score, ended.code) == (0.0, "crashed_verifier")
    assert (fine.score, true.score) == (0.5, 1.0)


def test_a_function_that_changes_what_it_is_given_changes_no_other_item(ask: Ask) -> None:
    cells = ask(f"trl+{HERE}:keeps?range=0..9&deterministic=no", ["a", "b", "c"], {"seen": []})
    assert [cell.score for cell in cells] == [1.0, 1.0, 1.0]


def test_a_group_comes_whole_and_one_row_may_have_no_reward(ask: Ask) -> None:
    cells = ask(f"trl+{HERE}:longest?group=yes", ["a", "none", "abcde"])
    assert [(cell.score, cell.code) for cell in cells] == [(0.0, "wrong"), (None, "not_applicable"), (1.0, "accepted")]


def test_messages_where_the_function_reads_messages(ask: Ask) -> None:
    chat = [{"role": "assistant", "content": "42"}]
    cells = ask(f"trl+{HERE}:contents?messages=yes", ["42", chat, "41"])
    assert [cell.score for cell in cells] == [1.0, 1.0, 0.0]


def test_a_coroutine_function_is_awaited(ask: Ask) -> None:
    fine, broken = ask(f"trl+{HERE}:waits", ["a", "raise"])
    assert (fine.score, broken.score, broken.code) == (1.0, None, "verifier_error")
    assert "ConnectionError" in broken.message


def test_a_reward_function_of_verl(ask: Ask) -> None:
    name = f"verl+{HERE}:compute_score"
    (cell,) = ask(name, ["so 42"], {"ground_truth": "42"}, {"split": "test", "data_source": "gsm8k"})
    assert (cell.score, cell.aspects) == (1.0, {"acc": 1.0})
    assert cell.evidence == {"split": "test"}
    (cell,) = ask(name, ["so 42"], {"reward_model": {"ground_truth": "41", "style": "rule"}})
    assert cell.score == 0.0
    (cell,) = ask(name, ["no score"], {"answer": "42"})
    assert (cell.score, cell.code) == (None, "invalid_score")
    (cell,) = ask(name, ["so 42"], {"answer": "42", "data_source": "unknown"})
    assert (cell.score, cell.code) == (None, "verifier_error")
    (cell,) = ask(name, ["so 42"])
    assert (cell.score, cell.code) == (None, "missing_reference")


def test_rewards_of_swift(ask: Ask) -> None:
    assert [cell.score for cell in ask(f"swift+{HERE}:Reward", ["42", "41"], {"answer": "42"})] == [1.0, 0.0]
    assert [cell.score for cell in ask(f"swift+{HERE}:Waiting", ["42"])] == [1.0]


@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("trl+tests.styles.rewards:nothing", "has no 'nothing'"),
        ("trl+tests.styles.rewards", "is not module:attribute"),
        ("trl+no_such_module:f", "No module named 'no_such_module'"),
        ("lrt+tests.styles.rewards:accuracy", "there is no style 'lrt'; there are"),
        ("trl+tests.styles.rewards:accuracy?rnage=0..1", "'rnage=0..1' is not KEY=VALUE"),
        ("trl+tests.styles.rewards:accuracy?range=1..0", "is not LOW..HIGH"),
        ("trl+tests.styles.rewards:accuracy?range=0..9e999", "is not LOW..HIGH"),
        ("trl+tests.styles.rewards:accuracy?group=true", "neither yes nor no"),
        ("trl+tests.styles.rewards:HERE", "has no 'HERE'"),
        ("trl+tests.styles.rewards:Reward", "is not a function"),
        ("trl+tests.styles.rewards:scheduled", "trainer_state"),
        ("verl+tests.styles.rewards:accuracy", "verl gives data_source"),
    ],
)
def test_what_cannot_be_served_is_refused_when_the_server_starts(address: str, part: str) -> None:
    with pytest.raises((VerifierNotFoundError, VerifierDefinitionError)) as caught:
        find(address)
    assert part in str(caught.value)


def test_the_digest_follows_the_code_of_the_function(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib
    import sys
    from pathlib import Path

    folder = Path(str(tmp_path))
    monkeypatch.syspath_prepend(str(folder))
    digests = []
    for body in ("[1.0]", "[1.0]  # the same", "[0.5]"):
        (folder / "mine_by_digest.py").write_text(f"def f(completions, **kwargs):\n    return {body}\n")
        sys.modules.pop("mine_by_digest", None)
        importlib.invalidate_caches()
        digests.append(bind(find("trl+mine_by_digest:f")).identity.digest)
    assert digests[0] == digests[1] != digests[2]


def test_the_rewards_that_trl_comes_with_are_served() -> None:
    pytest.importorskip("trl")
    from reward_servers.core import Instance, Rollout

    served = find("trl+trl.rewards:think_format_reward?messages=yes")
    instance = Instance(served, b"{}")
    for response, score in (("<think>\nsix times seven\n</think>\n42", 1.0), ("42", 0.0)):
        rollout = Rollout(response)
        arguments = instance.arguments(rollout, b"", None)
        assert isinstance(arguments, list)
        (verdict,) = instance.settle(instance.function(*arguments), rollout, None)
        assert getattr(verdict, "score", None) == score
