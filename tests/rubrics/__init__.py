"""Rubrics made from data, over a real HTTP server."""
