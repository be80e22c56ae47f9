"""The loss of a batch of rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from reward_servers.training._examples import Rows

Kind = Literal["bradley_terry", "robust"]
ListKind = Literal["list-mle", "logistic", "lambda"]
_TEMPERATURE = 0.1
_DROPPED = 0.1


@dataclass(frozen=True, slots=True)
class Objective:
    """What training minimises.

    Attributes:
        kind: Of pairs. ``"bradley_terry"``: ``-log sigma(chosen - rejected - margin)``, with soft labels. ``"robust"``:
            the same made unbiased for labels of which a share is wrong (rDPO, arXiv 2403.00409); margins are not used.
        label_smoothing: Taken from the certainty of every label: a label p becomes ``p (1 - 2 s) + s``.
        flip_rate: Share of the labels that are wrong, below 0.5; for ``"robust"``.
        centre: Weight of ``(chosen + rejected)^2``, which keeps scores around 0.
        lists: Of lists. ``"list-mle"``: the likelihood of the order; ``"logistic"``: all pairs that differ;
            ``"lambda"``: these pairs, by how much their exchange would cost (LiPO, arXiv 2402.01878).
        contrastive: Weight of a contrastive term over pairs: what a head reads of the chosen response less what it
            reads of the rejected one, seen twice with parts left out, is to be known again among the other pairs
            (Secrets of RLHF II, arXiv 2401.06080, section 3.1).
    """

    kind: Kind = "bradley_terry"
    label_smoothing: float = 0.0
    flip_rate: float = 0.0
    centre: float = 0.01
    lists: ListKind = "list-mle"
    contrastive: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.label_smoothing < 0.5:
            raise ValueError(f"label_smoothing: {self.label_smoothing} must lie in [0, 0.5)")
        if not 0.0 <= self.flip_rate < 0.5:
            raise ValueError(f"flip_rate: {self.flip_rate} must lie in [0, 0.5); from there on labels say nothing")
        if self.flip_rate and self.kind != "robust":
            raise ValueError("flip_rate: is for objective 'robust'; set it to 0 or choose that objective")
        if not 0.0 <= self.centre < math.inf:
            raise ValueError(f"centre: {self.centre} must be a number, and not negative")
        if not 0.0 <= self.contrastive <= 100.0:
            raise ValueError(f"contrastive: {self.contrastive} must lie in [0, 100]")

    def __call__(self, chosen: Tensor, rejected: Tensor, margins: Tensor, labels: Tensor) -> Tensor:
        """The scalar loss of pairs.

        Args:
            chosen: ``[P]`` scores.
            rejected: ``[P]`` scores.
            margins: ``[P]`` how much more the chosen ones should score.
            labels: ``[P]`` probability that the preference holds.
        """
        from trainer_client.losses import bradley_terry, preference_loss

        labels = labels * (1.0 - 2.0 * self.label_smoothing) + self.label_smoothing
        if self.kind == "bradley_terry":
            return bradley_terry(chosen, rejected, margins=margins, labels=labels, centre=self.centre)
        straight = preference_loss(chosen, rejected, beta=1.0, flip_rate=self.flip_rate)
        turned = preference_loss(rejected, chosen, beta=1.0, flip_rate=self.flip_rate)
        loss = (labels * straight + (1.0 - labels) * turned).mean()
        return loss + self.centre * ((chosen + rejected) ** 2).mean()

    def of_rows(self, rows: Rows, outputs: Tensor) -> Tensor:
        """The scalar loss of rows: the mean over them.

        Args:
            rows: The rows.
            outputs: ``[S, H]`` of the points.
        """
        total = outputs.new_zeros(())
        pairs = rows.kinds == 0
        if bool(pairs.any()):
            scores = _of_head(outputs[rows.points[pairs][:, :2]], rows.heads[pairs])
            total = total + len(scores) * self(scores[:, 0], scores[:, 1], rows.margins[pairs], rows.labels[pairs])
        for row in (rows.kinds == 1).nonzero()[:, 0].tolist():
            values = rows.values[row]
            scores = outputs[rows.points[row], rows.heads[row]][: int((values == values).sum())]
            total = total + self._of_list(scores, values[values == values])
        rated = rows.kinds == 2
        if bool(rated.any()):
            total = total + _of_ratings(outputs[rows.points[rated][:, 0]], rows.values[rated])
        return total / len(rows.kinds)

    def _of_list(self, scores: Tensor, values: Tensor) -> Tensor:
        from trainer_client.losses import lambda_loss, list_loss

        if self.lists == "list-mle":
            loss = list_loss(scores, values, kind="list-mle") / (len(scores) - 1)
        else:
            differ = (values[:, None] > values[None, :]).sum()
            loss_of_list = (
                list_loss(scores, values, kind="logistic")
                if self.lists == "logistic"
                else lambda_loss(scores, values).sum()
            )
            loss = loss_of_list / differ
        return loss + self.centre * scores.mean() ** 2

    def of_features(self, features: Tensor) -> Tensor:
        """The contrastive term of ``[P, F]`` differences of what a head reads; 0 for a single pair.

        Each is seen twice with a tenth left out at random; a view is to be closer to its other one than to those of
        the other pairs (SimCSE, arXiv 2104.08821).
        """
        import torch
        from torch.nn import functional

        if len(features) < 2:
            return features.new_zeros(())
        first, second = (
            functional.normalize(functional.dropout(features, _DROPPED, training=True), dim=-1) for _ in range(2)
        )
        targets = torch.arange(len(features), device=features.device)
        return self.contrastive * functional.cross_entropy(first @ second.T / _TEMPERATURE, targets)


def _of_head(outputs: Tensor, heads: Tensor) -> Tensor:
    """``[P, 2]`` of ``[P, 2, H]`` outputs: those of each row's head."""
    return outputs.gather(2, heads[:, None, None].expand(-1, outputs.shape[1], 1))[:, :, 0]


def _of_ratings(outputs: Tensor, values: Tensor) -> Tensor:
    """Sum over rows of the mean cross-entropy of ``[R, H]`` outputs, squashed, with the ratings that are there."""
    from torch.nn.functional import binary_cross_entropy_with_logits

    outputs, values = outputs[:, : values.shape[1]], values[:, : outputs.shape[1]]
    is_rated = values == values
    losses = binary_cross_entropy_with_logits(outputs, values.nan_to_num(0.5).to(outputs), reduction="none")
    return ((losses * is_rated).sum(1) / is_rated.sum(1).clamp_min(1)).sum()
