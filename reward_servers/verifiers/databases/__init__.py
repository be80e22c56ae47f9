"""Queries on databases, judged by what they return."""
