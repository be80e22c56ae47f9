"""Regenerates the Python code of the contract.

The code is made by one fixed compiler, because generated code refuses to run on a runtime older than itself: made by
grpcio-tools 1.66.2 it runs on protobuf 5.27.2 to 7.x and on grpcio from 1.66.2. The compiler lives in an environment
of its own, so that its pins never meet the project's.

Usage: ``python protos/generate.py`` with the interpreter of an environment that holds the pinned compiler.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import version
from pathlib import Path

COMPILER = {"grpcio-tools": "1.66.2", "mypy-protobuf": "3.6.0"}
ROOT = Path(__file__).resolve().parent


def _check_compiler() -> None:
    for name, wanted in COMPILER.items():
        found = version(name)
        if found != wanted:
            sys.exit(f"{name} {found} is installed, {wanted} is needed: run `make gen`")


def _compile(sources: list[Path]) -> None:
    import grpc_tools
    from grpc_tools import protoc

    well_known = Path(next(iter(grpc_tools.__path__))) / "_proto"
    plugins = Path(sys.executable).parent
    arguments = [
        "protoc",
        f"-I{ROOT}",
        f"-I{well_known}",
        f"--python_out={ROOT}",
        f"--grpc_python_out={ROOT}",
        f"--plugin=protoc-gen-mypy={plugins / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={plugins / 'protoc-gen-mypy_grpc'}",
        f"--mypy_out=quiet:{ROOT}",
        f"--mypy_grpc_out=quiet:{ROOT}",
        *(str(source) for source in sources),
    ]
    if protoc.main(arguments) != 0:
        sys.exit("the contract does not compile")


def _move_into_package(path: Path) -> None:
    """Rewrites ``assay.`` imports: the proto root is itself the import package ``protos``."""
    text = path.read_text()
    text = re.sub(r"^from assay\.", "from protos.assay.", text, flags=re.M)
    text = re.sub(r"^import assay\.", "import protos.assay.", text, flags=re.M)
    text = re.sub(r"(?<![\w.\"'])(assay\.\w+\.v1\.\w+_pb2)", r"protos.\1", text)
    path.write_text(text)


def main() -> None:
    """Compiles every source under ``protos`` and leaves the code beside it."""
    _check_compiler()
    sources = sorted(ROOT.rglob("*.proto"))
    _compile(sources)
    for source in sources:
        offers_service = re.search(r"^service ", source.read_text(), flags=re.M) is not None
        for suffix in ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi"):
            generated = source.with_name(source.stem + suffix)
            if "_grpc" in suffix and not offers_service:
                generated.unlink(missing_ok=True)
            else:
                _move_into_package(generated)


if __name__ == "__main__":
    main()
