"""A training run of a model that reads two responses together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from reward_servers.engines.models import Encoded, EncodingError
from reward_servers.engines.preference import CrossModel, Texts, laid_out
from reward_servers.engines.text import visible
from reward_servers.training._examples import Example
from reward_servers.training._findings import Findings, HeadFindings
from reward_servers.training._fit import fit_and_write
from reward_servers.training._pairs import PreferencePair, Turns, as_they_hold, drawn_by_lot
from reward_servers.training._plot import plot
from reward_servers.training._report import report_on
from reward_servers.training._run import settings_of
from reward_servers.training._settings import Run, TrainingError
from reward_servers.training._setup import load, parted, text_of


def train_comparison(
    pairs: Sequence[PreferencePair],
    run: Run,
    out: Path,
    held_out: Sequence[PreferencePair] | None = None,
    *,
    layout: str,
) -> Findings:
    """Train a model that reads both orders of two responses, as it is served, and write it.

    The loss is that of a pair whose two scores are the outputs for the two orders, so that what the model says of an
    order alone costs nothing, but for the objective's ``centre``, which draws the sum of the two, its liking for a
    place, to 0.

    Args:
        pairs: The pairs, all of one head.
        run: The settings; the template is the layout.
        out: The directory to write.
        held_out: Pairs for the report; None splits them off ``pairs`` by prompt.
        layout: The text that is read, with ``{prompt}``, ``{first}`` and ``{second}``.

    Returns:
        What the held-out pairs show, from the scores as they are served.

    Raises:
        TrainingError: The pairs, the settings or the result cannot be used.
        ModelUnusableError: The base model cannot be used.
        ImportError: torch, transformers or accelerate is missing.
    """
    for place in ("prompt", "first", "second"):
        if layout.count(f"{{{place}}}") != 1:
            raise TrainingError(f"layout: needs {{{place}}} once")
    if len({pair.head for pair in pairs}) > 1:
        raise TrainingError("head: a comparison has one output; give the pairs of one head")
    training, held_pairs = parted(pairs, run, held_out)
    held_pairs = [pair for pair in as_they_hold(held_pairs) if isinstance(pair, PreferencePair)]
    if run.shuffle_labels:
        training = [pair for pair in drawn_by_lot(training, run.seed) if isinstance(pair, PreferencePair)]
    loaded, longest = load(run)
    try:
        texts = Texts(loaded.tokenizer, longest)
    except EncodingError as error:
        raise TrainingError(f"{loaded.path}: {error}") from None
    rows = [(pair, _orders(texts, layout, pair)) for pair in training]
    examples = [Example("pair", orders, (), pair.margin, pair.label) for pair, orders in rows if _fits(orders, longest)]
    facts = fit_and_write(loaded, examples, run, out, given=len(training), longest=longest, noun="pairs")
    findings = _judged(out, texts, layout, longest, held_pairs)
    (out / "report.json").write_text(json.dumps({**findings.as_json(), "training": facts}, indent=2) + "\n")
    (out / "report.svg").write_text(plot(findings.reports))
    settings = {"path": str(out.resolve()), "layout": layout, "max_length": longest}
    (out / "server.toml").write_text(settings_of("comparison", settings))
    return findings


def _judged(out: Path, texts: Texts, layout: str, longest: int, held_pairs: Sequence[PreferencePair]) -> Findings:
    """What the model that was written says of held-out pairs."""
    model = CrossModel(out, 0, longest, device="cpu", dtype="float32")
    rows = [(pair, orders) for pair in held_pairs if _fits(orders := _orders(texts, layout, pair), longest)]
    if not rows:
        problem = (
            "are longer than {longest} tokens; raise max_length"
            if held_pairs
            else "have label 0.5, which prefers neither"
        )
        raise TrainingError(f"all {len(held_pairs) or 'of the'} held-out pairs {problem.format(longest=longest)}")
    outputs = model.raw([encoded for _, orders in rows for encoded in orders])
    if any(output != output for output in outputs):
        raise TrainingError("the trained model gives scores that are not numbers; lower learning_rate")
    longer = [_tokens(texts, pair.chosen) - _tokens(texts, pair.rejected) for pair, _ in rows]
    report = report_on(outputs[::2], outputs[1::2], longer, in_places=True)
    return Findings({"": HeadFindings(report.mean, report.std, report, None)})


def _fits(orders: tuple[Encoded, Encoded], longest: int) -> bool:
    return max(len(encoded.ids) for encoded in orders) <= longest


def _orders(texts: Texts, layout: str, pair: PreferencePair) -> tuple[Encoded, Encoded]:
    """Both orders as token ids, the chosen response first and then second."""
    prompt, chosen, rejected = text_of(pair.prompt), _last(pair.chosen), _last(pair.rejected)
    return (
        texts.one(laid_out(layout, prompt, chosen, rejected)),
        texts.one(laid_out(layout, prompt, rejected, chosen)),
    )


def _last(turns: Turns) -> str:
    """What a verifier sees of a response."""
    return visible(turns[-1][1]).text


def _tokens(texts: Texts, turns: Turns) -> int:
    return len(texts.one(_last(turns)).ids)
