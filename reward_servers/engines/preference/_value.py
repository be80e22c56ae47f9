"""Value models: how probably a policy solves a prompt, from the prompt and the outcomes that it had with others.

A frozen encoder makes vectors of prompts. Their weighted sum is what any policy is expected to do, the *prior*, in
log-odds; a Gaussian process over its errors is moved by the *history*, the latest outcomes of the present policy: all
prompts together, since one policy is better than another, and prompts of like meaning more than others.

Source: the interface (prompt and history in, probability out), the loss and the window of 256 are those of V_0 (arXiv
2602.03584), whose frozen tabular network the Gaussian process replaces: Rasmussen and Williams, "Gaussian Processes for
Machine Learning" (2006), sections 3.4.1 and 3.4.2 (Laplace's approximation), with the expectation of a squashed
Gaussian by MacKay (1992): its mean is divided by ``sqrt(1 + pi variance / 8)``.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from reward_servers.engines.models import ModelUnusableError, errors_named
from reward_servers.engines.preference._texts import TextModel

if TYPE_CHECKING:
    import torch

VALUE_FILE = "value.safetensors"
_LEAST_NOISE = 1e-6
_MOST_STEPS = 50
_SETTLED = 1e-9
_HISTORIES = 8


class ValueParameters(NamedTuple):
    """The trained parameters; float64.

    Attributes:
        weights: ``[H]`` of the vector of a prompt.
        offset: ``[]`` added to their sum: the prior in log-odds.
        skill: ``[]`` logarithm of the deviation that all prompts share: one policy is better than another.
        own: ``[]`` logarithm of the deviation that prompts of like meaning share.
        sharpness: ``[]`` logarithm of how fast likeness ends as the cosine falls.
    """

    weights: torch.Tensor
    offset: torch.Tensor
    skill: torch.Tensor
    own: torch.Tensor
    sharpness: torch.Tensor

    def prior(self, vectors: torch.Tensor) -> torch.Tensor:
        """``[Q]`` log-odds that any policy solves ``[Q, H]`` prompts."""
        return vectors @ self.weights + self.offset

    def likeness(self, vectors: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """``[Q, N]`` covariance of the prior's errors at ``[Q, H]`` and ``[N, H]`` prompts."""
        import torch

        near = torch.exp(torch.exp(self.sharpness) * (vectors @ others.T - 1.0))
        return torch.exp(2.0 * self.skill) + torch.exp(2.0 * self.own) * near


class EncodedHistory(NamedTuple):
    """A history, ready to be asked.

    Attributes:
        vectors: ``[N, H]`` of its prompts.
        roots: ``[N]`` roots of the information of each outcome: its variance at the most probable log-odds.
        factor: ``[N, N]`` Cholesky factor of the identity plus the covariance between these roots.
        errors: ``[N]`` outcomes minus their expected values at the most probable log-odds.
    """

    vectors: torch.Tensor
    roots: torch.Tensor
    factor: torch.Tensor
    errors: torch.Tensor


def take_in(parameters: ValueParameters, vectors: torch.Tensor, outcomes: torch.Tensor) -> EncodedHistory:
    """Take in the outcomes of ``[N, H]`` prompts, each between 0 and 1: find the most probable log-odds."""
    import torch

    prior, likeness = parameters.prior(vectors), parameters.likeness(vectors, vectors)
    with torch.no_grad():
        abilities = torch.zeros_like(outcomes)
        for _ in range(_MOST_STEPS):
            before, (abilities, _, _) = abilities, _step(prior, likeness, outcomes, abilities)
            if float((abilities - before).abs().max()) < _SETTLED:
                break
    # From where the search ends, one more step carries the gradient of its end.
    abilities, _, _ = _step(prior, likeness, outcomes, abilities)
    _, roots, factor = _step(prior, likeness, outcomes, abilities)
    return EncodedHistory(vectors, roots, factor, outcomes - torch.sigmoid(prior + abilities))


