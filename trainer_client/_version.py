"""The version of the whole distribution: client, servers and sandbox."""

__version__ = "0.1.0"
