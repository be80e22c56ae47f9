"""A preference model with three heads that is small enough to work out by hand: see ``__main__``."""
