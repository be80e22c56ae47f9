"""Shapes that trainers, evaluators and APIs write their rows in, and what they hold of a rollout.

A shape is two functions of a row: whether it is unmistakably of the shape, and the fields of a rollout that it holds. A
row that has no response since its generation failed is refused: an answer that was never given is not a wrong one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from trainer_client._errors import RolloutError

Table = dict[str, Any]

_ANSWERS = ("answer", "solution", "ground_truth", "label", "target", "gold")


class Shape(NamedTuple):
    """One way to write rollouts.

    Attributes:
        name: what ``--format`` calls it.
        is_sure: whether a row is of this shape and of no other.
        fields: fields of a rollout by name; what the row holds else is kept beside them.
        read: columns that ``fields`` has taken whole.
        variant: column whose values tell rows apart that hold the same responses; rows with another value than the
            first one's are left out.
    """

    name: str
    is_sure: Callable[[Table], bool]
    fields: Callable[[Table], Table]
    read: tuple[str, ...] = ()
    variant: str = ""


def _verl_is_sure(row: Table) -> bool:
    graded = isinstance(row.get("reward_model"), Mapping) and "ground_truth" in row["reward_model"]
    return (graded and "responses" in row) or {"input", "output", "gts"} <= row.keys()


def _verl(row: Table) -> Table:
    """Outputs of its generation (a list under ``responses``), and the rollouts that its trainer dumps."""
    if "gts" in row:
        return {"prompt": row["input"], "response": row["output"], "reference": _answer(row["gts"])}
    graded = row.get("reward_model")
    return {
        "prompt": row.get("prompt"),
        "response": row.get("responses"),
        "reference": _answer(graded.get("ground_truth") if isinstance(graded, Mapping) else None),
        "task": row.get("data_source"),
        "metadata": row.get("extra_info"),
    }


def _trl(row: Table) -> Table:
    """Data sets of prompts and completions, and the completions that its trainers log."""
    fields = {"prompt": row.get("prompt"), "response": row.get("completion")}
    name = next((name for name in _ANSWERS if row.get(name) is not None), None)
    return fields if "reference" in row or name is None else {**fields, "reference": _answer(row[name])}


def _openai_is_sure(row: Table) -> bool:
    if "custom_id" in row:
        return isinstance(row.get("response"), Mapping) or bool(row.get("error"))
    if row.get("object") in ("chat.completion", "response"):
        return True
    messages: Any = row.get("messages")
    return "response" not in row and _is_chat(messages) and messages[-1].get("role") == "assistant"


def _openai(row: Table) -> Table:
    """Lines of a batch's output, completions, responses, and conversations that end with an answer."""
    if "custom_id" in row:
        answer = row.get("response")
        if row.get("error") or not isinstance(answer, Mapping) or answer.get("status_code", 200) != 200:
            raise RolloutError(f"the request failed: {_error_text(row)}", "response", str(row["custom_id"]))
        return {"rollout_id": row["custom_id"], **_completion(answer.get("body") or {})}
    if row.get("object") in ("chat.completion", "response"):
        return {"rollout_id": row.get("id"), **_completion(row)}
    return {"rollout_id": row.get("id"), **_answered(row.get("messages")), **_plain_answer(row)}


def _error_text(row: Table) -> str:
    answer = row.get("response")
    body = answer.get("body") if isinstance(answer, Mapping) else None
    error = row.get("error") or (body.get("error") if isinstance(body, Mapping) else None) or "no response"
    return str(error.get("message", error) if isinstance(error, Mapping) else error)[:200]


def _completion(body: Mapping[str, Any]) -> Table:
    """The answers of a chat completion, a legacy completion or a response."""
    if body.get("object") == "response" or "output" in body:
        if body.get("status") not in (None, "completed", "incomplete"):
            raise RolloutError(f"the response is {body['status']}: {body.get('error')}", "response")
        cut = isinstance(body.get("incomplete_details"), Mapping)
        return {"response": _items(body.get("output") or []), "finish_reason": "length" if cut else "stop"}
    choices = body.get("choices") or []
    answers = [choice["text"] if "text" in choice else _text_or_chat(choice.get("message") or {}) for choice in choices]
    reasons = [choice.get("finish_reason") for choice in choices]
    single = len(choices) == 1
    return {"response": answers[0] if single else answers, "finish_reason": reasons[0] if single else reasons}


