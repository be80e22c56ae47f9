"""Which user of the host stands behind the programs of a slot.

The kernel keeps budgets for each user: memory of pipes, descriptors in flight, watches. Slots that run as different
users cannot use up each other's.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import pwd
import shutil
from collections.abc import Iterable

_FIRST_UNUSED_ID = 0x70000000
_IDS = 0x10000000
_IDS_PER_OWNER = 64
_numbers = itertools.count()


@dataclasses.dataclass(frozen=True, slots=True)
class Ids:
    """The ids of a slot on the host.

    Attributes:
        uid: User that is mapped.
        gid: Group that is mapped.
        own: Whether no other slot has that user.
        sub_uid: A subordinate user id to be tried first, with the help of `newuidmap`; None if there is none.
        newuidmap: Path of that program.
    """

    uid: int
    gid: int
    own: bool
    sub_uid: int | None = None
    newuidmap: str = ""


def choose(paths: Iterable[str]) -> Ids:
    """Choose for one slot.

    Args:
        paths: Directories that its programs are to see. A subordinate user has to be able to reach them.
    """
    number = os.getpid() * _IDS_PER_OWNER + next(_numbers) % _IDS_PER_OWNER
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        # Ids of no user: root inside owns nothing outside, and no two slots share them.
        unused = _FIRST_UNUSED_ID + number % _IDS
        return Ids(unused, unused, True)
    tool = shutil.which("newuidmap")
    ranges = _sub_ids(uid) if tool and all(map(_open_to_all, paths)) else []
    if not ranges:
        return Ids(uid, gid, False)
    first, count = max(ranges, key=lambda range_: range_[1])
    return Ids(uid, gid, False, first + number % count, tool or "")


def _sub_ids(uid: int) -> list[tuple[int, int]]:
    """Start and length of the ranges of subordinate ids that the host gives to a user."""
    try:
        names = {str(uid), pwd.getpwuid(uid).pw_name}
        with open("/etc/subuid") as file:
            fields = [line.strip().split(":") for line in file]
    except (KeyError, OSError):
        return []
    ranges = [(int(row[1]), int(row[2])) for row in fields if len(row) == 3 and row[0] in names]
    return [(first, count) for first, count in ranges if count > 0]


def _open_to_all(path: str) -> bool:
    """Whether any user can reach a directory."""
    path = os.path.realpath(path)
    while True:
        try:
            mode = os.stat(path).st_mode
        except OSError:
            return False
        if not mode & 0o001:
            return False
        if path == "/":
            return True
        path = os.path.dirname(path)
