"""An image of a model holds PyTorch's CPU build: another one is refused before anything is built."""

from __future__ import annotations

import runpy
import zipfile
from pathlib import Path

import pytest

BUILD = runpy.run_path(str(Path(__file__).resolve().parents[2] / "deploy" / "docker" / "build.py"))


def wheel(folder: Path, *needs: str) -> Path:
    """A wheel that needs other packages."""
    path = folder / "torch-2.13.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as files:
        lines = ["Metadata-Version: 2.4", "Name: torch", *(f"Requires-Dist: {need}" for need in needs)]
        files.writestr("torch-2.13.0.dist-info/METADATA", "\n".join(lines))
    return path


def test_the_build_for_processors_is_taken(tmp_path: Path) -> None:
    BUILD["check_device"](wheel(tmp_path, "filelock", "sympy>=1.13.3"))


@pytest.mark.parametrize("need", ["nvidia-nccl-cu13==2.30.7", "triton~=3.8.0; platform_system == 'Linux'"])
def test_the_build_for_gpus_is_refused_with_the_remedy(tmp_path: Path, need: str) -> None:
    with pytest.raises(SystemExit, match=r"torch-2.13.0.*CUDA build.*PIP_EXTRA_INDEX_URL"):
        BUILD["check_device"](wheel(tmp_path, "filelock", need))
