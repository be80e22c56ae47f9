"""Quantities, molecules and reactions."""
