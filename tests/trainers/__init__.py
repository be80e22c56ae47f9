"""The released trainers, each in an environment of its own: see ``__main__``."""
