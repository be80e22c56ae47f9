"""Every shape in which trainers ask, with bodies as their clients send them."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import ANSWERS, FRAIL, Start, get

GYM = {
    "responses_create_params": {"input": [{"role": "user", "content": [{"type": "input_text", "text": "1+1?"}]}]},
    "response": {
        "id": "resp_1",
        "object": "response",
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "3"}]},
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "2"}],
            },
        ],
    },
    "expected_answer": "2",
    "_ng_task_index": 7,
}


def post(url: str, path: str, body: Any, **options: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(url + path, content=content, timeout=240, **options)


def answered(url: str, path: str, body: Any) -> Any:
    response = post(url, path, body)
    assert response.status_code == 200, response.text
    return response.json()


def test_a_batch_in_which_each_item_has_its_own_outcome(url: str) -> None:
    body = {
        "rollouts": [
            {"rollout_id": "a", "response": "2", "reference": {"answer": "2"}},
            {"rollout_id": "b", "response": "2", "reference": {"answer": "2"}, "respnse": "typo"},
            {"rollout_id": "c", "response": "2"},
            {"rollout_id": "a", "response": "3", "reference": {"answer": "2"}},
            17,
            {"rollout_id": "e", "response": [{"role": "assistant", "content": "2"}], "reference": {"answer": "2"}},
        ]
    }
    told = answered(url, "/v1/score", body)
    items = told["items"]
    assert [item["index"] for item in items] == list(range(6))
    assert [item["reward"] for item in items] == [1.5, None, None, None, None, 1.5]
    assert [item["valid"] for item in items] == [True, False, False, False, False, True]
    assert "respnse: is not a field" in items[1]["error"]
    assert items[2]["scores"]["correct"]["code"] == "missing_reference"
    assert items[2]["scores"]["correct"]["party"] == "dataset"
    assert items[2]["scores"]["short"]["score"] == 1.0
    assert "used twice" in items[3]["error"]
    assert "rollouts[4]" in items[4]["error"]
    assert told["incomplete"] == ["correct"]
    assert told["versions"]["correct"][0].startswith("exact@")


def test_what_was_extracted_is_told_where_asked(url: str) -> None:
    body = {"rollouts": [{"response": "2", "reference": {"answer": "2"}}], "detail": True}
    (item,) = answered(url, "/v1/score", body)["items"]
    assert item["scores"]["short"]["detail"]["aspects"] == {"length": 1.0}


def test_advantages_of_whole_groups(url: str) -> None:
    rollouts = [{"response": text, "prompt": "p", "group_id": "g", "reference": {"answer": "2"}} for text in "2345"]
    items = answered(url, "/v1/score", {"rollouts": rollouts, "advantages": True})["items"]
    assert items[0]["advantage"] == pytest.approx(1.5, rel=1e-3)
    assert sum(item["advantage"] for item in items) == pytest.approx(0, abs=1e-9)


def test_a_stream_tells_each_item_and_its_end(url: str) -> None:
    rollouts = [{"rollout_id": str(n), "response": str(n), "reference": {"answer": "1"}} for n in range(5)] + ["no"]
    lines = post(url, "/v1/score", {"rollouts": rollouts, "stream": True}).text.splitlines()
    told = [json.loads(line) for line in lines]
    assert told[-1] == {"done": True, "items": 6}
    by_place = {item["index"]: item for item in told[:-1]}
    assert sorted(by_place) == list(range(6))
    assert [by_place[n]["reward"] for n in range(6)] == [0.5, 1.5, 0.5, 0.5, 0.5, None]


def test_openrlhf(url: str) -> None:
    body = {"query": ["<s>p: 1+1?2</s>"], "prompts": ["p: 1+1?"], "labels": ["2"]}
    told = answered(url, "/openrlhf", body)
    assert told == {
        "rewards": [1.5],
        "scores": [1.5],
        "extra_logs": {
            "valid": [1.0],
            "score/correct": [1.0],
            "valid/correct": [1.0],
            "score/short": [1.0],
            "valid/short": [1.0],
        },
    }
    refused = post(url, "/openrlhf", {"query": ["other"], "prompts": ["p"], "labels": [None]})
    assert refused.status_code == 422
    assert refused.json()["error"]["field"] == "query[0]"
    assert post(url, "/openrlhf", {"query": ["p1"], "prompts": [], "labels": []}).status_code == 422


def test_slime(url: str) -> None:
    body = {"prompt": "1+1?", "response": "2", "label": "2"}
    assert answered(url, "/slime", body) == {
        "reward": 1.5,
        "valid": True,
        "scores": {"correct": 1.0, "short": 1.0},
        "codes": {"correct": "accepted", "short": "accepted"},
    }
    assert answered(url, "/slime/number", body) == 1.5
    assert post(url, "/slime", {"response": "2"}).json()["error"]["field"] == "prompt"


def test_nemo_gym(url: str) -> None:
    told = answered(url, "/verify", GYM)
    assert {name: told[name] for name in GYM} == GYM
    assert told["reward"] == 1.5
    assert told["mask_sample"] is False
    assert sum(told["reward_components"].values()) == told["reward"]
    assert answered(url, "/seed_session", {}) == {}
    wrong = {**GYM, "expected_answer": "3"}
    masked = {"reward": 0.0, "mask_sample": True, "_ng_task_index": 7}
    means = answered(url, "/aggregate_metrics", {"verify_responses": [told, answered(url, "/verify", wrong), masked]})
    assert means["key_metrics"] == {"mean/reward": 1.0}
    assert means["agent_metrics"]["masked"] == 1
    assert means["group_level_metrics"][0]["_ng_task_index"] == 7


def test_unirl_tells_errors_by_reward(url: str) -> None:
    def request(answer: str | None) -> dict[str, Any]:
        return {
            "history": [{"text": "1+1?"}, {"text": "2"}],
            "required_rewards": ["correct", "short"],
            "metadata": {"reference": answer} if answer else None,
            "sample_id": f"s-{answer}",
        }

    told = answered(url, "/score", {"protocol_version": "1", "requests": [request("2"), request(None)]})
    assert told["results"] == [
        {"correct": {"correct": 1.0}, "short": {"short": 1.0, "length": 1.0}},
        {"short": {"short": 1.0, "length": 1.0}},
    ]
    assert told["errors"][0] == {}
    assert told["errors"][1]["correct"].startswith("missing_reference: ")
    assert [one["sample_id"] for one in told["identities"]] == ["s-2", "s-None"]
    unknown = {**request("2"), "required_rewards": ["beauty"]}
    refused = post(url, "/score", {"requests": [unknown]})
    assert refused.status_code == 400
    assert "it has correct, short" in refused.json()["error"]["message"]


def test_carr(gateway: Start) -> None:
    url = gateway('[rewards.outcome]\nverifier = "exact"\n')
    call = {"tool_call_id": "1", "name": "browser.search", "arguments": '{"query": "x"}'}
    history = [
        {"role": "user", "content": "Who?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": [{"tool_call_id": "1", "output": "[1] Title: x"}]},
        {"role": "assistant", "content": "Ada"},
    ]
    info = {"search_forbidden_strs": ["Who?"], "rubrics": [], "rubric_reward_ratio": 0}
    told = answered(
        url, "/evaluate", {"history": history, "label": "Ada", "task_unfinished": False, "remote_env_info": info}
    )
    assert told == {"reward": 1.0, "outcome_reward": 1.0, "rubric_reward": None, "rubric_scores": {}, "valid": True}


def test_vllm_routes(gateway: Start) -> None:
    url = gateway(FRAIL)
    told = answered(url, "/score", {"model": "m", "text_1": "p", "text_2": ["good", "bad"]})
    assert [(one["index"], one["score"]) for one in told["data"]] == [(0, 1.0), (1, 0.0)]
    chat = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "good"}]
    assert answered(url, "/pooling", {"messages": chat})["data"][0]["data"] == [1.0]
    assert answered(url, "/classify", {"input": ["good"]})["data"][-1]["probs"][-1] == 1.0
    assert post(url, "/pooling", {"messages": chat[:1]}).status_code == 422


@pytest.mark.parametrize("rule", ["error", "null", "-1.5"])
def test_a_reward_that_is_missing_follows_the_stated_rule(gateway: Start, rule: str) -> None:
    url = gateway(FRAIL, "--on-missing", rule, settings="max_missing = 1.0\n")
    slime = post(url, "/slime", {"prompt": "p", "response": "down", "label": None})
    rlhf = post(url, "/openrlhf", {"query": ["pdown"], "prompts": ["p"], "labels": [None]})
    gym = post(url, "/verify", {**GYM, "response": {"output": [{"type": "message", "content": "down"}]}})
    assert post(url, "/slime/number", {"prompt": "p", "response": "down"}).status_code == 503
    if rule == "error":
        for response in (slime, rlhf, gym):
            assert response.status_code == 503
            assert "judge_unavailable: the judge is gone" in response.json()["error"]["message"]
        return
    stated = None if rule == "null" else -1.5
    assert slime.json() == {
        "reward": stated, "valid": False, "scores": {"good": None}, "codes": {"good": "judge_unavailable"},
    }  # fmt: skip
    assert rlhf.json()["rewards"] == [stated]
    assert rlhf.json()["extra_logs"] == {"valid": [0.0], "score/good": [0.0], "valid/good": [0.0]}
    assert gym.json()["mask_sample"] is True
    assert gym.json()["reward"] == (stated or 0.0)
    assert gym.json()["_ng_failure_class"] == "judge_failed"


def test_too_many_faults_are_told_whatever_the_rule(gateway: Start) -> None:
    url = gateway(FRAIL, "--on-missing", "0.25")
    told = [post(url, "/slime", {"prompt": str(n), "response": "down"}) for n in range(40)]
    assert [response.status_code for response in told] == [200] * 31 + [503] * 9
    assert told[-1].json()["error"]["code"] == "too_many_faults"
    assert answered(url, "/slime", {"prompt": "p", "response": "good"})["reward"] == 1.0


def test_single_routes_refuse_what_needs_siblings(gateway: Start) -> None:
    optional = '[rewards.good]\nverifier = "test/frail"\nrequired = false\n'
    groups = '[rewards.agree]\nverifier = "agreement"\n'
    for rewards in (optional, groups):
        url = gateway(rewards)
        refused = post(url, "/slime", {"prompt": "p", "response": "good"})
        assert refused.status_code in (409, 502)
        assert "send whole groups to /v1/score" in refused.json()["error"]["message"]
        rollouts = [{"prompt": "p", "response": "good", "group_id": "g"} for _ in range(2)]
        assert answered(url, "/v1/score", {"rollouts": rollouts})["items"]


def test_numbers_and_texts_arrive_as_they_were_sent(url: str) -> None:
    long = "123456789012345678901"
    for body in (
        b'{"rollouts": [{"response": "%s", "reference": {"answer": %s}}]}' % (long.encode(), long.encode()),
        b'{"rollouts": [{"response": "\\ud83d", "reference": {"answer": "\\ud83d"}}]}',
    ):
        (item,) = answered(url, "/v1/score", body)["items"]
        assert item["scores"]["correct"]["code"] != "wrong", item


def test_what_is_nested_deeply_is_refused_or_judged(url: str) -> None:
    for depth in (200, 900, 1000, 1020):
        deep = b"[" * depth + b"]" * depth
        told = post(url, "/v1/score", b'{"rollouts": [{"response": "2", "reference": {"answer": %s}}]}' % deep)
        assert told.status_code in (200, 400), (depth, told.text)
        single = post(url, "/slime", b'{"prompt": "p", "response": "2", "label": %s}' % deep)
        assert single.status_code in (400, 422, 503), (depth, single.text)


def test_what_cannot_be_used_is_named(url: str) -> None:
    cases: list[tuple[str, Any, int, str]] = [
        ("/v1/score", b"{", 400, ""),
        ("/v1/score", b'{"rollouts": NaN}', 400, ""),
        ("/v1/score", b"[" * 100_000, 400, ""),
        ("/v1/score", [], 422, ""),
        ("/v1/score", {"rollout": []}, 422, "rollout"),
        ("/v1/score", {"rollouts": [], "step": "1"}, 422, "step"),
        ("/v1/score", {"rollouts": [], "step": True}, 422, "step"),
        ("/slime", {"prompt": 5, "response": "x"}, 422, "prompt"),
        ("/verify", {"responses_create_params": {}, "response": {}}, 422, "response.output"),
        ("/evaluate", {"history": []}, 422, "history"),
        ("/score", {"model": "m"}, 422, ""),
    ]
    for path, body, status, field in cases:
        response = post(url, path, body)
        assert response.status_code == status, (path, response.text)
        assert response.json()["error"].get("field", "") == field
    assert get(url + "/nothing").json()["error"]["code"] == "not_found"
    assert get(url + "/slime").status_code == 405
    assert answered(url, "/v1/score", {"rollouts": []})["items"] == []


def test_a_method_that_keeps_state_is_refused(gateway: Start) -> None:
    url = gateway(ANSWERS, head='advantage = "spo"\ninputs = { rewards = "correct" }')
    refused = post(url, "/v1/score", {"rollouts": [], "advantages": True})
    assert refused.status_code == 422
    assert "from step to step" in refused.json()["error"]["message"]
