"""Build images, one for each kind of server: ``python deploy/docker/build.py KIND... [--base IMAGE] [--tag TAG]``.

Wheels are downloaded first, by the lock's hashes; the build itself has no network. Prints name and size of each image.
`--lock` resolves the locks again instead of building (needs ``uv``).
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
GPU_ONLY = ("nvidia-", "cuda-", "triton")
"""Packages that PyTorch's CUDA build needs; its CPU build does not, and an image of it holds none."""


def kinds() -> dict[str, dict[str, Any]]:
    """The table of kinds.toml."""
    return tomllib.loads((HERE / "kinds.toml").read_text())


def run(*command: str | Path) -> str:
    """Standard output of a command; its messages go to this one's standard error.

    Raises:
        SystemExit: it failed.
    """
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command[:4]))} ...: exit code {done.returncode}")
    return done.stdout


def lock(kind: str, facts: dict[str, Any]) -> None:
    """Resolve what a kind installs, with the hash of every file."""
    path = HERE / "locks" / f"{kind}.txt"
    extras = [part for name in facts["extras"] for part in ("--extra", name)]
    run(
        *("uv", "pip", "compile", ROOT / "pyproject.toml", *extras, "--python-version", "3.11", "--quiet"),
        *("--generate-hashes", "--no-emit-index-url", "--no-header", "--no-annotate", "--output-file", path),
        *("--constraint", ROOT / "constraints.txt"),
    )
    entries = path.read_text().replace(" \\\n", "\0").splitlines()
    kept = [line for line in entries if not line.startswith((*GPU_ONLY, "torch=="))]
    path.write_text("\n".join(kept).replace("\0", " \\\n") + "\n")


def own_wheel(folder: Path) -> Path:
    """Build the wheel of this checkout, which every image holds."""
    run(*PIP, "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    return next(folder.glob("assay-*.whl"))


def collect(kind: str, facts: dict[str, Any], wheels: Path) -> None:
    """Download the wheels that an image holds beside our own."""
    locked = HERE / "locks" / f"{kind}.txt"
    fetch = (*PIP, "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", wheels)
    run(*fetch, "--require-hashes", "-r", locked)
    run(*fetch, "pip")
    if facts.get("torch"):
        run(*fetch, "-c", ROOT / "constraints.txt", "torch")
        check_device(next(wheels.glob("torch-*.whl")))
    shutil.copy(locked, wheels / "lock.txt")


def check_device(wheel: Path) -> None:
    """An image holds PyTorch's CPU build, whose packages the lock has.

    Raises:
        SystemExit: the index has given another build.
    """
    with zipfile.ZipFile(wheel) as files:
        (metadata,) = (name for name in files.namelist() if name.endswith(".dist-info/METADATA"))
        needs = re.findall(r"(?m)^Requires-Dist: ([\w-]+)", files.read(metadata).decode())
    if any(name.startswith(GPU_ONLY) for name in needs):
        raise SystemExit(
            f"{wheel.name} is a CUDA build, which cannot be imported without its libraries: "
            "name PyTorch's index of CPU builds in PIP_EXTRA_INDEX_URL, or see Dockerfile.cuda for GPUs"
        )


def build(kind: str, facts: dict[str, Any], base: str, tag: str, wheel: Path) -> str:
    """Build one image.

    Returns:
        Its name.
    """
    name = f"assay-{kind}:{tag}"
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        collect(kind, facts, context / "wheels")
        shutil.copy(wheel, context / "wheels")
        for file in ("Dockerfile", "install.sh"):
            shutil.copy(HERE / file, context)
        arguments = {"BASE": base, "KIND": kind, "VERSION": wheel.name.split("-")[1], "REVISION": revision()}
        named = [part for key, value in arguments.items() for part in ("--build-arg", f"{key}={value}")]
        run("docker", "build", "--quiet", "--network", "none", "--target", facts["target"], *named, "-t", name, context)
    return name


def revision() -> str:
    """The commit that is built, or ``unknown`` outside a checkout."""
    done = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def main() -> None:
    """Run the command."""
    table = kinds()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="+", choices=[*table, "all"], metavar="KIND", help=", ".join(table))
    parser.add_argument("--base", help="image to build on; without it one is made from the distribution")
    parser.add_argument("--tag", default="dev")
    parser.add_argument("--lock", action="store_true", help="resolve the locks again, build nothing")
    given = parser.parse_args()
    chosen = [*table] if "all" in given.kinds else given.kinds
    if given.lock:
        for kind in chosen:
            lock(kind, table[kind])
        return
    with tempfile.TemporaryDirectory() as folder:
        wheel = own_wheel(Path(folder))
        for kind in chosen:
            packages = table[kind].get("packages", ())
            # One for all kinds that need no packages of their own.
            base = given.base or (f"assay-base-{kind}:bookworm" if packages else "assay-base:bookworm")
            if not given.base and not run("docker", "images", "--quiet", base).strip():
                run("sh", HERE / "base.sh", base, *packages)
            name = build(kind, table[kind], base, given.tag, wheel)
            size = int(run("docker", "image", "inspect", "--format", "{{.Size}}", name))
            print(f"{name}  {size / 1e6:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
