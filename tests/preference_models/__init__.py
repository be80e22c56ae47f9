"""Scores of seventeen kinds of models beside transformers, and in any batch: ``python -m tests.preference_models``."""
