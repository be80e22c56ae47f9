"""Checks of pictures that a response consists of, by computation alone."""
