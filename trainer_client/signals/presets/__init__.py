"""Presets by family. Importing a family registers its presets; `FAMILIES` is the order of the search."""

FAMILIES = ("_group",)

__all__ = ["FAMILIES"]
