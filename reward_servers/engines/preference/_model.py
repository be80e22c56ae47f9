"""A preference model, ready to score: loaded, proved to fit, and checked against the scores that its card states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reward_servers.engines.models import (
    Adapters,
    AddEos,
    Compute,
    Conversation,
    Encoded,
    Encoder,
    EncodingError,
    Forward,
    ModelUnusableError,
    Outputs,
    Template,
    check_fit,
    load_classifier,
)
from reward_servers.engines.preference._heads import Head, named_heads


@dataclass(frozen=True, slots=True)
class Golden:
    """A score that the model's card or its trainer states.

    Attributes:
        prompt: Text of the user's turn.
        response: Text of the assistant's turn.
        raw: The output of the head, before the normaliser.
        tolerance: How far ours may lie from it.
    """

    prompt: str
    response: str
    raw: float
    tolerance: float = 0.05


class PreferenceModel:
    """A model on one device, its encoder and its heads.

    Attributes:
        heads: Heads by name.
        encoder: The encoder.
        max_length: Tokens of the longest conversation that it takes.
        fingerprint: Digest of all that its scores depend on.
    """

    def __init__(
        self,
        path: Path,
        compute: Compute | None = None,
        *,
        template: Template = "chat",
        max_length: int = 4096,
        add_eos: AddEos = "auto",
        label: int | None = None,
        heads: Mapping[str, Head] | None = None,
        mean: float = 0.0,
        std: float = 1.0,
        golden: Sequence[Golden] = (),
        adapters: Mapping[str, Path] | None = None,
    ) -> None:
        """Load the model and prove that it can be used.

        Args:
            path: A directory with configuration, tokenizer and safetensors weights.
            compute: Where and how it runs; None for the defaults.
            template: How a conversation becomes a text.
            max_length: Tokens of a conversation at most; less when the model takes fewer.
            add_eos: Whether a conversation ends in the end-of-sequence token. With ``"auto"`` the golden scores
                decide where there are any.
            label: Which output to read, for a model with several and no declared heads.
            heads: Heads by name.
            mean: Of the output of the one head, when none are declared.
            std: Its deviation.
            golden: Scores of the first head that must be met.
            adapters: Directories of LoRA adapters by name.

        Raises:
            ModelUnusableError: The files cannot be used; the message says why and what to do.
            ImportError: torch or transformers is missing.
        """
        run = compute or Compute()
        loaded = load_classifier(path, device=run.device, dtype=run.dtype, threads=run.threads)
        self.max_length = min(max_length, loaded.max_length or max_length)
        known_adapters = Adapters(loaded, adapters or {})
        self._forward = Forward(
            loaded,
            prefix_bytes=run.prefix_bytes,
            kernel=run.kernel,
            batch_tokens=run.batch_tokens,
            adapters=known_adapters,
        )
        try:
            names = loaded.model.config.id2label
            self.heads = named_heads(heads or {}, label, self._forward.outputs, names, mean, std)
            encoders = [Encoder(loaded.tokenizer, template, self.max_length, add_eos)]
            if add_eos == "auto" and golden and loaded.tokenizer.eos_token_id is not None:
                other_ending: AddEos = "false" if encoders[0].adds_eos else "true"
                encoders.append(Encoder(loaded.tokenizer, template, self.max_length, other_ending))
            self.encoder = encoders[0] if not golden else self._fitting(encoders, golden)
        except (EncodingError, ModelUnusableError) as error:
            raise ModelUnusableError(f"{path}: {error}") from None
        check_fit(loaded, self.encoder)
        how = self._forward.kernel + (f" {run.batch_tokens}" if self._forward.kernel == "invariant" else "")
        ends = "+eos" if self.encoder.adds_eos else ""
        self.fingerprint = f"{loaded.fingerprint} {template}{ends} {how} {known_adapters.fingerprint}".rstrip()

    def run(self, sequences: Sequence[Encoded]) -> list[Outputs]:
        """Compute the outputs of encoded conversations; each is the same alone and beside any others."""
        return self._forward.run(sequences)

    def _fitting(self, encoders: Sequence[Encoder], golden: Sequence[Golden]) -> Encoder:
        """The first encoder with which every golden score is met."""
        head = next(iter(self.heads.values()))
        misfits = []
        for encoder in encoders:
            encoded = [
                encoder.encode(Conversation((("user", example.prompt),), (("assistant", example.response),)), "refuse")
                for example in golden
            ]
            values = [outputs.values[head.output] for outputs in self._forward.run(encoded)]
            if all(
                abs(value - example.raw) <= example.tolerance for value, example in zip(values, golden, strict=True)
            ):
                return encoder
            misfits.append(
                f"{'with' if encoder.adds_eos else 'without'} end-of-sequence {[round(value, 4) for value in values]}"
            )
        raise ModelUnusableError(
            f"the golden scores {[example.raw for example in golden]} are not met: {'; '.join(misfits)}; "
            "check template, dtype and the scores"
        )
