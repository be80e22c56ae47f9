"""Presets by family. Importing a family registers its presets; `FAMILIES` is the order of the search."""

FAMILIES = (
    "_grpo",
    "_outcome",
    "_token",
    "_combined",
    "_dapo",
    "_pairs",
    "_calibrated",
    "_hierarchical",
    "_discriminative",
    "_budgets",
    "_meta",
    "_guided",
    "_targeted",
    "_structural",
    "_criteria",
    "_centres",
    "_history",
    "_several",
    "_shaped",
    "_parts_of_rows",
    "_chosen",
    "_wordings",
    "_compared",
    "_assisted",
    "_hinted",
    "_evidence",
    "_agreement",
)

__all__ = ["FAMILIES"]
