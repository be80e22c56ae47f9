"""Runs server processes and keeps them running, for ``assay up``, local servers and tests.

Nouns: a `ServerProcess` says what to start; a `Supervisor` starts several, restarts one that dies on the port that it
had, and stops all of them together. A server that refuses to start ends the whole, with the server's own words. The
servers find each other: each is told of a file that says where every verifier is.
"""

from reward_servers.supervisor.process import Log, ServerProcess, ServerRefusedError, SupervisorError
from reward_servers.supervisor.supervisor import Supervisor

__all__ = ["Log", "ServerProcess", "ServerRefusedError", "Supervisor", "SupervisorError"]
