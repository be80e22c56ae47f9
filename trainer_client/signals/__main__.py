"""``python -m trainer_client.signals [NAME]``: the methods page, or one preset or paper as text."""

from __future__ import annotations

import sys

from ._errors import UnknownPreset
from .catalogue import describe, markdown


def main(arguments: list[str]) -> int:
    """Print the page, or what is asked for by name."""
    try:
        sys.stdout.write(describe(arguments[0]) if arguments else markdown())
    except UnknownPreset as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
