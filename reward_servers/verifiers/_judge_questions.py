"""From a rollout to the question that a judge is asked, and from its verdict to a score."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from reward_servers import CallerError, DatasetError, Rollout, Score, Step
from reward_servers.engines.judging import (
    LETTERS,
    MARGINS,
    SIDES,
    Exchange,
    Protocol,
    Question,
    Template,
    unit_score,
)
from reward_servers.engines.text import visible
from reward_servers.verifiers._judge_options import JudgeOptions, JudgeReference

_WITH_REFERENCE = "The final answer of the response means the same as the reference answer."
_WITHOUT_REFERENCE = "The response does what the prompt asks, correctly and completely."
_PAIRWISE = "The better response does what the prompt asks more correctly and completely; length alone is no merit."
_EQUIVALENCE = "Whether A, the reference answer, and B, the final answer of the response, mean the same."
_STEPS = "For each numbered step of the response: whether it is right and follows from the prompt and the steps before."
_MOST_STEPS = 100
_SAMPLE = 0x9E3779B97F4A7C15
"""Between the seeds of two samples; odd, so that no two of them meet."""
_PARTS = {"paragraphs": re.compile(r"\S(?:.|\n(?!\s*\n))*"), "lines": re.compile(r"\S.*")}


@dataclass(frozen=True, slots=True)
class Part:
    """A step of a response: its text, and where it is in the response."""

    text: str
    start: int
    end: int


def parts_of(rollout: Rollout, options: JudgeOptions) -> list[Part]:
    """The steps of a response, at most 100: the last one holds what remains."""
    response = rollout.response
    visible_text = visible(response, rollout.reasoning_marks)
    text = response if options.show_reasoning else visible_text.text
    spans = [match.span() for match in _PARTS[options.steps].finditer(text)]
    if len(spans) > _MOST_STEPS:
        spans = [*spans[: _MOST_STEPS - 1], (spans[_MOST_STEPS - 1][0], spans[-1][1])]
    return [
        Part(text[start:end].strip(), *((start, end) if options.show_reasoning else visible_text.origin(start, end)))
        for start, end in spans
    ]


def question_of(
    rollout: Rollout,
    response: str,
    ref: JudgeReference,
    options: JudgeOptions,
    seed: int,
    template: Template | None = None,
) -> Question:
    """The question about a rollout.

    Raises:
        DatasetError: The reference lacks what the protocol needs.
        CallerError: The template does not fit the protocol.
    """
    if template is not None:
        _check_template(template, options)
    answer = _text(ref.answer) if options.show_reference else ""
    responses, keys = _responses(response, ref, options), tuple(options.grades or options.dimensions)
    if options.protocol == "best_of":
        keys = tuple(LETTERS[: len(responses)])
    if options.protocol == "equivalence" and not answer:
        raise DatasetError("reference.answer: the equivalence protocol needs the reference answer")
    if options.protocol == "steps":
        parts = parts_of(rollout, options)
        keys = tuple(str(number) for number in range(1, len(parts) + 1))
        responses = ("\n\n".join(f"[{number}] {part.text}" for number, part in enumerate(parts, 1)),)
    return Question(
        options.form,
        _criteria(answer, options),
        rollout.prompt,
        responses,
        answer,
        (seed + options.sample * _SAMPLE) % (1 << 64),
        keys,
        options.reference_last,
        template,
        options.reply,
        trusts_prompt=options.trust_prompt,
    )


def _check_template(template: Template, options: JudgeOptions) -> None:
    shows = template.shows
    problem = ""
    if options.protocol == "best_of" and shows != "responses":
        problem = "best_of shows {responses}"
    elif options.compares and shows == "response":
        problem = f"{options.protocol} shows {{response_a}} and {{response_b}}, or {{responses}}"
    elif not options.compares and shows == "response_a":
        problem = f"{options.protocol} shows {{response}}"
    elif template.asks_form == bool(options.reply):
        problem = "{form} asks for our form" if options.reply else "it has no {form}, which asks for the verdict's form"
    if problem:
        raise CallerError(f"options.template: {options.template} does not fit: {problem}", code="invalid_template")


def _responses(response: str, ref: JudgeReference, options: JudgeOptions) -> tuple[str, ...]:
    if not options.compares:
        return (response,)
    others = tuple(opponent.text for opponent in ref.others(options.protocol))
    if not others:
        field = "opponents" if options.protocol == "best_of" else "opponent"
        noun = "the other responses" if field == "opponents" else "the other response"
        raise DatasetError(f"reference.{field}: the {options.protocol} protocol needs {noun}")
    if options.place > len(others):
        raise DatasetError(f"reference: place {options.place} is beyond the {len(others) + 1} responses")
    return (*others[: options.place], response, *others[options.place :])


def _criteria(answer: str, options: JudgeOptions) -> str:
    if options.dimensions:
        listed = "\n".join(f"- {name}: {meaning}" for name, meaning in options.dimensions.items())
        return f"{options.criteria}\n{listed}".strip()
    if options.criteria:
        return options.criteria
    if options.compares:
        return _PAIRWISE
    if options.protocol == "equivalence":
        return _EQUIVALENCE
    if options.protocol == "steps":
        return _STEPS
    return _WITH_REFERENCE if answer else _WITHOUT_REFERENCE


def _text(answer: Any) -> str:
    if answer is None:
        return ""
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def score_of(exchange: Exchange, rollout: Rollout, options: JudgeOptions) -> Score:
    """The score of a verdict; its aspect ``rating`` is None where the protocol has none."""
    score = _score_of(exchange, rollout, options)
    return replace(score, aspects={"rating": None, **score.aspects})


def _score_of(exchange: Exchange, rollout: Rollout, options: JudgeOptions) -> Score:
    evidence = exchange.evidence()
    protocol, value = exchange.question.protocol, exchange.value
    if options.protocol == "steps":
        return _of_steps(value, rollout, options, evidence)
    if protocol.keyed:
        scale = protocol.scale
        units = {
            name: float(rating) if scale is None else (rating - scale[0]) / (scale[1] - scale[0])
            for name, rating in value.items()
        }
        total = sum(options.weight(name) for name in units)
        mean = sum(options.weight(name) * unit for name, unit in units.items()) / total
        return Score(mean, aspects={name: float(rating) for name, rating in value.items()}, evidence=evidence)
    if protocol is Protocol.BEST:
        picked = LETTERS.index(value)
        return Score(float(picked == options.place), aspects={"picked": float(picked)}, evidence=evidence)
    return _of_one(exchange, options, evidence)


def mean_of(orders: Sequence[Score], arguments: Mapping[str, str]) -> Score:
    """One score of two that differ in the order of the arguments; a floor of either is the floor.

    Args:
        orders: The score with the argument in favour first, and that with the one against first.
        arguments: The arguments by their names.
    """
    for order in orders:
        if order.value is None:
            return order
    names = orders[0].aspects
    both = {name: [order.aspects[name] for order in orders] for name in names}
    aspects = {
        name: None if None in found else fmean(float(one or 0.0) for one in found) for name, found in both.items()
    }
    aspects |= {f"{side}_first": order.value for side, order in zip(SIDES, orders, strict=True)}
    records = [dict(one.evidence) for one in orders]
    # Both orders rest on the same two exchanges.
    argued, *_ = [one.pop("argued") for one in records]
    evidence = {"arguments": dict(arguments), "argued": argued, "orders": records}
    return Score(fmean([float(one.value or 0.0) for one in orders]), aspects=aspects, evidence=evidence)


def _of_one(exchange: Exchange, options: JudgeOptions, evidence: dict[str, Any]) -> Score:
    protocol, aspects = exchange.question.protocol, {}

    def unit(value: Any) -> float:
        share = options.grades[value] if protocol is Protocol.GRADE else unit_score(protocol, value)
        return 1.0 - share if options.place else share

    if options.expected:
        chances, mass = exchange.probabilities, exchange.mass
        score = sum(chance * unit(value) for value, chance in chances.items()) / mass
        aspects["mass"] = min(1.0, mass)
        if protocol.rates:
            aspects["rating"] = sum(chance * value for value, chance in chances.items()) / mass
        return Score(min(1.0, max(0.0, score)), aspects=aspects, evidence=evidence)
    if protocol.rates:
        aspects["rating"] = float(exchange.value)
    if protocol is Protocol.ARENA:
        margin = float(MARGINS[exchange.value])
        aspects["margin"] = -margin if options.place else margin
    return Score(unit(exchange.value), aspects=aspects, evidence=evidence)


def _of_steps(right: dict[str, bool], rollout: Rollout, options: JudgeOptions, evidence: dict[str, Any]) -> Score:
    parts, message = parts_of(rollout, options), _message_of(rollout)
    marks = [right[str(number)] for number in range(1, len(parts) + 1)]
    before = marks.index(False) if False in marks else len(marks)
    score = {"share": sum(marks) / len(marks), "all": float(all(marks)), "until_wrong": before / len(marks)}
    steps = [Step(part.start, part.end, float(mark), message) for part, mark in zip(parts, marks, strict=True)]
    return Score(score[options.step_score], steps=steps, evidence=evidence)


def _message_of(rollout: Rollout) -> int:
    """Which message of the response its answer is."""
    if isinstance(rollout.content, str):
        return 0
    places = [place for place, message in enumerate(rollout.content) if message.role == "assistant" and message.text]
    return places[-1] if places else 0
