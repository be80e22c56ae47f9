"""Checks of the form of a response, not of its content."""
