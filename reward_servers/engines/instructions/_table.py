"""The families of instructions, by the name that files give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from reward_servers.engines.instructions._arguments import Argument


class InstructionError(ValueError):
    """A file asks for something that is no instruction; the message says which and what is wrong."""


@dataclass(frozen=True, slots=True)
class Family:
    """What every instruction of one name has in common.

    Attributes:
        check: Whether a text follows it, given the arguments by name.
        arguments: Readers of the arguments, all of which are needed.
    """

    check: Callable[..., bool]
    arguments: Mapping[str, Argument]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a prompt.

    Attributes:
        name: Of its family, such as ``length_constraints:number_words``.
        holds: Whether a text follows it.
    """

    name: str
    holds: Callable[[str], bool]

    def followed(self, text: str) -> bool:
        """Whether a text follows it; a blank one follows none."""
        return bool(text.strip()) and self.holds(text)


FAMILIES: dict[str, Family] = {}


def family(name: str, **arguments: Argument) -> Callable[[Callable[..., bool]], Callable[..., bool]]:
    """Declare a family: the decorated function takes the text and, by name, the arguments."""

    def declare(check: Callable[..., bool]) -> Callable[..., bool]:
        FAMILIES[name] = Family(check, arguments)
        return check

    return declare


def read_instruction(name: str, arguments: Mapping[str, Any]) -> Instruction:
    """An instruction as a file names it.

    Args:
        name: Of its family.
        arguments: Arguments by name; those that are None are left out, as files with one set of columns have them.

    Raises:
        InstructionError: There is no such family, an argument is missing, unknown, or not of its kind.
    """
    if name not in FAMILIES:
        raise InstructionError(f"{name!r} is not one of the {len(FAMILIES)} families")
    readers = FAMILIES[name].arguments
    filled = {key: value for key, value in arguments.items() if value is not None}
    if missing := sorted(readers.keys() - filled.keys()):
        raise InstructionError(f"{name} needs {missing[0]!r}")
    if unknown := sorted(filled.keys() - readers.keys()):
        raise InstructionError(f"{name} takes no {unknown[0]!r}")
    values = {}
    for key, reader in readers.items():
        try:
            values[key] = reader(filled[key])
        except ValueError as error:
            raise InstructionError(f"{name}: {key} is {error}") from None
    return Instruction(name, partial(FAMILIES[name].check, **values))


def loosely(text: str) -> tuple[str, ...]:
    """The eight texts of which one has to follow an instruction for it to count as followed loosely.

    They are the text without its first line, its last one, or both, each with and without asterisks (IFEval, arXiv
    2311.07911, section 2.2, equation 2).
    """
    lines = text.split("\n")
    cut = (text, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])))
    return (*cut, *(text.replace("*", "") for text in cut))