def _text_or_chat(message: Mapping[str, Any]) -> Any:
    """The text of a message; the message where it is more than a text."""
    more = any(message.get(name) for name in ("tool_calls", "reasoning_content", "reasoning"))
    content = message.get("content")
    if content is None and message.get("refusal"):
        content = message["refusal"]
    return content if isinstance(content, str) and not more else [dict(message, content=content)]


def _items(items: Sequence[Mapping[str, Any]]) -> Any:
    """The messages of a response of the Responses API."""
    messages: list[Table] = []
    for item in items:
        kind = item.get("type")
        if kind == "message":
            parts = [part.get("text") or part.get("refusal") or "" for part in item.get("content") or []]
            messages.append({"role": item.get("role", "assistant"), "content": "".join(parts)})
        elif kind == "function_call":
            call = {"id": item.get("call_id"), "function": {"name": item["name"], "arguments": item.get("arguments")}}
            messages.append({"role": "assistant", "tool_calls": [call]})
        elif kind == "function_call_output":
            output = {"role": "tool", "content": str(item.get("output")), "tool_call_id": item.get("call_id")}
            messages.append(output)
        elif kind == "reasoning":
            thoughts = [part.get("text") or "" for part in item.get("summary") or []]
            if any(thoughts):
                messages.append({"role": "assistant", "reasoning_content": "\n".join(thoughts)})
    sole = len(messages) == 1 and "tool_calls" not in messages[0] and "reasoning_content" not in messages[0]
    return messages[0]["content"] if sole else messages


def _lm_eval_is_sure(row: Table) -> bool:
    return {"doc_id", "doc", "resps", "arguments"} <= row.keys()


def _lm_eval(row: Table) -> Table:
    """Samples that ``--log_samples`` writes: the answers before its filters."""
    responses = row.get("resps") or []
    answers = responses[0] if len(responses) == 1 and isinstance(responses[0], list) else responses
    name = str(row.get("doc_id"))
    if not all(isinstance(answer, str) for answer in answers):
        raise RolloutError("has likelihoods and no text, because its task generates nothing", "resps", name)
    return {
        "rollout_id": name,
        "group_id": f"doc-{name}",
        "prompt": _first_argument(row.get("arguments")),
        "response": answers[0] if len(answers) == 1 else answers,
        "reference": _answer(row.get("target")),
        "metadata": row.get("doc") if isinstance(row.get("doc"), Mapping) else None,
    }


def _first_argument(arguments: Any) -> Any:
    """The prompt of the first request; releases write it in two ways."""
    if isinstance(arguments, Mapping):
        first = next(iter(arguments.values()), None)
        argument = first.get("arg_0") if isinstance(first, Mapping) else None
    else:
        first = arguments[0] if isinstance(arguments, list) and arguments else None
        argument = first[0] if isinstance(first, list) and first else first
    return argument if isinstance(argument, str) or _is_chat(argument) else None


def _inspect_is_sure(row: Table) -> bool:
    output = row.get("output")
    return {"id", "epoch", "input", "target"} <= row.keys() and isinstance(output, Mapping) and "completion" in output


def _inspect(row: Table) -> Table:
    """Samples of a log, with an epoch for each time that they were run."""
    name = f"{row.get('id')}/{row.get('epoch')}"
    if row.get("error"):
        error = row["error"]
        message = error.get("message", error) if isinstance(error, Mapping) else error
        raise RolloutError(f"the sample ended with an error: {str(message)[:200]}", "response", name)
    output = row.get("output") or {}
    choices = output.get("choices") or [{}]
    reason = {"max_tokens": "length", "model_length": "length"}.get(choices[0].get("stop_reason"))
    return {
        "rollout_id": name,
        "group_id": str(row.get("id")),
        "prompt": row.get("input"),
        "response": output.get("completion"),
        "reference": _answer(row.get("target")),
        "metadata": row.get("metadata"),
        "finish_reason": reason or choices[0].get("stop_reason"),
    }


