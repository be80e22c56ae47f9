"""Namespace of the reward contract."""
