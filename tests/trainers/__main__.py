"""Runs our adapters inside released trainers, each in a virtual environment that is thrown away.

    python -m tests.trainers [NAME...]      # verl, openrlhf, verifiers-0.1, verifiers-v1, ...; all of them without

An environment borrows the packages of the one that runs this, so that torch is not installed again, and gets the
trainer with what its reward path imports; none needs a GPU. What cannot be installed is skipped with the reason.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
_AIOHTTP = ("aiohttp", "aiohappyeyeballs", "aiosignal", "attrs", "frozenlist", "multidict", "propcache", "yarl")
_TARGETS: dict[str, tuple[str, tuple[str, ...], bool]] = {
    # Name: file, packages, whether without what they depend on.
    "verl": (
        "check_verl.py",
        (
            "verl==0.9.1", "tensordict==0.10.0", "pyvers", "ray", "msgpack", "hydra-core", "omegaconf",
            "antlr4-python3-runtime==4.9.3", "codetiming", "dill", "torchdata", "peft", "pandas", "orjson", *_AIOHTTP,
        ),
        True,
    ),
    "openrlhf": ("check_openrlhf.py", ("openrlhf==0.11.2", "pylatexenc", *_AIOHTTP), True),
    "verifiers-0.1": ("check_verifiers.py", ("verifiers==0.1.14", "tenacity"), True),
    "verifiers-v1": ("check_verifiers_v1.py", ("verifiers==0.4.0",), False),
    "inspect": ("check_inspect.py", ("inspect_ai==0.3.285",), False),
    "atropos": ("check_atropos.py", ("atroposlib==0.4.0",), True),
    "skyrl": ("check_skyrl.py", ("skyrl-gym==0.4.0",), False),
    "swift": (
        "check_swift.py",
        ("ms-swift==4.6.0", "modelscope", "modelscope-hub", "peft", "json-repair", "dacite", *_AIOHTTP), True,
    ),
    "tinker": (
        "check_tinker.py",
        ("tinker-cookbook==0.6.1", "tinker==0.38.0", "chz", "distro", "blobfile", "pycryptodomex"), True,
    ),
}  # fmt: skip


def _run(name: str) -> bool:
    """Run a target; False where it failed."""
    file, packages, bare = _TARGETS[name]
    with tempfile.TemporaryDirectory(prefix=f"assay-{name}-") as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        own = subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
        told = subprocess.run([*install, *(["--no-deps"] if bare else [])], capture_output=True, text=True)
        if told.returncode:
            print(
                f"{name}: skipped, cannot be installed: {(told.stderr.strip().splitlines() or ['?'])[-1]}", flush=True
            )
            return True
        # Behind the environment's own packages, so that it keeps its versions.
        borrowed = [sysconfig.get_path("purelib"), *(path for path in sys.path if path.endswith("site-packages"))]
        (Path(own) / "borrowed.pth").write_text("\n".join(dict.fromkeys(borrowed)) + "\n")
        # What their packages deprecate in one another is theirs, and is told while they are imported.
        quiet = ["-W", "ignore::DeprecationWarning", "-W", "ignore::FutureWarning"]
        command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *quiet, f"tests/trainers/{file}"]
        ended = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        print(f"{name}: {'ok' if ended.returncode == 0 else 'FAILED'}", flush=True)
        return ended.returncode == 0


def main() -> int:
    """Run what was asked for; 1 when one of them failed, 2 for a name that does not exist."""
    names = sys.argv[1:] or list(_TARGETS)
    unknown = [name for name in names if name not in _TARGETS]
    if unknown:
        print(f"no trainer {', '.join(unknown)}; there are {', '.join(_TARGETS)}", file=sys.stderr)
        return 2
    passed = [_run(name) for name in names]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
