"""A training run of a preference model: a base model, rows and settings in; a directory that can be served out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reward_servers.engines.models import Encoded, Encoder, EncodingError, Loaded, Template, reads_last
from reward_servers.engines.preference import Head, PreferenceModel
from reward_servers.training._examples import Example
from reward_servers.training._findings import Findings, ScoredRow, find
from reward_servers.training._fit import fit_and_write
from reward_servers.training._pairs import (
    Preference,
    PreferencePair,
    RatedResponse,
    ScoredList,
    as_they_hold,
    drawn_by_lot,
)
from reward_servers.training._plot import plot
from reward_servers.training._settings import Run, TrainingError
from reward_servers.training._setup import load, parted

_GOLDEN_TOLERANCE = 0.01


def train_preference(
    rows: Sequence[Preference], run: Run, out: Path, held_out: Sequence[Preference] | None = None
) -> Findings:
    """Train a preference model and write it with the settings that serve it.

    ``out`` then holds the model, its tokenizer, ``report.json``, ``report.svg`` and ``server.toml``. The latter
    carries the template, the mean and deviation of the held-out scores of each head, and one of these scores as a
    golden score, so that a server that reads the model in another way refuses to start.

    Args:
        rows: Pairs, lists and ratings. A head that they name is an output of the model.
        run: The settings.
        out: The directory to write.
        held_out: Rows for the report; None splits them off ``rows`` by prompt.

    Returns:
        What the held-out rows show, from the scores as they are served.

    Raises:
        TrainingError: The rows, the settings or the result cannot be used.
        ModelUnusableError: The base model cannot be used.
        ImportError: torch, transformers or accelerate is missing.
    """
    training, held_rows = parted(rows, run, held_out)
    held_rows = as_they_hold(held_rows)
    heads = list(dict.fromkeys(name for row in training for name in row.heads))
    if unknown := {name for row in held_rows for name in row.heads} - set(heads):
        raise TrainingError(f"head: held-out rows speak of {min(unknown)!r}, on which no row is trained")
    if run.shuffle_labels:
        training = drawn_by_lot(training, run.seed)
    loaded, longest = load(run, outputs=len(heads))
    template = run.template or _template_for(loaded)
    examples = _examples(loaded, template, longest, training, heads)
    facts = fit_and_write(loaded, examples, run, out, given=len(training), longest=longest)
    rated = {name for row in training if isinstance(row, RatedResponse) for name in row.heads}
    return _finish(out, template, longest, held_rows, {name: name in rated for name in heads}, run, facts)


def _template_for(loaded: Loaded) -> Template:
    if loaded.tokenizer.chat_template:
        return "chat"
    return "concat" if reads_last(loaded.model) else "pair"


def _examples(
    loaded: Loaded, template: Template, longest: int, rows: Sequence[Preference], heads: Sequence[str]
) -> list[Example]:
    """Encode the rows as a server would; those with a conversation that does not fit are left out."""
    try:
        encoder = Encoder(loaded.tokenizer, template, longest)
        encoded = [tuple(encoder.encode(conversation, "refuse") for conversation in row.conversations) for row in rows]
    except EncodingError as error:
        raise TrainingError(f"{loaded.path}: {error}") from None
    return [
        _example(row, sequences, heads)
        for row, sequences in zip(rows, encoded, strict=True)
        if max(len(sequence.ids) for sequence in sequences) <= longest
    ]


def _example(row: Preference, sequences: tuple[Encoded, ...], heads: Sequence[str]) -> Example:
    if isinstance(row, PreferencePair):
        return Example("pair", sequences, (), row.margin, row.label, heads.index(row.head))
    if isinstance(row, ScoredList):
        return Example("list", sequences, row.scores, head=heads.index(row.head))
    ratings = dict(row.ratings)
    return Example("rating", sequences, tuple(ratings.get(name, float("nan")) for name in heads))


def _finish(
    out: Path,
    template: Template,
    longest: int,
    held_rows: Sequence[Preference],
    heads: Mapping[str, bool],
    run: Run,
    facts: dict[str, Any],
) -> Findings:
    """Score the held-out rows with the model as it will be served, and write report and settings.

    Of each head it is told whether it was trained on ratings.
    """
    declared = {name: Head(place) for place, name in enumerate(heads)} if "" not in heads else {}
    model = PreferenceModel(out, template=template, max_length=longest, heads=declared)
    encoded = [
        [model.encoder.encode(conversation, "refuse") for conversation in row.conversations] for row in held_rows
    ]
    fits = [max(len(sequence.ids) for sequence in sequences) <= longest for sequences in encoded]
    fitting = [(row, sequences) for row, sequences, fit in zip(held_rows, encoded, fits, strict=True) if fit]
    if not fitting:
        problem = (
            "are longer than {longest} tokens; raise max_length"
            if held_rows
            else "have label 0.5, which prefers neither"
        )
        raise TrainingError(f"all {len(held_rows) or 'of the'} held-out rows {problem.format(longest=longest)}")
    outputs = iter(model.run([sequence for _, sequences in fitting for sequence in sequences]))
    scored = [
        ScoredRow(row, [next(outputs).values for _ in seqs], [len(sequence.ids) for sequence in seqs])
        for row, seqs in fitting
    ]
    if not all(math.isfinite(value) for row in scored for values in row.outputs for value in values):
        raise TrainingError("the trained model gives scores that are not numbers; lower learning_rate")
    findings = find(scored, list(heads))
    (out / "report.json").write_text(json.dumps({**findings.as_json(), "training": facts}, indent=2) + "\n")
    (out / "report.svg").write_text(plot(findings.reports))
    lines = ["[verifiers.preference]", f"path = {json.dumps(str(out.resolve()))}", f'template = "{template}"']
    lines += [f"max_length = {longest}", *_normalisers(findings, run, heads), *_golden(scored)]
    (out / "server.toml").write_text("\n".join(lines) + "\n")
    return findings


def _normalisers(findings: Findings, run: Run, heads: Mapping[str, bool]) -> list[str]:
    """Mean and deviation of each head. What was trained on ratings is squashed as it is: that is the rating."""
    normalisers: dict[str, tuple[float, float]] = {}
    for name, rated in heads.items():
        finding = findings.heads[name]
        std = finding.pairs.temperature if run.normaliser == "calibrated" and finding.pairs is not None else finding.std
        normalisers[name] = (0.0, 1.0) if rated else (finding.mean, std or 1.0)
    source = {"std": "held-out rows of its training", "calibrated": "held-out rows of its training, calibrated"}
    lines = [f'normaliser = "{source[run.normaliser]}"']
    if "" in heads:
        return [f"mean = {normalisers[''][0]!r}", f"std = {normalisers[''][1]!r}", *lines]
    for place, name in enumerate(heads):
        mean, std = normalisers[name]
        lines += ["", f"[verifiers.preference.heads.{json.dumps(name)}]", f"output = {place}"]
        lines += [f"mean = {mean!r}", f"std = {std!r}", f"weight = {1 / len(heads)!r}"]
    return lines


def _golden(scored: Sequence[ScoredRow]) -> list[str]:
    """One conversation of a turn each, and the first output that the model gave it."""
    for scored_row in scored:
        talk = scored_row.row.conversations[0]
        turns = (*talk.prompt, *talk.response)
        if [role for role, _ in turns] == ["user", "assistant"]:
            return [
                "",
                "[[verifiers.preference.golden]]",
                f"prompt = {json.dumps(turns[0][1])}",
                f"response = {json.dumps(turns[1][1])}",
                f"logit = {scored_row.outputs[0][0]!r}",
                f"tolerance = {_GOLDEN_TOLERANCE}",
            ]
    return []


def settings_of(name: str, values: Mapping[str, Any]) -> str:
    """The settings of a verifier as a file of a server."""
    return "\n".join([f"[verifiers.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]) + "\n"
