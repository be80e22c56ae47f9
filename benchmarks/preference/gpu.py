"""``python -m benchmarks.preference.gpu``: scoring on a GPU, all in one call of under eight minutes.

Random weights in the shapes of models with 0.5, 1.5 and 7 billion parameters, bfloat16. For each shape:

* *singles*: sequences of 1,024 tokens; executed tokens a second, and the share of the peak (``--peak`` TFLOP/s) that
  they are worth.
* *groups*: 8 responses of 256 tokens to prompts of 768; effective tokens a second, which counts every response with its
  whole prompt, as a server without shared prompts would have computed it.
* *skewed*: lognormal lengths, beside transformers with padded batches of 16 in order of arrival, and sorted by length.
* *invariance*: the same for passes of one shape, and how many of the scores differ in company, in both kernels.
* *queueing*: groups that arrive at random at 80 % of what the device takes; the 99th percentile of the time until their
  pass begins, in passes.

What the time does not suffice for is left out, and said. ``--tiny`` runs all of it with small shapes on a CPU.
"""

from __future__ import annotations

import argparse
import datetime
import math
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from reward_servers.engines.models import Encoded, Forward, Loaded

VOCABULARY = 151_936


@dataclass(frozen=True)
class Shape:
    """The dimensions of a model."""

    name: str
    hidden: int
    inner: int
    layers: int
    heads: int
    key_heads: int

    def linear(self) -> int:
        """Parameters that every token is multiplied with."""
        size = self.hidden // self.heads
        attention = 2 * self.hidden * self.heads * size + 2 * self.hidden * self.key_heads * size
        return self.layers * (attention + 3 * self.hidden * self.inner)

    def flops(self, length: float) -> float:
        """Operations of a token in a sequence of that length."""
        return 2.0 * self.linear() + 2.0 * self.layers * self.hidden * length


@dataclass(frozen=True)
class Work:
    """How much is run.

    Attributes:
        tokens: Of a pass.
        prompt: Tokens of a group's prompt.
        response: Tokens of each of its responses.
        single: Tokens of a lone sequence.
        rows: Sequences of a measurement.
        rounds: Measurements of which the median counts.
    """

    tokens: int
    prompt: int
    response: int
    single: int
    rows: int
    rounds: int


SHAPES = (
    Shape("0.5B", 896, 4864, 24, 14, 2),
    Shape("1.5B", 1536, 8960, 28, 12, 2),
    Shape("7B", 3584, 18944, 28, 28, 4),
)
TINY = (Shape("tiny", 32, 64, 2, 4, 2),)
WORK = Work(16384, 768, 256, 1024, 128, 3)
TINY_WORK = Work(512, 80, 24, 64, 8, 1)
GROUP = 8
LOAD = 0.8


def load(shape: Shape, device: str, tiny: bool) -> Loaded:
    """A model with random weights."""
    config = transformers.Qwen2Config(  # type: ignore[call-arg]
        vocab_size=512 if tiny else VOCABULARY,
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_heads,
        max_position_embeddings=32768,
        num_labels=1,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            model: Any = transformers.Qwen2ForSequenceClassification(config)  # type: ignore[no-untyped-call]
    finally:
        torch.set_default_dtype(torch.float32)
    return Loaded(Path(shape.name), model.eval().requires_grad_(False), None, device, 32768, "")


class Bench:
    """One model under measurement."""

    def __init__(self, shape: Shape, loaded: Loaded, work: Work) -> None:
        self.shape = shape
        self.loaded = loaded
        self.work = work
        self.draw = random.Random(1)
        self.rows = loaded.model.get_input_embeddings().num_embeddings

    def ids(self, length: int) -> tuple[int, ...]:
        """Random token ids."""
        return tuple(self.draw.randrange(7, self.rows) for _ in range(length))

    def group(self) -> list[Encoded]:
        """Responses to one prompt."""
        beginning = self.ids(self.work.prompt)
        return [Encoded(beginning + self.ids(self.work.response), shared=len(beginning)) for _ in range(GROUP)]

    def skewed(self) -> list[Encoded]:
        """Sequences of lognormal lengths."""
        longest = self.work.single
        lengths = [
            max(8, min(longest, round(longest / 5 * math.exp(self.draw.gauss(0, 0.65))))) for _ in range(self.work.rows)
        ]
        return [Encoded(self.ids(length)) for length in lengths]

    def seconds(self, way: Callable[[], Any]) -> float:
        """The median time of a way, after one run that is not counted."""
        way()
        spent = []
        for _ in range(self.work.rounds):
            self.wait()
            started = time.perf_counter()
            way()
            self.wait()
            spent.append(time.perf_counter() - started)
        return sorted(spent)[len(spent) // 2]

    def wait(self) -> None:
        """Let the device finish."""
        if self.loaded.device.startswith("cuda"):
            torch.cuda.synchronize()

    def padded(self, sequences: Sequence[Encoded], size: int = 16) -> list[float]:
        """What a plain server does."""
        found: list[float] = []
        for start in range(0, len(sequences), size):
            rows = [one.ids for one in sequences[start : start + size]]
            width = max(map(len, rows))
            ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], device=self.loaded.device)
            with torch.inference_mode():
                found += self.loaded.model(ids, attention_mask=(ids != 0).long()).logits[:, 0].tolist()
        return found

    def kernel(self, name: Any) -> Forward | None:
        """A kernel; None, with a line that says why, where it cannot be used."""
        try:
            return Forward(self.loaded, prefix_bytes=1 << 30, kernel=name, batch_tokens=self.work.tokens)
        except RuntimeError as error:
            say(self.shape.name, name, f"cannot be used: {error}")
            return None


def say(*cells: object) -> None:
    print("| " + " | ".join(str(one) for one in cells) + " |", flush=True)


