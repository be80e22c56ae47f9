"""Rewards as single papers define them."""
