"""A model without a model: an endpoint of the chat-completions protocol that writes and judges by a rule.

It knows four properties of a text, and sees in every task what those are of the texts between the fences. ``python -m
examples.rubrics.endpoint`` serves it on port 8912; put the address of a model's endpoint into ``server.toml`` to ask a
model.
"""

from __future__ import annotations

import json
import re
from typing import Any

from examples.judge.endpoint import Handler, serve

PROPERTIES = {
    "states a figure": re.compile(r"\d"),
    "names its source": re.compile(r"according to|source:", re.IGNORECASE),
    "is courteous": re.compile(r"\bplease\b|\bthank", re.IGNORECASE),
    "apologises": re.compile(r"\bsorry\b|\bapolog", re.IGNORECASE),
}
_FENCED = re.compile(r"<<<(\w+) ([A-Z ]+)>>>\n(.*?)\n<<<\1 END \2>>>", re.DOTALL)


def _held(text: str) -> list[str]:
    return [name for name, sign in PROPERTIES.items() if sign.search(text)]


def _sentence(name: str) -> str:
    return f"The response {name}."


def _named(text: str) -> list[str]:
    return [name for name in PROPERTIES if name in text]


def _judged(text: str, parts: dict[str, str], token: str) -> str:
    criterion = text.partition("Criteria: ")[2]
    is_met = all(name in _held(parts["RESPONSE"]) for name in _named(criterion))
    return f"I looked at it.\ncorrect: {'yes' if is_met else 'no'} [{token}]"


def _written(text: str, parts: dict[str, str], token: str) -> dict[str, Any]:
    """What is written about the material of a task."""
    if "RESPONSE A" in parts:
        better, worse = re.findall(r"response ([AB])", text.rpartition("<<<")[2])[:2]
        more = [name for name in _held(parts[f"RESPONSE {better}"]) if name not in _held(parts[f"RESPONSE {worse}"])]
        return {"reasoning": f"It is better since it {', '.join(more) or 'reads well'}.", "signature": token}
    if "REASONING" in parts:
        return {"rules": [_sentence(name) for name in _named(parts["REASONING"])], "signature": token}
    if "STATEMENTS" in parts:
        lines = re.findall(r"^(\d+)\. (.*)$", parts["STATEMENTS"], re.MULTILINE)
        same_property = [[int(number) for number, text in lines if name in text] for name in PROPERTIES]
        return {"groups": [group for group in same_property if group], "signature": token}
    if "FINDINGS A" in parts:
        rules = []
        for name in PROPERTIES:
            statuses = re.findall(rf'{name}[^}}]*?"status": "(\w+)"', parts["FINDINGS A"] + parts["FINDINGS B"])
            if sorted(statuses) == ["fail", "pass"]:
                rules.append({"kind": "forbid" if name == "apologises" else "must", "criterion": _sentence(name)})
        return {"hard_rules": rules, "principles": ["The response is as long as it needs to be."], "signature": token}
    if "RUBRIC" in parts:
        items = [line for line in parts["RUBRIC"].splitlines() if line.startswith("The response")]
        more = [_sentence(name) for name in _held(parts["RESPONSE"]) if name != "apologises"]
        return {"analysis": "I read it.", "items": list(dict.fromkeys([*items, *more])), "signature": token}
    properties, words = _held(parts["RESPONSE"]), " ".join(parts["RESPONSE"].split()[:3])
    findings = [
        {"criterion": name, "status": "pass" if name in properties else "fail", "severity": 1, "claim": name,
         "evidence": f'"{words}"', "anchor": ""}
        for name in PROPERTIES
    ]  # fmt: skip
    return {"findings": findings, "signature": token}


def reply(request: dict[str, Any]) -> str:
    """What the rule says of a conversation."""
    text = next(message["content"] for message in request["messages"] if message["role"] == "user")
    fenced = _FENCED.findall(text)
    if not fenced:
        return "I was shown nothing."
    parts = {name: text for _, name, text in fenced}
    token = fenced[-1][0]
    if "Criteria: " in text:
        return _judged(text, parts, token)
    return "I thought about it.\n" + json.dumps(_written(text, parts, token))


class Writer(Handler):
    """Answers ``POST /v1/chat/completions`` by this rule."""

    answer = staticmethod(reply)


if __name__ == "__main__":
    serve(Writer, 8912)
