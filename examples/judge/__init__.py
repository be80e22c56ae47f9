"""The judge on a laptop: an endpoint that follows a rule in place of a model."""
