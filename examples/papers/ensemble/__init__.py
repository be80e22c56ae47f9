"""The reward models of ``secrets-ii.toml``."""
