"""The client against servers of other versions, and servers against clients of other versions."""