def _step(
    prior: torch.Tensor, likeness: torch.Tensor, outcomes: torch.Tensor, abilities: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A step of Newton's method: the next errors of the prior, and roots and factor at the present ones."""
    import torch

    chance = torch.sigmoid(prior + abilities)
    information = (chance * (1.0 - chance)).clamp_min(_LEAST_NOISE)
    roots = information.sqrt()
    factor = torch.linalg.cholesky(torch.eye(len(abilities)).to(likeness) + roots[:, None] * likeness * roots[None, :])
    weighted = information * abilities + outcomes - chance
    correction = roots * torch.cholesky_solve((roots * (likeness @ weighted))[:, None], factor)[:, 0]
    return likeness @ (weighted - correction), roots, factor


def expect(
    parameters: ValueParameters, vectors: torch.Tensor, history: EncodedHistory | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation of the expected outcome of ``[Q, H]`` prompts, behind a history or without one."""
    import torch

    mean = parameters.prior(vectors)
    variance = (torch.exp(2.0 * parameters.skill) + torch.exp(2.0 * parameters.own)).expand_as(mean)
    if history is not None:
        across = parameters.likeness(vectors, history.vectors)
        mean = mean + across @ history.errors
        scaled = history.roots[:, None] * across.T
        variance = (variance - (scaled * torch.cholesky_solve(scaled, history.factor)).sum(0)).clamp_min(0.0)
    chance = torch.sigmoid(mean / torch.sqrt(1.0 + math.pi * variance / 8.0))
    return chance, chance * (1.0 - chance) * variance.sqrt()


class ValueModel:
    """A trained value model: the encoder's directory with ``value.safetensors`` in it.

    Attributes:
        max_length: Tokens of the longest prompt.
        fingerprint: Digest of all that its values depend on.
    """

    def __init__(self, path: Path, max_length: int, **where: Any) -> None:
        """Load the model.

        Args:
            path: Its directory.
            max_length: Tokens of a prompt that are read; less when the encoder takes fewer.
            where: Device, dtype and threads.

        Raises:
            ModelUnusableError: The files cannot be used.
            EncodingError: The tokenizer cannot be used.
        """
        file = path / VALUE_FILE
        if path.is_dir() and not file.is_file():
            raise ModelUnusableError(f"{path} has no {VALUE_FILE}; train it with: assay train value")
        self._encoder = TextModel(path, "mean", max_length, **where)
        self.max_length = self._encoder.max_length
        self.fingerprint = self._encoder.fingerprint
        with errors_named(file, "value model", "train it again"):
            self._parameters = _read(file, self._encoder.width)
        self._histories: OrderedDict[tuple[tuple[str, ...], tuple[float, ...]], EncodedHistory] = OrderedDict()

    def value(self, prompt: str, history: Sequence[tuple[str, float]]) -> tuple[float, float, float]:
        """Expected outcome of a prompt after a history, its deviation, and the expected outcome without the history.

        Raises:
            NoMemoryError: The device has no memory for one of the texts.
        """
        import torch

        with torch.inference_mode():
            vector = self._encoder.shortened(prompt)[None]
            prior, _ = expect(self._parameters, vector, None)
            mean, deviation = expect(self._parameters, vector, self._taken_in(history))
        return float(mean[0]), float(deviation[0]), float(prior[0])

    def _taken_in(self, history: Sequence[tuple[str, float]]) -> EncodedHistory | None:
        """The history taken in: once for all prompts that are asked with it."""
        import torch

        if not history:
            return None
        texts, outcomes = zip(*history, strict=True)
        key = (tuple(texts), tuple(outcomes))
        abilities = self._histories.get(key)
        if abilities is None:
            vectors = torch.stack([self._encoder.shortened(text) for text in texts])
            if not bool(torch.isfinite(vectors).all()):
                # The matrix cannot be factored, so the expected outcome after such a history is NaN.
                nan = torch.full((len(vectors),), math.nan, dtype=torch.float64)
                return EncodedHistory(vectors, nan, vectors @ vectors.T, nan)
            abilities = take_in(self._parameters, vectors, torch.tensor(outcomes, dtype=torch.float64))
            self._histories[key] = abilities
            if len(self._histories) > _HISTORIES:
                self._histories.popitem(last=False)
        return abilities


def _read(file: Path, width: int) -> ValueParameters:
    import torch
    from safetensors.torch import load_file

    tensors = load_file(file)
    missing = [name for name in ValueParameters._fields if name not in tensors]
    if missing:
        raise ValueError(f"it holds no {missing[0]}")
    values = ValueParameters(*(tensors[name].double() for name in ValueParameters._fields))
    if values.weights.shape != (width,):
        raise ValueError(f"its weights have the shape {tuple(values.weights.shape)}, the encoder's vectors {width}")
    if not all(bool(torch.isfinite(value).all()) for value in values):
        raise ValueError("it holds values that are not finite")
    return values


def write_value(parameters: ValueParameters, folder: Path) -> None:
    """Write the parameters beside their encoder."""
    from safetensors.torch import save_file

    values = {name: value.detach().contiguous() for name, value in parameters._asdict().items()}
    save_file(values, folder / VALUE_FILE)
