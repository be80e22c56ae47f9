"""The lines of an attack file, and their placeholders."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Line = dict[str, Any]
_FILLED = ("code", "stdin", "tests", "probe")


def load(paths: Iterable[str]) -> list[Line]:
    """Read all lines of all files."""
    lines: list[Line] = []
    for path in paths:
        text = Path(path).read_text(encoding="utf-8")
        lines += [json.loads(line) for line in text.splitlines() if line.strip()]
    return lines


def new_token() -> str:
    """A text that nothing contains by luck."""
    return "tok-" + secrets.token_hex(6)


def host_address() -> str:
    """An address of this host other than loopback, or loopback if it has none."""
    for family, target in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET, "8.8.8.8")):
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            try:
                sock.connect((target, 9))  # a datagram socket sends nothing by this
                address = str(sock.getsockname()[0])
            except OSError:
                continue
            if not address.startswith("127."):
                return address
    return "127.0.0.1"


def fill(value: Any, names: Mapping[str, str]) -> Any:
    """Replace the placeholders in every text of a value."""
    if isinstance(value, str):
        for name, text in names.items():
            value = value.replace("{{" + name + "}}", text)
        return value
    if isinstance(value, list):
        return [fill(item, names) for item in value]
    if isinstance(value, dict):
        return {key: fill(item, names) for key, item in value.items()}
    return value


def filled(line: Line, names: Mapping[str, str]) -> Line:
    """Fill the fields in which placeholders may stand."""
    return {**line, **{key: fill(line[key], names) for key in _FILLED if key in line}}


def environment(lines: Iterable[Line], token: str) -> dict[str, str]:
    """Variables that have to be in the environment before the service starts."""
    plants = [plant for line in lines for plant in line["probe"].get("plant", ()) if plant["kind"] == "env"]
    return {plant["name"]: fill(plant["value"], {"TOKEN": token}) for plant in plants}
