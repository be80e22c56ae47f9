"""Presets by family. Importing a family registers its presets; `FAMILIES` is the order of the search."""

FAMILIES = ("_grpo", "_outcome", "_token", "_combined", "_dapo", "_pairs", "_calibrated", "_hierarchical", "_discriminative", "_budgets", "_meta")

__all__ = ["FAMILIES"]
