"""The judge on a laptop: an endpoint that follows a rule stands where a model would."""
