"""Benchmarks of the verifiers."""