def throughput(bench: Bench, name: str, forward: Forward, peak: float) -> float:
    """Singles and groups; returns the seconds of a group."""
    work, shape = bench.work, bench.shape
    singles = [Encoded(bench.ids(work.single)) for _ in range(max(2, work.tokens // work.single) * 2)]
    spent = bench.seconds(lambda: forward.run(singles))
    rate = len(singles) * work.single / spent
    share = rate * shape.flops(work.single) / (peak * 1e12)
    say(shape.name, name, f"singles of {work.single}", f"{rate:,.0f} tokens/s", f"{share:.1%} of {peak:g} TFLOP/s")
    groups = [one for _ in range(max(2, work.tokens // 1024)) for one in bench.group()]
    spent = bench.seconds(lambda: forward.run(groups))
    effective = sum(len(one.ids) for one in groups) / spent
    say(shape.name, name, f"groups {work.prompt}/{work.response}", f"{effective:,.0f} effective tokens/s", "")
    return spent * GROUP / len(groups)


def skewed(bench: Bench, kernels: dict[str, Forward]) -> None:
    """Skewed lengths beside transformers."""
    rows = bench.skewed()
    ways: dict[str, Callable[[], Any]] = {
        "transformers, arrival order": lambda: bench.padded(rows),
        "transformers, sorted": lambda: bench.padded(sorted(rows, key=lambda one: len(one.ids))),
    }
    for name, forward in kernels.items():
        ways[name] = lambda forward=forward: forward.run(rows)  # type: ignore[misc]
    spent = {name: bench.seconds(way) for name, way in ways.items()}
    first = spent["transformers, arrival order"]
    for name, seconds in spent.items():
        say(bench.shape.name, name, f"{len(rows)} skewed lengths", f"{first / seconds:.2f}x of arrival order", "")
    if {"packed", "invariant"} <= set(spent):
        say(bench.shape.name, "invariant", "cost", f"{spent['invariant'] / spent['packed']:.2f}x of packed", "")


def equality(bench: Bench, name: str, forward: Forward) -> None:
    """How many scores differ when others are beside them."""
    rows = bench.skewed()[: bench.work.rows // 2] + bench.group()
    alone = [forward.run([one])[0].values for one in rows]
    differ = apart = 0.0
    total = 0
    for _ in range(4):
        order = bench.draw.sample(range(len(rows)), len(rows))
        for place, one in zip(order, forward.run([rows[place] for place in order]), strict=True):
            total += 1
            differ += one.values != alone[place]
            apart = max(apart, abs(one.values[0] - alone[place][0]))
    say(bench.shape.name, name, "scores that differ in company", f"{differ:.0f} of {total}", f"by {apart:.1e} at most")


def queueing(bench: Bench, name: str, forward: Forward, group_seconds: float, most: float) -> None:
    """Groups that arrive at random at 80 % of the capacity."""
    per_pass = max(1, bench.work.tokens // (bench.work.prompt + GROUP * bench.work.response))
    gap, arrivals, now = group_seconds / LOAD, list[float](), 0.0
    while now < most and len(arrivals) < 2000:
        now += bench.draw.expovariate(1 / gap)
        arrivals.append(now)
    groups = [bench.group() for _ in range(16)]
    waited: list[float] = []
    passes: list[float] = []
    begun, place = time.perf_counter(), 0
    while place < len(arrivals):
        now = time.perf_counter() - begun
        if arrivals[place] > now:
            time.sleep(arrivals[place] - now)
            continue
        taken = [one for one in arrivals[place : place + per_pass] if one <= now]
        waited += [now - one for one in taken]
        place += len(taken)
        forward.forget()
        forward.run([row for number in range(len(taken)) for row in groups[(place + number) % 16]])
        bench.wait()
        passes.append(time.perf_counter() - begun - now)
    worst = sorted(waited)[int(0.99 * (len(waited) - 1))]
    full = group_seconds * per_pass
    say(
        bench.shape.name,
        name,
        f"queueing at {LOAD:.0%}",
        f"p99 {worst / full:.2f} full passes",
        f"{worst * 1e3:.1f} ms",
    )


def measure(shape: Shape, given: argparse.Namespace, work: Work, deadline: float) -> None:
    """All of one shape."""
    bench = Bench(shape, load(shape, given.device, given.tiny), work)
    kernels = {name: found for name in ("packed", "invariant") if (found := bench.kernel(name)) is not None}
    for name, forward in kernels.items():
        if time.monotonic() > deadline:
            say(shape.name, name, "left out: no time", "", "")
            continue
        group_seconds = throughput(bench, name, forward, given.peak)
        equality(bench, name, forward)
        queueing(bench, name, forward, group_seconds, 0.2 if given.tiny else 8.0)
    if time.monotonic() < deadline:
        skewed(bench, kernels)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all shapes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preference.gpu")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--peak", type=float, default=790.0, help="TFLOP/s that the device reaches in bfloat16")
    parser.add_argument("--seconds", type=float, default=420.0)
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args(arguments)
    if given.tiny:
        given.device = "cpu"
    elif not torch.cuda.is_available():
        sys.exit("there is no GPU; --tiny runs the script on a CPU")
    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    where = "CPU" if given.tiny else torch.cuda.get_device_name(given.device)
    print(f"{where}, torch {torch.__version__}, transformers {transformers.__version__}, {datetime.date.today()}\n")
    say("shape", "kernel", "what", "result", "")
    say(*["---"] * 5)
    started = time.monotonic()
    shapes = TINY if given.tiny else SHAPES
    for number, shape in enumerate(shapes, 1):
        measure(shape, given, TINY_WORK if given.tiny else WORK, started + given.seconds * number / len(shapes))
        if given.device.startswith("cuda"):
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
