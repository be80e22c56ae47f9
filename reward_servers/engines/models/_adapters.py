"""LoRA adapters, as peft writes them: small changes to a model that are switched by name, sequence by sequence.

A layer ``W x`` becomes ``W x + s B (A x)``, where A and B are the adapter's and s is its scale. Heads that were trained
with an adapter are exchanged with it. Nothing of the base model is changed, so any number of adapters share it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reward_servers.engines.models._loading import Loaded, ModelUnusableError, errors_named

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

_ROOT = "base_model.model."
_RANK = 8
"""What peft takes for a rank, and for alpha, that its file does not say."""
_REFUSED = ("use_dora", "alora_invocation_tokens", "trainable_token_indices", "lora_bias")


@dataclass(slots=True)
class _Layer:
    """What an adapter adds to a layer."""

    down: torch.Tensor
    up: torch.Tensor
    scale: float


@dataclass(slots=True)
class _Adapter:
    """Layers that are changed and layers that are exchanged, by the name of their module; and a digest of the files."""

    layers: dict[str, _Layer]
    exchanged: dict[str, dict[str, torch.Tensor]]
    digest: str


class Adapters:
    """The adapters of one model.

    Attributes:
        names: Their names.
    """

    def __init__(self, loaded: Loaded, paths: Mapping[str, Path]) -> None:
        """Read adapters and prepare the model for them.

        Args:
            loaded: The model.
            paths: Directories with ``adapter_config.json`` and ``adapter_model.safetensors``, by name.

        Raises:
            ModelUnusableError: An adapter cannot be used, or does not fit the model.
        """
        self._model = loaded.model
        self._modules: dict[str, Any] = dict(loaded.model.named_modules())
        self._adapters = {name: self._read(path, loaded) for name, path in paths.items()}
        self._active: _Adapter | None = None
        self.names = tuple(paths)
        for module in {name for adapter in self._adapters.values() for name in adapter.layers}:
            self._modules[module].register_forward_hook(self._hook(module))

    @property
    def fingerprint(self) -> str:
        """Digest of all adapters; empty when there are none."""
        text = " ".join(f"{name}={adapter.digest}" for name, adapter in sorted(self._adapters.items()))
        return sha256(text.encode()).hexdigest()[:16] if text else ""

    @contextmanager
    def using(self, name: str) -> Iterator[None]:
        """Run the model with an adapter; with an empty name, without one.

        Raises:
            KeyError: There is no such adapter.
        """
        if not name:
            yield
            return
        adapter = self._adapters[name]
        saved: list[tuple[Any, dict[str, torch.Tensor]]] = []
        for module, weights in adapter.exchanged.items():
            parameters = dict(self._modules[module].named_parameters())
            saved.append((self._modules[module], {key: parameters[key].data for key in weights}))
            for key, value in weights.items():
                parameters[key].data = value
        self._active = adapter
        try:
            yield
        finally:
            self._active = None
            for layer, weights in saved:
                for key, parameter in layer.named_parameters():
                    if key in weights:
                        parameter.data = weights[key]

    def _hook(self, module: str) -> Any:
        def add(_: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor | None:
            change = self._active.layers.get(module) if self._active is not None else None
            if change is None:
                return None
            return output + change.scale * ((inputs[0] @ change.down.T) @ change.up.T)

        return add

    def _read(self, path: Path, loaded: Loaded) -> _Adapter:
        from safetensors.torch import load_file

        config_file, file = path / "adapter_config.json", path / "adapter_model.safetensors"
        for needed in (config_file, file):
            if not needed.is_file():
                raise ModelUnusableError(f"{needed} is missing; give the directory of a LoRA adapter that peft wrote")
        with errors_named(path, "adapter", "download it again"):
            config = json.loads(config_file.read_text("utf-8"))
            tensors: dict[str, torch.Tensor] = load_file(file, device=loaded.device)
            kind = config.get("peft_type")
            rank, alpha = int(config.get("r", _RANK)), float(config.get("lora_alpha", _RANK))
        if kind != "LORA" or any(config.get(key) for key in _REFUSED) or config.get("bias", "none") != "none":
            raise ModelUnusableError(f"{path}: only plain LoRA adapters are used, not {kind} with these options")
        if config.get("rank_pattern") or config.get("alpha_pattern"):
            raise ModelUnusableError(f"{path}: ranks that differ by layer are not supported; train with one rank")
        if rank < 1:
            raise ModelUnusableError(f"{config_file}: r is {rank}, and a rank is 1 at least; download it again")
        scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
        digest = sha256(config_file.read_bytes() + file.read_bytes()).hexdigest()[:16]
        return self._fitted(path, tensors, rank, scale, digest)

    def _fitted(
        self, path: Path, tensors: Mapping[str, torch.Tensor], rank: int, scale: float, digest: str
    ) -> _Adapter:
        import torch

        adapter = _Adapter({}, {}, digest)
        for key, value in tensors.items():
            name = key.removeprefix(_ROOT)
            if not bool(torch.isfinite(value).all()):
                raise ModelUnusableError(f"{path}: {key} holds values that are not finite; download it again")
            module, _, part = name.partition(".lora_A.")
            if part:
                layer = self._modules.get(module)
                up = tensors.get(key.replace(".lora_A.", ".lora_B."))
                if not isinstance(layer, torch.nn.Linear) or up is None:
                    raise ModelUnusableError(f"{path}: the model has no linear layer {module!r}; give its own adapter")
                if value.shape[1] != layer.in_features or up.shape[0] != layer.out_features:
                    raise ModelUnusableError(f"{path}: {module} is of another size here; give this model's own adapter")
                if value.shape[0] != rank or up.shape[1] != rank:
                    raise ModelUnusableError(
                        f"{path}: {module} is of another rank than the {rank} of adapter_config.json; download it again"
                    )
                dtype = layer.weight.dtype
                adapter.layers[module] = _Layer(value.to(dtype), up.to(dtype), scale)
            elif ".lora_B." in name:
                if key.replace(".lora_B.", ".lora_A.") not in tensors:
                    raise ModelUnusableError(f"{path}: {key} has no lora_A beside it; download it again")
            else:
                module, _, part = name.rpartition(".")
                own = dict(self._modules[module].named_parameters()) if module in self._modules else {}
                if part not in own or own[part].shape != value.shape:
                    raise ModelUnusableError(f"{path}: the model has no {name} of that size; give its own adapter")
                adapter.exchanged.setdefault(module, {})[part] = value.to(own[part].dtype)
        if not adapter.layers:
            raise ModelUnusableError(f"{path}: the adapter changes no layer; give one that was trained")
        return adapter
