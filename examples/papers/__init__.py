"""A recipe for each paper, and the page of what supplies its inputs: ``python -m examples.papers``."""
