"""Fitting the head alone: what it reads of each conversation is computed once, as a server computes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reward_servers.engines.models import Encoded, Forward, Loaded, head_of
from reward_servers.training._examples import Example
from reward_servers.training._settings import Run, TrainingError

if TYPE_CHECKING:
    import torch

_PREFIX_BYTES = 1 << 28
_WARMUP = 0.1


def fit_head(loaded: Loaded, examples: Sequence[Example], run: Run) -> None:
    """Fit the head in place.

    Args:
        loaded: The model.
        examples: The pairs.
        run: The settings.

    Raises:
        TrainingError: The model's head is not found.
    """
    import torch

    head = head_of(loaded.model)
    if head is None:
        raise TrainingError(f"{loaded.path}: has no head that is known apart from the rest; train without freeze")
    sides = [one for pair in examples for one in (pair.chosen, pair.rejected)]
    features, places = read_by_head(loaded, head, sides)
    pairs = torch.tensor(places).view(-1, 2)
    margins = torch.tensor([one.margin for one in examples])
    labels = torch.tensor([one.label for one in examples])
    head.train().requires_grad_(True)
    steps = max(1, round(run.epochs * len(examples) / run.batch_size))
    optimiser = torch.optim.AdamW(head.parameters(), lr=run.learning_rate, weight_decay=0.0)
    warm = max(1, round(_WARMUP * steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm, (steps - step) / max(1, steps - warm))
    )
    draw, order = torch.Generator().manual_seed(run.seed), torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if not len(order):
            order = torch.randperm(len(examples), generator=draw)
        batch, order = order[: run.batch_size], order[run.batch_size :]
        scores = head(features[pairs[batch].flatten()]).float()[:, 0].view(-1, 2)
        loss = run.objective(scores[:, 0], scores[:, 1], margins[batch], labels[batch])
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
