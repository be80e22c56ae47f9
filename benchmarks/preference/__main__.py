"""``python -m benchmarks.preference``: processor time of scoring, as ratios within one run.

A random Llama classifier with 24 M parameters besides its embedding, float32, one thread. Ways of scoring the same
sequences take turns in every round; printed are medians over the rounds, with the least and the greatest ratio.

* *skewed*: 24 sequences with lognormal lengths (median 187), against padded batches of 8 in order of arrival, batches
  sorted by length, and one sequence at a time, as a pipeline of transformers does unless told otherwise.
* *groups*: 8 responses to one prompt, against 8 whole sequences as one batch and one at a time; and one response alone.
* *grouped and skewed*: 6 groups of 8 with lognormal lengths, against left-padded batches cut from the request in order,
  as reward servers of trainers do it, and one sequence at a time. Beside whole sequences the *limit* is told: the ratio
  of the operations.
* *start*: processor seconds from loading to ready, beside loading alone.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from reward_servers.engines.models import Encoded, Forward, Loaded, load_classifier
from reward_servers.engines.preference import PreferenceModel
from tests.engines.models import tiny

BATCH = 8
VOCABULARY = 2000
SHAPES = ((768, 128), (384, 384), (256, 256), (128, 512), (64, 64), (32, 200))
Way = Callable[[], list[float]]


def make(path: Path) -> Path:
    """Write the model and a tokenizer."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(  # type: ignore[call-arg]
        vocab_size=VOCABULARY,
        hidden_size=512,
        intermediate_size=1536,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        num_labels=1,
        pad_token_id=0,
    )
    model = transformers.LlamaForSequenceClassification(config)  # type: ignore[no-untyped-call]
    model.save_pretrained(path)
    tiny.tokenizer(path)
    return path


def lengths(count: int, draw: random.Random, median: float = 187.0) -> list[int]:
    """Lognormal lengths, from 16 to 861 tokens."""
    return [max(16, min(861, round(median * math.exp(draw.gauss(0.0, 0.65))))) for _ in range(count)]


def sequence(length: int, draw: random.Random, beginning: Sequence[int] = ()) -> Encoded:
    """Random ids, after a beginning that others share."""
    return Encoded((*beginning, *(draw.randrange(7, VOCABULARY) for _ in range(length))), shared=len(beginning))


class Ways:
    """Ways of scoring sequences with one model.

    Attributes:
        config: Of the model.
    """

    def __init__(self, loaded: Loaded) -> None:
        self._model = loaded.model
        self.config = loaded.model.config
        self._forward = Forward(loaded, prefix_bytes=1 << 28)

    def served(self, sequences: Sequence[Encoded]) -> list[float]:
        """Ours; nothing is kept from the round before."""
        self._forward.forget()
        return [one.values[0] for one in self._forward.run(sequences)]

    def alone(self, sequences: Sequence[Encoded]) -> list[float]:
        """Whole sequences, one at a time."""
        with torch.inference_mode():
            return [float(self._model(torch.tensor([one.ids])).logits[0, 0]) for one in sequences]

    def padded(self, sequences: Sequence[Encoded], *, left: bool = False) -> list[float]:
        """Padded batches, in order."""
        found: list[float] = []
        for start in range(0, len(sequences), BATCH):
            rows = [one.ids for one in sequences[start : start + BATCH]]
            width = max(map(len, rows))
            blanks = [[0] * (width - len(row)) for row in rows]
            ids = torch.tensor(
                [[*blank, *row] if left else [*row, *blank] for row, blank in zip(rows, blanks, strict=True)]
            )
            with torch.inference_mode():
                found += self._model(ids, attention_mask=(ids != 0).long()).logits[:, 0].tolist()
        return found

    def sorted(self, sequences: Sequence[Encoded]) -> list[float]:
        """Padded batches of sequences of like lengths."""
        order = sorted(range(len(sequences)), key=lambda place: len(sequences[place].ids))
        scores = dict(zip(order, self.padded([sequences[place] for place in order]), strict=True))
        return [scores[place] for place in range(len(sequences))]


