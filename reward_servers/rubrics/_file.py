"""Files of rubrics with versions: the one in use under its name, each version beside it, never changed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from reward_servers.verifiers._rubric_model import RubricFile

_NUMBER = re.compile(r"\d{1,6}")


class RubricFileError(ValueError):
    """The file cannot be read or written; the message names it and the remedy."""


class Versions:
    """A rubric's file and its versions beside it: ``rules.json``, ``rules.v1.json``, ``rules.v2.json``."""

    def __init__(self, path: Path) -> None:
        """Take the path of the rubric in use."""
        self.path = path

    def read(self) -> RubricFile | None:
        """The rubric in use; None where there is no file.

        Raises:
            RubricFileError: It cannot be used.
        """
        return _read(self.path) if self.path.exists() else None

    def numbers(self) -> list[int]:
        """Numbers of the versions that are kept, in order."""
        pattern = re.compile(re.escape(self.path.stem) + r"\.v(\d{1,6})" + re.escape(self.path.suffix))
        names = [match for entry in self.path.parent.glob("*") if (match := pattern.fullmatch(entry.name))]
        return sorted(int(match[1]) for match in names)

    def write(self, content: Mapping[str, Any]) -> RubricFile:
        """Keep a rubric as the next version and put it into use. A number is never used twice.

        Raises:
            RubricFileError: It is no rubric, or cannot be written.
        """
        current = self.read()
        numbers = self.numbers()
        if current is not None:
            number = int(current.version) if _NUMBER.fullmatch(current.version) else max(numbers, default=0) + 1
            if number not in numbers:
                self._put(self._version_path(number), {**_dumped(current), "version": str(number)})
                numbers.append(number)
        new = {**content, "version": str(max(numbers, default=0) + 1)}
        try:
            rubric = RubricFile.model_validate(new)
        except ValidationError as error:
            raise RubricFileError(f"{self.path}: {error.errors(include_url=False)[0]['msg']}") from None
        self._put(self._version_path(int(rubric.version)), new)
        self._put(self.path, new)
        return rubric

    def roll_back(self, to: int | None = None) -> RubricFile:
        """Put an earlier version into use, the one before the present one unless it is named.

        Raises:
            RubricFileError: There is none.
        """
        current, numbers = self.read(), self.numbers()
        if current is None:
            raise RubricFileError(f"{self.path}: is no file; give the rubric that is in use")
        at = int(current.version) if _NUMBER.fullmatch(current.version) else 0
        number_wanted = to if to is not None else max((number for number in numbers if number < at), default=0)
        if number_wanted not in numbers:
            listed = ", ".join(map(str, numbers)) or "none"
            version_text = f"version {number_wanted}" if to is not None else f"a version before {current.version}"
            raise RubricFileError(f"{self.path}: {version_text} is not kept; there is {listed}")
        path_kept = self._version_path(number_wanted)
        rubric = _read(path_kept)
        self._put(self.path, json.loads(path_kept.read_text("utf-8")))
        return rubric

    def _version_path(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.stem}.v{number}{self.path.suffix}")

    def _put(self, path: Path, content: Mapping[str, Any]) -> None:
        """Write a whole file or none."""
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            beside.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")
            os.replace(beside, path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise RubricFileError(f"{path}: {error.strerror}; give a path that can be written") from None


def _dumped(rubric: RubricFile) -> dict[str, Any]:
    return rubric.model_dump(mode="json", exclude_defaults=True)


def _read(path: Path) -> RubricFile:
    try:
        return RubricFile.model_validate(json.loads(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise RubricFileError(f"{path} cannot be read: {error}; give a rubric's file") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise RubricFileError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise RubricFileError(f"{path} is no JSON: {error}") from None
