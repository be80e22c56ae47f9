"""Quantities, molecules, reactions, and times."""
