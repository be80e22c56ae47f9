"""Compares every kind of model with plain transformers, and every score with itself in random batches.

Usage: ``python -m tests.preference_models [NAME ...] [--batches N] [--seed S]``

For each kind, in float32 and bfloat16: sequences of every length that the model has positions for, whole and in groups
that share a beginning. float32 outputs lie within 1e-6 of one unpadded sequence through transformers (relative to the
output where that exceeds 1); in both types every output is to the last bit the same alone and in every batch.
Prints a line for each and ``passed/total`` last; exits 1 below 100 %.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification

from reward_servers.engines.models import Encoded, Forward, load_classifier
from tests.engines.models import architectures

TOLERANCE = 1e-6


def _sequences(longest: int, draw: random.Random) -> list[Encoded]:
    """Every length once, and groups of three that share a beginning, up to the longest."""
    words = range(7, architectures.VOCABULARY)
    rows = [Encoded(tuple(draw.choices(words, k=length))) for length in range(1, longest + 1)]
    for prompt in range(64, longest - 16, 16):
        beginning = draw.choices(words, k=prompt)
        for response in (1, 9, longest - prompt):
            rows.append(Encoded((*beginning, *draw.choices(words, k=response)), shared=prompt))
    return rows


def _difference(path: Path, sequences: list[Encoded], found: list[tuple[float, ...]]) -> float:
    theirs = AutoModelForSequenceClassification.from_pretrained(path).eval()
    theirs.config.pad_token_id = None
    with torch.inference_mode():
        wanted: list[list[float]] = [theirs(torch.tensor([one.ids])).logits[0].double().tolist() for one in sequences]
    pairs = [
        (ours, theirs)
        for row, other in zip(found, wanted, strict=True)
        for ours, theirs in zip(row, other, strict=True)
    ]
    return max(abs(ours - theirs) / max(1.0, abs(theirs)) for ours, theirs in pairs)


def compare(name: str, dtype: str, batches: int, seed: int) -> tuple[float | None, int, bool]:
    """Compare one kind of model.

    Args:
        name: A name of ``architectures.CONFIGURATIONS``.
        dtype: ``"float32"`` or ``"bfloat16"``.
        batches: Random batches to try.
        seed: Of the sequences and the batches.

    Returns:
        The largest difference from transformers (None for bfloat16), the number of outputs that were another in some
        batch, and whether beginnings are shared.
    """
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = architectures.make(name, Path(folder))
        loaded = load_classifier(path, device="cpu", dtype=dtype)
        assert loaded.max_length is not None
        forward = Forward(loaded, prefix_bytes=1 << 18)
        sequences = _sequences(loaded.max_length, draw)
        alone = []
        for one in sequences:
            forward.forget()
            alone.append(forward.run([one])[0].values)
        changed = set()
        for _ in range(batches):
            places = draw.sample(range(len(sequences)), draw.randint(1, 12))
            for place, found in zip(places, forward.run([sequences[place] for place in places]), strict=True):
                if found.values != alone[place]:
                    changed.add(place)
        worst = _difference(path, sequences, alone) if dtype == "float32" else None
    return worst, len(changed), forward.splits


def main() -> int:
    """Compare what was asked for; 1 when something differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.preference_models")
    parser.add_argument("names", nargs="*", help="kinds of models; all of them by default")
    parser.add_argument("--batches", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    names = given.names or list(architectures.CONFIGURATIONS)
    unknown = [name for name in names if name not in architectures.CONFIGURATIONS]
    if unknown:
        parser.error(f"no kind {', '.join(unknown)}; there are {', '.join(architectures.CONFIGURATIONS)}")
    torch.set_num_threads(1)
    passed = 0
    for name in names:
        for dtype in ("float32", "bfloat16"):
            worst, changed, splits = compare(name, dtype, given.batches, given.seed)
            good = not changed and (worst is None or worst <= TOLERANCE)
            passed += good
            said = "" if worst is None else f", {worst:.1e} from transformers"
            shares = "shares beginnings" if splits else "whole sequences"
            verdict = "ok  " if good else "FAIL"
            print(f"{verdict} {name} {dtype}: {changed} changed in {given.batches} batches{said}, {shares}", flush=True)
    total = 2 * len(names)
    print(f"{passed}/{total}")
    return 0 if passed == total else 1


if __name__ == "__main__":
    sys.exit(main())
