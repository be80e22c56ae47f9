"""Preference models: the ways in which one is usually served, side by side."""
