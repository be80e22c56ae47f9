"""A training run of a value model: outcomes of policies in the order in which they came."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from reward_servers.engines.models import load_encoder, quietly
from reward_servers.engines.preference import TextModel, ValueModel, ValueParameters, expect, take_in, write_value
from reward_servers.training._files import number_of, read_rows, turns_of
from reward_servers.training._report import calibration_error
from reward_servers.training._run import settings_of
from reward_servers.training._settings import Run, TrainingError
from reward_servers.training._setup import text_of

if TYPE_CHECKING:
    import torch

_RANKING = 0.25
_ASKED = 16
_OWN_RATE = 0.05
_MOST_STEPS_OF_TRIAL = 400
# How far a weight is expected to lie from 0 before anything is seen; 0 reads no prompt.
_WEIGHTS = (0.0, 0.3, 1.0)
_UNREAD = -20.0
# Nats that a wider choice of weights must gain.
_NOT_WORTH_IT = 0.005


@dataclass(frozen=True, slots=True)
class PolicyOutcome:
    """What a policy did with a prompt.

    Attributes:
        prompt: The prompt.
        outcome: From 0 to 1.
        policy: Name of the policy, such as that of a run or of a checkpoint.
    """

    prompt: str
    outcome: float
    policy: str = ""


@dataclass(frozen=True, slots=True)
class ValueReport:
    """How well held-out outcomes are expected, each from those of the same policy before it.

    Attributes:
        outcomes: How many.
        reads_prompts: Whether prompts are read. They are not where the later outcomes among those of training were
            expected at least as well without: the model is then the policy's rate.
        loss: Mean cross-entropy in nats.
        loss_of_prior: The same from the prompt alone.
        loss_of_rate: The same from the mean of the same history, whatever the prompt.
        ranked: Share of the pairs of one policy with different outcomes that stand in the right order, ties half; None
            without any.
        calibration_error: Mean distance of expectation and outcome over equally large bins.
    """

    outcomes: int
    reads_prompts: bool
    loss: float
    loss_of_prior: float
    loss_of_rate: float
    ranked: float | None
    calibration_error: float


class _Part(NamedTuple):
    """Outcomes of one policy, in order.

    Attributes:
        vectors: ``[N, H]`` of the prompts.
        outcomes: ``[N]``.
        held_from: The first one that is held out.
    """

    vectors: torch.Tensor
    outcomes: torch.Tensor
    held_from: int


def read_outcomes(path: Path) -> list[PolicyOutcome]:
    """Read a JSON Lines file with ``prompt``, ``outcome`` (0 to 1, or false and true), and optionally ``policy``.

    Raises:
        RowsError: A line cannot be used, or there is none.
        OSError: The file cannot be read.
    """
    return read_rows(path, _outcome, "prompt and outcome")


def _outcome(data: dict[str, Any]) -> PolicyOutcome:
    if "prompt" not in data:
        raise ValueError(f"prompt: is missing; the line has {', '.join(map(str, data)) or 'no keys'}")
    policy = data.get("policy", "")
    if not isinstance(policy, str | int):
        raise ValueError(f"policy: {policy!r} is not a name")
    fields = {"outcome": float(data["outcome"])} if isinstance(data.get("outcome"), bool) else data
    prompt = text_of(turns_of(data["prompt"], "user", "prompt"))
    return PolicyOutcome(prompt, number_of(fields, "outcome", None, 1.0), str(policy))


def train_value(
    rows: Sequence[PolicyOutcome],
    run: Run,
    out: Path,
    held_out: Sequence[PolicyOutcome] | None = None,
    *,
    window: int = 256,
) -> ValueReport:
    """Train a value model on a frozen encoder and write it.

    Each step draws a time of a policy, takes in the ``window`` outcomes before it and expects those behind it. The loss
    is V_0's (arXiv 2602.03584): a quarter of a ranking loss and three quarters of cross-entropy.

    Args:
        rows: Outcomes, those of each policy in the order in which they came.
        run: The settings; of them the base, the epochs, the learning rate, the share held out and the seed count.
        out: The directory to write.
        held_out: Outcomes for the report, of further policies; None holds out the latest of each policy.
        window: Outcomes that are taken in.

    Returns:
        What the held-out outcomes show.

    Raises:
        TrainingError: The outcomes or the settings cannot be used.
        ModelUnusableError: The encoder cannot be used.
        ImportError: torch or transformers is missing.
    """
    import torch

    if window < 1:
        raise TrainingError(f"window: {window} must be at least 1")
    if run.threads:
        torch.set_num_threads(run.threads)
    torch.manual_seed(run.seed)
    encoder = TextModel(run.base, "mean", run.max_length, device="cpu", dtype="float32")
    training = _parts(encoder, rows, 0.0 if held_out is not None else run.held_out)
    held_parts = (
        training if held_out is None else [part._replace(held_from=0) for part in _parts(encoder, held_out, 0.0)]
    )
    if not any(h.held_from for h in training) or not any(len(h.outcomes) > h.held_from for h in held_parts):
        raise TrainingError(f"{len(rows)} outcomes are too few to train on and to hold some out; give more")
    tried = _tried(training, run, window)
    chosen = min(p for p, loss in tried.items() if loss <= min(tried.values()) + _NOT_WORTH_IT) if tried else 0.0
    parameters = _fitted(training, run, window, chosen)
    report = _judged(parameters, held_parts, window)
    loaded = load_encoder(run.base, device="cpu", dtype="float32")
    with quietly():
        loaded.model.save_pretrained(out)
        loaded.tokenizer.save_pretrained(out)
    write_value(parameters, out)
    # What was written can be served.
    ValueModel(out, encoder.max_length, device="cpu", dtype="float32")
    facts: dict[str, Any] = {"outcomes": len(rows), "policies": len(training), "window": window, "seed": run.seed}
    facts["deviation_of_weights"] = chosen
    facts["loss_by_deviation_of_weights"] = {f"{deviation:g}": loss for deviation, loss in tried.items()}
    (out / "report.json").write_text(json.dumps({**asdict(report), "training": facts}, indent=2) + "\n")
    settings = {"path": str(out.resolve()), "max_length": encoder.max_length}
    (out / "server.toml").write_text(settings_of("value", settings))
    return report


def _parts(encoder: TextModel, rows: Sequence[PolicyOutcome], share: float) -> list[_Part]:
    """Outcomes by policy, with the vectors of their prompts; each prompt is read once."""
    import torch

    vectors: dict[str, torch.Tensor] = {}
    by_policy: dict[str, list[PolicyOutcome]] = {}
    for row in rows:
        by_policy.setdefault(row.policy, []).append(row)
        if row.prompt not in vectors:
            vectors[row.prompt] = encoder.shortened(row.prompt)
    return [
        _Part(
            torch.stack([vectors[history.prompt] for history in histories_of_policy]),
            torch.tensor([history.outcome for history in histories_of_policy], dtype=torch.float64),
            len(histories_of_policy) - round(share * len(histories_of_policy)),
        )
        for histories_of_policy in by_policy.values()
    ]


def _tried(parts: Sequence[_Part], run: Run, window: int) -> dict[float, float]:
    """How well the last third of the outcomes to train on is expected from the rest, by the deviation of the weights.

    Returns:
        Mean cross-entropies in nats; none where there are too few outcomes to tell.
    """
    earlier = [
        _Part(part.vectors[: part.held_from], part.outcomes[: part.held_from], 2 * part.held_from // 3)
        for part in parts
    ]
    if not any(history.held_from for history in earlier):
        return {}
    most = _MOST_STEPS_OF_TRIAL
    return {weight: _judged(_fitted(earlier, run, window, weight, most), earlier, window).loss for weight in _WEIGHTS}


def _begun(parts: Sequence[_Part], deviation: float) -> ValueParameters:
    """Parameters to begin with, and which of them are fitted."""
    import torch

    rate = float(torch.cat([part.outcomes[: part.held_from] for part in parts]).mean().clamp(0.01, 0.99))
    begin = {"weights": torch.zeros(parts[0].vectors.shape[1]), "offset": torch.tensor(rate).logit()}
    begin |= {"skill": torch.tensor(0.0), "own": torch.tensor(0.3).log(), "sharpness": torch.tensor(4.0).log()}
    if not deviation:
        begin["own"] = torch.tensor(_UNREAD)
    fitted = ("offset", "skill") if not deviation else ValueParameters._fields
    return ValueParameters(**{name: tensor.double().requires_grad_(name in fitted) for name, tensor in begin.items()})


def _fitted(
    parts: Sequence[_Part], run: Run, window: int, deviation: float, most: int | None = None
) -> ValueParameters:
    """Fit the parameters to the outcomes that are not held out, in so many steps at most."""
    import torch

    parameters = _begun(parts, deviation)
    prior, process = [parameters.weights, parameters.offset], [*parameters[2:]]
    optimiser = torch.optim.Adam(
        [{"params": prior, "lr": run.learning_rate}, {"params": process, "lr": max(_OWN_RATE, run.learning_rate)}]
    )
    counts = torch.tensor([float(part.held_from) for part in parts])
    steps = max(1, round(run.epochs * float(counts.sum()) / _ASKED))
    steps = min(steps, most or steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: (steps - step) / steps)
    draw = torch.Generator().manual_seed(run.seed)
    for _ in range(steps):
        part = parts[int(torch.multinomial(counts, 1, generator=draw))]
        start = int(torch.randint(0, part.held_from, (1,), generator=draw))
        history = _history_taken_in(parameters, part, start, window)
        end = min(part.held_from, start + _ASKED)
        mean, _ = expect(parameters, part.vectors[start:end], history)
        loss = _loss(mean, part.outcomes[start:end])
        if deviation:
            # Few outcomes do not make the prior sure.
            loss = loss + (parameters.weights / deviation).square().sum() / (2.0 * counts.sum())
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
    return ValueParameters(*(parameter.detach() for parameter in parameters))


def _history_taken_in(parameters: ValueParameters, part: _Part, start: int, window: int) -> Any:
    """The window of outcomes before one, taken in; None before the first."""
    if start == 0:
        return None
    first = max(0, start - window)
    return take_in(parameters, part.vectors[first:start], part.outcomes[first:start])


def _loss(mean: torch.Tensor, outcomes: torch.Tensor) -> torch.Tensor:
    import torch

    entropy = torch.nn.functional.binary_cross_entropy(mean, outcomes)
    better = outcomes[:, None] > outcomes[None, :]
    if not bool(better.any()):
        return entropy
    gap = mean.logit()[:, None] - mean.logit()[None, :]
    ranking = torch.nn.functional.softplus(-gap)[better].mean()
    return (1.0 - _RANKING) * entropy + _RANKING * ranking


def _judged(parameters: ValueParameters, held_parts: Sequence[_Part], window: int) -> ValueReport:
    """Expect each held-out outcome from those before it."""
    import torch

    rows: list[tuple[int, float, float, float, float]] = []
    with torch.inference_mode():
        for number, part in enumerate(held_parts):
            for place in range(part.held_from, len(part.outcomes)):
                history = _history_taken_in(parameters, part, place, window)
                mean, _ = expect(parameters, part.vectors[place : place + 1], history)
                prior, _ = expect(parameters, part.vectors[place : place + 1], None)
                before = part.outcomes[max(0, place - window) : place]
                rate = (float(before.sum()) + 1.0) / (len(before) + 2.0)
                rows.append((number, float(mean[0]), float(prior[0]), rate, float(part.outcomes[place])))
    policy, mean_of, prior_of, rate_of, outcome = (np.array(column) for column in zip(*rows, strict=True))
    above = (outcome[:, None] > outcome[None, :]) & (policy[:, None] == policy[None, :])
    gap = mean_of[:, None] - mean_of[None, :]
    order = (gap > 0) + 0.5 * (gap == 0)
    return ValueReport(
        len(rows),
        bool(parameters.weights.any()),
        _entropy(mean_of, outcome),
        _entropy(prior_of, outcome),
        _entropy(rate_of, outcome),
        float(order[above].mean()) if above.any() else None,
        calibration_error(mean_of, outcome),
    )


def _entropy(chance: Any, outcome: Any) -> float:
    return float(-(outcome * np.log(chance) + (1.0 - outcome) * np.log(1.0 - chance)).mean())
