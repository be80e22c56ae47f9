"""Faults under load: what is lost, what changes, and what is done twice."""
