"""Changes what a server hosts while it serves.

A `Registrar` takes verifiers and retires them, `HostingServicer` is its gRPC face, and `follow_files` lets a server
follow the files of a verifier that is being written. Every change and every refusal is a line of the audit log.
"""

from reward_servers.hosting._errors import NotHostedError, RegistrationError
from reward_servers.hosting._registrar import Registered, Registrar
from reward_servers.hosting._reload import follow_files
from reward_servers.hosting._servicer import HostingServicer

__all__ = ["HostingServicer", "NotHostedError", "Registered", "Registrar", "RegistrationError", "follow_files"]