_ROLES = {
    "human": "user", "user": "user", "gpt": "assistant", "chatgpt": "assistant", "assistant": "assistant",
    "bot": "assistant", "model": "assistant", "bing": "assistant", "bard": "assistant", "system": "system",
    "tool": "tool", "observation": "tool", "function_response": "tool", "function": "tool",
    "function_call": "assistant",
}  # fmt: skip


def _sharegpt_is_sure(row: Table) -> bool:
    turns = row.get("conversations")
    return (
        isinstance(turns, list) and bool(turns) and all(isinstance(turn, Mapping) and "from" in turn for turn in turns)
    )


def _sharegpt(row: Table) -> Table:
    """Conversations whose turns are ``from`` and ``value``."""
    messages = []
    for number, turn in enumerate(row.get("conversations") or []):
        if turn.get("from") not in _ROLES:
            raise RolloutError(f"[{number}].from: {turn.get('from')!r} is not a speaker", "conversations")
        messages.append({"role": _ROLES[turn["from"]], "content": turn.get("value")})
    return {"rollout_id": row.get("id"), **_answered(messages), **_plain_answer(row)}


def _answered(messages: Any) -> Table:
    """Prompt and response of a conversation: what follows the last word of the user is the response."""
    if not _is_chat(messages):
        raise RolloutError("expected a list of messages", "messages")
    cut = (
        max(
            (number for number, message in enumerate(messages) if message.get("role") in ("user", "system")), default=-1
        )
        + 1
    )
    prompt, response = messages[:cut], messages[cut:]
    if not response:
        raise RolloutError("ends with a question; there is no answer to score", "messages")
    return {"prompt": prompt, "response": _text_or_chat(response[0]) if len(response) == 1 else response}


def _plain_answer(row: Table) -> Table:
    name = next((name for name in _ANSWERS if row.get(name) is not None), None)
    return {} if name is None or "reference" in row else {"reference": _answer(row[name])}


def _is_chat(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(message, Mapping) and "role" in message for message in value)
    )


def _answer(value: Any) -> Any:
    """A reference: an object as it is, a list of one as that one, several as alternatives."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if value is None or isinstance(value, Mapping) else {"answer": value}


# Where a row of one shape might pass for another, the one with more marks of its own comes first.
SHAPES: Mapping[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape(
            "lm-eval", _lm_eval_is_sure, _lm_eval, ("resps", "filtered_resps", "arguments", "doc", "target"), "filter"
        ),
        Shape("inspect", _inspect_is_sure, _inspect, ("input", "target", "output", "messages", "events", "store")),
        Shape("verl", _verl_is_sure, _verl, ("responses", "reward_model", "extra_info", "input", "output")),
        Shape("openai", _openai_is_sure, _openai, ("custom_id", "messages", "choices", "output")),
        Shape("sharegpt", _sharegpt_is_sure, _sharegpt, ("conversations",)),
        Shape("trl", lambda row: {"step", "prompt", "completion", "advantage"} <= row.keys(), _trl, ("completion",)),
    )
}
PLAIN = "plain"
"""The format of rows that hold the fields of a rollout themselves."""


def shape_of(rows: Sequence[Table]) -> Shape | None:
    """The shape of which all of the first rows unmistakably are; None for rows of another."""
    for shape in SHAPES.values():
        if rows and all(shape.is_sure(row) for row in rows):
            return shape
    return None


def fields_of(shape: Shape, row: Table) -> Table:
    """A row with the names of rollouts; what the shape does not read is kept.

    Raises:
        RolloutError: it has no response that could be scored, or is not of the shape.
    """
    try:
        fields = shape.fields(row)
    except (AttributeError, KeyError, TypeError, IndexError) as error:
        raise RolloutError(f"is not of the shape {shape.name} ({type(error).__name__}: {error})") from None
    others = {name: value for name, value in row.items() if name not in shape.read}
    return {**others, "response": None, **{name: value for name, value in fields.items() if value is not None}}
