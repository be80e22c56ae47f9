"""Fitting the head alone: what it reads of each conversation is computed once, as a server computes it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from reward_servers.engines.models import Encoded, Forward, Loaded, head_of
from reward_servers.training._examples import Example
from reward_servers.training._settings import Run, TrainingError

if TYPE_CHECKING:
    import torch

_PREFIX_BYTES = 1 << 28
_WARMUP = 0.1


def fit_head(loaded: Loaded, examples: Sequence[Example], run: Run) -> dict[str, float]:
    """Fit the head in place.

    Args:
        loaded: The model.
        examples: The pairs.
        run: The settings.

    Returns:
        What an ensemble found, where there is one.

    Raises:
        TrainingError: The model's head is not found.
    """
    import torch

    head = head_of(loaded.model)
    if head is None:
        raise TrainingError(f"{loaded.path}: has no head that is known apart from the rest; train without freeze")
    sides = [one for pair in examples for one in (pair.chosen, pair.rejected)]
    features, places = read_by_head(loaded, head, sides)
    rows = Rows(
        torch.tensor(places).view(-1, 2),
        torch.tensor([one.margin for one in examples]),
        torch.tensor([one.label for one in examples]),
    )
    denoised = denoise(head, features, rows, run) if run.denoise != "keep" else None
    fit_to(head, features, denoised.rows if denoised is not None else rows, run)
    return denoised.report if denoised is not None else {}


class Rows(NamedTuple):
    """Pairs of what the head reads.

    Attributes:
        pairs: ``[P, 2]`` places of the chosen and the rejected side.
        margins: ``[P]`` how much more the chosen one should score.
        labels: ``[P]`` probability that the preference holds.
    """

    pairs: torch.Tensor
    margins: torch.Tensor
    labels: torch.Tensor


class Treated(NamedTuple):
    """Pairs after the opinion of an ensemble, and what was done to them."""

    rows: Rows
    report: dict[str, float]


def denoise(head: Any, features: torch.Tensor, rows: Rows, run: Run) -> Treated:
    """Ask an ensemble of heads which pairs speak against their labels, and treats these.

    A member is two heads, each trained on half of the pairs and asked about the other half: a head that has seen a
    wrong label has learnt it.

    Source: Secrets of RLHF II (arXiv 2401.06080) sections 2.2 to 2.4.
    """
    import numpy as np
    import torch

    from trainer_client.signals.preference.secrets_ii import denoise_pairs, preference_strength

    count = len(rows.pairs)
    if count < 2:
        raise TrainingError("denoise: an ensemble needs two pairs at least; give more, or keep all")
    scores = np.zeros((count, run.ensemble, 2))
    for member in range(run.ensemble):
        draw = torch.Generator().manual_seed(run.seed * 1000 + member)
        order = torch.randperm(count, generator=draw)
        first, second = order[: count // 2], order[count // 2 :]
        for part, rest in ((first, second), (second, first)):
            one = _fresh(head)
            fit_to(one, features, Rows(*(column[part] for column in rows)), replace(run, seed=run.seed + member))
            with torch.no_grad():
                said = one.eval()(features[rows.pairs[rest].flatten()]).double()[:, 0].view(-1, 2)
            scores[rest.numpy(), member] = said.numpy()
    strength, deviation = preference_strength(scores[:, :, 0], scores[:, :, 1])
    found = denoise_pairs(strength, run.denoise, smoothing=run.smoothing)
    kept = torch.tensor(np.flatnonzero(found.weight > 0))
    flipped = torch.tensor(found.flipped > 0)
    pairs = torch.where(flipped[:, None], rows.pairs.flip(1), rows.pairs)
    labels = torch.where(flipped, rows.labels, rows.labels * torch.tensor(found.label, dtype=torch.float32))
    report = {
        "doubted": float((strength < 0).mean()),
        "mean_strength": float(strength.mean()),
        "disagreement": float(deviation.mean()),
        "kept_pairs": float(len(kept)),
    }
    return Treated(Rows(pairs[kept], rows.margins[kept], labels[kept]), report)


def _fresh(head: Any) -> Any:
    """A head of the same kind with new random weights."""
    one = copy.deepcopy(head)
    for layer in one.modules():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    return one


def fit_to(head: Any, features: torch.Tensor, rows: Rows, run: Run) -> None:
    """Fit a head in place to what it reads.

    Args:
        head: The head.
        features: ``[U, ...]`` what it reads of each conversation.
        rows: The pairs.
        run: The settings.
    """
    import torch

    count = len(rows.pairs)
    head.train().requires_grad_(True)
    steps = max(1, round(run.epochs * count / run.batch_size))
    optimiser = torch.optim.AdamW(head.parameters(), lr=run.learning_rate, weight_decay=0.0)
    warm = max(1, round(_WARMUP * steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm, (steps - step) / max(1, steps - warm))
    )
    draw, order = torch.Generator().manual_seed(run.seed), torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if not len(order):
            order = torch.randperm(count, generator=draw)
        batch, order = order[: run.batch_size], order[run.batch_size :]
        scores = head(features[rows.pairs[batch].flatten()]).float()[:, 0].view(-1, 2)
        loss = run.objective(scores[:, 0], scores[:, 1], rows.margins[batch], rows.labels[batch])
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimiser.step()
        schedule.step()


def read_by_head(loaded: Loaded, head: Any, sequences: Sequence[Encoded]) -> tuple[torch.Tensor, list[int]]:
    """What the head reads of each sequence; equal sequences are computed once.

    Returns:
        ``[U, ...]`` inputs of the head, and for each sequence its place among them.
    """
    import torch

    known: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
    distinct = []
    for one in sequences:
        if (one.ids, one.types) not in known:
            known[one.ids, one.types] = len(known)
            distinct.append(one)
    read: list[torch.Tensor] = []

    def note(_: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        # Heads that are given all positions read the first one.
        read.append(inputs[0][:, :1] if inputs[0].dim() == 3 else inputs[0])

    loaded.model.eval()
    forward = Forward(loaded, prefix_bytes=_PREFIX_BYTES)
    order = sorted(range(len(distinct)), key=lambda place: distinct[place].ids)
    hook = head.register_forward_pre_hook(note)
    try:
        for place in order:
            if forward.run([distinct[place]])[0].out_of_memory:
                raise TrainingError(f"there is no memory for {len(distinct[place].ids)} tokens; lower max_length")
    finally:
        hook.remove()
    rank = {place: position for position, place in enumerate(order)}
    features = torch.cat([one[-1:] for one in read]).clone()
    return features, [rank[known[one.ids, one.types]] for one in sequences]
