"""Places: boxes in an image, spans of time."""
