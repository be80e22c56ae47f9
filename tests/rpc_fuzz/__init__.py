"""Fuzz of every call and of raw HTTP/2: ``python -m tests.rpc_fuzz --seconds N --seed S``."""
