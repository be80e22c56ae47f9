"""Regenerates the Python code of the contract, in ``trainer_client/contract/v1``.

The code is made by one fixed compiler, because generated code refuses to run on a runtime older than itself: made by
grpcio-tools 1.66.2 it runs on protobuf 5.27.2 to 7.x and on grpcio from 1.66.2. The compiler lives in an environment
of its own, so that its pins never meet the project's.

Usage: ``python protos/generate.py`` with the interpreter of an environment that holds the pinned compiler.
"""

from __future__ import annotations

import re
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

COMPILER = {"grpcio-tools": "1.66.2", "mypy-protobuf": "3.6.0"}
ROOT = Path(__file__).resolve().parent
SOURCES = ROOT / "assay" / "rewards" / "v1"
TARGET = ROOT.parent / "trainer_client" / "contract" / "v1"
PACKAGE = "trainer_client.contract.v1"


def _check_compiler() -> None:
    for name, wanted in COMPILER.items():
        found = version(name)
        if found != wanted:
            sys.exit(f"{name} {found} is installed, {wanted} is needed: run `make gen`")


def _compile(sources: list[Path], out: Path) -> None:
    import grpc_tools
    from grpc_tools import protoc

    well_known = Path(next(iter(grpc_tools.__path__))) / "_proto"
    plugins = Path(sys.executable).parent
    arguments = [
        "protoc",
        f"-I{ROOT}",
        f"-I{well_known}",
        f"--python_out={out}",
        f"--grpc_python_out={out}",
        f"--plugin=protoc-gen-mypy={plugins / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={plugins / 'protoc-gen-mypy_grpc'}",
        f"--mypy_out=quiet:{out}",
        f"--mypy_grpc_out=quiet:{out}",
        *(str(source) for source in sources),
    ]
    if protoc.main(arguments) != 0:
        sys.exit("the contract does not compile")


def _in_package(text: str) -> str:
    """The code with imports of the package that it becomes part of, in place of those of the proto root."""
    text = re.sub(r"^(from|import) assay\.rewards\.v1\b", rf"\1 {PACKAGE}", text, flags=re.M)
    return re.sub(r"(?<![\w.\"'])assay\.rewards\.v1\.(\w+_pb2)", rf"{PACKAGE}.\1", text)


def main() -> None:
    """Compile every source and write the code where it is imported from."""
    _check_compiler()
    sources = sorted(SOURCES.glob("*.proto"))
    for old in TARGET.glob("*_pb2*"):
        old.unlink()
    with tempfile.TemporaryDirectory() as folder:
        _compile(sources, Path(folder))
        for source in sources:
            offers_service = re.search(r"^service ", source.read_text(), flags=re.M) is not None
            for suffix in ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi"):
                if offers_service or "_grpc" not in suffix:
                    made = Path(folder) / source.relative_to(ROOT).with_name(source.stem + suffix)
                    (TARGET / made.name).write_text(_in_package(made.read_text()))


if __name__ == "__main__":
    main()
