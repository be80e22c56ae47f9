"""Whose doing an error of trusted code is: its own, or that of the answer which it was given."""

from __future__ import annotations

from typing import Protocol


class Answers(Protocol):
    """Says whether the name of a missing module or file may come from the answer."""

    def __call__(self, missing: str, *, is_file: bool) -> bool: ...


def place(error: BaseException, file: str) -> tuple[int, bool]:
    """Last line of the trusted code that an error passed, and whether nothing but imports ran below it.

    What runs below may be a text of the answer, as in `eval(stdout)`.

    Args:
        error: What was raised.
        file: Name under which the trusted code was compiled.
    """
    line, own, traceback = 0, False, error.__traceback__
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        if name == file:
            line, own = traceback.tb_lineno, True
        else:
            own = own and name.startswith("<frozen importlib")
        traceback = traceback.tb_next
    return line, own


def is_own_fault(error: BaseException, file: str, answers: Answers) -> bool:
    """Whether an error is one that no answer can cause: a name, a module or a file that does not exist.

    Args:
        error: What was raised.
        file: Name under which the trusted code was compiled.
        answers: Says whether what is missing may be the answer's doing.
    """
    if not place(error, file)[1]:
        return False
    if isinstance(error, FileNotFoundError):
        return isinstance(error.filename, str) and not answers(error.filename, is_file=True)
    if isinstance(error, ImportError):
        return error.name is None or not answers(error.name, is_file=False)
    return isinstance(error, NameError) and not isinstance(error, UnboundLocalError)
