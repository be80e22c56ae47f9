"""``python -m trainer_client.signals [NAME]``: the methods page, that of the parts, or one method or paper as text."""

from __future__ import annotations

import sys

from trainer_client.signals._errors import UnknownMethodError
from trainer_client.signals.catalogue import describe, markdown, parts_page


def main(arguments: list[str]) -> int:
    """Print the page, or what is asked for by name."""
    try:
        sys.stdout.write(_page(arguments))
    except UnknownMethodError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _page(arguments: list[str]) -> str:
    if not arguments:
        return markdown()
    return parts_page() if arguments[0] == "parts" else describe(arguments[0])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
