"""The main job with real server processes."""