def limit(groups: Sequence[Sequence[Encoded]], config: Any) -> float:
    """Operations of whole sequences by those where the prompt of each group is computed once.

    A token costs 2 operations for each weight of the layers; a token and one that it sees, itself included, cost 4 for
    each number of the hidden state and layer: in both ways those of the responses see the prompt.
    """
    width, layers = int(config.hidden_size), int(config.num_hidden_layers)
    heads = width * int(config.num_key_value_heads) // int(config.num_attention_heads)
    weights = layers * (2 * width * width + 2 * width * heads + 3 * width * int(config.intermediate_size))

    def cost(tokens: int, before: int = 0) -> int:
        pairs = tokens * before + tokens * (tokens + 1) // 2
        return 2 * weights * tokens + 4 * width * layers * pairs

    whole = sum(cost(len(one.ids)) for group in groups for one in group)
    once = sum(cost(group[0].shared) for group in groups)
    return whole / (once + sum(cost(len(one.ids) - one.shared, one.shared) for group in groups for one in group))


def side_by_side(ways: dict[str, Way], rounds: int) -> dict[str, list[float]]:
    """Processor seconds of each way in each round; ways take turns, and each round begins with another."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            started = time.process_time()
            ways[name]()
            seconds[name].append(time.process_time() - started)
    return seconds


def ratios(title: str, ways: dict[str, Way], rounds: int) -> None:
    """Print how much more processor time each other way takes than the first."""
    results = {name: way() for name, way in ways.items()}
    first, *others = ways
    seconds = side_by_side(ways, rounds)
    for name in others:
        each = [other / ours for ours, other in zip(seconds[first], seconds[name], strict=True)]
        apart = max(abs(one - two) for one, two in zip(results[first], results[name], strict=True))
        middle = f"{statistics.median(each):5.2f}  ({min(each):.2f} to {max(each):.2f})"
        print(f"{title:28} {name:34} {middle}  scores differ by {apart:.1e} at most", flush=True)


def starts(path: Path, rounds: int) -> None:
    """Print processor seconds from loading to ready."""
    options: dict[str, Any] = {"device": "cpu", "dtype": "float32"}
    ways: dict[str, Way] = {
        "ready": lambda: [PreferenceModel(path).max_length],
        "loaded": lambda: [load_classifier(path, **options).max_length or 0],
    }
    seconds = side_by_side(ways, rounds)
    spent = {name: statistics.median(each) for name, each in seconds.items()}
    print(
        f"{'start':28} ready {spent['ready']:.2f} s of processor, of which loading {spent['loaded']:.2f} s", flush=True
    )


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preference")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    draw = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        path = make(Path(folder))
        starts(path, given.rounds)
        run = Ways(load_classifier(path, device="cpu", dtype="float32"))
        drawn = lengths(24, draw)
        print(f"skewed lengths, seed {given.seed}: {' '.join(map(str, drawn))}")
        skewed = [sequence(length, draw) for length in drawn]
        ratios(
            "skewed",
            {
                "served": lambda: run.served(skewed),
                "padded batches of 8": lambda: run.padded(skewed),
                "sorted batches of 8": lambda: run.sorted(skewed),
                "one at a time": lambda: run.alone(skewed),
            },
            given.rounds,
        )
        for prompt, response in SHAPES:
            beginning = sequence(prompt, draw).ids
            group = [sequence(response, draw, beginning) for _ in range(8)]
            print(f"{prompt}/{response}: the limit is {limit([group], run.config):.2f}")
            for what, some in (("group of 8", group), ("one of them", group[:1])):
                two: dict[str, Way] = {
                    "served": lambda some=some: run.served(some),  # type: ignore[misc]
                    "one at a time": lambda some=some: run.alone(some),  # type: ignore[misc]
                }
                if len(some) > 1:
                    two["one batch"] = lambda some=some: run.padded(some)  # type: ignore[misc]
                ratios(f"{prompt}/{response}, {what}", two, given.rounds)
        groups = [
            [sequence(length, draw, beginning) for length in lengths(8, draw)]
            for beginning in (sequence(length, draw).ids for length in lengths(6, draw, 400.0))
        ]
        grouped = [one for group in groups for one in group]
        print(f"grouped and skewed: the limit beside whole sequences is {limit(groups, run.config):.2f}")
        ratios(
            "grouped and skewed",
            {
                "served": lambda: run.served(grouped),
                "left-padded batches of a request": lambda: run.padded(grouped, left=True),
                "one at a time": lambda: run.alone(grouped),
            },
            max(3, given.rounds // 3),
        )


if __name__ == "__main__":
    main()
