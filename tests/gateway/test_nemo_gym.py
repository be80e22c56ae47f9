"""NeMo Gym: the requests of its agents and of its trainer's environment, recorded from their sources (August 2026)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.gateway.conftest import FRAIL, Start, get

PARAMS: dict[str, Any] = {
    "background": None, "include": None, "instructions": None, "max_output_tokens": 256, "metadata": {}, "model": None,
    "input": [
        {"role": "developer", "content": "Answer with a number.", "type": "message"},
        {"role": "user", "content": [{"type": "input_text", "text": "1+1?"}], "type": "message"},
    ],
    "parallel_tool_calls": False, "previous_response_id": None, "prompt": None, "reasoning": None,
    "service_tier": None, "store": None, "temperature": 1.0, "text": None, "tool_choice": "auto", "tools": [],
    "top_logprobs": None, "top_p": None, "truncation": None, "user": None, "stream": None,
}  # fmt: skip


def asked(written: str, **more: Any) -> dict[str, Any]:
    """`SimpleAgentVerifyRequest.model_dump()` after a call of a tool, with the token ids that a trainer asks for."""
    message = {
        "id": "msg_1", "role": "assistant", "status": "completed", "type": "message",
        "content": [{"annotations": [], "text": written, "type": "output_text", "logprobs": None}],
        "prompt_token_ids": [1, 2], "generation_token_ids": [3], "generation_log_probs": [-0.5],
    }  # fmt: skip
    output = [
        {"id": "rs_1", "type": "reasoning", "summary": [{"text": "let me add", "type": "summary_text"}],
         "encrypted_content": None},
        {"arguments": '{"a": 1, "b": 1}', "call_id": "call_1", "name": "add", "type": "function_call", "id": "fc_1",
         "status": "completed"},
        {"call_id": "call_1", "output": '{"sum": 2}', "type": "function_call_output", "id": None, "status": None},
        message,
    ]  # fmt: skip
    response = {
        "id": "resp_1", "created_at": 1.0, "error": None, "incomplete_details": None, "instructions": None,
        "metadata": {}, "model": "policy", "object": "response", "output": output, "parallel_tool_calls": False,
        "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": None, "usage": None,
    }  # fmt: skip
    return {"responses_create_params": PARAMS, "response": response, **more}


def post(url: str, path: str, body: Any) -> Any:
    response = httpx.post(url + path, json=body, cookies={"session": "abc"}, timeout=240)
    assert response.status_code == 200, response.text
    return response.json()


def test_an_episode_of_an_agent(url: str) -> None:
    row = {"expected_answer": "2", "agent_ref": {"type": "responses_api_agents", "name": "simple_agent"}}
    assert post(url, "/seed_session", {"responses_create_params": PARAMS, **row}) == {}
    given = asked("2", **row, _ng_task_index=0, _ng_rollout_index=1)
    told = post(url, "/verify", given)
    # The agent and the trainer read the request out of the answer again: tokens, task and rollout included.
    assert {name: told[name] for name in given} == given
    assert (told["reward"], told["mask_sample"]) == (1.5, False)
    # NeMo-RL's environment (nemo_rl/environments/nemo_gym.py) refuses parts that do not sum to the reward.
    assert told["reward"] == sum(told["reward_components"].values())
    wrong = post(url, "/verify", asked("3", **row))
    assert wrong["reward_components"].keys() == told["reward_components"].keys()
    assert wrong["reward"] == 0.5


@pytest.mark.parametrize("name", ["reference", "expected_answer", "answer", "ground_truth", "label"])
def test_what_data_sets_call_a_reference(url: str, name: str) -> None:
    assert post(url, "/verify", asked("2", **{name: "2"}))["reward"] == 1.5
    assert post(url, "/verify", asked("2", **{name: {"answer": "3"}}))["reward"] == 0.5


def test_an_outage_of_a_third_changes_no_mean_and_no_advantage(gateway: Start) -> None:
    url = gateway(FRAIL, "--on-missing", "null", settings="max_missing = 1.0\n")
    answers = ["good", "down", "bad", "good", "down", "good"]
    told = [post(url, "/verify", asked(one, _ng_task_index=3)) for one in answers]
    failed = [one.get("_ng_failure_class") == "judge_failed" for one in told]
    assert failed == [one["mask_sample"] for one in told] == [answer == "down" for answer in answers]
    assert all(one["_ng_failure_judge_error"] for one, lost in zip(told, failed, strict=True) if lost)
    # rollout_collection.py moves rows with a failure class aside; what is aggregated is what is left.
    kept = [one["reward"] for one, lost in zip(told, failed, strict=True) if not lost]
    stripped = [{"_ng_task_index": 3, **{key: one[key] for key in ("reward", "mask_sample")}} for one in told]
    means = post(url, "/aggregate_metrics", {"verify_responses": stripped})
    assert means["key_metrics"]["mean/reward"] == pytest.approx(sum(kept) / len(kept), rel=1e-12)
    assert (means["agent_metrics"]["count"], means["agent_metrics"]["masked"]) == (4, 2)
    assert means["group_level_metrics"][0]["mean/reward"] == means["key_metrics"]["mean/reward"]


def test_an_answer_that_was_cut_off_or_is_a_call_alone(url: str) -> None:
    cut = asked("2", expected_answer="2")
    cut["response"] |= {"incomplete_details": {"reason": "max_output_tokens"}, "output": cut["response"]["output"][:2]}
    told = post(url, "/verify", cut)
    assert told["reward"] == 0.5
    assert told["mask_sample"] is False
    assert get(f"{url}/reverify_mode").json() == "stateless"
