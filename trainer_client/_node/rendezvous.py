"""Where the processes of a host meet: a name in the kernel that one of them holds, and that goes with it.

An abstract socket of Linux: whoever binds the name first leads, and when its process ends, however it ends, the name is
free at once. There is no file to clean up. The kernel tells who is at the other end, and only the same user is let in.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
import struct

from trainer_client._settings import Settings, read_token
from trainer_client._version import __version__
from trainer_client.recipe.recipe import Recipe

_FORMAT = 2
_BACKLOG = 512
_CREDENTIALS = struct.Struct("3i")


def name_of(recipe: Recipe, settings: Settings, local: bool) -> bytes:
    """The name at which processes meet that ask the same, in the same way, as the same user."""
    settled = [_FORMAT, __version__, os.getuid(), recipe.digest, repr(settings), local]
    secret = read_token(settings.token) if settings.token else ""
    text = json.dumps([*settled, secret])
    return b"\0assay-" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest().encode()


def lead(name: bytes) -> socket.socket | None:
    """A socket that listens at the name; None when another process has it.

    Raises:
        OSError: the system has no such sockets.
    """
    listener = _socket()
    try:
        listener.bind(name)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return listener


def follow(name: bytes) -> socket.socket | None:
    """A connection to the process that has the name; None when there is none at the moment.

    Raises:
        PermissionError: another user has it.
        OSError: the system has no such sockets.
    """
    connection = _socket()
    try:
        # A full queue of the listener is an error of its own here, which waiting for the socket would not tell.
        connection.connect(name)
        require_same_user(connection)
    except (BlockingIOError, ConnectionError):
        connection.close()
        return None
    except OSError:
        connection.close()
        raise
    return connection


def require_same_user(connection: socket.socket) -> None:
    """Refuse a peer of another user.

    Raises:
        PermissionError: it is one.
    """
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(packed)
    if user != os.getuid():
        raise PermissionError(errno.EPERM, f"the other end of the socket is user {user}")


def _socket() -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.setblocking(False)
    return connection
