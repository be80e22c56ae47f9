"""Calls of tools, and the way that an agent went."""
