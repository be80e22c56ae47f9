"""Rubrics made from preferences, with an endpoint that answers by a rule where a model would write."""
