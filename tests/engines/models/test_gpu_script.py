"""The script that measures a GPU, with tiny shapes on a CPU; and what only a GPU can show."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.preference.gpu import TINY, main
from reward_servers.engines.models import Encoded, Forward, load_classifier
from tests.engines.models import tiny


def test_the_script_measures_every_point(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--tiny"])
    said = capsys.readouterr().out
    for what in ("singles of", "effective tokens/s", "of arrival order", "queueing at", "x of packed"):
        assert what in said
    equal = [line for line in said.splitlines() if "invariant" in line and "differ in company" in line]
    assert len(equal) == len(TINY)
    assert all("| 0 of" in line for line in equal)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_gpu_gives_what_a_cpu_gives_and_the_same_bits_in_any_company(tmp_path: Path, dtype: str) -> None:
    path = tiny.llama(tmp_path)
    rows = [Encoded(tuple(range(7, 7 + length))) for length in (1, 5, 60, 130, 199)]
    wanted = Forward(load_classifier(path, device="cpu", dtype="float32"), prefix_bytes=0).run(rows)
    forward = Forward(load_classifier(path, device="cuda:0", dtype=dtype), prefix_bytes=0, kernel="invariant")
    found = forward.run(rows)
    for one, other in zip(found, wanted, strict=True):
        assert one.values == pytest.approx(other.values, abs=1e-3 if dtype == "float32" else 0.05)
    assert [forward.run([row])[0].values for row in rows[::-1]] == [one.values for one in found[::-1]]
