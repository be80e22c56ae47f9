"""Fitting the head alone: what it reads of each conversation is computed once, as a server computes it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from reward_servers.engines.models import Encoded, Forward, Loaded, NoMemoryError, Reader, head_of
from reward_servers.training._examples import Example, Point, Rows, tabled
from reward_servers.training._settings import Run, TrainingError

if TYPE_CHECKING:
    import torch

_PREFIX_BYTES = 1 << 28
_WARMUP = 0.1


def fit_head(loaded: Loaded, examples: Sequence[Example], run: Run) -> dict[str, float]:
    """Fit the head in place.

    Args:
        loaded: The model.
        examples: The rows.
        run: The settings.

    Returns:
        What an ensemble found, where there is one.

    Raises:
        TrainingError: The model's head is not found.
    """
    head = head_of(loaded.model)
    if head is None:
        raise TrainingError(f"{loaded.path}: has no head that is known apart from the rest; train without freeze")
    sequences, points, rows = tabled(examples)
    features = read_by_head(loaded, head, sequences, points)
    denoised = denoise(head, features, rows, run) if run.denoise != "keep" else None
    fit_to(head, features, denoised.rows if denoised is not None else rows, run)
    return denoised.report if denoised is not None else {}


class DenoisedPairs(NamedTuple):
    """Pairs after the opinion of an ensemble, and what was done to them."""

    rows: Rows
    report: dict[str, float]


def denoise(head: Any, features: torch.Tensor, rows: Rows, run: Run) -> DenoisedPairs:
    """Ask an ensemble of heads which pairs speak against their labels, and treats these.

    A member is two heads, each trained on half of the pairs and asked about the other half: a head that has seen a
    wrong label has learnt it.

    Source: Secrets of RLHF II (arXiv 2401.06080) sections 2.2 to 2.4.
    """
    import numpy as np
    import torch

    from trainer_client.signals.preference.secrets_ii import denoise_pairs, preference_strength

    _only_pairs(rows)
    head_asked, pairs = int(rows.heads[0]), rows.points[:, :2]
    count = len(pairs)
    if count < 2:
        raise TrainingError("denoise: an ensemble needs two pairs at least; give more, or keep all")
    scores = np.zeros((count, run.ensemble, 2))
    for member in range(run.ensemble):
        draw = torch.Generator().manual_seed(run.seed * 1000 + member)
        order = torch.randperm(count, generator=draw)
        first, second = order[: count // 2], order[count // 2 :]
        for part, other_half in ((first, second), (second, first)):
            member_head = _fresh(head)
            fit_to(member_head, features, rows.at(part), replace(run, seed=run.seed + member))
            with torch.no_grad():
                predicted = (
                    member_head.eval()(features[pairs[other_half].flatten()]).double()[:, head_asked].view(-1, 2)
                )
            scores[other_half.numpy(), member] = predicted.numpy()
    strength, deviation = preference_strength(scores[:, :, 0], scores[:, :, 1])
    denoised = denoise_pairs(strength, run.denoise, smoothing=run.smoothing)
    kept_rows = torch.tensor(np.flatnonzero(denoised.weight > 0))
    flipped = torch.tensor(denoised.flipped > 0)
    turned = torch.where(flipped[:, None], pairs.flip(1), pairs)
    labels = torch.where(flipped, rows.labels, rows.labels * torch.tensor(denoised.label, dtype=torch.float32))
    report = {
        "doubted": float((strength < 0).mean()),
        "mean_strength": float(strength.mean()),
        "disagreement": float(deviation.mean()),
        "kept_pairs": float(len(kept_rows)),
    }
    return DenoisedPairs(rows._replace(points=turned, labels=labels).at(kept_rows), report)


def _only_pairs(rows: Rows) -> None:
    """Make sure that the rows are pairs of one head.

    Raises:
        TrainingError: They are not.
    """
    if bool((rows.kinds != 0).any()) or bool((rows.heads != rows.heads[0]).any()):
        raise TrainingError("denoise: an ensemble judges pairs of one head; keep all, or give pairs alone")


def _fresh(head: Any) -> Any:
    """A head of the same kind with new random weights."""
    fresh = copy.deepcopy(head)
    for layer in fresh.modules():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    return fresh


def fit_to(head: Any, features: torch.Tensor, rows: Rows, run: Run) -> None:
    """Fit a head in place to what it reads.

    Args:
        head: The head.
        features: ``[S, ...]`` what it reads of each point.
        rows: The rows over the points.
        run: The settings.
    """
    import torch

    count = len(rows.kinds)
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
        batch_rows = rows.at(batch)
        outputs = head(features[batch_rows.points.flatten()]).float()
        loss = run.objective.of_rows(
            batch_rows._replace(points=torch.arange(len(outputs)).view_as(batch_rows.points)), outputs
        )
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimiser.step()
        schedule.step()


def read_by_head(
    loaded: Loaded, head: Any, sequences: Sequence[Encoded], points: Sequence[Point] | None = None
) -> torch.Tensor:
    """What the head reads of each point, which is each sequence where none are given.

    Returns:
        ``[S, ...]`` inputs of the head.

    Raises:
        TrainingError: There is no memory for a sequence.
    """
    import torch

    points_wanted = [Point(number, None) for number in range(len(sequences))] if points is None else points
    by_sequence: dict[int, list[tuple[int, int | None]]] = {}
    for rank, point in enumerate(points_wanted):
        by_sequence.setdefault(point.sequence, []).append((rank, point.place))
    inputs_read: list[torch.Tensor] = []
    loaded.model.eval()
    run = _one_at_a_time(loaded, in_places=any(point.place is not None for point in points_wanted))
    hook = head.register_forward_pre_hook(lambda _, inputs: inputs_read.append(inputs[0]))
    outputs: dict[int, torch.Tensor] = {}
    try:
        # Neighbours share beginnings, which are computed once.
        for number in sorted(by_sequence, key=lambda number: sequences[number].ids):
            inputs_read.clear()
            run(sequences[number])
            for rank, place in by_sequence[number]:
                # Heads of sequences that are given all positions read the first one.
                all_positions = inputs_read[-1].dim() == 3
                outputs[rank] = (
                    inputs_read[-1][0, place]
                    if place is not None
                    else inputs_read[-1][0, :1]
                    if all_positions
                    else inputs_read[-1][-1]
                ).clone()
    finally:
        hook.remove()
    return torch.stack([outputs[rank] for rank in range(len(points_wanted))])


def _one_at_a_time(loaded: Loaded, *, in_places: bool) -> Callable[[Encoded], None]:
    """What runs a sequence through the model as a server does.

    Raises:
        TrainingError: When it is called: there is no memory for the sequence.
    """

    def refuse(encoded: Encoded) -> TrainingError:
        return TrainingError(f"there is no memory for {len(encoded.ids)} tokens; lower max_length")

    if in_places:
        reader = Reader(loaded)

        def read(encoded: Encoded) -> None:
            try:
                reader.outputs(encoded.ids, [0])
            except NoMemoryError:
                raise refuse(encoded) from None

        return read
    forward = Forward(loaded, prefix_bytes=_PREFIX_BYTES)

    def run(encoded: Encoded) -> None:
        if forward.run([encoded])[0].out_of_memory:
            raise refuse(encoded)

    return run
