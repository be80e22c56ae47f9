"""Queries on databases, judged by their results."""
