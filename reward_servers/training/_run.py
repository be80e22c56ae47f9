"""One training run: a base model, pairs and settings in; a directory that can be served out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reward_servers.engines.models import (
    Encoder,
    EncodingError,
    Loaded,
    Template,
    load_base,
    quietly,
    reads_last,
)
from reward_servers.engines.preference import PreferenceModel
from reward_servers.training._examples import Example
from reward_servers.training._fit import fit
from reward_servers.training._pairs import PreferencePair, split_by_prompt
from reward_servers.training._plot import plot
from reward_servers.training._report import Report, report_on
from reward_servers.training._settings import Run, TrainingError


def train_preference(
    pairs: Sequence[PreferencePair], run: Run, out: Path, held_out: Sequence[PreferencePair] | None = None
) -> Report:
    """Train a preference model and write it with the settings that serve it.

    ``out`` then holds the model, its tokenizer, ``report.json``, ``report.svg`` and ``server.toml``. The latter
    carries the template, the mean and deviation of the held-out scores, and one of these scores as a golden score, so
    that a server that reads the model in another way refuses to start.

    Args:
        pairs: The pairs.
        run: The settings.
        out: The directory to write.
        held_out: Pairs for the report; None splits them off ``pairs`` by prompt.

    Returns:
        The report on the held-out pairs, from the scores as they are served.

    Raises:
        TrainingError: The pairs, the settings or the result cannot be used.
        ModelUnusableError: The base model cannot be used.
        ImportError: torch, transformers or accelerate is missing.
    """
    import torch
    import transformers

    if run.threads:
        torch.set_num_threads(run.threads)
    training, held = (
        split_by_prompt(pairs, run.held_out, run.seed) if held_out is None else (list(pairs), list(held_out))
    )
    if not training or not held:
        raise TrainingError(
            f"{len(training)} pairs to train on and {len(held)} held out; both are needed: give more pairs"
        )
    if run.shuffle_labels:
        draw = torch.Generator().manual_seed(run.seed)
        coins = torch.randint(0, 2, (len(training),), generator=draw).tolist()
        training = [pair.turned() if coin else pair for pair, coin in zip(training, coins, strict=True)]
    transformers.set_seed(run.seed)
    loaded = load_base(run.base, run.pooling)
    template = run.template or _template_for(loaded)
    longest = min(run.max_length, loaded.max_length or run.max_length)
    examples, left_out = _examples(loaded, template, longest, training)
    if not examples:
        raise TrainingError(f"all {left_out} pairs are longer than {longest} tokens; raise max_length")
    found = fit(loaded, examples, run)
    with quietly():
        loaded.model.save_pretrained(out)
        loaded.tokenizer.save_pretrained(out)
    facts = {"pairs": len(examples), "left_out": left_out, "seed": run.seed}
    report = _finish(out, template, longest, held, {**facts, **found})
    return report


def _template_for(loaded: Loaded) -> Template:
    if loaded.tokenizer.chat_template:
        return "chat"
    return "concat" if reads_last(loaded.model) else "pair"


def _examples(
    loaded: Loaded, template: Template, longest: int, pairs: Sequence[PreferencePair]
) -> tuple[list[Example], int]:
    """Encode the pairs as a server would; those with a side that does not fit are left out."""
    try:
        encoder = Encoder(loaded.tokenizer, template, longest)
        encoded = [tuple(encoder.encode(one, "refuse") for one in pair.conversations) for pair in pairs]
    except EncodingError as error:
        raise TrainingError(f"{loaded.path}: {error}") from None
    examples = [
        Example(chosen, rejected, pair.margin, pair.label)
        for pair, (chosen, rejected) in zip(pairs, encoded, strict=True)
        if max(len(chosen.ids), len(rejected.ids)) <= longest
    ]
    return examples, len(pairs) - len(examples)


def _finish(
    out: Path, template: Template, longest: int, held: Sequence[PreferencePair], facts: dict[str, Any]
) -> Report:
    """Score the held-out pairs with the model as it will be served, and write report and settings."""
    model = PreferenceModel(out, template=template, max_length=longest)
    encoded = [model.encoder.encode(one, "refuse") for pair in held for one in pair.conversations]
    fits = [
        max(len(one.ids), len(other.ids)) <= longest for one, other in zip(encoded[::2], encoded[1::2], strict=True)
    ]
    chosen = [one for one, fit in zip(encoded[::2], fits, strict=True) if fit]
    rejected = [one for one, fit in zip(encoded[1::2], fits, strict=True) if fit]
    if not chosen:
        raise TrainingError(f"all {len(held)} held-out pairs are longer than {longest} tokens; raise max_length")
    outputs = [one.values[0] for one in model.run([*chosen, *rejected])]
    if any(one != one for one in outputs):
        raise TrainingError("the trained model gives scores that are not numbers; lower learning_rate")
    report = report_on(
        outputs[: len(chosen)],
        outputs[len(chosen) :],
        [len(one.ids) - len(other.ids) for one, other in zip(chosen, rejected, strict=True)],
    )
    pair = next(one for one, fit in zip(held, fits, strict=True) if fit)
    (out / "report.json").write_text(json.dumps({**report.as_json(), "training": facts}, indent=2) + "\n")
    (out / "report.svg").write_text(plot(report))
    (out / "server.toml").write_text(_settings(out, template, longest, report, pair, outputs[0]))
    return report


def _settings(out: Path, template: str, longest: int, report: Report, pair: PreferencePair, golden: float) -> str:
    lines = [
        "[verifiers.preference]",
        f"path = {json.dumps(str(out.resolve()))}",
        f'template = "{template}"',
        f"max_length = {longest}",
        f"mean = {report.mean!r}",
        f"std = {report.std or 1.0!r}",
        'normaliser = "held-out pairs of its training"',
    ]
    turns = (*pair.prompt, *pair.chosen)
    if [role for role, _ in turns] == ["user", "assistant"]:
        lines += [
            "",
            "[[verifiers.preference.golden]]",
            f"prompt = {json.dumps(turns[0][1])}",
            f"response = {json.dumps(turns[1][1])}",
            f"logit = {golden!r}",
            "tolerance = 0.01",
        ]
    return "\n".join(lines) + "\n"
