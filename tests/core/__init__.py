"""Tests of the core of a reward server."""
