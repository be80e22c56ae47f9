"""The loss of a batch of pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["bradley_terry", "robust"]


@dataclass(frozen=True, slots=True)
class Objective:
    """What training minimises.

    Attributes:
        kind: ``"bradley_terry"``: ``-log sigma(chosen - rejected - margin)``, with soft labels. ``"robust"``: the same
            made unbiased for labels of which a share is wrong (rDPO, arXiv 2403.00409); margins are not used.
        label_smoothing: Taken from the certainty of every label: a label p becomes ``p (1 - 2 s) + s``.
        flip_rate: Share of the labels that are wrong, below 0.5; for ``"robust"``.
        centre: Weight of ``(chosen + rejected)^2``, which keeps scores around 0.
    """

    kind: Kind = "bradley_terry"
    label_smoothing: float = 0.0
    flip_rate: float = 0.0
    centre: float = 0.01

    def __post_init__(self) -> None:
        if not 0.0 <= self.label_smoothing < 0.5:
            raise ValueError(f"label_smoothing: {self.label_smoothing} must lie in [0, 0.5)")
        if not 0.0 <= self.flip_rate < 0.5:
            raise ValueError(f"flip_rate: {self.flip_rate} must lie in [0, 0.5); from there on labels say nothing")
        if self.flip_rate and self.kind != "robust":
            raise ValueError("flip_rate: is for objective 'robust'; set it to 0 or choose that objective")
        if self.centre < 0:
            raise ValueError(f"centre: {self.centre} must not be negative")

    def __call__(self, chosen: Tensor, rejected: Tensor, margins: Tensor, labels: Tensor) -> Tensor:
        """The scalar loss of a batch.

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
        given = preference_loss(chosen, rejected, beta=1.0, flip_rate=self.flip_rate)
        turned = preference_loss(rejected, chosen, beta=1.0, flip_rate=self.flip_rate)
        loss = (labels * given + (1.0 - labels) * turned).mean()
        return loss + self.centre * ((chosen + rejected) ** 2).mean()
