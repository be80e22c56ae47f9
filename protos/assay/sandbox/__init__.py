"""Namespace of the sandbox contract."""
