"""A preference model, trained on written pairs, served, and used in a recipe."""
